"""Every way in which substitution was seen to break, as a case: mended or refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from .making import alpaca, augment_row, chat, examples_of, qca, written

PAD = " The meeting was long, and people talked about the weather, the food and the old garden."


def refused(row: dict[str, Any], **settings: Any) -> str:
    outcome = augment_row(row, **settings)
    assert not outcome.written, outcome.written[0].rows
    return outcome.stage


@pytest.mark.parametrize(
    ("mode", "row", "check"),
    [
        (
            "inside a longer word",
            alpaca("Carmen met us at the door. She lives in a Carmenite convent." + PAD, "Carmen"),
            "H1",
        ),
        (
            "an alias beside the name",
            alpaca("The USA sent aid. The United States was thanked by everybody." + PAD, "USA"),
            None,
        ),
        (
            "an acronym of the name",
            alpaca("John Kennedy spoke first. JK was tired after the long trip." + PAD,
                   "John Kennedy spoke first."),
            "H1",
        ),
        (
            "a nickname",
            alpaca("Samantha came late. We all know that Sam is always late." + PAD, "Samantha"),
            "H1",
        ),
        (
            "an initial for the first name",
            alpaca("Peter Walters wrote the report. P. Walters also signed it." + PAD,
                   "Peter Walters wrote the report."),
            None,
        ),
        (
            "a second person of that family name",
            alpaca("Mary Hudson wrote it. Her husband, Philip Hudson, read it." + PAD,
                   "Mary Hudson"),
            "H4",
        ),
        (
            "a sum in the response",
            alpaca("Lunch was $8 and dinner was $14, and we paid in cash both times." + PAD,
                   "$8 + $14 = $22"),
            "H14",
        ),
        (
            "an amount that is a sum of others",
            alpaca("The bag costs $8, the hat $14, the whole $22, and they came by post." + PAD,
                   "$22"),
            "H13",
        ),
        (
            "sorting names",
            alpaca("Zoe, Martha and Kevin are waiting." + PAD, "Kevin, Martha, Zoe",
                   "Sort the names in alphabetical order."),
            "H14",
        ),
        (
            "ranking",
            alpaca("Martha ran faster than Kevin." + PAD, "Martha", "Rank the runners."),
            "H14",
        ),
        (
            "comparing",
            alpaca("Martha is kind. Kevin is strict." + PAD, "Martha is kind.",
                   "Compare the two people."),
            "H14",
        ),
        (
            "counting letters",
            alpaca("Martha is kind. Kevin is strict." + PAD, "Martha",
                   "How many letters does the first name have?"),
            "H14",
        ),
        (
            "translating",
            alpaca("Martha said good evening to the guests." + PAD, "Martha dijo buenas noches.",
                   "Translate the text into Spanish."),
            "H14",
        ),
        (
            "rhyming",
            alpaca("Martha sat in the garden." + PAD, "Martha", "Find a word that rhymes."),
            "H14",
        ),
        (
            "a worked example in the prompt",
            {
                "prompt": "Input: Martha met Kevin in the hall.\nOutput: Martha\n\n"
                "Input: Angela met Martha in the yard.\nOutput:",
                "completion": "Angela",
            },
            None,
        ),
        (
            "a fact from outside the context",
            alpaca("Martha lives by the sea and paints." + PAD,
                   "Martha, who won the Turner Prize, lives by the sea."),
            "H7",
        ),
        (
            "a number from outside the context",
            alpaca("Martha lives by the sea and paints." + PAD, "Martha, 47, lives by the sea."),
            "H7",
        ),
        (
            "a response that is mostly its own",
            alpaca("Martha lives by the sea and paints." + PAD,
                   "Martha enjoys mountaineering, chess, calligraphy, astronomy."),
            "H7",
        ),
        (
            "a title of a book",
            alpaca("We read Harry Potter and the Philosopher's Stone aloud last winter." + PAD,
                   "We read about Harry Potter last winter."),
            "H8",
        ),
        (
            "a quoted title",
            alpaca('Everybody knows the song "Martha My Dear" and sings along.' + PAD,
                   "The song is about Martha."),
            None,
        ),
        (
            "a name in a longer name",
            alpaca("Next to the church is Martha Square, where Martha sells flowers." + PAD,
                   "Martha"),
            "H8",
        ),
        (
            "a day named after somebody",
            alpaca("Kevin's Day is a feast, and Kevin likes it very much." + PAD, "Kevin"),
            "H8",
        ),
        (
            "an address on the web",
            alpaca("Write to martha@example.org, says Martha, or come by." + PAD, "Martha"),
            "H8",
        ),
        (
            "a hyphen compound",
            alpaca("The Martha-led team won. Martha was glad about the prize." + PAD, "Martha"),
            "H8",
        ),
        (
            "a name that is a word too",
            alpaca("Grace came in with grace, and all of us saw Grace smile." + PAD, "Grace"),
            "entity",
        ),
        (
            "a person who is called like a country",
            alpaca("Jordan missed the bus again and Jordan was sorry about it." + PAD, "Jordan"),
            "entity",
        ),
        (
            "a city that is not meant",
            alpaca("Batman fights at night. The people admire Batman for that." + PAD, "Batman"),
            "entity",
        ),
        (
            "a gender field that disagrees",
            alpaca("Name: Angela\nGender: Male\nAge: 40\nHobby: chess and long walks" + PAD,
                   "Angela"),
            "H11",
        ),
        (
            "pronouns that disagree",
            alpaca("Angela said that he was tired. His shoes were wet." + PAD, "Angela"),
            "H11",
        ),
        (
            "a question that names the answer",
            alpaca("Martha bakes bread every morning for the street." + PAD, "Martha bakes bread.",
                   "What does Martha do every morning?"),
            "entity",
        ),
        (
            "a country with its capital",
            alpaca("In Norway the winters are long. Oslo is dark by four." + PAD, "Norway"),
            "H12",
        ),
        (
            "a country with its language",
            alpaca("Portugal is sunny, and everybody there talks Portuguese, of course." + PAD,
                   "Portugal"),
            None,
        ),
        (
            "a country with its currency",
            alpaca("People in Poland pay in zloty for their bread." + PAD, "Poland"),
            "H12",
        ),
        (
            "a city with a sight",
            alpaca("We met in Prague, below the Powder Tower, and ate ice." + PAD, "Prague"),
            "H12",
        ),
        (
            "a city by the coast",
            alpaca("We spent a week in Marseille, on the coast, and swam." + PAD, "Marseille"),
            "H12",
        ),
        (
            "a city of many countries",
            alpaca("Our aunt moved to Birmingham, bought a flat, and is happy." + PAD,
                   "Birmingham", "Where did the aunt move?"),
            None,
        ),
        (
            "a stand-in for a context",
            alpaca("No input", "Martha"),
            None,
        ),
        (
            "a context of a few words",
            alpaca("Martha bakes bread.", "Martha"),
            "H15",
        ),
        (
            "a date beside an age",
            alpaca("She was born on 5 May 1950, aged 64 when she left the firm." + PAD,
                   "5 May 1950"),
            "H13",
        ),
        (
            "a month that also stands alone",
            alpaca("The fair opens on 5 October. In October it rains." + PAD, "5 October"),
            "H1",
        ),
        (
            "an amount with a percentage",
            alpaca("The coat costs $120, which is 20% off in the sale." + PAD, "$120"),
            "H13",
        ),
        (
            "an amount in two currencies",
            alpaca("He paid a fee of 7.8 million euros ($10.7 million) to the club." + PAD,
                   "$10.7 million"),
            "H13",
        ),
        (
            "a country now with its article and now without",
            alpaca("US has left the treaty. We hope the US will return to it." + PAD, "US"),
            None,
        ),
        (
            "a range of amounts",
            alpaca("Tickets cost $20-$35 at the door of the theatre." + PAD, "$20"),
            None,
        ),
        (
            "code in the response",
            alpaca("Martha wrote the loop and Kevin tested it." + PAD, "```\nMartha\n```"),
            "H14",
        ),
        (
            "code in the context",
            alpaca("Martha runs `greet('Martha')` in the console." + PAD, "Martha"),
            None,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_refused(mode: str, row: dict[str, Any], check: str | None) -> None:
    stage = refused(row)
    if check is not None:
        assert stage == check, mode


def test_every_part_of_a_name_follows() -> None:
    row = alpaca(
        "Mary Shelley was born in a cold house. Shelley was 18 when Mary began to write, and "
        "Shelley's book was read by everybody in the town.",
        "Mary Shelley",
    )
    made = written(row)
    first, last = made.made.substitute.split(" ")
    context = made.rows[0]["input"]
    assert context == (
        f"{first} {last} was born in a cold house. {last} was 18 when {first} began to write, "
        f"and {last}'s book was read by everybody in the town."
    )
    assert made.rows[0]["output"] == f"{first} {last}"
    assert made.made.gender == "f"


def test_a_country_takes_its_adjective_along() -> None:
    row = alpaca(
        "The guest came from Peru. He cooked a Peruvian dish, and the Peruvians at the table "
        "were glad to eat it after such a long time away from home.",
        "Peru",
    )
    made = written(row).rows[0]
    new = made["output"]
    forms = {f["old"]: f["new"] for f in made["ifcurate_forms"]}
    assert forms["Peru"] == new
    assert forms["Peruvians"] == forms["Peruvian"] + "s"
    assert "Peru" not in made["input"]
    assert re.search(rf"a {forms['Peruvian']} dish", made["input"])


def test_a_country_with_an_article_becomes_one_with_an_article() -> None:
    row = alpaca(
        "The boxes came from the Netherlands and were opened at once. Whoever packed them had "
        "used a lot of paper and string, and a little glue.",
        "They came from the Netherlands.",
    )
    new = written(row).rows[0]["output"]
    assert re.fullmatch(
        r"They came from the (United \w+|Philippines|Central African Republic|Dominican Republic|"
        r"United Arab Emirates|Gambia)\.",
        new,
    )


def test_particles_go_with_the_name() -> None:
    row = qca(
        "Ludwig van Beethoven wrote it in one summer. Beethoven was ill at that time, and his "
        "friends brought him soup and bread every day.",
        "Who wrote it?",
        "Ludwig van Beethoven",
    )
    made = written(row)
    assert " van " not in made.rows[0]["context"]
    first, last = made.made.substitute.split(" ")
    assert f"{first} {last} wrote it" in made.rows[0]["context"]
    assert f"{last} was ill" in made.rows[0]["context"]


def test_a_name_in_s_keeps_its_possessive() -> None:
    row = qca(
        "Friedrich Engels lived in the north. Engels' letters were found in a box under the "
        "stairs, and many people have read them since then.",
        "Who lived in the north?",
        "Friedrich Engels",
    )
    made = written(row)
    last = made.made.substitute.split(" ")[-1]
    assert last.endswith("s")
    assert f"{last}' letters" in made.rows[0]["context"]


def test_letter_case_is_followed() -> None:
    row = alpaca(
        "MARTHA! Yesterday Martha ran the race of her life; martha herself could not "
        "believe it and sat down in the grass for an hour.",
        "Martha",
    )
    made = written(row)
    new = made.made.substitute
    assert made.rows[0]["input"].startswith(f"{new.upper()}! ")
    assert f"; {new.lower()} herself" in made.rows[0]["input"]


def test_an_article_before_an_adjective_agrees() -> None:
    row = alpaca(
        "An Egyptian engineer repaired the pump in an hour. The village thanked the engineer "
        "with a feast that lasted until the next morning.",
        "An Egyptian engineer",
    )
    new = written(row).made.substitute
    assert new[0] in "AEIOU"


def test_offsets_are_those_of_the_original_text() -> None:
    # lower-casing the first letter makes two characters of one; the accent is a letter of its own
    context = (
        "\u0130stanbul'da \U0001f600 cafe\u0301: Martha sat by the window, and Martha drank tea "
        "with the others until the rain was over and the street was dry."
    )
    made = written(alpaca(context, "Martha"))
    new = made.made.substitute
    assert made.rows[0]["input"] == context.replace("Martha", new)


def test_the_same_day_in_two_notations() -> None:
    row = chat(
        ("human", "Where is my parcel?"),
        ("function_call", '{"name": "track", "arguments": {"number": "77"}}'),
        ("observation", '{"status": "on its way", "expected": "2022-03-18", "city": "here"}'),
        ("gpt", "Your parcel is on its way and expected on 18th March 2022."),
    )
    made = written(row)
    conversations = made.rows[0]["conversations"]
    iso = re.search(r"\d{4}-\d\d-\d\d", conversations[2]["value"])
    assert iso is not None
    assert iso.group() != "2022-03-18"
    year, month, day = iso.group().split("-")
    assert re.search(rf"\b{int(day)}(st|nd|rd|th) \w+ {year}", conversations[3]["value"])
    assert made.made.plan.type == "DATE"
    assert month != "03"


def test_an_ambiguous_date_is_left_alone() -> None:
    row = alpaca("The shop opens on 03/04/2020, says the note on the door." + PAD, "03/04/2020")
    assert refused(row) == "entity"


def test_a_weekday_stays_right() -> None:
    row = alpaca(
        "The hearing is on Monday, January 5, 2015, in the small room." + PAD,
        "Monday, January 5, 2015",
    )
    outcome = augment_row(row)
    assert outcome.written
    from ifcurate.counterfactual.values import date_mentions

    (found,) = date_mentions(outcome.written[0].rows[0]["output"])
    assert found.weekday_fits is True
    assert found.text.startswith("Monday, ")


def test_amounts_keep_their_order_and_their_notation() -> None:
    row = alpaca(
        "Rent was $1,250 in spring, $1,900 in autumn, and the garden was free." + PAD,
        "$1,250",
        "What was the rent in spring?",
    )
    new = written(row).rows[0]["output"]
    assert re.fullmatch(r"\$1,\d{3}|\$\d{3}", new)
    value = int(new.replace("$", "").replace(",", ""))
    assert value < 1900
    assert value != 1250


@pytest.mark.parametrize(
    ("context", "answer", "kind"),
    [
        ("It runs on Windows 10 and needs little memory to do so." + PAD, "10", "NUMBER"),
        ("Bake it at 430 F (221 C) until it is brown on both sides." + PAD, "430 F", "QUANTITY"),
        ("The film has a rating of 7.1 out of 10 by all who saw it." + PAD, "7.1", "NUMBER"),
        ("The list is [8 9, 5, 4], as the teacher wrote on the board." + PAD, "9", "NUMBER"),
        ("We read Orwell's 1984 at school and wrote about it later." + PAD, "1984", "YEAR"),
        ("It was built in 1905. In the same year the mill burned down." + PAD, "1905", "YEAR"),
        ("It takes 3-5 days by train and somewhat longer by boat." + PAD, "3", "NUMBER"),
        ("Use version 2.4.1 of the program, not the older ones." + PAD, "2.4.1", "NUMBER"),
        ("Three came. Later there were 3 at the door of the house." + PAD, "3", "NUMBER"),
    ],
)
def test_numbers_that_are_not_amounts(context: str, answer: str, kind: str) -> None:
    refused(alpaca(context, answer, "Which number is it?"), types=[kind])


def test_an_edit_never_touches_the_tools() -> None:
    row = chat(
        ("human", "Who directed it?"),
        ("observation", '{"title": "Inception", "director": "Christopher Nolan", "year": 2010}'),
        ("gpt", "It was directed by Christopher Nolan."),
    )
    row["tools"] = '[{"name": "find", "description": "Films by Christopher Nolan"}]'
    assert refused(row) == "H1"


def test_tool_results_stay_json() -> None:
    import json

    row = chat(
        ("human", "Who directed it?"),
        ("observation", '{"title": "Inception", "director": "Christopher Nolan", "year": 2010}'),
        ("gpt", "It was directed by Christopher Nolan."),
    )
    made = written(row)
    result = json.loads(made.rows[0]["conversations"][1]["value"])
    assert result == {"title": "Inception", "director": made.made.substitute, "year": 2010}
    assert made.rows[0]["conversations"][2]["value"] == f"It was directed by {result['director']}."


def test_a_name_written_with_escapes_is_left_nowhere() -> None:
    row = chat(
        ("human", "Who won?"),
        ("observation", '{"winner": "Bj\\u00f6rn Larsen", "place": "the old town hall", "n": 1}'),
        ("gpt", "Bj\u00f6rn Larsen won."),
    )
    refused(row)


def test_a_key_of_the_same_name() -> None:
    row = chat(
        ("human", "Who is there?"),
        ("observation", '{"Martha": "present", "note": "Martha is there", "n": 1}'),
        ("gpt", "Martha is there."),
    )
    assert refused(row) == "H9"


def test_a_us_city_stays_in_its_state() -> None:
    row = alpaca("Our office is in Lubbock, Texas, next to a bakery and a bank." + PAD, "Lubbock")
    made = written(row)
    from ifcurate.counterfactual.lexicon import load_lexicon

    assert load_lexicon().groups(made.made.substitute) == ("US-TX",)
    assert f"{made.made.substitute}, Texas" in made.rows[0]["input"]


def test_squad_answer_starts_move_along() -> None:
    context = (
        "When Martha arrived, the hall was full. At nine Martha opened the meeting, and nobody "
        "was late for once, which made the chairs scarce."
    )
    start = context.rindex("Martha")
    row = {
        "id": "q1", "title": "a meeting", "context": context,
        "question": "Who opened the meeting?",
        "answers": {"text": ["Martha"], "answer_start": [start]},
    }  # fmt: skip
    made = written(row).rows[0]
    (new,) = made["answers"]["text"]
    (at,) = made["answers"]["answer_start"]
    assert made["context"][at : at + len(new)] == new


def test_earlier_turns_follow() -> None:
    row = chat(
        (
            "human",
            "Read this: the note says that Christopher Nolan called at ten in the morning, "
            "left no number, and will call again when the shop is open after lunch.",
        ),
        ("gpt", "I have read it."),
        ("human", "Who called?"),
        ("gpt", "Christopher Nolan called at ten."),
    )
    examples = examples_of(row)
    outcome = augment_row(row)
    if outcome.written:
        text = str(outcome.written[0].rows[0]["conversations"])
        assert "Nolan" not in text
    assert len(examples) == 2
