"""Ways in which substitution was seen to break, mended; `test_refused` has those refused."""

from __future__ import annotations

import re

import pytest

from ifcurate.counterfactual.lexicon.wording import word_keys

from .making import alpaca, augment_row, chat, examples_of, qca, written
from .test_refused import PAD, refused


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
    from ifcurate.counterfactual.recognise.values import date_mentions

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
    from ifcurate.counterfactual.lexicon.tables import LEXICON

    assert LEXICON.groups(made.made.substitute) == ("US-TX",)
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


def test_initials_become_other_initials_wherever_they_stand() -> None:
    context = "J.R. Walters wrote it in May. Born in Leeds, J.R. was the third son of a baker."
    made = written(qca(context + " He read a lot and wrote at night.", "Who?", "J.R. Walters"))
    text = made.rows[0]["context"]
    assert "J.R." not in text
    assert text.count(made.made.substitute.split(" ")[0]) == 2


def test_a_new_first_name_is_no_form_of_the_old_one() -> None:
    row = qca("Martin came in. He had not slept." + " He sat down." * 8, "Who?", "Martin")
    names = {written(row, seed=seed).made.substitute[:3] for seed in range(40)}
    assert "Mar" not in names


def test_a_number_after_a_name_stays() -> None:
    context = "Sultan Bayezid I built it. He ruled for long." + " The walls are high." * 6
    made = written(qca(context, "Who built it?", "Sultan Bayezid I"))
    assert made.made.after["answer"].endswith(" I")


def test_a_name_that_may_be_either_becomes_one_that_may_be_either() -> None:
    context = "Both Austen and Conrad wrote it. Conrad said that he liked it." + " It rained." * 8
    made = written(qca(context, "Who liked it?", "Conrad"))
    assert made.made.substitute.lower() in word_keys("either_names")


def test_a_person_whose_name_ends_like_a_buildings() -> None:
    context = "George Hall was born in Leeds. He wrote letters, and George Hall kept them."
    assert (
        written(qca(context + " It rained." * 8, "Who?", "George Hall")).made.plan.type == "PERSON"
    )
    context = "The letters of George Hall are in a box, and nobody has ever read them."
    assert refused(qca(context + " It rained." * 8, "Whose letters?", "George Hall")) == "entity"
