"""H5 recognises the new text once more: by the recogniser, and by the tables of names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..edit.substitution import Substitution
from ..lexicon.fictional import fictional_type
from ..lexicon.kinds import types_by_table
from ..lexicon.name_words import GENERIC_WORDS
from ..lexicon.tables import Lexicon
from ..recognise.patterns import pattern_type
from ..recognise.runs import capital_runs
from ..recognise.spans import PATTERNED, VALUES, Recogniser, Span

__all__ = ["SecondPass"]

_INITIALS = re.compile(r"(?:[A-Z]\.){2,}")


@dataclass(frozen=True, slots=True)
class SecondPass:
    """The second pass of H5: the recogniser, and the tables for names that it cannot know."""

    recogniser: Recogniser
    lexicon: Lexicon
    plan: Substitution

    def __call__(self, texts: Mapping[str, str]) -> Iterator[list[Span]]:
        """The spans of the texts after the edits: by the tables, then by the recogniser."""
        plan = self.plan
        if plan.type not in VALUES or plan.new_type:
            yield list(self._by_table())
        if plan.source == "fictional":
            yield [
                Span(path, run.start, run.end, kind, text[run.start : run.end])
                for path, text in texts.items()
                for run in capital_runs(text)
                if (kind := fictional_type(text[run.start : run.end]))
            ]
        yield list(self.recogniser.spans(texts))

    def _by_table(self) -> Iterator[Span]:
        """The new forms by what the tables and patterns say of each alone."""
        plan = self.plan
        for new in {plan.substitute, *plan.forms.values()}:
            plain = " ".join(w for w in new.split(" ") if w.lower() not in GENERIC_WORDS)
            kinds = types_by_table(new) | types_by_table(plain) | {pattern_type(new, self.lexicon)}
            part = plan.type in PATTERNED | {"LOC"} or _INITIALS.fullmatch(new)
            if part and new != plan.substitute:
                kinds.add(plan.type)  # "Harwick" of "Harwick University", "M.T." of "M.T. Kemp"
            yield from (Span("", 0, len(new), kind, new) for kind in kinds - {""})
