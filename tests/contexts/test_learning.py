"""Templates learned from rows: which slot is the context, and when there is none."""

from __future__ import annotations

import json
import random
from pathlib import Path

import polars as pl
import pytest
from pydantic import TypeAdapter

from ifcurate.contexts.find import find_context
from ifcurate.contexts.learn import learn_templates
from ifcurate.contexts.learned_template import LearnedTemplate
from ifcurate.data.row_formats import RowLayout
from ifcurate.data.sources import learn_layout, read_examples
from tests.contexts.truth.measuring import fill_form

NAMES = ("Ada", "Ben", "Cleo", "Dov", "Eli", "Fay", "Gil", "Hope", "Ivo", "Jun", "Kit", "Lea")
THINGS = (
    "bread",
    "rope",
    "honey",
    "wool",
    "salt",
    "tin",
    "oil",
    "cork",
    "tea",
    "ink",
    "rice",
    "ash",
)
TOWNS = (
    "Varn",
    "Tolm",
    "Skell",
    "Orsa",
    "Pell",
    "Ruda",
    "Hask",
    "Mior",
    "Lund",
    "Ebb",
    "Quay",
    "Iden",
)
ROWS = tuple(zip(NAMES, THINGS, TOWNS, strict=True))


def learned(template: str) -> list[tuple[str, list[str]]]:
    """The contexts of twelve rows of one template, read as one file."""
    texts = [template.format(name=name, thing=thing, town=town) for name, thing, town in ROWS]
    templates = learn_templates(texts)
    return [
        (text, [text[f.start : f.end] for f in find_context(text, templates=templates)])
        for text in texts
    ]


def test_rows_of_two_templates_with_one_beginning_keep_their_requests() -> None:
    first = "Write a question about the following plot: {0} sells {1} in {2}. It goes well there."
    second = 'Write a question about the topic "{1}" whose answer would be: {0} of {2}.'
    texts = [form.format(*row) for row in ROWS for form in (first, second)]
    templates = learn_templates(texts)
    for text in texts:
        for f in find_context(text, templates=templates):
            assert text[: f.outer_start].rstrip().endswith(("plot:", "be:"))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_templates_far_from_the_start_of_a_file_are_learned(tmp_path: Path, suffix: str) -> None:
    facts = [
        text.format(name=f"{name}{i}", thing=thing, town=town)
        for i in range(15)
        for name, thing, town in ROWS
        for text in (
            "{name} sells {thing} in {town}.",
            "Nobody from {town} would trade {thing} with {name}.",
            "After the flood the {thing} of {name} was brought to {town}.",
            "{town} has no {thing} since {name} left.",
        )
    ]
    forms = ("Zorp: {}\nNow say who it was.", "Decide whether this can be so.\n{}")
    rows = [{"prompt": form.format(fact), "completion": "x"} for form in forms for fact in facts]
    path = tmp_path / f"rows.{suffix}"
    if suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    else:
        pl.DataFrame(rows).write_parquet(path, row_group_size=100)
    (layout,) = read_examples(path).layouts
    assert sorted(template.contexts for template in layout.templates) == [(0,), (0,)]
    assert read_examples(path).layouts == (layout,)
    if suffix == "jsonl":  # rows in memory are sampled too
        assert len(learn_layout(rows, RowLayout("prompt_completion")).templates) == 2


# A story, its question, and its answer.
STORIES = (
    ("Ana has 3 apples and buys 4 bags of them.", "How many bags does Ana buy?", "4"),
    ("A shop sold 40 loaves, and 15 more by night.", "How many loaves were sold?", "40"),
    ("Tom earns 12 crowns in 8 hours.", "How much does Tom earn?", "12"),
    ("Of 24 pupils, 9 ride to school on a bus.", "How many come by bus?", "9"),
    ("Nina read 90 of 310 pages in a week.", "How many pages did Nina read?", "90"),
    ("On a farm, 14 cows and 20 sheep graze.", "How many animals graze?", "20"),
)


#: Forms in which every row should be read rightly, with a bank of texts.
LAYOUTS = (
    ("Read what is here. {c} {h}", "qa"),  # the text and its question in one slot
    ('Would you say that "{c1}" and "{c2}" mean the same?', "pair"),
    ("Text A: {c1}\nText B: {c2}\nAre they alike?", "pair"),
    ("{c}\nwho is it?", "wino"),
    ("Could this sentence:\n{c1}\nreplace the following sentence?\n{c2}", "pair"),
    ("How do we say this data in words: {c} ?", "facts"),
    ("Ask a question about this text: {c}\nThe answer to the question has to be: {r}", "qa"),
    ("Question: {h}\nText: {c}\nPerhaps this settles it. Please copy the words that do.", "qa"),
    ("Two people haggle over a lamp.\n\n{c}\n\nIn the end, the mood could be called", "chat"),
    ("Give me three tags for »{c}«, please.", "news"),
    ("Give me three tags for „{c}“, please.", "news"),
    ("{c} {h}", "qa"),
    ("{h} {c}", "qa"),
    ("{c}\n{h}", "dial"),  # texts of several lines
    ("If I had to shorten {c} I would write", "news"),
    ("{c} => ", "triples"),
    ("{c} = (German)", "trans"),
    ("EN: {c} In short:", "dial"),
    ("Event: {c} What led to it? 1. {a} 2. {b}", "copa"),
    ("Choose what led to it.\nEvent: {c}\n1) {a}\n2) {b}", "copa"),
    ("Which of these is more usual?\nA: {a}\nB: {b}", "copa"),
    ("Which of these do you prefer? - {a} - {b}", "copa"),
)
MOST_WRONG = 8  # layouts


