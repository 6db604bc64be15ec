"""The two prompts of an example: with the context, and with its block removed.

A marker replaces the response while the template renders, so the place of the response in
the text is exact. The response's tokens come from one encoding of the whole text, through
character offsets. Both variants score the same response ids.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ifcurate.engines.base import Encoding, Prompt, Tokenizer
from ifcurate.errors import TemplateError
from ifcurate.memory import MemoryBudget
from ifcurate.options.score import ScoreSettings
from ifcurate.prompts.lengths import (
    batch_by_size,
    cut_longest_block,
    full_size,
    least_size,
    longest_token,
)
from ifcurate.prompts.shuffling import shuffle_contexts
from ifcurate.prompts.templates import Rendered, Template
from ifcurate.prompts.text_flags import (
    SpecialTokens,
    context_overlap,
    has_text,
    split_end_marker,
    without_end_marker,
)
from ifcurate.records import UNANSWERABLE, Example

_GAP: Final = "\n[...]\n"  # replaces the middle of a shortened context
_NO_LIMIT: Final = 1 << 30  # tokens


@dataclass(frozen=True, slots=True)
class PromptPair:
    """The two prompts of an example, with the same response ids, or the reason for having none."""

    example: Example
    status: str  # "scored" (ready to be), or another of STATUSES
    reason: str = ""
    with_context: Prompt | None = None
    without_context: Prompt | None = None
    n_context_tokens: int = 0
    n_tokens: tuple[int, int] = (0, 0)  # with the context, without the context
    boundary_straddles: bool = False
    response_ids_forced: bool = False
    context_shortened: bool = False
    end_marker_removed: bool = False
    n_special_tokens: int = 0  # typed inside the example's texts
    context_overlap: float | None = None  # share of the context's words in the rest of the prompt

    @property
    def key(self) -> str:
        """Hash of the ids of both prompts: equal keys have equal scores."""
        digest = hashlib.blake2b(digest_size=12)
        for prompt in (self.with_context, self.without_context):
            if prompt is not None:
                numbers = array("q", [len(prompt.ids), prompt.response_start, *prompt.ids])
                digest.update(numbers.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Pending:
    """An example whose texts are rendered."""

    example: Example
    shown: Example  # the same, or with a context that was cut by its characters
    both: tuple[Rendered, Rendered]  # with the context and without it


def build_pairs(
    examples: Sequence[Example],
    template: Template,
    tokenizer: Tokenizer,
    settings: ScoreSettings,
    memory: MemoryBudget | None = None,
) -> list[PromptPair]:
    """Return a pair for every example, in order. Without `memory`, no row is refused for its size.

    An example that is too long by its characters alone is not encoded. A context that must be
    shortened is first cut by its characters, which removes no token that could remain. The
    `shuffle` ablation takes the context of another of these examples, so its pairs depend on
    which examples are passed together.
    """
    originals = examples
    if not settings.keep_end_markers:
        examples = [without_end_marker(example) for example in examples]
    donors = shuffle_contexts(examples) if settings.ablation == "shuffle" else {}
    builder = _Builder(template, tokenizer, settings, memory)
    pairs: list[PromptPair] = []
    for batch in batch_by_size(list(enumerate(examples))):
        rendered = [builder.render(example, donors.get(i)) for i, example in batch]
        encoded = builder.encode([item for item in rendered if isinstance(item, _Pending)])
        pairs += [next(encoded) if isinstance(item, _Pending) else item for item in rendered]
    return [
        replace(
            pair,
            end_marker_removed=pair.example is not original,
            n_special_tokens=builder.special.count(pair.example),
        )
        for pair, original in zip(pairs, originals, strict=True)
    ]


class _Builder:
    """Builds pairs with one template, tokenizer and settings."""

    def __init__(
        self,
        template: Template,
        tokenizer: Tokenizer,
        settings: ScoreSettings,
        memory: MemoryBudget | None = None,
    ) -> None:
        self.template, self.tokenizer, self.settings = template, tokenizer, settings
        self.memory = memory
        self.max_length = settings.max_length or _NO_LIMIT
        self.shortens = settings.too_long == "shorten" and settings.ablation != "shuffle"
        self.variants = ("with", "without") if settings.ablation == "template" else ("", "")
        self.special = SpecialTokens(tokenizer)
        self.longest = longest_token(tokenizer)  # characters

    def render(self, example: Example, donor: list[str] | None) -> PromptPair | _Pending:
        """Return both texts of an example, or a pair with the reason why there are none."""
        pair = self._refuse(example, donor)
        if pair is not None:
            return pair
        shown, removable = example, 0
        if self.shortens:
            shown = cut_longest_block(example, (self.max_length + 8) // 2 * self.longest)
            removable = max(b.end - b.start for b in shown.blocks)
        try:
            both = self._render_both(shown, donor)
        except TemplateError as error:
            return PromptPair(example, "error", str(error))
        sizes = [len(text.prefix) + len(text.response) for text in both]
        least = max(sizes[0] - removable, sizes[1])
        pending = _Pending(example, shown, both)
        return (
            self._refuse_length(example, least) or self._refuse_size(example, max(sizes)) or pending
        )

    def _refuse(self, example: Example, donor: list[str] | None) -> PromptPair | None:
        """Return the pair of an example that is not rendered."""
        if not has_text(example.response):
            return PromptPair(example, "empty_response", _why_empty(example))
        if not example.has_context:
            return PromptPair(example, "no_context", "no context was found")
        if self.settings.ablation == "shuffle" and donor is None:
            reason = "no other context among the rows read together could be shuffled in"
            return PromptPair(example, "error", reason)
        too_long = None if self.shortens else self._refuse_length(example, least_size(example))
        return too_long or self._refuse_size(example, 0)

    def _refuse_length(self, example: Example, size: int) -> PromptPair | None:
        """Return the pair of a row with more characters than the model's tokens can have."""
        most = self.max_length
        if size <= most * self.longest:
            return None
        reason = (
            f"{size:,} characters; the model takes {most} tokens, which are at "
            f"most {self.longest} characters each"
        )
        return PromptPair(example, "too_long", reason)

    def _refuse_size(self, example: Example, tokenised: int) -> PromptPair | None:
        """Return the pair of a row that needs more memory than the budget gives to one row."""
        budget, size = self.memory, full_size(example)
        if budget is None or budget.fits(size, tokenised):
            return None
        reason = (
            f"{size:,} characters, {tokenised:,} of them to tokenise, need up to "
            f"{budget.needs(size, tokenised):,} bytes; a row may use half of --memory, "
            f"{budget.total // 2:,}; give more, or shorten the row"
        )
        return PromptPair(example, "out_of_memory", reason)

    def _render_both(
        self, example: Example, donor: list[str] | None = None
    ) -> tuple[Rendered, Rendered]:
        render = self.template.render
        other = example.without_context() if donor is None else example.with_contexts(donor)
        return render(example, variant=self.variants[0]), render(other, variant=self.variants[1])

    def text(self, rendered: Rendered) -> str:
        """Return the text to encode."""
        end = rendered.suffix.rstrip() if self.settings.score_eot else ""
        return rendered.prefix + rendered.response + end

    def encode(self, pending: Sequence[_Pending]) -> Iterator[PromptPair]:
        """Yield a pair for each rendered example, in order. All texts are encoded in one batch."""
        texts = [self.text(variant) for item in pending for variant in item.both]
        contexts = [item.shown.context_text for item in pending]
        encodings = self.tokenizer.encode_batch(texts + contexts)
        for n, item in enumerate(pending):
            pair = self._pair(item.shown, item.both, encodings[2 * n : 2 * n + 2])
            n_context = len(encodings[2 * len(pending) + n].ids)
            overlap = context_overlap(item.example)
            pair = replace(pair, n_context_tokens=n_context, context_overlap=overlap)
            if pair.status == "too_long" and self.shortens:
                pair = self._shorten(pair)
            if pair.status == "too_long" and item.shown is not item.example:
                reason = (
                    "the prompt without its context and the response leave no room for a context"
                )
                pair = PromptPair(item.example, "too_long", reason)
            yield pair if pair.example is item.example else replace(pair, example=item.example)

    def _pair(
        self, example: Example, both: tuple[Rendered, Rendered], encoded: Sequence[Encoding]
    ) -> PromptPair:
        (full, straddled), (bare, _) = map(self.cut, both, encoded)
        response = full.ids[full.response_start :]
        if not response:
            return PromptPair(example, "empty_response", "the response has no token")
        forced = response != bare.ids[bare.response_start :]
        if forced:
            # Both variants are scored on the ids of the variant with context.
            kept = both[1].prefix
            if straddled and kept.endswith(both[0].prefix[-straddled:]):
                kept = kept[:-straddled]
            start = self.cut(Rendered(kept, "", ""), self.tokenizer.encode(kept))[0].ids
            bare = Prompt([*start, *response], len(start))
        sizes = len(full.ids), len(bare.ids)
        fits = max(sizes) <= self.max_length
        return PromptPair(
            example,
            "scored" if fits else "too_long",
            "" if fits else f"{max(sizes)} tokens; the model takes {self.max_length}",
            full if fits else None,
            bare if fits else None,
            n_tokens=sizes,
            boundary_straddles=straddled > 0,
            response_ids_forced=forced,
        )

    def cut(self, rendered: Rendered, encoding: Encoding) -> tuple[Prompt, int]:
        """Divide an encoding at the response's first character.

        Returns the prompt, and how many of its characters are inside the first response token.

        A token with characters of both sides belongs to the response, because otherwise the
        first word of the response would not be scored.
        """
        ids, tokenizer = encoding.ids, self.tokenizer
        first = self._first_response_token(rendered, encoding)
        prefix = ids[:first]
        if tokenizer.bos_id is not None and ids[:1] != [tokenizer.bos_id]:
            prefix = [tokenizer.bos_id, *prefix]
        prefix = prefix or [tokenizer.fallback_start_id]
        straddled = self._count_straddled(rendered, encoding, first)
        return Prompt(prefix + ids[first:], len(prefix)), straddled

    def _first_response_token(self, rendered: Rendered, encoding: Encoding) -> int:
        boundary, offsets = len(rendered.prefix), encoding.offsets
        n = len(encoding.ids)
        first = next((i for i, (_, end) in enumerate(offsets) if end > boundary), n)
        if first == n or offsets[first][0] >= boundary:
            return first
        # A special token may strip the white space after it (`rstrip`). It still belongs to the
        # template.
        start, end = offsets[first]
        text = rendered.prefix + rendered.response
        marker = text[start:boundary].strip()
        return first + (text[boundary:end].isspace() and self.special.is_added(marker))

    def _count_straddled(self, rendered: Rendered, encoding: Encoding, first: int) -> int:
        """Return the number of characters of the prompt in the first response token."""
        boundary, ids, offsets = len(rendered.prefix), encoding.ids, encoding.offsets
        if first >= len(ids):
            return 0
        start = offsets[first][0]
        if start < boundary:
            return boundary - start
        covered = offsets[first - 1][1] if first else 0
        if covered < boundary and self.tokenizer.encode(rendered.prefix).ids != ids[:first]:
            # No offset covers this white space: some tokenizers drop it, others add it to the
            # next token. It counts as part of the first response token.
            return boundary - covered
        return 0

    def _shorten(self, pair: PromptPair) -> PromptPair:
        """Cut the longest context block in the middle until the prompt fits, if possible."""
        example, most = pair.example, self.max_length
        texts = [example.part(b.part)[b.start : b.end] for b in example.blocks]
        longest = max(range(len(texts)), key=lambda b: len(texts[b]))
        whole = texts[longest]
        encoding = self.tokenizer.encode(whole)
        keep = len(encoding.ids)
        without = self._render_both(example)[1]
        excess = max(pair.n_tokens) - most
        for _ in range(6):
            keep -= excess + 4  # the tokens of the gap, and merges that change at the cut
            if keep < 2:
                return pair
            head = encoding.offsets[(keep + 1) // 2 - 1][1]
            tail = encoding.offsets[len(encoding.ids) - keep // 2][0]
            texts[longest] = whole[:head] + _GAP + whole[tail:]
            shorter = self.template.render(example.with_contexts(texts), variant=self.variants[0])
            encoded = [self.tokenizer.encode(self.text(r)) for r in (shorter, without)]
            attempt = self._pair(example, (shorter, without), encoded)
            if attempt.status != "too_long":
                return replace(
                    attempt,
                    context_shortened=True,
                    n_context_tokens=len(self.tokenizer.encode("\n\n".join(texts)).ids),
                    context_overlap=pair.context_overlap,
                )
            excess = max(attempt.n_tokens) - most
        return pair


def _why_empty(example: Example) -> str:
    if example.unanswerable:
        return UNANSWERABLE
    marker = split_end_marker(example.response)[1]
    return f"the response is only {marker}" if marker else "the response has no text"


def build_prompts(
    examples: Sequence[Example], template: Template, tokenizer: Tokenizer
) -> list[Prompt]:
    """Return the prompt, response and end of turn of each example as ids, for finetuning.

    The ids are those of `build_pairs` with `score_eot`. Examples without a context are
    rendered too. Raises `TemplateError`.
    """
    builder = _Builder(template, tokenizer, ScoreSettings(score_eot=True))
    rendered = [template.render(without_end_marker(example)) for example in examples]
    encodings = tokenizer.encode_batch([builder.text(r) for r in rendered])
    return [prompt for prompt, _ in map(builder.cut, rendered, encodings)]
