"""Templates learned from rows: which slot is the context, and when there is none."""

from __future__ import annotations

import json
import random
from pathlib import Path

import polars as pl
import pytest

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
    templates = learn_templates(texts, find_context)
    return [
        (text, [text[f.start : f.end] for f in find_context(text, templates=templates)])
        for text in texts
    ]


@pytest.mark.parametrize(
    "template",
    [
        "{name} sells {thing} in {town}.\n\nWho sells {thing} in {town}?",
        "{name} sells {thing} in {town}.\nDoes {name} sell {thing} in Oslo?",
        "Zorp: {name} sells {thing} in {town}.\nNow say who sells {thing}.",
        "Is it true? {name} sells {thing} in {town}.",
    ],
)
def test_one_statement_beside_a_question_is_the_context(template: str) -> None:
    for (name, thing, town), (_, contexts) in zip(ROWS, learned(template), strict=True):
        assert [c.rstrip(".") for c in contexts] == [f"{name} sells {thing} in {town}"]


@pytest.mark.parametrize(
    "template",
    [
        "Write a short story about how {name} came to {town} with a cart of {thing}.",
        "Generate a list of reasons for {name} to leave {town} and the {thing} behind.",
        "FINAL TEST\n\nQuestion 1. Who brought {name} the {thing} from {town}?",
        "Determine the topic.\nQuestion: who sells {thing} to {name} in {town}?\nTopic:",
        "What is left?\nC. {name} took {thing}\nD. {thing} came to {town}",
    ],
)
def test_what_a_request_is_about_is_no_context(template: str) -> None:
    assert all(contexts == [] for _, contexts in learned(template))


def test_a_request_between_two_slots_is_not_part_of_the_context() -> None:
    template = (
        "Write a question that has the following answer:\n{thing} of {town}\n"
        "for the following movie plot:\n{name} sells {thing} in {town}. Nobody else in {town} does."
    )
    for text, contexts in learned(template):
        plot = text.rsplit(":\n", 1)[1]
        assert contexts == [plot]
        (found,) = find_context(text)  # and the rules alone leave the request too
        assert text[found.outer_start : found.outer_end].strip() == plot


def test_rows_of_two_templates_with_one_beginning_keep_their_requests() -> None:
    first = "Write a question about the following plot: {0} sells {1} in {2}. It goes well there."
    second = 'Write a question about the topic "{1}" whose answer would be: {0} of {2}.'
    texts = [form.format(*row) for row in ROWS for form in (first, second)]
    templates = learn_templates(texts, find_context)
    for text in texts:
        for f in find_context(text, templates=templates):
            assert text[: f.outer_start].rstrip().endswith(("plot:", "be:"))


def test_a_text_that_starts_with_a_title_in_quotes_is_taken_whole() -> None:
    story = '"The Mill" is a play. Nobody has staged it since the fire of 1902 in Tolm.'
    (found,) = find_context(f"Write a question about the following movie plot: {story}")
    assert found.start == 48 + 1
    assert found.end - found.start == len(story)


def test_words_before_a_question_are_not_taken_as_the_text_above() -> None:
    text = (
        "I am checking the answers of a program to the following question: how old is the mill\n"
        "Suggested answer: The mill is older than the bridge beside it.\n"
        "Should I accept this answer?"
    )
    assert all("how old" not in text[f.outer_start : f.outer_end] for f in find_context(text))


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


@pytest.mark.parametrize(
    ("passage", "context"),
    [
        (
            "Passage: {name} sold {thing} and moved to {town}, because the rent had doubled.",
            "Ada sold bread and moved to Varn, because the rent had doubled.",
        ),
        (
            "Passage: In the year of the flood {name} sold {thing} in {town}. Nobody came.",
            "In the year of the flood Ada sold bread in Varn. Nobody came.",
        ),
        (
            "### Schema\nCREATE TABLE {name} (id INT, {thing} TEXT, {town} TEXT);",
            "CREATE TABLE Ada (id INT, bread TEXT, Varn TEXT);",
        ),
    ],
)
def test_words_that_all_passages_share_belong_to_the_context(passage: str, context: str) -> None:
    asked = passage + "\n\nQuestion: What did {name} sell?\nAnswer:"
    assert learned(asked)[0][1] == [context]


