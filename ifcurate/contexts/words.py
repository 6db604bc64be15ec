"""The words of each language: labels, questions, instructions, and the names of texts.

Each file of `languages/` is one language: labels, the words that requests begin or end with,
and words that point to a text. The patterns at the end are made of English names of texts.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from importlib.resources import files
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

NOT_SPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_MARKS = " \t\"'“”«»„‘’*_#()[]¿¡。！？.!?,:;：،؟।、，；…」』「『"


def _lower(words: frozenset[str]) -> frozenset[str]:
    return frozenset(word.lower() for word in words)


_Set = Annotated[frozenset[str], AfterValidator(_lower)]
_Order = Annotated[tuple[str, ...], AfterValidator(lambda words: tuple(map(str.lower, words)))]


class Language(BaseModel):
    """The words of one language; the keys of a file of words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    spaces: bool = True  # between words
    context: _Set = frozenset()  # labels
    ask: _Set = frozenset()
    question: _Set = frozenset()  # words for a question itself; by default three labels of one
    answer: _Set = frozenset()
    wanted: _Set = frozenset()  # labels that are a request themselves: "Title:"
    common: _Set = frozenset()  # words that distinguish the language from others
    asks_first: _Order = ()  # a request begins with one of these
    asks_last: _Order = ()  # or ends with one
    nouns: _Order = ()  # beginnings of words that name a text
    below: _Order = ()  # "following"
    above: _Order = ()
    this: _Order = ()

    @model_validator(mode="before")
    @classmethod
    def _add_question(cls, data: dict[str, Any]) -> dict[str, Any]:
        return {"question": list(data.get("ask", ()))[:3], **data}

    def as_record(self) -> dict[str, Any]:
        """Return plain values for a run's identity, without those that are empty."""
        words = {
            key: sorted(value) if isinstance(value, frozenset) else list(value)
            for key, value in self
            if key not in ("name", "spaces") and value
        }
        return {"name": self.name, "spaces": self.spaces, **words}

    def reference_direction(self, line: str) -> str:
        """Return where a request says that its text is: "below", "above", "this" or ""."""
        line = line.lower()
        if not any(noun in line for noun in self.nouns):
            return ""
        ways = (("below", self.below), ("above", self.above), ("this", self.this))
        for way, phrases in ways:
            if any(self._stands(phrase, line) for phrase in phrases):
                return way
        return ""

    def _stands(self, phrase: str, line: str) -> bool:
        if not self.spaces:
            return phrase in line
        return re.search(rf"(?<!\w){re.escape(phrase)}", line) is not None

    def asks(self, line: str) -> bool:
        """Return whether a line of this language asks for something."""
        line = line.lower().strip(_MARKS)
        if self.common and self.common.isdisjoint(re.findall(r"\w+", line)):
            return False
        if line.endswith(self.asks_last) and self.asks_last:
            return True
        if not line.startswith(self.asks_first) or not self.asks_first:
            return False
        if not self.spaces:
            return True
        return any(
            line.startswith(first) and not line[len(first) : len(first) + 1].isalnum()
            for first in self.asks_first
        )


def _read_all() -> dict[str, dict[str, Any]]:
    folder = files("ifcurate.contexts").joinpath("languages")
    paths = sorted((p for p in folder.iterdir() if p.name.endswith(".toml")), key=lambda p: p.name)
    read = [tomllib.loads(path.read_text(encoding="utf-8")) for path in paths]
    return {data["name"]: data for data in read}


_FILES = _read_all()
# English has more kinds of words than the others.
_ENGLISH = {
    kind: frozenset(words.split() if isinstance(words, str) else words)
    for kind, words in _FILES["English"].pop("kinds").items()
}
LANGUAGES = tuple(map(Language.model_validate, _FILES.values()))

