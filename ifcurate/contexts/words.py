"""The words by which a text is called, and by which questions and answers are labelled."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

__all__ = [
    "ANSWER_LABELS",
    "FORM_NOUNS",
    "INNER_NOUNS",
    "MAY_BE_SHORT",
    "NOT_ASKED",
    "NOUNS",
    "WEAK_NOUNS",
    "LabelKind",
    "classify_label",
    "words",
]


def words(text: str) -> frozenset[str]:
    """The words of a block of text."""
    return frozenset(text.split())


def _phrases(phrases: str) -> frozenset[str]:
    return frozenset(p.strip() for p in re.split(r"[|\n]", phrases) if p.strip())


_SINGULAR = words(
    """
    abstract article background biography blog book-excerpt chapter chat chunk clause comment
    content context contract conversation corpus data dataset description dialog dialogue document
    e-mail email encyclopedia entry essay evidence excerpt exchange extract fact faq fragment
    guide handbook info information input interview knowledge lecture letter log lyrics manual
    material memo message minutes narrative news newsletter note obituary observation page paper
    paragraph passage plot poem policy post premise press-release quotation record reference
    report resource result review scenario scene script section situation snippet source speech
    statute story storyline table testimony text thread transcript tweet webpage
    """
)
NOUNS = _SINGULAR | {n + "s" for n in _SINGULAR} | {"stories", "biographies", "entries"}
# Called a text too, but short, and often part of the question.
WEAK_NOUNS = words("sentence sentences statement statements code program function")
# These open no second context inside one: articles have such lines.
INNER_NOUNS = words("source sources reference references table data")
# In a list of "key: value" lines these are fields of a form.
FORM_NOUNS = words("email e-mail emails data source reference record report background entry")
# A single word under these is a text all the same.
MAY_BE_SHORT = words("input inputs text context passage document paragraph")
# As labels these say something else than "here is a text".
_NOT_LABELS = words(
    """
    note notes description chapter clause comment entry page paper section resource result
    fragment scene script material content contents message poem contexts
    """
)
_QUALIFIERS = words(
    """
    a about above additional an available background below blog book call case chat clinical
    company context contextual conversation court current customer dialogue document domain earlier
    email evidence external extra extracted fact following full given helpful here input internal
    journal key knowledge known legal long medical meeting movie my new news original our paper
    patient possible previous product provided raw reading reference related relevant research
    retrieved science scientific search short source story supporting supplementary support text the
    these this topic transcript useful user web wiki wikipedia
    """
)
_LABELS = _phrases(
    """
    bullet points | knowledge base | case | case description | patient | vignette
    kontext | hintergrund | artikel | contexte | texte | passage du texte | contexto | texto
    artículo | contesto | testo | articolo
    上下文 | 背景 | 文章 | 文本 | 材料 | 资料 | 段落 | 本文 | 文脈
    контекст | текст | статья
    """
)
# Answered already: between two equal context labels this makes a worked example.
ANSWER_LABELS = _phrases(
    """
    a | antwort | réponse | respuesta | risposta | resposta | 答案 | 答 | 回答 | ответ
    answer | answers | output | label | sentiment | summary | response | translation
    completion | prediction | final answer | headline | highlights
    """
)
_ASK_LABELS = _phrases(
    """
    q | frage | pregunta | domanda | pergunta | 问题 | 问 | 質問 | вопрос | sentence | statement
    answer choices | choices | choice | option | candidate | ending | endings
    claim | constraints | expected output | format | guidelines
    helpful answer | hypothesis | instruction | instructions | labels | multiple choice | options
    output format | possible answers | query | question | questions | requirements
    response format | rules | short answer | steps | task | tasks | the question | tl;dr | tldr
    user query | user question | your answer | your response | your task | follow up question
    standalone question | objective | conclusion
    """
)

# What these hold is no question yet.
NOT_ASKED = _phrases(
    """
    answer choices | choices | choice | option | options | candidate | ending | endings | claim
    sentence | statement
    hypothesis | constraints | format | guidelines | rules | requirements | output format
    """
)

# Words that announce a text, and are cut together with it.
_PHRASES = re.compile(
    r"(?:now,? |so,? |also,? )?(?:"
    r"given (?:the|this|these|that)(?: following)? facts?(?: that)?|given that|given"
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


@lru_cache(maxsize=4096)
def classify_label(name: str) -> tuple[LabelKind, str]:
    """What the words before a colon, or of a heading, announce; and the noun they use.

    ``("", "")`` when they announce nothing that matters here.
    """
    words = name.lower().replace("’", "'").split()
    flat = " ".join(words)
    if flat in ANSWER_LABELS:
        return "answer", flat
    if flat in _ASK_LABELS or _ASK_LINE.match(flat):
        return "ask", flat
    if flat in ("hint", "hints"):
        return "hint", flat
    if words and words[-1] in NOUNS and all(w in _QUALIFIERS for w in words[:-1]):
        noun = words[-1]
        return ("", "") if noun in _NOT_LABELS and len(words) == 1 else ("context", noun)
    if flat in _LABELS:
        return "context", words[-1]
    match = _PHRASES.fullmatch(flat)
    if match:
        noun = match["noun"] or match["noun2"] or match["noun3"] or "fact"
        if noun in NOUNS or noun in ("points", "details"):
            return "phrase", noun
    return "", ""


_ASK_LINE = re.compile(
    r"(?:now,? |then,? )?(?:please,? )?(?:answer|respond to|consider) "
    r"(?:the|this|these|my|following)"
    r"\b[\w ]{0,40}\b(?:questions?|query|queries)\b"
)