@pytest.mark.parametrize(
    "choice",
    [
        "message as one of: billing, delivery, returns.\n\n",
        "message into one of these categories:\nbilling, delivery, returns.\n\n",
        "message and choose a label: billing, delivery or returns. ",
        "message for the right team: billing or returns\n",
    ],
)
def test_labels_at_the_end_of_an_instruction_stay_in_the_prompt(choice: str) -> None:
    messages = [
        "My parcel has not arrived yet, and I ordered it weeks ago.",
        "The invoice shows a fee that nobody told me about.",
        "I would like to send these shoes back since they are small.",
        "The courier left the box in the rain.",
        "Your driver rang at six in the morning, far too early.",
        "Please tell me why the tax is higher than last year.",
    ]
    texts = ["Classify the following " + choice + message for message in messages]
    templates = learn_templates(texts, find_context)
    found = [find_context(text, templates=templates)[0] for text in texts]
    assert [text[f.start : f.end] for text, f in zip(texts, found, strict=True)] == messages


# A story, its question, and two responses: one that is in the story, and one that is calculated.
STORIES = (
    ("Ana has 3 apples and buys 4 bags of them.", "How many bags does Ana buy?", "4", "7"),
    ("A shop sold 40 loaves, and 15 more by night.", "How many loaves were sold?", "40", "55"),
    ("Tom earns 12 crowns in 8 hours.", "How much does Tom earn?", "12", "1.5"),
    ("Of 24 pupils, 9 ride to school on a bus.", "How many come by bus?", "9", "15"),
    ("Nina read 90 of 310 pages in a week.", "How many pages did Nina read?", "90", "220"),
    ("On a farm, 14 cows and 20 sheep graze.", "How many animals graze?", "20", "34"),
)


@pytest.mark.parametrize(
    "form", ["{} {}", "{}\n{}", "Solve: {} {}", "{} {}\nAnswer with a number."]
)
@pytest.mark.parametrize("calculated", [False, True])
def test_a_story_to_calculate_from_is_no_context(form: str, calculated: bool) -> None:
    texts = [form.format(story, question) for story, question, *_ in STORIES]
    said = [row[3 if calculated else 2] for row in STORIES]
    templates = learn_templates(texts, find_context, responses=said)
    found = [find_context(text, templates=templates) for text in texts]
    expected = [] if calculated else [story for story, *_ in STORIES]
    cut = [text[f.start : f.end] for text, spans in zip(texts, found, strict=True) for f in spans]
    assert cut == expected


def test_a_request_behind_the_passage_stays_in_the_prompt() -> None:
    asked = (
        "Passage: {name} sold {thing} in {town}, answer from it in one word.\n\n"
        "Question: What did {name} sell?\nAnswer:"
    )
    assert "answer from it" not in " ".join(learned(asked)[0][1])


def read_form(form: str, bank: str, *, responses: bool = True) -> list[tuple[str, str]]:
    """What should be the context of each row of a form, and what is found; apart by " | "."""
    rows = fill_form(form, bank)
    texts = [row["text"] for row in rows]
    said = [row["response"] for row in rows] if responses else None
    templates = learn_templates(texts, find_context, responses=said)
    pairs = []
    for row in rows:
        text = row["text"]
        found = find_context(text, templates=templates)
        expected = [text[start:end].strip(" .") for start, end in row["contexts"]]
        got = [text[f.start : f.end].strip(" .") for f in found]
        pairs.append((" | ".join(expected), " | ".join(got)))
    return pairs


UNKNOWN = "Zorp blib nar wok:\n{c}"


@pytest.mark.parametrize(
    ("form", "bank"),
    [
        ("Event: {c} What led to it? 1. {a} 2. {b}", "copa"),  # one of the options is the response
        (UNKNOWN, "review"),  # there are few kinds of response
        (UNKNOWN, "gram"),  # responses share their words with the slot
    ],
)
def test_responses_tell_a_context_from_an_answer(form: str, bank: str) -> None:
    assert all(expected == got for expected, got in read_form(form, bank))


def test_without_responses_words_of_no_language_are_no_task() -> None:
    assert all(got == "" for _, got in read_form(UNKNOWN, "gram", responses=False))


def test_as_many_responses_as_texts() -> None:
    with pytest.raises(ValueError):
        learn_templates(["a", "b"], find_context, responses=["a"])