_SCRIPTS = (
    ("Japanese", re.compile(r"[\u3040-\u30ff]")),
    ("Chinese", re.compile(r"[\u3400-\u9fff]")),
    ("Hindi", re.compile(r"[\u0900-\u0963\u0966-\u097f]")),
    ("Bengali", re.compile(r"[\u0980-\u09ff]")),
    ("Arabic", re.compile(r"[\u0600-\u06ff]")),
    ("Russian", re.compile(r"[\u0400-\u04ff]")),
    ("Thai", re.compile(r"[\u0e00-\u0e7f]")),
    ("Korean", re.compile(r"[\uac00-\ud7a3]")),
)
_BY_NAME = {language.name: language for language in LANGUAGES}
_LATIN = tuple(language for language in LANGUAGES if language.common)
# The additional languages of one search. A context variable, because otherwise every function
# that classifies a line would need one more argument.
_ADDED: ContextVar[tuple[Language, ...]] = ContextVar("added languages", default=())


@contextmanager
def add_languages(languages: Iterable[Language]) -> Iterator[None]:
    """Use these languages besides those of the package, within the `with` block."""
    token = _ADDED.set((*_ADDED.get(), *languages))
    try:
        yield
    finally:
        _ADDED.reset(token)


@lru_cache(maxsize=8192)
def _languages_of(line: str) -> tuple[Language, ...]:
    """Return the languages other than English that a line may be in."""
    if line.isascii():
        return _LATIN
    for name, script in _SCRIPTS:
        if script.search(line):
            return (_BY_NAME[name],)
    return _LATIN


_Result = TypeVar("_Result")


def cached(function: Callable[[str, tuple[Language, ...]], _Result]) -> Callable[[str], _Result]:
    """Keep the results of a function of a line and the additional languages of the search."""
    cached = lru_cache(maxsize=8192)(function)
    return wraps(function)(lambda line: cached(line, _ADDED.get()))


@cached
def asks_in(line: str, added: tuple[Language, ...]) -> bool:
    """Return whether a line asks for something, in a language other than English."""
    languages = (*_languages_of(line), *added)
    return len(line) <= 500 and any(language.asks(line) for language in languages)


@cached
def reference_direction_in(line: str, added: tuple[Language, ...]) -> str:
    """Return where a line says that its text is, in a language other than English."""
    if len(line) > 500:
        return ""
    ways = (
        lang.reference_direction(line)
        for lang in (*_languages_of(line), *added)
        if lang.asks(line) or "?" in line or not lang.common
    )
    return next((way for way in ways if way), "")


@cached
def mentions_question(line: str, added: tuple[Language, ...]) -> bool:
    """Return whether a line mentions a question, so that the question itself must follow."""
    line = line.lower()
    words = set(re.findall(r"\w+", line))
    return any(
        (word in line) if not language.spaces or not word.isascii() else word in words
        for language in (*_languages_of(line), _BY_NAME["English"], *added)
        for word in language.question
        if len(word) > 1
    )


def is_added_label(name: str) -> bool:
    """Return whether a label is one of the additional labels of this search."""
    flat = " ".join(name.lower().split())
    return any(flat in language.context for language in _ADDED.get())


def is_request_label(label: str) -> bool:
    """Return whether a label, in lower case, is a request by itself, such as "Title:"."""
    return label in _WANTED or any(label in language.wanted for language in _ADDED.get())


