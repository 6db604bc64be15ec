"""vLLM itself, where it is installed: the engine in a process of its own, and its server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ifcurate.data.sources import read_examples
from ifcurate.engines.base import Prompt
from ifcurate.engines.hf.engine import load_hf_engine
from ifcurate.engines.server.engine import load_server_engine
from ifcurate.engines.server.wire import DIALECTS
from ifcurate.errors import ModelError
from ifcurate.options.score import ScoreSettings
from ifcurate.pocket import demo_path, model_path
from ifcurate.records import Example
from ifcurate.scoring.parity import reference_for_run
from ifcurate.scoring.scorer import Scorer
from tests.models import make_model
from tests.scoring.reference import check_parity

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
]

KEY = "sk-very-secret-0123456789"


def demo_examples() -> list[Example]:
    """Rows as runs score them."""
    rows = read_examples([str(demo_path() / "alpaca.jsonl")]).read()
    return [example for row in rows for example in row.examples]


# In processes of their own: vLLM is slow to load, and leaves settings behind.

_COMPARE = """
import json, sys
from ifcurate.engines.base import Prompt
from ifcurate.engines.hf.engine import load_hf_engine
from ifcurate.engines.vllm.engine import load_vllm_engine
from ifcurate.errors import ModelError
from ifcurate.scoring.parity import reference_for_run
from ifcurate.pocket import model_path
from ifcurate.scoring.scorer import Scorer, ScoreSettings
from tests.engines.test_real_vllm import demo_examples

model, dtype = str(model_path()), sys.argv[1]
ours = load_hf_engine(model, dtype=dtype, device="cpu")
theirs = load_vllm_engine(model, dtype=dtype, max_length=700)
scorer = Scorer.create(ours, ScoreSettings(template="alpaca"))
reference = reference_for_run(demo_examples(), scorer, 50)
parity = reference.check(theirs)
again = reference.check(theirs).max_difference
refused = ""
try:
    theirs.response_logprobs([Prompt([3] * 701, 1)])
except ModelError as error:
    refused = str(error)
full = theirs.response_logprobs([Prompt([3] * 700, 1)])
print(json.dumps({
    **parity.as_dict(), "again": again, "refused": refused, "full": len(full[0]),
}))
"""


_RANDOM = """
import json, sys
from ifcurate.engines.hf.engine import load_hf_engine
from ifcurate.engines.vllm.engine import load_vllm_engine
from tests.scoring.reference import check_parity, make_prompts

ours = load_hf_engine(sys.argv[1], device="cpu")
theirs = load_vllm_engine(sys.argv[1])
prompts = make_prompts(60, 500, longest=1300)
found = check_parity(theirs, ours, prompts)
few = check_parity(theirs, ours, prompts[:3])
print(json.dumps({**found.as_dict(), "few": few.as_dict()}))
"""


def real_environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": root, "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1"}


def run_alone(code: str, argument: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", code, argument],
        cwd=folder,
        env=real_environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)  # and nothing else is on stdout
    return found


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_real_vllm_agrees_with_our_engine(dtype: str, tmp_path: Path) -> None:
    found = run_alone(_COMPARE, dtype, tmp_path)
    assert found["engine"]["engine"] == "vllm"
    assert found["n_rows"] == 50
    assert found["again"] == found["max_difference"]  # no cache comes between
    assert found["full"] == 699
    assert "found 701 tokens, the most is 700" in found["refused"]
    if dtype == "float32":
        assert found["max_relative"] <= 1e-4


def test_real_vllm_agrees_on_any_ids_and_lengths(tmp_path: Path) -> None:
    # A random model is sure of nothing. The bundled one finds ids drawn at random so
    # unlikely (to 42 nats) that float32 itself is 1e-4 off at some, in every engine.
    changes: dict[str, Any] = {
        "hidden_size": 128,  # vLLM's attention on a CPU wants heads of 32 or more
        "intermediate_size": 256,
        "max_position_embeddings": 2048,
        "initializer_range": 0.1,
    }
    folder = make_model("llama", tmp_path / "llama", **changes)
    found = run_alone(_RANDOM, str(folder), tmp_path)
    assert found["max_difference"] <= 1e-4
    assert found["few"]["max_difference"] <= 1e-4
    assert found["n_tokens"] > 10_000


@pytest.fixture(scope="module")
def vllm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Its base URL, and the file of its log."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    module = "vllm.entrypoints.openai.api_server"
    options = {
        "--model": str(model_path()),
        "--served-model-name": "pocket",
        "--dtype": "float32",
        "--max-model-len": "700",
        "--host": "127.0.0.1",
        "--port": str(port),
    }
    words = [sys.executable, "-m", module, "--enforce-eager", *sum(options.items(), ())]
    environment = {
        **os.environ,
        "VLLM_API_KEY": KEY,
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "TORCHDYNAMO_DISABLE": "1",
        "OMP_NUM_THREADS": "1",
    }
    log = folder / "log.txt"
    with log.open("wb") as stream:
        process = subprocess.Popen(words, cwd=folder, env=environment, stdout=stream, stderr=stream)
        try:
            for _ in range(400):
                if process.poll() is not None or b"startup complete" in log.read_bytes():
                    break
                time.sleep(0.5)
            assert process.poll() is None, log.read_text()[-3000:]
            yield f"http://127.0.0.1:{port}", log
        finally:
            process.terminate()
            process.wait(60)


def test_a_real_vllm_server_agrees_with_our_engine(
    vllm_server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, log = vllm_server
    tokenizer = str(model_path())
    with pytest.raises(ModelError, match=r"wants another key.*no key was sent"):
        load_server_engine(url, tokenizer=tokenizer)
    monkeypatch.setenv("IFCURATE_API_KEY", KEY)
    ours = load_hf_engine(tokenizer, dtype="float32", device="cpu")
    scorer = Scorer.create(ours, ScoreSettings(template="alpaca"))
    rows = reference_for_run(demo_examples(), scorer, 25).prompts
    given = [*rows, Prompt([5, 6], 2)]
    for dialects in (DIALECTS, DIALECTS[1:], DIALECTS[3:]):
        monkeypatch.setattr("ifcurate.engines.server.engine.DIALECTS", dialects)
        engine = load_server_engine(url, tokenizer=tokenizer, dtype="float32")
        assert engine.identity.engine_version == f"1/{dialects[0].name}"
        assert (engine.identity.model, engine.max_length) == ("pocket", 699)
        parity = check_parity(engine, ours, given)
        assert parity.max_difference <= 1e-4
        assert parity.n_rows == len(given) == 51
        assert len(engine.response_logprobs([Prompt([7] * 699, 1)])[0]) == 698
        engine.close()
    assert KEY not in log.read_text()