@pytest.mark.parametrize(
    ("form", "bank"),
    [
        ("Read what is here. {c} {h}", "qa"),  # the text and its question in one slot
        ('Would you say that "{c1}" and "{c2}" mean the same?', "pair"),
        ("Text A: {c1}\nText B: {c2}\nAre they alike?", "pair"),
        ("Decide whether the second follows.\nInput: First: {c} Second: {h}\nOutput:", "nli"),
        ("{c}\nwho is it?", "wino"),
        ('Information: {c} Given that, choose what "{h}" is. Choices: - man - thing', "wino"),
        ("Could this sentence:\n{c1}\nreplace the following sentence?\n{c2}", "pair"),
        ('Complete: "{c1}" and "{c2}" both speak of', "pair"),
        ("{c}\nIt seems that {h} is ____ here.\nIn the question above, ____ stands for", "wino"),
        ("Read the following text:\n\n{c}\n\nThe part that matters is:\n\n{a}\n\nWhy?", "copa"),
        ("Review: {c}\n===\nThis review is {r}. Say which words show it.", "review"),
        ("How do we say this data in words: {c} ?", "facts"),
        ("Ask a question about this text: {c}\nThe answer to the question has to be: {r}", "qa"),
        ("Question: {h}\nText: {c}\nPerhaps this settles it. Please copy the words that do.", "qa"),
        (
            "What does this question ask for? {h}\n\nChoose from the list:\nWho, Place, Age, Way",
            "qa",
        ),
        ("Two people haggle over a lamp.\n\n{c}\n\nIn the end, the mood could be called", "chat"),
    ],
)
def test_layouts_of_other_collections(form: str, bank: str) -> None:
    assert all(expected == got for expected, got in read_form(form, bank))


def test_a_divided_slot_is_described() -> None:
    texts = [row["text"] for row in fill_form("Read what is here. {c} {h}", "qa")]
    (template,) = learn_templates(texts, find_context)
    assert "slot 1 is the context before its request" in template.describe()
    assert LearnedTemplate.from_record(template.as_record()) == template


@pytest.mark.parametrize(
    "form",
    [
        '{c1}\n\nDoes it follow that "{c2}"?',
        "{c1}\nIs it true that {c2}",
        "{c1} Is that the same as saying: {c2}",
    ],
)
def test_a_statement_in_a_question_belongs_to_the_request(form: str) -> None:
    for expected, got in read_form(form, "pair"):
        assert got == expected.split(" | ")[0]


def test_what_is_neither_question_nor_answer_is_the_context() -> None:
    rows = fill_form("what led to it? {c} (a) {a} (b) {b}", "copa")
    texts = [row["text"].lower().replace(".", "") for row in rows]
    responses = [row["response"].lower().replace(".", "") for row in rows]
    templates = learn_templates(texts, find_context, responses=responses)
    for row, text in zip(rows, texts, strict=True):
        ((start, end),) = row["contexts"]
        (found,) = find_context(text, templates=templates)
        assert (found.start, found.end) == (start, end - 1)


@pytest.mark.parametrize("request_", ["is this true?", "title:", "summarise this text."])
def test_lower_case_texts_without_marks_are_found(request_: str) -> None:
    rows = fill_form("{c}", "news")
    texts = [row["text"].lower().rstrip(".") for row in rows]
    prompts = [f"{text} {request_}" for text in texts]
    templates = learn_templates(prompts, find_context, responses=[row["response"] for row in rows])
    for text, prompt in zip(texts, prompts, strict=True):
        (found,) = find_context(prompt, templates=templates)
        assert prompt[found.start : found.end] == text


@pytest.mark.parametrize(("opening", "closing"), ["»«", "„“", "„”", "“”", '""', ("« ", " »")])
def test_quotation_marks_of_several_languages(opening: str, closing: str) -> None:
    form = f"Give me three tags for {opening}{{c}}{closing}, please."
    assert all(expected == got for expected, got in read_form(form, "news"))


@pytest.mark.parametrize(
    "text",
    [
        "Definition: Here you get a quiz item. Print the reply.\nInput: How old is it?\nOutput:",
        "For a given event, choose which of two things led to it.\n"
        "Event: Marta had to walk home.\nChoices: 1. She missed the bus. 2. She bought a paper.",
    ],
)
def test_the_task_is_not_the_text_above_an_answer(text: str) -> None:
    assert all("\n" not in text[f.outer_start : f.outer_end].strip() for f in find_context(text))


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
    templates = learn_templates(texts, find_context)
    for text in texts:
        (found,) = find_context(text, templates=templates)
        assert text[found.start : found.end] == text[9 : text.index(" Question:")]


