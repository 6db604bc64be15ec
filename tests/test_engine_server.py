"""The server engine against a fake endpoint that fails in every way."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ifcurate.engines.base import Prompt
from ifcurate.engines.server import ServerEngine, load_server_engine
from ifcurate.engines.server_http import Patience
from ifcurate.engines.toy import ToyTokenizer
from ifcurate.errors import ModelError
from tests.fake_server import FakeServer, Kind, Reply, Seen, truth
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


def test_too_many_requests_waits_as_long_as_asked_and_narrows() -> None:
    refused: list[float] = []

    def script(n: int, seen: Seen) -> Reply | None:
        if 3 <= n < 6:
            refused.append(time.monotonic())
            return Reply(429, {"error": "slow down"}, headers={"Retry-After": "1"})
        return None

    with FakeServer(script=script) as server:
        engine = connect(server, concurrency=8)
        check_scores(engine, prompts(30))
        engine.close()
        after = [s.at for s in server.completions if s.at > max(refused) + 0.2]
        assert min(after) >= refused[0] + 1.0
        assert engine.report().counts["retries"] == 3
        assert "asked again 3 times" in engine.report().notes[0]


def test_retry_after_may_be_a_date_or_nonsense() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    waits = [soon, "-5", "tomorrow", "nan"]

    def script(n: int, seen: Seen) -> Reply | None:
        return Reply(503, {}, headers={"Retry-After": waits[n - 1]}) if 1 <= n <= 4 else None

    with FakeServer(script=script) as server:
        engine = connect(server, concurrency=1)
        check_scores(engine, prompts(3))
        engine.close()
    times = [seen.at for seen in server.completions]
    assert times[2] - times[1] > 0.9  # the date has whole seconds
    assert times[5] - times[2] < 1.0


def test_a_longer_wait_than_the_deadline_is_an_error_at_once() -> None:
    script = lambda n, seen: Reply(429, {}, headers={"Retry-After": "3600"}) if n else None  # noqa: E731
    with FakeServer(script=script) as server:
        engine = connect(server)
        started = time.monotonic()
        with pytest.raises(ModelError, match=r"asks to wait 3600 s.*goes on where this stopped"):
            engine.response_logprobs(prompts(1))
        assert time.monotonic() - started < 5
        engine.close()


PASSING: dict[str, Reply] = {
    "internal error": Reply(500),
    "bad gateway": Reply(502, b"<html>bad gateway</html>"),
    "reset": Reply(action="reset"),
    "hang": Reply(action="hang"),
    "drip": Reply(action="drip"),
    "truncated": Reply(action="truncate"),
    "no JSON": Reply(body=b"<html>hello</html>"),
    "half a JSON": Reply(body=b'{"choices": [{"prompt_logprobs": [null, {"5"'),
    "no object": Reply(body=b"[]"),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_tried_again(name: str) -> None:
    patience = Patience(attempts=4, first_wait=0.01, longest_wait=0.05, timeout=1.0, deadline=20)
    script = lambda n, seen: PASSING[name] if n in (2, 5) else None  # noqa: E731
    with FakeServer(script=script) as server:
        engine = connect(server, patience=patience, concurrency=3)
        check_scores(engine, prompts())
        engine.close()
    # A kept-open connection that breaks at once is renewed, which is not counted as a retry.
    retries = engine.report().counts.get("retries", 0)
    assert retries <= 2 if name == "reset" else retries == 2
    assert len(server.completions) == 1 + 12 + 2


@pytest.mark.parametrize("name", ["internal error", "reset", "hang", "truncated", "no JSON"])
def test_what_does_not_pass_ends_with_what_was_found(name: str) -> None:
    patience = Patience(attempts=3, first_wait=0.01, longest_wait=0.05, timeout=0.6, deadline=20)
    with FakeServer(script=lambda n, seen: PASSING[name] if n else None) as server:
        engine = connect(server, patience=patience, concurrency=2)
        started = time.monotonic()
        with pytest.raises(ModelError, match="at the last of 3 tries"):
            engine.response_logprobs(prompts())
        assert time.monotonic() - started < 10
        engine.close()


def answer_with(change: Callable[[list[Any]], object]) -> Callable[[int, Seen], Reply | None]:
    """A script that changes the prompt_logprobs of every answer but the probe's."""

    def script(n: int, seen: Seen) -> Reply | None:
        if n == 0:
            return None
        body = FakeServer.answer(_PLAIN, seen.body).body
        logprobs = body["choices"][0]["prompt_logprobs"]
        change(logprobs)
        return Reply(body=json.dumps(body).encode())

    return script


