"""Why a row is not written: every check by its code, name and meaning."""

from __future__ import annotations

from enum import Enum

__all__ = ["Check", "Refusal"]


class Check(Enum):
    """A check; its value is the code that `rejected.jsonl` shows as stage, and the meaning."""

    ROW = "row", "the row gives no example"
    CONTEXT = "context", "the example has no context"
    ENTITY = "entity", "context and response share no entity of these types"
    RESIDUE = "H1", "a part or a short form of the original would be left in the text"
    FRESHNESS = "H2", "the substitute, or a part of it, stood in the row before"
    SPANS = "H3", "the edits would change something else, or nothing"
    ONE_TO_ONE = "H4", "two things would become one, or one thing two"
    TYPE = "H5", "the new text is not recognised as what the original was"
    SUPPORT = "H6", "the answer is not in context and response, or the question names it"
    GROUNDING = "H7", "the response says what the context does not"
    NESTING = "H8", "the entity is a part of something longer: a name, a title, an address"
    STRUCTURE = "H9", "JSON, a table, a list or code would have another shape"
    AGREEMENT = "H10", "an article, a possessive or the letter case would not fit"
    GENDER = "H11", "pronouns or a title would not fit the name, or its gender is not known"
    GEOGRAPHY = "H12", "the geography would contradict itself, or is not clear"
    NUMBERS = "H13", "dates or amounts would contradict each other, or are not clear"
    TASK = "H14", "the task depends on this very entity: rewriting, code, sums"
    SIZE = "H15", "the context is too short (fewer than 20 words), or says that there is none"
    MODEL = "S1", "the model does not confirm it"
    POLICY = "policy", "there is no substitute for it, or none that may be used"
    PLAN = "plan", "the server gave no plan that can be used"

    @property
    def code(self) -> str:
        """The id in `rejected.jsonl`, the manifest and the documentation."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """Why the row is refused, as a clause after "because"."""
        return self.value[1]

    @property
    def judges(self) -> bool:
        """Whether it judges a candidate; the first three only say that there is none."""
        return self not in {Check.ROW, Check.CONTEXT, Check.ENTITY}


class Refusal(Exception):  # noqa: N818 - not an error: an example that is not written
    """Why an entity or an example is not substituted: the check, then the reason."""

    def __init__(self, check: Check, reason: str):
        super().__init__(f"{check.code}: {reason}")
        self.check = check
        self.reason = reason