def test_a_request_with_a_passage_after_it_is_no_slot() -> None:
    texts = [
        f"Name the {thing} of {name}.{passage}"
        for name in ("Erik Zafan", "Ada Brol", "Nia Kelm", "Tom Vasc")
        for thing in ("capital", "mother", "last known place")
        for passage in ("", f"\n\nPassage: It is said to be by {name}. Nobody knows more about it.")
    ]
    templates = learn_templates(texts, find_context)
    for text in texts:
        spans = find_context(text, templates=templates)
        assert [text[s.start : s.end] for s in spans] == text.split("Passage: ")[1:]


@pytest.mark.parametrize(
    ("form", "bank"),
    [
        ("{c} {h}", "qa"),
        ("{h} {c}", "qa"),
        ("{c}\n{h}", "dial"),  # texts of several lines
    ],
)
def test_a_file_without_fixed_words_is_divided_at_its_questions(form: str, bank: str) -> None:
    assert all(expected == got for expected, got in read_form(form, bank))


@pytest.mark.parametrize(
    ("form", "bank"),
    [
        ("If I had to shorten {c} I would write", "news"),  # too long for a part of a request
        ('{c} Therefore, "{h}" is true or false?', "claim"),  # a quotation is a part of its own
        ('"{c1}" vs. "{c2}" : same meaning?', "pair"),
        ("{c} || {h} ||", "qa"),
        ("{c} =>", "triples"),
        ("{c} = (German)", "trans"),
        ("Take it as given that {c} Would it be right to ask {h}", "qa"),
        ("EN: {c} In short:", "dial"),  # the speakers are no fields of a record
    ],
)
def test_short_fixed_parts_are_enough(form: str, bank: str) -> None:
    assert all(expected == got for expected, got in read_form(form, bank))


