"""Cards: metadata that the Hub reads, licences inherited, hostile text shown as text."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from ifcurate.cards.mixture_card import render_card, size_category, strictest_licence, write_card
from ifcurate.cards.push import push_mixture
from ifcurate.data.known_sets import find_known_set, list_known_sets, read_card
from ifcurate.data.sources import read_examples
from ifcurate.errors import DataError
from ifcurate.mixing.mix import mix_components
from ifcurate.mixing.mixture import Mixture
from ifcurate.mixing.rows import Component
from ifcurate.mixing.verify import verify_mixture
from ifcurate.options.card import CardOptions
from ifcurate.options.data import FORMATS, DataOptions
from ifcurate.options.mix import MixOptions
from ifcurate.pipeline.recipe import DataSection
from tests.conftest import ALPACA_ROWS, write_jsonl


def mixture(folder: Path, origin: dict[str, Any] | None = None) -> Mixture:
    hostile = {"instruction": "```\n# <script>alert(1)</script> | x", "input": "", "output": "ok"}
    write_jsonl(folder / "a.jsonl", [*ALPACA_ROWS, hostile])
    component = Component("mine", read_examples("a.jsonl"), origin=origin or {})
    return mix_components(
        [component], folder / "mix", MixOptions(), command="ifcurate mix ...", overwrite=True
    )


def test_the_metadata_is_the_hubs_own(folder: Path) -> None:
    from huggingface_hub import DatasetCard

    made = mixture(folder)
    card = DatasetCard(render_card(made, options=CardOptions(license="mit", language=["en"])))
    data: dict[str, Any] = dict(card.data.__dict__)
    assert (data["license"], data["language"]) == ("mit", ["en"])
    assert data["size_categories"] == "n<1K"
    (config,) = data["configs"]
    assert config["data_files"] == [{"split": "train", "path": "mixture.parquet"}]
    assert size_category(999_999) == "100K<n<1M"
    assert size_category(1_000_000) == "1M<n<10M"


@pytest.mark.slow
def test_the_hub_folder_loads_by_its_card(folder: Path) -> None:
    datasets = pytest.importorskip("datasets")
    made = mixture(folder)
    write_card(made, folder / "mix", options=CardOptions())
    cache = str(folder / "cache")
    loaded = datasets.load_dataset(str(folder / "mix"), split="train", cache_dir=cache)
    assert len(loaded) == made.n_rows == 5
    assert verify_mixture(folder / "mix").whole
    (folder / "mix/README.md").write_text("other")
    assert "README.md: differs from the hash" in verify_mixture(folder / "mix").problems[0]


def test_what_a_person_decided_is_counted(folder: Path) -> None:
    origin = {"step": "augment", "set_by_hand": 3, "judged": {"good": 8, "broken": 2}}
    text = render_card(mixture(folder, origin), options=CardOptions())
    assert "| mine | labels set by hand | 3 |" in text
    assert "| mine | counterfactual rows judged broken | 2 |" in text


def test_licences_are_inherited_and_the_strictest_is_named(folder: Path) -> None:
    made = mixture(folder, {"step": "score", "sources": ["tulu-v2", "yahma/alpaca-cleaned"]})
    text = render_card(made, options=CardOptions())
    assert "- cc-by-nc-4.0\n- odc-by" in text
    assert "strictest licence of the sources is **cc-by-nc-4.0**" in text
    unknown = mixture(folder, {"step": "score", "sources": ["tulu-v2", "mine.jsonl"]})
    text = render_card(unknown, options=CardOptions())
    assert "licence of at least one source is **unknown**" in text
    assert strictest_licence(["mit", "cc-by-sa-4.0", "cc-by-nc-4.0"]) == "cc-by-nc-4.0"
    assert strictest_licence(["mit", "llama2"]) == "llama2"  # not in the order: taken as strict


def test_hostile_text_stays_text(folder: Path) -> None:
    text = render_card(mixture(folder), options=CardOptions(title="<b>x</b>\n# y"))
    assert "````text\n[user] ```\n# <script>" in text
    assert r"# \<b\>x\</b\> \# y" in text
    assert "pretty_name: '<b>x</b> # y'\n" in text  # YAML, not Markdown
    body = text.split("---", 2)[2]
    outside = "".join(part for i, part in enumerate(body.split("````")) if i % 2 == 0)
    assert "<script>" not in outside


def test_every_card_of_a_set_tells_the_reader_its_fields() -> None:
    known = list_known_sets()
    assert len(known) >= 12
    for item in known:
        options = DataOptions.create(**item.reading)
        assert options.columns or options.format in FORMATS
        assert item.hub_id.count("/") == 1
        assert item.checked or item.unchecked
        assert all("https://" in where for where in item.checked.values())
        assert ("## Not checked" in read_card(item.name)) == bool(item.unchecked)
    assert find_known_set("ALLENAI/tulu-v2-sft-mixture") == find_known_set("tulu-v2")
    with pytest.raises(DataError, match="did you mean tulu-v3"):
        read_card("tulu-v4")


ASKED = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ann"}]
SPOKEN = [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Ann"}]
PASSAGE = {"id": "1", "title": "t", "context": "Ann did.", "question": "Who?"}


@pytest.mark.parametrize(
    ("name", "row", "context"),
    [
        ("alpaca", {"instruction": "Who?", "input": "Ann did.", "output": "Ann"}, "Ann did."),
        ("squad", {**PASSAGE, "answers": {"text": ["Ann"], "answer_start": [0]}}, "Ann did."),
        ("tulu-v2", {"dataset": "x", "id": "1", "messages": ASKED}, ""),
        ("no-robots", {"prompt": "Who?", "messages": ASKED, "category": "qa"}, ""),
        ("wildchat", {"conversation_hash": "x", "conversation": ASKED, "turn": 1}, ""),
        ("ultrafeedback", {"prompt": "Who?", "chosen": ASKED, "rejected": ASKED}, ""),
        ("openhermes", {"conversations": SPOKEN}, ""),
    ],
)
def test_a_card_reads_a_row_with_the_columns_of_its_page(
    folder: Path, name: str, row: dict[str, Any], context: str
) -> None:
    known = find_known_set(name)
    assert known is not None
    write_jsonl(folder / "a.jsonl", [row])
    reading = {key: value for key, value in known.reading.items() if key != "split"}
    (example,) = read_examples("a.jsonl", **reading)
    read = (example.instruction, example.context, example.response)
    assert read == ("Who?", context, "Ann")


def test_a_set_is_read_by_name_as_its_card_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub's rows are stood in for: nothing is downloaded."""
    from ifcurate.data.readers.files import RawRow

    row = {"instruction": "Who?", "context": "Ann did.", "response": "Ann", "category": "qa"}
    asked = []

    def rows(source: Any) -> Any:
        asked.append((source.name, source.split))
        return iter([RawRow(source.name, 0, None, None, row)])

    monkeypatch.setattr("ifcurate.data.readers.rows.read_hub", rows)
    (example,) = read_examples("dolly")
    assert asked[0] == ("databricks/databricks-dolly-15k", "train")
    assert (example.context, example.response) == ("Ann did.", "Ann")
    # A recipe's section names the data too.
    assert len(list(read_examples("dolly", options=DataSection.create(paths=["dolly"])))) == 1