def test_layouts_of_many_collections() -> None:
    wrong = [
        form
        for form, bank in LAYOUTS
        if any(expected != got for expected, got in read_form(form, bank))
    ]
    assert len(wrong) <= MOST_WRONG, wrong


@pytest.mark.parametrize(
    "template",
    [
        "Write a short story about how {name} came to {town} with a cart of {thing}.",
        "Generate a list of reasons for {name} to leave {town} and the {thing} behind.",
        "FINAL TEST\n\nQuestion 1. Who brought {name} the {thing} from {town}?",
    ],
)
def test_what_a_request_is_about_is_no_context(template: str) -> None:
    assert all(contexts == [] for _, contexts in learned(template))


# "{} {}" and "Solve: {} {}" are read as word problems.
@pytest.mark.parametrize("form", ["{}\n{}", "{} {}\nAnswer with a number."])
def test_a_story_that_has_the_answer_is_the_context(form: str) -> None:
    texts = [form.format(story, question) for story, question, _ in STORIES]
    said = [answer for *_, answer in STORIES]
    templates = learn_templates(texts, responses=said)
    found = [find_context(text, templates=templates) for text in texts]
    expected = [story for story, *_ in STORIES]
    cut = [text[f.start : f.end] for text, spans in zip(texts, found, strict=True) for f in spans]
    assert cut == expected


def read_form(form: str, bank: str, *, responses: bool = True) -> list[tuple[str, str]]:
    """What should be the context of each row of a form, and what is found; apart by " | "."""
    rows = fill_form(form, bank)
    texts = [row["text"] for row in rows]
    said = [row["response"] for row in rows] if responses else None
    templates = learn_templates(texts, responses=said)
    pairs = []
    for row in rows:
        text = row["text"]
        found = find_context(text, templates=templates)
        expected = [text[start:end].strip(" .") for start, end in row["contexts"]]
        got = [text[f.start : f.end].strip(" .") for f in found]
        pairs.append((" | ".join(expected), " | ".join(got)))
    return pairs


def test_as_many_responses_as_texts() -> None:
    with pytest.raises(ValueError):
        learn_templates(["a", "b"], responses=["a"])


def test_a_divided_slot_is_described() -> None:
    template = LearnedTemplate(("Read what is here. ", "?"), (0,), 8, 1.0, 0.9, "last")
    assert "slot 1 is the context before its request" in template.describe()
    assert TypeAdapter(LearnedTemplate).validate_python(template.as_record()) == template


@pytest.mark.slow
def test_words_that_few_rows_share_tear_no_context() -> None:
    words = (
        "heron miller sailor tailor baker farmer fox goose pilot nurse clerk judge",
        "reeds mill harbour market oven field wood pond hangar ward office court",
        "caught sold lost found hid broke painted carried",
        "Monday Tuesday Wednesday Thursday Friday",
    )
    draw = random.Random(3)
    texts = []
    for n in range(120):
        who, where, did, day = (draw.choice(some.split()) for some in words)
        what = draw.choice(("an eel", "a sack of flour", "two coats", "the plough", "a hen"))
        text = f"The {who} waited {n % 9} hours near the {where} on {day}. At last it {did} {what}"
        texts.append(f"Passage: {text} and went home. Question: What did the {who} do? Answer:")
    templates = learn_templates(texts)
    for text in texts:
        (found,) = find_context(text, templates=templates)
        assert text[found.start : found.end] == text[9 : text.index(" Question:")]


def test_turns_that_share_their_last_word_are_no_template_with_a_context() -> None:
    turns = """\
They sound good, but I will try the stir fry. Can you order the ingredients for me?
I have some eggs and do not know what to cook with them. Can you help me?
Hey, can you send an email to my boss for me?
We are at 123 Main Street now. Could you find the nearest park to me?
Good Italian food in New York is what I want. Would you find a place for me?
That sounds delicious! But there is also a flight to book. Can you do that for me?"""
    templates = learn_templates(turns.splitlines())
    assert not any(template.contexts for template in templates)


def test_the_end_of_a_question_is_no_template() -> None:
    texts = [
        form.format(name)
        for name in NAMES
        for form in ("Where was {} born?", "In which place was {} born?")
    ]
    templates = learn_templates(texts)
    assert not any(find_context(text, templates=templates) for text in texts)


def test_a_question_is_no_context_of_a_request_elsewhere() -> None:
    for text in ("Who painted The Cliff?", "Which city is the capital of Ruda?"):
        assert find_context(text, must_ask=False) == []


def test_one_long_sentence_in_an_earlier_turn_is_no_context() -> None:
    text = "Investigate the cause of repeated faults " + "in the pumps of the mill " * 20 + "."
    assert find_context(text, must_ask=False) == []
