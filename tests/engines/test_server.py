"""The server engine against a fake endpoint; `test_server_failures` has one that fails."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ifcurate.engines.base import Prompt
from ifcurate.engines.server.client import Patience
from ifcurate.engines.server.engine import ServerEngine, load_server_engine
from ifcurate.engines.toy import ToyTokenizer
from ifcurate.errors import ModelError, OptionError
from tests.engines.fake_server import FakeServer, Kind, Reply, Seen, truth
from tests.models import make_tokenizer

QUICK = Patience(attempts=4, first_wait=0.01, longest_wait=0.05, timeout=5.0, deadline=20.0)
KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IFCURATE_API_KEY", "OPENAI_API_KEY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


def connect(server: FakeServer, **changes: Any) -> ServerEngine:
    options: dict[str, Any] = {"tokenizer": ToyTokenizer(), "patience": QUICK, **changes}
    return load_server_engine(server.url, **options)


def prompts(n: int = 12, *, longest: int = 30) -> list[Prompt]:
    rng = np.random.default_rng(1)
    made = []
    for _ in range(n):
        ids = rng.integers(2, 900, size=int(rng.integers(2, longest))).tolist()
        made.append(Prompt(ids, int(rng.integers(1, len(ids)))))
    return made


def check_scores(engine: ServerEngine, given: list[Prompt]) -> None:
    found = engine.response_logprobs(given)
    assert [a.dtype for a in found] == [np.float32] * len(given)
    for values, prompt in zip(found, given, strict=True):
        assert values.tolist() == truth(prompt).tolist()


@pytest.mark.parametrize(
    ("kind", "dialect"),
    [("vllm", "prompt_logprobs"), ("echo-0", "echo-0-0"), ("echo-1", "echo-1-0")],
)
def test_each_way_of_asking_gives_the_numbers_in_order(kind: Kind, dialect: str) -> None:
    with FakeServer(kind) as server:
        engine = connect(server)
        check_scores(engine, [*prompts(40), Prompt([5, 6], 2), Prompt([9] * 511, 3)])
        engine.close()
    identity = engine.identity
    assert identity.engine_version == f"1/{dialect}"
    assert (identity.engine, identity.model, identity.dtype) == ("server", "toy-model", "unknown")
    assert identity.revision == "served by 127.0.0.1"
    assert identity.tokenizer == ToyTokenizer.fingerprint
    sent = server.completions[-1].body
    assert set(sent) <= {
        "model",
        "prompt",
        "max_tokens",
        "temperature",
        "prompt_logprobs",
        "echo",
        "logprobs",
    }


def test_every_answer_is_reported_while_others_are_awaited() -> None:
    given = prompts(12)
    reported: list[tuple[int, int]] = []
    with FakeServer("vllm") as server:
        engine = connect(server)
        engine.on_scored = lambda n_prompts, n_tokens: reported.append((n_prompts, n_tokens))
        check_scores(engine, given)
        engine.close()
    assert sorted(reported) == sorted((1, len(prompt.ids)) for prompt in given)


def test_an_echoed_probe_must_spell_its_text() -> None:
    tokenizer = ToyTokenizer()
    text = "The ferry to the island leaves at nine in the morning."
    ids = tokenizer.encode(text).ids
    offsets = tokenizer.encode(text).offsets
    words = {i: text[a:b] for i, (a, b) in zip(ids, offsets, strict=True)}
    with FakeServer("echo-0", spell=lambda i: words.get(i, "<s>")) as server:
        engine = connect(server)
        check_scores(engine, prompts())
        engine.close()
    # The same counts of tokens, one place further: as when a server adds its own start token.
    shifted = dict(zip(ids, ["<s>", *words.values()], strict=False))
    with (
        FakeServer("echo-0", spell=lambda i: shifted.get(i, "<s>")) as server,
        pytest.raises(ModelError, match="tokens that spell"),
    ):
        connect(server)


@pytest.mark.parametrize(
    ("kind", "found"),
    [("generates", "no prompt_logprobs"), ("text", "Input should be a valid string")],
)
def test_a_server_without_prompt_logprobs_is_refused(kind: Kind, found: str) -> None:
    with FakeServer(kind) as server, pytest.raises(ModelError, match=found) as caught:
        connect(server)
    assert "gives no log-probabilities of a prompt" in str(caught.value)
    assert server.completions[0].n_tokens < 20


def test_requests_run_side_by_side_within_the_bound() -> None:
    with FakeServer(script=lambda n, seen: Reply(delay=0.02)) as server:
        engine = connect(server, concurrency=5)
        check_scores(engine, prompts(40))
        engine.close()
    assert 3 <= server.most_in_flight <= 5


def test_chunks_are_asked_side_by_side_and_can_be_given_up() -> None:
    with FakeServer(script=lambda n, seen: Reply(delay=0.2) if n else None) as server:
        engine = connect(server, concurrency=8)
        chunks = [prompts(4), prompts(4)]
        futures = [engine.submit(chunk) for chunk in chunks]
        for future, chunk in zip(futures, chunks, strict=True):
            found = [np.asarray(answer).tolist() for answer in future.result()]
            assert found == [truth(prompt).tolist() for prompt in chunk]
        assert server.most_in_flight > 4
        server.script = lambda n, seen: Reply(action="hang")
        given_up = engine.submit(prompts(4))
        assert given_up.cancel()
        with pytest.raises(ModelError, match="must follow at least one token"):
            engine.submit([Prompt([3], 0)])
        engine.close()


def test_connections_are_kept_open_and_renewed_when_the_server_closed_them() -> None:
    closing = threading.Event()

    def script(n: int, seen: Seen) -> Reply | None:
        return Reply(headers={"Connection": "close"}) if closing.is_set() else None

    with FakeServer(script=script) as server:
        engine = connect(server, concurrency=1)
        check_scores(engine, prompts(10))
        closing.set()
        check_scores(engine, prompts(5))
        engine.close()
        assert engine.report().counts.get("retries", 0) == 0


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(404, {"error": {"message": "no model x"}}), "no such page .* or model.*no model x"),
        (
            Reply(307, {}, headers={"Location": "http://evil/?key=1"}),
            "redirects.*http://evil",
        ),
        (Reply(403, {"detail": "not you"}), "wants another key.*not you.*no key was sent"),
    ],
)
def test_refusals_say_what_to_do(reply: Reply, message: str) -> None:
    with (
        FakeServer(script=lambda n, seen: reply) as server,
        pytest.raises(ModelError, match=message),
    ):
        connect(server)
    assert len(server.completions) == 1


def test_the_key_is_sent_and_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-other")
    monkeypatch.setenv("IFCURATE_API_KEY", KEY)
    with FakeServer(key=KEY) as server:
        engine = connect(server)
        check_scores(engine, prompts())
        assert {s.headers["authorization"] for s in server.seen} == {f"Bearer {KEY}"}
        server.key = "another"  # its refusals repeat what was sent
        with pytest.raises(ModelError, match="wants another key") as caught:
            engine.response_logprobs(prompts())
        engine.close()
    shown = [
        str(caught.value),
        repr(caught.value),
        repr(engine),
        repr(vars(engine)),
        repr(vars(vars(engine)["_client"])),
        json.dumps(asdict(engine.identity)),
        str(engine.report()),
        caplog.text,
    ]
    assert "a key was sent" in shown[0]
    assert not [text for text in shown if KEY in text or KEY[:12] in text]


def test_a_server_that_is_not_there() -> None:
    with FakeServer() as server:
        url = server.url
    with pytest.raises(ModelError, match=r"connection refused \(is the server running\?\)"):
        load_server_engine(url, tokenizer=ToyTokenizer(), patience=QUICK)


def test_the_model_is_found_out_or_asked_for() -> None:
    with FakeServer(models=("a", "b")) as server:
        with pytest.raises(ModelError, match="which model is not clear; found a, b"):
            connect(server)
        engine = connect(server, model="b", max_length=100)
        assert (engine.identity.model, engine.max_length) == ("b", 100)
        engine.close()
        with pytest.raises(ModelError, match="The model c does not exist"):
            connect(server, model="c", max_length=100)
        with pytest.raises(ModelError, match="does not list the model c; found a, b; name one"):
            connect(server, model="c")


def test_lengths_and_options_are_checked() -> None:
    with FakeServer(max_model_len=64) as server:
        engine = connect(server, max_length=1000)
        assert engine.max_length == 63  # one place is the server's
        with pytest.raises(ModelError, match="found 64 tokens, the most is 63"):
            engine.response_logprobs([Prompt([3] * 64, 5)])
        with pytest.raises(ModelError, match="must follow at least one token"):
            engine.response_logprobs([Prompt([3, 4], 0)])
        with pytest.raises(ModelError, match="ids outside"):
            engine.response_logprobs([Prompt([3, -4], 1)])
        engine.close()
        with pytest.raises(OptionError, match="max_length: must be at least 8"):
            connect(server, max_length=1)
        with pytest.raises(OptionError, match="concurrency: must be at least 1"):
            connect(server, concurrency=0)
    assert len(server.completions) == 1


def test_only_the_tokenizer_of_a_folder_is_read(tmp_path: Path) -> None:
    make_tokenizer("sentencepiece").save_pretrained(tmp_path)
    with FakeServer(models=(str(tmp_path),)) as server:
        engine = load_server_engine(server.url, patience=QUICK)  # named as its model is
        assert engine.tokenizer.bos_id == 1
        assert server.completions[0].body["prompt"][0] == 1
        engine.close()


def test_a_tokenizer_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with (
        FakeServer(models=("our/alias",)) as server,
        pytest.raises(ModelError, match=r"our/alias: no tokenizer of that name.*\(--tokenizer\)"),
    ):
        load_server_engine(server.url, patience=QUICK)
