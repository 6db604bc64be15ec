"""H5 recognises the new text once more: by the recogniser, and by the tables of names."""

from __future__ import annotations

import re
from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True)
class SecondPass:
    """The second pass of H5: the recogniser, and the tables for names that it cannot know."""

    recogniser: Recogniser
    lexicon: Lexicon
    plan: Substitution

    def __call__(self, texts: Mapping[str, str]) -> list[Span]:
        """All spans of the texts after the edits."""
        plan = self.plan
        spans = list(self.recogniser.spans(texts))
        if plan.source == "fictional":
            spans += [
                Span(path, run.start, run.end, kind, text[run.start : run.end])
                for path, text in texts.items()
                for run in capital_runs(text)
                if (kind := fictional_type(text[run.start : run.end]))
            ]
        if plan.type not in VALUES or plan.new_type:
            spans += self._by_table(texts)
        return spans

    def _by_table(self, texts: Mapping[str, str]) -> list[Span]:
        found = []
        for new in sorted({self.plan.substitute, *self.plan.forms.values()}):
            plain = " ".join(w for w in new.split(" ") if w.lower() not in GENERIC_WORDS)
            kinds = types_by_table(new) | types_by_table(plain)
            kinds |= {pattern_type(new, self.lexicon)} - {""}
            if self.plan.type in PATTERNED | {"LOC"} and new != self.plan.substitute:
                kinds.add(self.plan.type)  # "Harwick" after "Harwick University"
            pattern = re.compile(rf"(?<!\w){re.escape(new)}(?!\w)", re.I)
            for path, text in texts.items() if kinds else ():
                for match in pattern.finditer(text):
                    place = (path, match.start(), match.end())
                    found += [Span(*place, kind, match.group()) for kind in sorted(kinds)]
        return found
