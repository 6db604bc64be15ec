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
    Kind("template", "a slot of a template that rows of the source share", 0.917, 5281),
    Kind("tag", "a text after an opening tag", 0.805, 82),
    Kind("fence", "text or code after ``` or triple quotes", 0.950, 181),
    Kind("label", "a text after a label", 0.844, 2301),
    Kind("numbered", "passages with numbers", 0.970, 33),
    Kind("quotation", "a quotation", 0.881, 453),
    Kind("lead", "a text after words that announce it", 0.847, 1591),
    Kind("above", "a text before words that refer to it", 0.915, 691),
    Kind("paragraph", "other lines of their own", 0.842, 1948),
    Kind("sentence", "sentences on the line of the request", 0.666, 652),
)
