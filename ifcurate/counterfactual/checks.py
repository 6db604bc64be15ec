"""The checks, and the refusal that a failed check raises."""

from __future__ import annotations

from enum import Enum


class Check(Enum):
    """A check; its value is its code (the stage in `rejected.jsonl`) and its meaning."""

    ROW = "row", "the row gives no example"
    CONTEXT = "context", "the example has no context"
    ENTITY = "entity", "context and response share no entity of these types"
    RESIDUE = "H1", "a part or a short form of the original would be left in the text"
    FRESHNESS = "H2", "the substitute, or a part of it, is in the row already"
    SPANS = "H3", "the edits would change other text, or nothing"
    ONE_TO_ONE = "H4", "two names would become one, or one name two"
    TYPE = "H5", "the new text is not recognised as what the original was"
    SUPPORT = "H6", "the answer is not in both context and response, or the question names it"
    GROUNDING = "H7", "the response has content that the context does not have"
    NESTING = "H8", "the entity is part of something longer: a name, a title, an address"
    STRUCTURE = "H9", "code, JSON, a table or the lines would change"
    AGREEMENT = "H10", "an article or a possessive would not fit"
    GENDER = "H11", "pronouns or a title would not fit the name, or its gender is unclear"
    GEOGRAPHY = "H12", "the geography would contradict itself, or is unclear"
    NUMBERS = "H13", "dates or amounts would contradict each other, or are unclear"
    TASK = "H14", "the task depends on the entity itself: rewriting, code, sums"
    SIZE = "H15", "the context is too short (fewer than 20 words), or says that there is none"
    MODEL = "S1", "the model does not confirm it"
    POLICY = "policy", "no substitute is available"
    PLAN = "plan", "the server gave no usable plan"

    @property
    def code(self) -> str:
        """The code in `rejected.jsonl`, the manifest and the documentation."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """Why the row is refused, as a clause that follows "because"."""
        return self.value[1]

    @property
    def judges(self) -> bool:
        """Whether it judges a candidate; the first three mean that there is none."""
        return self not in {Check.ROW, Check.CONTEXT, Check.ENTITY}


class Refusal(Exception):  # noqa: N818 - not an error: an example that is not written
    """Why an entity or an example is not substituted: the failed check and the reason."""

    def __init__(self, check: Check, reason: str):
        super().__init__(f"{check.code}: {reason}")
        self.check = check
        self.reason = reason
