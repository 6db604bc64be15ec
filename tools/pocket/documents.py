"""The pocket model's training text, one short document after another.

There are five kinds: statements of known facts; questions about known facts without
a passage; a passage and questions about it, on known subjects or on made-up ones that
never recur (so that the answer must be read); a passage reworded in another order; and
a few questions without an answer, so that the model is uncertain where it does not
know. Each piece of text has a weight in the loss: names in a made-up passage cannot be
learned and have a small weight, answers have the weight 1.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from ifcurate.pocket.world import Fact, World
from tools.pocket.layouts import INLINE_STYLES, alpaca_prompt, chat_prompt, search_call

__all__ = [
    "EOS",
    "Segment",
    "choose_instruction",
    "choose_system",
    "make_documents",
    "write_passage",
]

EOS: Final = "</s>"
_ANSWER, _PROMPT = 1.0, 0.1  # weights of the loss
_RARE_EVERY = 600  # documents; a longer training begins with the text of a shorter one
_FILLERS: Final = (
    "The page was last changed in spring.",
    "More can be read in the local library.",
    "This note was kept short.",
    "The map in the appendix shows the details.",
    "Not much else is told about it.",
    "A photograph goes with the text.",
    "The editors thank all readers for their letters.",
    "These lines come from an old almanac.",
    "The second part follows next week.",
    "Some of this is little known.",
    "The list is not complete.",
    "A guide gave us this account.",
)
_INSTRUCTIONS: Final = (
    "Answer the question using the passage. {q}",
    "Use the input to answer this question: {q}",
    "Read the text and answer the question. {q}",
    "Answer this question in one sentence. {q}",
)
_SYSTEMS: Final = (
    "You are a helpful assistant.",
    "You answer questions in one sentence.",
    "You help readers with questions about a text.",
    "Answer truthfully and briefly.",
)
_AGAIN: Final = ("In other words:", "Again:", "To sum up:", "In short:", "Notes:")
_SHORT_CUE: Final = " Answer with the name only."


class Segment(NamedTuple):
    """A piece of a document and the weight of its tokens in the loss."""

    text: str
    weight: float


def write_passage(rng: random.Random, facts: Sequence[Fact]) -> str:
    """Return the facts as sentences in this order, sometimes with a filler sentence between."""
    lines = [fact.state(rng.randrange(4)) for fact in facts]
    if rng.random() < 0.25:
        lines.insert(rng.randint(0, len(lines)), rng.choice(_FILLERS))
    return " ".join(lines)


def choose_instruction(rng: random.Random, question: str) -> str:
    """Return the question as an instruction, unchanged half of the time."""
    return question if rng.random() < 0.6 else rng.choice(_INSTRUCTIONS).format(q=question)


def choose_system(rng: random.Random) -> str:
    """Return a system message, empty half of the time."""
    return "" if rng.random() < 0.5 else rng.choice(_SYSTEMS)


def _ask(rng: random.Random, fact: Fact) -> tuple[str, str]:
    question, answer = fact.ask(rng.randrange(4))
    if rng.random() < 0.1:
        return question + _SHORT_CUE, fact.object
    return question, answer


def _question_document(
    rng: random.Random, asked: Sequence[Fact], passage: str, weight: float
) -> list[Segment]:
    question, answer = _ask(rng, asked[0])
    style = rng.choice(INLINE_STYLES)
    layout = rng.random()
    if len(asked) > 1 or layout < 0.2:
        return _chat_document(rng, asked, passage, weight)
    if layout < 0.5:
        instruction = choose_instruction(rng, question)
        prompt = alpaca_prompt(instruction, passage, paired=rng.random() < 0.3)
    elif layout < 0.75:
        stripped = rng.random() < 0.7
        prompt = alpaca_prompt(style.render(question, passage, strip=stripped))
    elif layout < 0.95:
        prompt = style.render(question, passage) + rng.choice(["\n", "\n\n", "\nAnswer:\n"])
    else:
        prompt = f"<|user|>\n{style.render(question, passage)}\n<|assistant|>\n"
    return [Segment(prompt, weight), Segment(answer + EOS, _ANSWER)]


def _chat_document(
    rng: random.Random, asked: Sequence[Fact], passage: str, weight: float
) -> list[Segment]:
    system = choose_system(rng)
    place = rng.random()
    if passage and place < 0.15:
        system = f"{system or rng.choice(_SYSTEMS)}\n\nDocument: {passage}"
    messages: list[dict[str, Any]] = []
    if system:
        messages.append({"role": "system", "content": system})
    segments: list[Segment] = []
    done = ""
    for i, fact in enumerate(asked):
        question, answer = _ask(rng, fact)
        content = question
        if i == 0 and place >= 0.3:
            content = rng.choice(INLINE_STYLES).render(question, passage)
        messages.append({"role": "user", "content": content})
        if i == 0 and 0.15 <= place < 0.3:
            if rng.random() < 0.5:
                messages.append(search_call(question))
            messages.append({"role": "tool", "content": passage})
        prompt = chat_prompt(messages, eos=EOS)
        segments += [Segment(prompt[len(done) :], weight), Segment(answer + EOS, _ANSWER)]
        done = prompt + answer + EOS
        messages.append({"role": "assistant", "content": answer})
    return segments


def _fresh_facts(rng: random.Random, world: World, n: int) -> list[Fact]:
    """`n` facts about made-up subjects, half of the time of one relation."""
    relation = rng.choice(world.relations).name if rng.random() < 0.65 else None
    facts: list[Fact] = []
    for _ in range(n):
        novel = rng.random() < 0.5
        facts.append(world.fresh_fact(rng, relation=relation, novel=novel, avoid=facts))
    return facts


class _KnownFacts:
    """Draws seen facts ten times as often as mid ones."""

    def __init__(self, world: World) -> None:
        self._classes = [world.facts_of("seen"), world.facts_of("mid")]
        self._weights = [len(self._classes[0]), len(self._classes[1]) / 10]

    def draw(self, rng: random.Random, n: int = 1) -> list[Fact]:
        chosen = rng.choices(self._classes, self._weights, k=n)
        return [rng.choice(facts) for facts in chosen]


def _reading(rng: random.Random, world: World, known: _KnownFacts) -> list[Segment]:
    """Return a passage of one to four facts, and one to three questions about it."""
    facts = _fresh_facts(rng, world, rng.choice((1, 2, 2, 3, 3, 4, 4)))
    if rng.random() < 0.3:
        facts[rng.randrange(len(facts))] = known.draw(rng)[0]
    passage = write_passage(rng, facts)
    n_asked = rng.choice((1, 1, 1, 2, 3))
    return _question_document(rng, rng.sample(facts, min(n_asked, len(facts))), passage, _PROMPT)


def _retelling(rng: random.Random, world: World) -> list[Segment]:
    """Return a passage, and the same facts reworded in another order."""
    facts = _fresh_facts(rng, world, rng.choice((1, 2, 3, 4)))
    first = " ".join(fact.state(rng.randrange(4)) for fact in facts)
    again = " ".join(fact.state(rng.randrange(4)) for fact in rng.sample(facts, len(facts)))
    return [
        Segment(f"{first}\n\n{rng.choice(_AGAIN)}\n", _PROMPT),
        Segment(again + EOS, _ANSWER),
    ]


def make_documents(world: World, *, seed: int, n_documents: int) -> Iterator[list[Segment]]:
    """Yield the training documents. Each rare fact is stated once and asked for once."""
    rng = random.Random(f"pocket text {seed}")
    known = _KnownFacts(world)
    rare = [(fact, asked) for fact in world.facts_of("rare") for asked in (False, True)]
    rng.shuffle(rare)
    for i in range(n_documents):
        if i % _RARE_EVERY == _RARE_EVERY - 1 and rare:
            fact, asked = rare.pop()
            if asked:
                yield _question_document(rng, [fact], "", _PROMPT)
            else:
                yield [Segment(fact.state(rng.randrange(4)) + EOS, _ANSWER)]
            continue
        kind = rng.random()
        if kind < 0.12:
            facts = known.draw(rng, rng.randint(1, 4))
            text = " ".join(fact.state(rng.randrange(4)) for fact in facts)
            yield [Segment(text + EOS, _ANSWER)]
        elif kind < 0.32:
            asked_facts = known.draw(rng, rng.choice((1, 1, 1, 2, 3)))
            yield _question_document(rng, asked_facts, "", _PROMPT)
        elif kind < 0.35:
            yield _question_document(rng, _fresh_facts(rng, world, 1), "", _PROMPT)
        elif kind < 0.75:
            yield _reading(rng, world, known)
        else:
            yield _retelling(rng, world)
