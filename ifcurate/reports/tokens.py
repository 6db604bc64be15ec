"""The response's tokens as text, each with its two losses.

The table `tokens.parquet` holds ids. Their text comes from the model's
`tokenizer.json` on disk: of the bundled model, in a folder, or in the Hub cache. Nothing
is downloaded and no model is loaded. The text of the tokens is compared with the
response, so the tokens of a wrong tokenizer are not shown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from ifcurate.errors import DataError
from ifcurate.models import local_model, model_folder
from ifcurate.runs.run import Run
from ifcurate.storage.files import scan_table
from ifcurate.storage.tables import TOKENS

Shown = list[tuple[str, float, float]]  # text, loss with and without context (nats)
MOST_TOKENS: Final = 3000  # most tokens of one response

#: ids and the response's text -> the text of each id; a piece may be "" where it and the
#: next ids spell one character together.
_Spell = Callable[[Sequence[int], str], list[str]]


class TokenTexts:
    """The text of token ids, or the reason why there is none."""

    def __init__(self, run: Run, tokenizer: Path | None = None) -> None:
        """Find the tokenizer of the run's model; `tokenizer` names its file or folder.

        Raises `DataError` when that file cannot be read.
        """
        self.problem = ""
        self._spell: _Spell | None = None
        if not (run.folder / "tokens.parquet").exists():
            self.problem = (
                "No token losses were kept, so responses are not coloured. "
                "Score again with --tokens to keep them."
            )
            return
        engine = run.manifest.identity["engine"]
        if engine["engine"] == "toy":
            self._spell = _spell_toy
            return
        path = _find_tokenizer(engine, run.manifest.command, tokenizer)
        if path is None:
            self.problem = (
                f"The tokenizer of {engine['model']} is not on this machine, so responses are not "
                "coloured. Name its folder: ifcurate report --tokenizer FOLDER"
            )
            return
        self._spell = _spell_with(path)

    def colour(self, ids: Sequence[int], response: str, losses: Shown) -> Shown | None:
        """Return the tokens of one response; None where the pieces do not spell it.

        `losses` has an item per id, with an empty text. An id without text is joined with
        the next one, and their losses are added.
        """
        if self._spell is None or not ids:
            return None
        pieces = self._spell(ids, response)
        spelled = "".join(pieces)
        # The end token may follow, and a tokenizer may put a space before the first word.
        if not spelled.strip().startswith(response.strip()):
            return None
        shown: Shown = []
        held = (0.0, 0.0)
        for piece, (_, with_context, without) in zip(pieces, losses, strict=True):
            held = (held[0] + with_context, held[1] + without)
            if piece:
                shown.append((piece, round(held[0], 3), round(held[1], 3)))
                held = (0.0, 0.0)
        return shown


def read_token_losses(
    run: Run, keys: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], tuple[list[int], Shown]]:
    """(id, turn) -> ids and losses of these examples. At most 3,000 tokens each."""
    wanted = pl.DataFrame(keys, schema={"id": pl.String, "turn": pl.Int32}, orient="row")
    tokens = (
        scan_table(run.folder / "tokens.parquet", TOKENS)
        .join(wanted.lazy(), on=["id", "turn"], how="semi")
        .sort("id", "turn", "position")
        .collect(engine="streaming")
    )
    losses: dict[tuple[str, int], tuple[list[int], Shown]] = {}
    for (name, turn), frame in tokens.group_by("id", "turn", maintain_order=True):
        if frame.height > MOST_TOKENS:
            continue
        pairs = frame.select("loss_with_context", "loss_without_context").iter_rows()
        shown = [("", float(a), float(b)) for a, b in pairs]
        losses[str(name), int(turn)] = (frame["token_id"].to_list(), shown)
    return losses


def _find_tokenizer(engine: dict[str, Any], command: str, named: Path | None) -> Path | None:
    if named is not None:
        path = named / "tokenizer.json" if named.is_dir() else named
        if not path.is_file():
            raise DataError(
                f"{named}: no tokenizer there; found no {path}; name the folder of the model, "
                "with its tokenizer.json"
            )
        return path
    model = str(engine["model"])
    if model == "pocket":
        return local_model(model) / "tokenizer.json"
    folder = model_folder(engine, command)
    if folder and (path := Path(folder).expanduser() / "tokenizer.json").is_file():
        return path
    return _find_cached(model, engine.get("revision"))


def _find_cached(model: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    for wanted in dict.fromkeys((revision, None)):
        with contextlib.suppress(HFValidationError, OSError, ValueError):
            cached = try_to_load_from_cache(model, "tokenizer.json", revision=wanted)
            if isinstance(cached, str):
                return Path(cached)
    return None


def _spell_with(path: Path) -> _Spell:
    import tokenizers
    from tokenizers.decoders import DecodeStream

    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the Rust side raises bare exceptions
        raise DataError(
            f"{path}: not a readable tokenizer: {error}; name another with --tokenizer"
        ) from error

    def spell(ids: Sequence[int], response: str) -> list[str]:
        stream = DecodeStream(skip_special_tokens=False)
        return [stream.step(tokenizer, int(i)) or "" for i in ids]

    return spell


def _spell_toy(ids: Sequence[int], response: str) -> list[str]:
    from ifcurate.engines.toy import ToyTokenizer

    # Its ids are hashes, so the words come from the text.
    encoding = ToyTokenizer().encode(response)
    pieces = [response[a:b] for a, b in encoding.offsets]
    if list(ids[: len(pieces)]) != list(encoding.ids):
        return [""] * len(ids)
    return pieces + ["</s>"] * (len(ids) - len(pieces))