_PLAIN = FakeServer()
_PLAIN._server.server_close()


def set_last(value: Any) -> Callable[[list[Any]], object]:
    def change(entries: list[Any]) -> None:
        next(iter(entries[-1].values()))["logprob"] = value

    return change


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda x: x.pop(), "prompt_logprobs of 9 tokens for 10"),
        (lambda x: x.append({"1": {"logprob": -1.0}}), "prompt_logprobs of 11 tokens for 10"),
        (lambda x: x.__setitem__(7, None), "nothing for token 7 of 10"),
        (lambda x: x.__setitem__(7, {"3": {"logprob": -1.0}}), "id 3 at token 7, where 17 was"),
        (lambda x: x.clear(), "prompt_logprobs of 0 tokens"),
        (set_last(None), "null for token 9"),
        (set_last("-1.0"), "str for token 9"),
        (set_last(True), "bool for token 9"),
        (set_last(float("nan")), "1 of 6 log-probabilities"),
        (set_last(float("-inf")), "1 of 6 log-probabilities"),
        (set_last(-9999.0), "1 of 6 log-probabilities"),
        (set_last(2.5), "found 2.5, above 0"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(change: Any, found: str) -> None:
    with FakeServer(script=answer_with(change)) as server:
        engine = connect(server)
        with pytest.raises(ModelError, match=found):
            engine.response_logprobs([Prompt(list(range(10, 20)), 4)])
        engine.close()
        assert len(server.completions) == 2  # such an answer is not asked for again


@pytest.mark.parametrize(
    ("logprobs", "found"),
    [
        (None, r"no logprobs\.token_logprobs"),
        ({"token_logprobs": [None, -1.0]}, "log-probabilities of 2 tokens for 10"),
        ({"token_logprobs": [None, *[-1.0] * 3, None, *[-1.0] * 5]}, "null for token 4"),
    ],
)
def test_an_echo_that_does_not_fit_is_refused(logprobs: Any, found: str) -> None:
    def script(n: int, seen: Seen) -> Reply | None:
        body = {"choices": [{"logprobs": logprobs}], "usage": {"prompt_tokens": 10}}
        return Reply(body=body) if n > 1 else None

    with FakeServer("echo-0", script=script) as server:
        engine = connect(server)
        with pytest.raises(ModelError, match=found):
            engine.response_logprobs([Prompt(list(range(10, 20)), 4)])
        engine.close()


def test_one_failure_ends_the_others_at_once() -> None:
    def script(n: int, seen: Seen) -> Reply | None:
        return None if n == 0 else Reply(400, b"no") if n == 3 else Reply(action="hang")

    with FakeServer(script=script) as server:
        engine = connect(server, concurrency=4)
        started = time.monotonic()
        with pytest.raises(ModelError, match=r"refused a request; found HTTP 400 \(no\)"):
            engine.response_logprobs(prompts())
        assert time.monotonic() - started < 3
        server.script = lambda n, seen: None
        check_scores(engine, prompts())  # and it can be used again
        engine.close()


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(404, {"error": {"message": "no model x"}}), "no such page .* or model.*no model x"),
        (
            Reply(307, {}, headers={"Location": "http://evil/?key=1"}),
            "sends elsewhere.*http://evil",
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
        json.dumps(engine.report().as_dict()),
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
        with pytest.raises(ModelError, match="does not say how long"):
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
        with pytest.raises(ModelError, match="max_length"):
            connect(server, max_length=1)
        with pytest.raises(ModelError, match="concurrency"):
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
