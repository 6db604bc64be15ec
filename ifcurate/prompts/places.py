"""Where the context is among a prompt's tokens."""

from __future__ import annotations

from itertools import takewhile

from ifcurate.engines.base import Encoding, Prompt, Span, Tokenizer
from ifcurate.prompts.templates import Template
from ifcurate.records import Example

__all__ = ["find_context_tokens"]


def find_context_tokens(
    example: Example, prompt: Prompt, template: Template, tokenizer: Tokenizer, *, variant: str = ""
) -> tuple[Span, ...]:
    """The tokens of each context block: those with a character of it. Empty where it is not found.

    `prompt` is what `build_pairs` or `build_prompts` made of the example, `variant` the template's
    variant there.
    """
    rendered = template.render(example, variant=variant)
    bare = template.render(example.without_context(), variant=variant)
    encoding = tokenizer.encode(rendered.prefix + rendered.response)
    shift = _count_before(prompt, encoding)
    if shift is None:
        return ()
    # Before the context both texts are equal, so a repetition of it further up is passed over.
    pairs = zip(rendered.prefix, bare.prefix, strict=False)
    after = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    spans: list[Span] = []
    for block in example.blocks:
        text = example.part(block.part)[block.start : block.end].strip()
        at = rendered.prefix.find(text, after if spans else max(0, after - len(text)))
        if at < 0 or not text:
            return ()
        after = at + len(text)
        inside = [i for i, (a, b) in enumerate(encoding.offsets) if b > at and a < after]
        spans.append((inside[0] + shift, inside[-1] + 1 + shift))
    return tuple(spans)


def _count_before(prompt: Prompt, encoding: Encoding) -> int | None:
    """How many ids the prompt has before those of its text; None where it is another text."""
    for shift in (0, 1):
        n = prompt.response_start - shift
        if list(prompt.ids[shift : prompt.response_start]) == encoding.ids[:n]:
            return shift
    return None
