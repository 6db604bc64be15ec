"""The position of the context among a prompt's tokens."""

from __future__ import annotations

from ifcurate.engines.base import Encoding, Prompt, Span, Tokenizer
from ifcurate.prompts.templates import Template, count_shared
from ifcurate.records import Example


def find_context_tokens(
    example: Example, prompt: Prompt, template: Template, tokenizer: Tokenizer, *, variant: str = ""
) -> tuple[Span, ...]:
    """Return the tokens that have a character of each context block; empty if a block is not found.

    `prompt` is the result of `build_pairs` or `build_prompts` for the example, and `variant`
    is the template's variant in that call.
    """
    rendered = template.render(example, variant=variant)
    bare = template.render(example.without_context(), variant=variant)
    encoding = tokenizer.encode(rendered.prefix + rendered.response)
    shift = _count_before(prompt, encoding)
    if shift is None:
        return ()
    # Both texts are equal before the context, so the search skips an earlier repetition of it.
    after = count_shared(rendered.prefix, bare.prefix)
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
    """Return the number of ids before those of the text; None if the text is not in the prompt."""
    for shift in (0, 1):
        n = prompt.response_start - shift
        if list(prompt.ids[shift : prompt.response_start]) == encoding.ids[:n]:
            return shift
    return None