class FakeHub(BaseHTTPRequestHandler):
    """What the Hub answers to an upload: small files in the commit, large ones into its store."""

    seen: list[tuple[str, bytes, str]] = []  # noqa: RUF012 - one server per test

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers.get("Authorization", "")
        self.seen.append((self.path, body, token))
        answer: dict[str, Any] = {"url": self._place(), "errors": [], "warnings": []}
        if "/preupload/" in self.path:
            files = json.loads(body)["files"]
            answer = {
                "files": [
                    {
                        "path": f["path"],
                        "uploadMode": "lfs" if f["path"].endswith(".parquet") else "regular",
                        "shouldIgnore": False,
                        "oid": None,
                    }
                    for f in files
                ]
            }
        elif self.path.endswith("/lfs/objects/batch"):
            place = f"http://{self.headers['Host']}/store"
            answer = {
                "transfer": "basic",
                "objects": [
                    {**o, "actions": {"upload": {"href": f"{place}/{o['oid']}", "header": {}}}}
                    for o in json.loads(body)["objects"]
                ],
            }
        elif "/commit/" in self.path:
            answer = {"commitUrl": f"{self._place()}/commit/{'1' * 40}", "commitOid": "1" * 40}
        self._answer(answer)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, body, self.headers.get("Authorization", "")))
        self._answer({})

    def do_GET(self) -> None:
        self.seen.append((self.path, b"", ""))
        self._answer({"id": "me/mix", "sha": "1" * 40, "siblings": []})

    def _place(self) -> str:
        return f"http://{self.headers['Host']}/datasets/me/mix"

    def _answer(self, value: Any) -> None:
        text = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


def test_a_hub_that_cannot_be_reached_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object, **more: object) -> None:
        raise httpx.ConnectError("Name or service not known")

    write_card(mixture(folder), folder / "mix", options=CardOptions())
    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", fail)
    with pytest.raises(DataError, match=r"not uploaded: Name .* the network: the Hub is"):
        push_mixture(folder / "mix", "me/mix")


@pytest.mark.slow
def test_push_uploads_folder_and_card(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = mixture(folder)
    write_card(made, folder / "mix", options=CardOptions())
    monkeypatch.setattr(FakeHub, "seen", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    command = [sys.executable, "-m", "ifcurate", "push", "mix", "--to", "me/mix"]
    environment = {
        "PATH": "/usr/bin:/bin",
        "HF_HOME": str(folder / "hf"),
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_TOKEN": "hf_not_a_real_token",
        "HF_HUB_DISABLE_XET": "1",
    }
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().endswith("/datasets/me/mix")
        assert "hf_not_a_real_token" not in done.stdout + done.stderr
        (commit,) = (body for path, body, _ in FakeHub.seen if "/commit/" in path)
        lines = [json.loads(line) for line in commit.splitlines()]
        sent = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines
            if line["key"] == "file"
        }
        stored = {path.split("/")[-1]: body for path, body, _ in FakeHub.seen if "/store/" in path}
        large = [line["value"] for line in lines if line["key"] == "lfsFile"]
        sent |= {item["path"]: stored[item["oid"]] for item in large}
        assert all(item["oid"] == hashlib.sha256(sent[item["path"]]).hexdigest() for item in large)
        # The store of large files is another host, which must not get the token.
        assert not any(token for path, _, token in FakeHub.seen if "/store/" in path)
        here = {f.name: f.read_bytes() for f in (folder / "mix").iterdir()}
        assert sent == here
        assert {item["path"] for item in large} == {"mixture.parquet", "dropped.parquet"}
        assert set(here) == {"README.md", "mixture.parquet", "dropped.parquet", "mixture.json"}
        # A folder that differs from its manifest is not sent.
        (folder / "mix/README.md").write_text("changed")
        again = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
        assert again.returncode == 1
        assert "differs from its manifest" in again.stderr
    finally:
        server.shutdown()
        server.server_close()
