"""Score with a running server: any OpenAI-compatible completions endpoint.

    log p(y_t | x, y_<t)    as the server gives it for the tokens of its prompt

The server must return the log-probabilities of a prompt's tokens. A probe of a few tokens
at the start shows which of the usual request forms it supports. Requests run in
parallel, one prompt each, so that the server can batch them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Final

import numpy as np

from ifcurate.engines.base import (
    Answer,
    Engine,
    EngineIdentity,
    EngineReport,
    Float32Array,
    Prompt,
    Tokenizer,
    arrays_of,
)
from ifcurate.engines.checks import check_logprobs, check_prompt
from ifcurate.engines.server.client import (
    AnswerOrNone,
    HttpClient,
    Patience,
    Request,
    ServerError,
    wait_for,
)
from ifcurate.engines.server.connection import ApiKey, parse_base_url
from ifcurate.engines.server.wire import ANSWER_BYTES, DIALECTS, AnswerError, Dialect, spelled_text
from ifcurate.errors import RowTimeoutError
from ifcurate.models import resolve_model
from ifcurate.options.base import takes_options
from ifcurate.options.score import ENGINE_OPTIONS, LoadOptions

_VERSION: Final = "1"  # increased whenever a score could change
_SILENT: Final = 16  # this many requests without an answer mean that the server hangs
_PATH: Final = "/completions"
#: Its options, without those that may be more than a text.
_OPTIONS: Final = tuple(n for n in ENGINE_OPTIONS["server"] if n not in ("base_url", "tokenizer"))
_PROBE: Final = "The ferry to the island leaves at nine in the morning."


@takes_options(LoadOptions, _OPTIONS, engine="server")
def load_server_engine(
    base_url: str,
    *,
    model: str = "",
    tokenizer: str | Tokenizer = "",
    options: LoadOptions,
    patience: Patience | None = None,
) -> ServerEngine:
    """Connect to a completions endpoint, and find the request form for prompt log-probabilities.

    Args:
        base_url: ``http://host:8000/v1``; no credentials in it. The key, where one is
            needed, is read from IFCURATE_API_KEY, else OPENAI_API_KEY.
        model: the server's name for it; by default the server's only model.
        tokenizer: the tokenizer of the model: a short name, Hub id or folder (by default the
            model's name), or a `Tokenizer`. No weights are read.
        patience: timeouts and the number of tries.

    The dtype "auto" is recorded as "unknown". Without `row_timeout`, a request without an answer
    is tried again, and the engine fails after the last try.

    Raises:
        OptionError: an option has a wrong value.
        ModelError: the server cannot be reached or used, or there is no such tokenizer.
    """
    client = HttpClient(
        parse_base_url(base_url),
        key=ApiKey.from_environment(),
        patience=patience or Patience(),
        concurrency=options.concurrency,
    )
    try:
        listed = client.listed_models()
        model = model or client.only_model(listed, "--model")
        if isinstance(tokenizer, str):
            from ifcurate.engines.hf.tokenizer import load_model_tokenizer

            tokenizer = load_model_tokenizer(resolve_model(tokenizer or model), options)
        limit = _length_limit(client, listed, model, options.max_length)
        return ServerEngine(client, model, tokenizer, options, max_length=limit)
    except BaseException:
        client.close()
        raise


class ServerEngine(Engine):
    """A model behind a completions endpoint; see `load_server_engine`."""

    def __init__(
        self,
        client: HttpClient,
        model: str,
        tokenizer: Tokenizer,
        options: LoadOptions,
        *,
        max_length: int,
    ) -> None:
        self._client = client
        self._row_timeout = options.row_timeout
        self._model = model
        self.tokenizer = tokenizer
        self.max_length = max_length
        self._dialect = self._find_dialect()
        self.identity = EngineIdentity(
            engine="server",
            engine_version=f"{_VERSION}/{self._dialect.name}",
            model=model,
            revision=f"served by {self._client.endpoint.host}",
            dtype="unknown" if options.dtype == "auto" else options.dtype,
            tokenizer=tokenizer.fingerprint,
        )

    def report(self) -> EngineReport:
        """Return the numbers of requests and of retries."""
        counts = Counter(self._client.counts)
        notes = []
        if counts["retries"]:
            notes.append(f"{counts['retries']} requests to the server were retried")
        if self._client.sends_key_in_the_open:
            notes.append("the API key went over http, unencrypted; use an https address")
        return EngineReport(notes=notes, counts=counts)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def response_logprobs(self, prompts: Sequence[Prompt]) -> list[Float32Array]:
        """Natural-log probability of every response token given all before it.

        One float32 array per prompt, shape (n_response_tokens,), in the order
        given. Raises `ModelError` for a prompt that the model cannot score, for an answer that does
        not fit its prompt, and when the server fails after all tries.
        """
        answers: list[Answer] = wait_for(self.submit(prompts))
        return arrays_of(answers)

    def continue_greedily(
        self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int
    ) -> list[str]:
        """Return the likeliest continuation of each prompt's ids, token by token, as text.

        Raises `ModelError` for an answer without text, and when the server fails after all tries.
        """
        # A server may penalise repetition, and so the context's words, if the model's files say so.
        settings = {"temperature": 0.0, "repetition_penalty": 1.0}
        body = {"model": self._model, "max_tokens": max_new_tokens, **settings}
        requests = [Request(_PATH, {**body, "prompt": list(ids)}) for ids in prompts]
        return wait_for(
            self._client.submit(requests, lambda answers: [self._text(a) for a in answers])
        )

    def _text(self, answer: AnswerOrNone) -> str:
        try:
            return str((answer or {})["choices"][0]["text"])
        except (KeyError, IndexError, TypeError):
            raise self._client.error(
                "the answer has no text", str(answer)[:80], "is this a completions endpoint?"
            ) from None

    def submit(self, prompts: Sequence[Prompt]) -> Future[list[Answer]]:
        """Return the result as a future. The requests have started when this returns.

        Raises `ModelError` for a prompt that the model cannot score.
        """
        for i, prompt in enumerate(prompts):
            check_prompt(i, prompt, max_length=self.max_length, n_ids=None)
        scored = [i for i, prompt in enumerate(prompts) if prompt.response_start < len(prompt.ids)]

        def read(answers: list[AnswerOrNone]) -> list[Answer]:
            results: list[Answer] = [np.zeros(0, dtype=np.float32) for _ in prompts]
            if len(answers) >= _SILENT and not any(answers):
                raise self._client.error(
                    f"none of {len(answers)} requests was answered within {self._row_timeout:g} s",
                    "no answer",
                    "see the server's own log, or give more --row-timeout; the same command "
                    "resumes",
                )
            for i, answer in zip(scored, answers, strict=True):
                results[i] = self._read(i, prompts[i], answer)
            return results

        on_scored = self.on_scored or (lambda n_prompts, n_tokens: None)
        return self._client.submit(
            [self._request(prompts[i]) for i in scored],
            read,
            lambda place: on_scored(1, len(prompts[scored[place]].ids)),
        )

    def _request(self, prompt: Prompt) -> Request:
        size = ANSWER_BYTES * (len(prompt.ids) + 1)
        body = self._dialect.request(self._model, prompt.ids)
        return Request(_PATH, body, size, self._row_timeout)

    def _read(self, i: int, prompt: Prompt, answer: AnswerOrNone) -> Answer:
        if answer is None:
            return RowTimeoutError(
                f"the server did not answer within {self._row_timeout:g} s (--row-timeout); give "
                "more time, or score the row again later: --retry-failed"
            )
        try:
            values = self._dialect.read(answer, prompt.ids)[prompt.response_start :]
        except AnswerError as error:
            raise self._client.error(
                f"no log-probability for every token of prompt {i}",
                str(error),
                "let the server run one model with one tokenizer, and give that tokenizer "
                "(--tokenizer)",
            ) from None
        check_logprobs(
            f"{self._client.endpoint}: prompt {i}", values, dtype="the server's own dtype"
        )
        return values

    def _find_dialect(self) -> Dialect:
        """Return the first request form that this server answers in full."""
        tokenizer = self.tokenizer
        ids = tokenizer.encode(_PROBE).ids
        start = tokenizer.bos_id if tokenizer.bos_id is not None else tokenizer.fallback_start_id
        ids = [start, *ids][: self.max_length]
        problems = []
        for dialect in DIALECTS:
            body = dialect.request(self._model, ids)
            try:
                answer = self._client.request(_PATH, body)
                dialect.read(answer, ids)
                _check_spelling(answer, ids)
                return dialect
            except ServerError as error:
                if error.status not in (400, 405, 413, 415, 422, 501):
                    raise
                problems.append(f"{dialect.name}: {error}")
            except AnswerError as error:
                problems.append(f"{dialect.name}: {error}")
        raise self._client.error(
            "the server gives no log-probabilities of a prompt",
            "; ".join(problems)[:600],
            "use a server that answers prompt_logprobs, or echo with logprobs, for prompts of "
            "token ids (vLLM's does), and the tokenizer of its model (--tokenizer)",
        )


def _check_spelling(answer: dict[str, Any], ids: Sequence[int]) -> None:
    """Raise `AnswerError` when an echoed prompt spells another text than the probe's."""
    spelled = spelled_text(answer, len(ids))
    wanted = "".join(_PROBE.split()).casefold()
    # The start token is spelled before it, as text or as nothing.
    if spelled is not None and not spelled.endswith(wanted):
        raise AnswerError(f"tokens that spell {spelled[:80]!r} where {wanted!r} was sent")


def _length_limit(
    client: HttpClient, listed: dict[str, dict[str, Any]], model: str, wanted: int | None
) -> int:
    """Return the most tokens of a prompt: what is wanted, within what the server states."""
    stated = listed.get(model, {}).get("max_model_len")
    if isinstance(stated, int) and not isinstance(stated, bool):
        if stated < 3:
            raise client.error(
                "the server accepts no prompt",
                f"max_model_len {stated}",
                "start the server with a larger --max-model-len",
            )
        # One position is for the token that a server may always generate.
        return min(stated - 1, wanted or stated)
    if wanted is not None:
        return wanted
    if listed and model not in listed:
        raise client.error(
            f"the server does not list the model {model}",
            ", ".join(sorted(listed)[:6]),
            "name one of these with --model (and --tokenizer), or give --max-length if it answers "
            "to this name too",
        )
    raise client.error(
        "the server does not state how long a prompt may be",
        "no max_model_len in its list of models",
        "give --max-length",
    )
