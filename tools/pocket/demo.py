"""The demo data: ``python -m tools.pocket.demo --out DIR``.

A few hundred rows in three file formats, about the pocket model's world. The column
`truth` has the kind of each row, which is known by construction:

======================  =========================================================
context-critical        a made-up subject: only the context has the answer
non-context-critical    a real fact that the model knows; the context repeats it
no-context              a real fact asked for without any context
======================  =========================================================

Both kinds of rows with a context draw their passages, distractors, questions and
layouts in the same way.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from ifcurate.pocket.world import Fact, World
from tools.pocket.documents import EOS, choose_instruction, choose_system, write_passage
from tools.pocket.layouts import (
    INLINE_STYLES,
    InlineStyle,
    alpaca_prompt,
    chat_prompt,
    search_call,
)

__all__ = ["FILES", "DemoRow", "Truth", "main", "make_demo", "write_demo"]

Truth = Literal["context-critical", "non-context-critical", "no-context"]
#: file -> how many rows of each truth
FILES: Final[dict[str, dict[Truth, int]]] = {
    "alpaca.jsonl": {"context-critical": 55, "non-context-critical": 55, "no-context": 50},
    "prompts.jsonl": {"context-critical": 50, "non-context-critical": 50, "no-context": 20},
    "chats.jsonl": {"context-critical": 40, "non-context-critical": 40, "no-context": 20},
}
_LABELLED: Final = tuple(style for style in INLINE_STYLES if ":" in style.block)
_N_NO_INPUT = 10  # number of Alpaca rows without context that say "No input" in words


@dataclass(frozen=True, slots=True)
class DemoRow:
    """A row as it is in its file, and its prompts for the pocket model."""

    row: dict[str, Any]
    truth: Truth
    prompt: str  # with the context (if any), up to the response, without BOS
    prompt_without: str  # the same with the context cut
    response: str


def make_demo(*, seed: int = 0) -> dict[str, list[DemoRow]]:
    """Return the rows of each file, by file name."""
    rng = random.Random(f"pocket demo {seed}")
    world = World()
    known = world.real_facts()
    rng.shuffle(known)
    makers = {"alpaca.jsonl": _alpaca, "prompts.jsonl": _prompt, "chats.jsonl": _chat}
    files: dict[str, list[DemoRow]] = {}
    for name, counts in FILES.items():
        truths = [truth for truth, n in counts.items() for _ in range(n)]
        rng.shuffle(truths)
        rows = []
        for truth in truths:
            fact = (
                world.fresh_fact(rng, novel=rng.random() < 0.5, unseen=True)
                if truth == "context-critical"
                else known.pop()
            )
            passage = "" if truth == "no-context" else _passage(rng, world, fact)
            rows.append(makers[name](rng, fact, passage, truth))
        if name == "alpaca.jsonl":
            _say_no_input(rows)
        files[name] = rows
    return files


def _passage(rng: random.Random, world: World, fact: Fact) -> str:
    """Return the fact among up to two others, about made-up or seen subjects."""
    seen = world.facts_of("seen")
    facts = [fact]
    for _ in range(rng.choice((0, 1, 1, 2))):
        if rng.random() < 0.5:
            facts.append(world.fresh_fact(rng, novel=rng.random() < 0.5, unseen=True, avoid=facts))
        else:
            others = {f.object for f in facts} | {f.subject for f in facts}
            facts.append(
                rng.choice([f for f in seen if f.object not in others and f.subject not in others])
            )
    rng.shuffle(facts)
    return write_passage(rng, facts)


def _alpaca(rng: random.Random, fact: Fact, passage: str, truth: Truth) -> DemoRow:
    question, answer = fact.ask(rng.randrange(4))
    instruction = choose_instruction(rng, question) if passage else question
    row = {"instruction": instruction, "input": passage, "output": answer, "truth": truth}
    prompts = alpaca_prompt(instruction, passage), alpaca_prompt(instruction)
    return DemoRow(row, truth, *prompts, answer)


def _say_no_input(rows: list[DemoRow]) -> None:
    for demo_row in [r for r in rows if r.truth == "no-context"][:_N_NO_INPUT]:
        demo_row.row["input"] = "No input"


def _prompt(rng: random.Random, fact: Fact, passage: str, truth: Truth) -> DemoRow:
    question, answer = fact.ask(rng.randrange(4))
    style = rng.choice(_LABELLED) if passage else InlineStyle("", "", "{question}")
    prompt = style.render(question, passage)
    row = {"prompt": prompt, "completion": answer, "truth": truth}
    return DemoRow(row, truth, alpaca_prompt(prompt), alpaca_prompt(style.render(question)), answer)


def _chat(rng: random.Random, fact: Fact, passage: str, truth: Truth) -> DemoRow:
    question, answer = fact.ask(rng.randrange(4))
    system, style, place = choose_system(rng), rng.choice(_LABELLED), rng.random()

    def messages(passage: str) -> list[dict[str, Any]]:
        turns: list[dict[str, Any]] = [{"role": "user", "content": question}]
        system_text = system
        if truth != "no-context" and place < 0.2:
            system_text = system or "You answer questions about a document."
            if passage:
                system_text += f"\n\nDocument: {passage}"
        elif truth != "no-context" and place < 0.4:
            result = {"role": "tool", "tool_call_id": "call_1", "content": passage}
            turns += [search_call(question), result]
        elif truth != "no-context":
            turns = [{"role": "user", "content": style.render(question, passage)}]
        return ([{"role": "system", "content": system_text}] if system_text else []) + turns

    full = messages(passage)
    row = {"messages": [*full, {"role": "assistant", "content": answer}], "truth": truth}
    prompts = chat_prompt(full, eos=EOS), chat_prompt(messages(""), eos=EOS)
    return DemoRow(row, truth, *prompts, answer)


def write_demo(out: Path, *, seed: int = 0) -> None:
    """Write the three files to the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in make_demo(seed=seed).items():
        lines = (json.dumps(row.row, ensure_ascii=False) + "\n" for row in rows)
        (out / name).write_text("".join(lines), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tools.pocket.demo", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write the files to")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    write_demo(options.out, seed=options.seed)


if __name__ == "__main__":
    main()