@pytest.mark.parametrize(
    "form",
    [
        '‹Which of these led to it:› "{c}"?\nA) {a}\nB) {b}',
        "{c}\nA: {a}\nB: {b}",
        "Choose what led to it.\nEvent: {c}\n1) {a}\n2) {b}",
        "Choose what led to it.\n1) {a}\n2) {b}\n\n{c}",
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_numbered_answers_are_no_context(form: str, named: bool) -> None:
    rows = fill_form(form, "copa")
    numbers = "AB" if "A" in form else "12"
    texts = [row["text"] for row in rows]
    places = [text.index(row["response"]) for row, text in zip(rows, texts, strict=True)]
    responses = [row["response"] for row in rows]
    if named:  # by its number
        shorter = [
            text[:place].rstrip(" ):").rstrip() for text, place in zip(texts, places, strict=True)
        ]
        responses = [text[-1] for text in shorter]
        assert set(responses) <= set(numbers)
    templates = learn_templates(texts, find_context, responses=responses)
    for row in rows:
        found = find_context(row["text"], templates=templates)
        ((start, end),) = row["contexts"]
        assert [(f.start, f.end) for f in found] in ([(start, end)], [(start, end - 1)])


@pytest.mark.parametrize(
    "form",
    [
        "Which of these is more usual?\nA: {a}\nB: {b}",
        "Which of these do you prefer? - {a} - {b}",
    ],
)
def test_a_question_with_its_answers_has_no_context(form: str) -> None:
    assert all(got == "" for _, got in read_form(form, "copa"))


@pytest.mark.parametrize(
    "form",
    [
        "name[{name}], goods[{thing}], place[{town}]\nWrite a text from this.",
        "name: {name}\ngoods: {thing}\nplace: {town}\n\nDescribe it.",
        "({name}; sells; {thing}; in; {town}) =>",
        "{name} | {thing} | {town}\nWhat does {name} sell?",
        "name : '{name}'\ngoods : '{thing}'\nplace : '{town}'\n\nDescribe it.",
    ],
)
def test_the_fields_of_a_record_are_one_context(form: str) -> None:
    texts = [form.format(name=name, thing=thing, town=town) for name, thing, town in ROWS]
    responses = [f"{name} of {town} sells {thing}." for name, thing, town in ROWS]
    templates = learn_templates(texts, find_context, responses=responses)
    for text in texts:
        (found,) = find_context(text, templates=templates)
        expected = text.partition("\nWr")[0].partition("\n\nD")[0].partition(" =")[0]
        expected = expected.partition("\nWhat")[0].strip("()")
        assert text[found.start : found.end].strip("()]'") == expected.strip("]'")


def test_fields_that_are_the_responses_are_no_record() -> None:
    form = "Pick the better one.\nbuyer: {}\nfirst: {}\nsecond: {}\nAnswer:"
    texts = [form.format(name, thing, town) for name, thing, town in ROWS]
    responses = [row[1 + n % 2] for n, row in enumerate(ROWS)]
    templates = learn_templates(texts, find_context, responses=responses)
    assert not any(find_context(text, templates=templates) for text in texts)


def test_a_sentence_with_a_gap_is_the_question_behind_a_text() -> None:
    rows = [(row["text"], *names) for row, names in zip(fill_form("{c}", "qa"), ROWS, strict=False)]
    texts = [f"{c} {n} took the XXXXX to {to}.\n\nSay what the XXXXX is." for c, n, _, to in rows]
    templates = learn_templates(texts, find_context)
    for text, (expected, *_) in zip(texts, rows, strict=True):
        (found,) = find_context(text, templates=templates)
        assert text[found.start : found.end] == expected


def test_a_label_within_a_sentence_stays_in_the_prompt() -> None:
    form = "Use the text: {name} of {town} sells {thing}. to answer this: who sells {thing}?"
    texts = [form.format(name=name, thing=thing, town=town) for name, thing, town in ROWS]
    templates = learn_templates(texts, find_context)
    for text in texts:
        (found,) = find_context(text, templates=templates)
        assert text[: found.outer_start].rstrip() == "Use the text:"


def test_a_list_of_steps_is_no_list_of_answers() -> None:
    steps = [row["text"] for row in fill_form("{c}\n- {a}\n- {b}", "copa")]
    asked = "Question:\nsuppose that the second step is left out\n\n- A: more\n- B: less"
    texts = [f"Process:\n- {text}\n\n{asked}" for text in steps]
    templates = learn_templates(texts, find_context, responses=["A", "B"] * 4)
    for text, expected in zip(texts, steps, strict=True):
        (found,) = find_context(text, templates=templates)
        assert text[found.start : found.end] == expected


def test_a_slot_with_few_values_is_no_fixed_part() -> None:
    texts = [
        f"place: {('harbour', 'market')[n % 2]}\nname: {name}\ngoods: {thing}\nopen: {day}"
        "\n\nDescribe it."
        for n, (name, thing, _) in enumerate(ROWS)
        for day in ("on Mondays", "every day")
    ]
    responses = [text.replace("\n", " ") for text in texts]
    templates = learn_templates(texts, find_context, responses=responses)
    for text in texts:
        (found,) = find_context(text, templates=templates)
        assert text[found.start : found.end] == text.removesuffix("\n\nDescribe it.")


@pytest.mark.parametrize("form", ["You are a helpful robot.\n\n{}", "{}\n\nThink step by step."])
def test_different_instructions_in_one_frame_are_no_context(form: str) -> None:
    verbs = (
        "Describe",
        "Explain",
        "Compare",
        "List",
        "Name",
        "Summarise",
        "Discuss",
        "Write about",
    )
    instructions = [
        f"{verb} the uses of {thing} in {town}."
        for verb, (_, thing, town) in zip(verbs, ROWS, strict=False)
    ]
    templates = learn_templates([form.format(text) for text in instructions], find_context)
    assert not any(find_context(form.format(text), templates=templates) for text in instructions)


def test_the_words_above_two_statements_mean_both() -> None:
    rows = fill_form("{c1}\n{c2}\nQuestion: Is '{w}' used alike in the two sentences above?", "wic")
    texts = [row["text"] for row in rows]
    templates = learn_templates(texts, find_context, responses=[row["response"] for row in rows])
    for row in rows:
        found = [(span.start, span.end) for span in find_context(row["text"], templates=templates)]
        assert found == row["contexts"]


def test_a_template_without_a_context_leaves_a_labelled_one_to_the_rules() -> None:
    templates = (LearnedTemplate(("Name the ", ""), (), 11, 1.0, 0.9),)
    passage = "The mill is in Varn. It stands by a river."
    (found,) = find_context(f"Name the town.\n\nContext: {passage}", templates=templates)
    assert found.rule == "label"
    assert not find_context(f"Name the town of this text.\n\n{passage}", templates=templates)


def test_turns_that_share_their_last_word_are_no_template_with_a_context() -> None:
    turns = """\
They sound good, but I will try the stir fry. Can you order the ingredients for me?
I have some eggs and do not know what to cook with them. Can you help me?
Hey, can you send an email to my boss for me?
We are at 123 Main Street now. Could you find the nearest park to me?
Good Italian food in New York is what I want. Would you find a place for me?
That sounds delicious! But there is also a flight to book. Can you do that for me?"""
    templates = learn_templates(turns.splitlines(), find_context)
    assert not any(template.contexts for template in templates)