def count_words(text: str, enough: int = 100) -> int:
    """Return how many words a text has; counting stops after `enough`.

    In scripts without blanks, two characters count as one word.
    """
    if text.isascii():
        return len(text.split(None, enough))
    unspaced = len(NOT_SPACED.findall(text[: 2 * enough + 200]))
    return min(enough + 1, len(text.split(None, enough)) + unspaced // 2)


_SINGULAR = _ENGLISH["nouns"]
NOUNS = _SINGULAR | {n + "s" for n in _SINGULAR} | {"stories", "biographies", "entries"}
WEAK_NOUNS = _ENGLISH["weak_nouns"]
NOT_ASKED = _ENGLISH["not_asked"]
_NOT_LABELS = _ENGLISH["not_labels"]
_QUALIFIERS = _ENGLISH["qualifiers"]
_LABELS = frozenset[str]().union(*(language.context for language in LANGUAGES))
# An answer between two equal context labels makes a worked example.
ANSWER_LABELS = frozenset[str]().union(*(language.answer for language in LANGUAGES))
_ASK_LABELS = frozenset[str]().union(*(language.ask for language in LANGUAGES))
_WANTED = frozenset[str]().union(*(language.wanted for language in LANGUAGES))

# Words that announce a text, and are cut together with it.
_PHRASES = re.compile(
    r"(?:now,? |so,? |also,? )?(?:"
    r"given (?:the|this|these|that)(?: following)? facts?(?: that)?"
    r"|(?:given|assuming|suppose|knowing) that|given"
    r"|(?:i can use|use|consider|i have|i also have|we have|we know|here(?:'s| is| are)"
    r"|(?:this|below|following) (?:is|are)|the following (?:is|are)|consider|read|see|take|suppose)"
    r" (?:(?:the|this|these|a|an|my|some|following|new|short|above|below) ){0,3}"
    r"(?:[\w-]{1,16} ){0,2}?(?P<noun>[\w-]{3,16})(?: below| first| carefully)?"
    r"|(?:the )?(?P<noun2>[\w-]{3,16})(?: is| are)?(?: given| provided)?(?: as follows| below)"
    r"|(?:relevant |useful |some )?(?P<noun3>information|facts|background|details|knowledge)"
    r" (?:about|on|from) [\w' -]{2,40}"
    r")"
)

LabelKind = Literal["context", "phrase", "ask", "answer", "hint", ""]


@cached
def classify_label(name: str, added: tuple[Language, ...]) -> tuple[LabelKind, str]:
    """Return what the words before a colon, or of a heading, announce; and their noun.

    The result is ``("", "")`` when they announce neither text, request nor answer.
    """
    words = name.lower().replace("’", "'").split()
    words = words[len(words) > 1 and words[0] in ("first", "second") :]
    flat = " ".join(words)
    if kind := _kind_of_added(flat, added):
        return kind, flat
    if flat in ANSWER_LABELS:
        return "answer", flat
    if flat in _ASK_LABELS or _ASK_LINE.match(flat):
        return "ask", flat
    if flat in ("hint", "hints"):
        return "hint", flat
    return _classify_text_label(words, flat)


def _kind_of_added(flat: str, added: tuple[Language, ...]) -> LabelKind:
    """Return the kind of a label in the additional languages; "" if there is none."""
    for language in added:
        if flat in language.context:
            return "context"
        if flat in language.answer:
            return "answer"
        if flat in language.ask:
            return "ask"
    return ""


def _classify_text_label(words: list[str], flat: str) -> tuple[LabelKind, str]:
    """Classify a label, in lower case, that may name or announce a text."""
    if _is_noun_label(words):
        noun = words[-1]
        return ("", "") if noun in _NOT_LABELS and len(words) == 1 else ("context", noun)
    if flat in _LABELS:
        return "context", words[-1]
    noun = _announced_noun(flat)
    return ("phrase", noun) if noun else ("", "")


def _is_noun_label(words: list[str]) -> bool:
    """Return whether a label is the name of a text with qualifiers: "source document"."""
    return bool(words) and words[-1] in NOUNS and all(w in _QUALIFIERS for w in words[:-1])


def _announced_noun(flat: str) -> str:
    """Return the noun of words that announce a text ("use the following passage"), or ""."""
    match = _PHRASES.fullmatch(flat)
    if match is None:
        return ""
    noun = match["noun"] or match["noun2"] or match["noun3"] or "fact"
    return noun if noun in NOUNS or noun in ("points", "details") else ""


_ASK_LINE = re.compile(
    r"(?:now,? |then,? )?(?:please,? )?(?:answer|respond to|consider) "
    r"(?:the|this|these|my|following)"
    r"\b[\w ]{0,40}\b(?:questions?|query|queries)\b"
)


def n_words(text: str, start: int, end: int, enough: int = 100) -> int:
    """Return how many words `start:end` has; counting stops after `enough`."""
    return count_words(text[start : min(end, start + 12 * enough + 200)], enough)


# ---------------------------------------------------- requests that name a text
NAMES = NOUNS | {"points"}
NOUN_PATTERN = "|".join(sorted(NAMES, key=len, reverse=True))
_WEAK_PATTERN = "|".join(sorted(WEAK_NOUNS, key=len, reverse=True))
BASED_ON = re.compile(
    r"(?:based (?:up)?on|according to|given|using|from|with|in light of|considering|in|following|"
    r"after reading|having read|drawing on|referring to|as per|per)(?: only)? "
    r"(?:the|this|these|that|above|your|my)\b(?: [\w'-]{1,20}){0,4}? "
    rf"?(?:above|following|provided|given|{NOUN_PATTERN})\b",
    re.I,
)
POINTS_BACK = re.compile(
    r"\b(?:above|preceding|foregoing|aforementioned|previous (?:text|passage|paragraph))\b|"
    r"\b(?:the|this|these|that|my)(?! (?:following|next|below))(?: [\w'-]{1,20}){0,2}? "
    rf"(?:{NOUN_PATTERN})\b(?! (?:of|below|that follows))|"
    r"\bthe (?:reviewer|narrator|author|speaker|writer)\b",
    re.I,
)
# "the following passage", "this email", "the paragraph below"; group weak for short kinds of text.
POINTS_ON = re.compile(
    r"(?<!\ba )(?<!\ban )\b(?:(?:the |this |these |those )?"
    r"(?:following|given|provided|attached|below)|this|these|my|"
    r"the(?= (?:[\w'-]{1,20} ){0,3}[\w'-]{2,20}[ \t]*(?::|below|provided|delimited|$)))"
    r"(?: [\w'/-]{1,20}){0,3}?"
    rf" (?:(?P<strong>{NOUN_PATTERN})|(?P<weak>{_WEAK_PATTERN}))\b"
    r"|\byou (?:are|will be|have been) (?:given|provided with|presented with|shown)"
    rf" (?:an?|the|some|two|three|several)(?: [\w-]{{1,20}}){{0,3}}? (?P<given>{NOUN_PATTERN})\b",
    re.I,
)
# An announcement with no task in it: cut with the text that it announces.
BARE_LEAD = re.compile(
    r"(?:given|using|consider|considering|read|from|here(?:'s| is| are)|this is|below is|see|"
    r"based on|with|i have|the following is|take a look at|look at|context information is)\b"
    r"(?![^:\n]*\b(?:and|then|to)\b|[^:\n]*, \w)(?:[^.?!:]{0,120}:|"
    rf"[^.?!:]{{0,120}}?\b(?:{NOUN_PATTERN}|below|following)(?: (?:below|carefully))?[.,]?)\s*|"
    r"(?:the|some|my|our)\b[^.?!:,\n]{0,60}\b(?:below|follows)[.:]?\s*",
    re.I,
)

# ---------------------------------------------------- requests of English verbs
_TASK_VERBS = "|".join(sorted(_ENGLISH["task_verbs"]))
TASK_START = re.compile(
    r"(?:(?:first|now|then|next|finally|so|and|okay|ok|hi|hello|hey|also)[,!.]? )?"
    r"(?:please,? |kindly |try to )?"
    r"(?:(?:can|could|would|will) you (?:please |kindly |also )?|i(?: would|'d) like you to |"
    r"i (?:want|need) you to |your (?:task|job|goal) is to |help me |let's |"
    r"in (?:one|two|three|a|\d) [\w ]{1,30}, )?(?:please )?"
    r"(?:briefly |carefully |correctly |concisely )?"
    rf"(?:{_TASK_VERBS})\b(?!\s?[:|=,])",
    re.I,
)
# "Is it true that ...? Answer yes or no."
QUESTION_AND_ORDER = re.compile(
    rf"[^.?!\n]{{5,250}}\? (?:please )?(?:{_TASK_VERBS})\b[^.?!\n]{{2,120}}[.!]?", re.I
)
WORKS_ON_TEXT = re.compile(rf"\b(?:{'|'.join(sorted(_ENGLISH['verbs_on_text']))})\b", re.I)
# Verbs that begin a request, beside those that also bound a context.
_MORE_VERBS = "|".join(sorted(_ENGLISH["more_verbs"]))
MORE_VERBS = re.compile(rf"(?:please |kindly |now |then |just |also )*(?:{_MORE_VERBS})\b", re.I)
