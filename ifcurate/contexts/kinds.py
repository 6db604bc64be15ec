"""The kinds of context: how a prompt marks it, and how often the model is right about it.

`docs/contexts.md` says on which rows this was measured.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One way in which a prompt marks its context."""

    name: str
    matches: str
    share: float  # of rows in which it was found rightly
    n_rows: int  # in which it was found


KINDS: tuple[Kind, ...] = (
    Kind("template", "a slot of a template that rows of the source share", 0.926, 4943),
    Kind("tag", "a text after an opening tag", 0.859, 71),
    Kind("fence", "text or code after ``` or triple quotes", 0.929, 140),
    Kind("label", "a text after a label", 0.856, 1800),
    Kind("numbered", "passages with numbers", 0.952, 21),
    Kind("quotation", "a quotation", 0.858, 360),
    Kind("lead", "a text after words that announce it", 0.862, 1134),
    Kind("above", "a text before words that refer to it", 0.955, 602),
    Kind("paragraph", "other lines of their own", 0.884, 1368),
    Kind("sentence", "sentences on the line of the request", 0.606, 353),
)
