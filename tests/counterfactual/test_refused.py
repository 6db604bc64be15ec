"""Ways in which substitution was seen to break that are refused, with the check that does."""

from __future__ import annotations

from typing import Any

import pytest

from .making import alpaca, augment_row

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
            "a nickname in quotes beside the name",
            alpaca('The boss, Kevin "B" Malone-Fuchs Inc, was late. Kevin came late.' + PAD,
                   "Kevin"),
            "H8",
        ),
        (
            "a nickname in quotes before the family name",
            alpaca('We met Macon "Milk" Martha at noon, and Martha left.' + PAD, "Martha"),
            "H8",
        ),
        (
            "a word that is part of the name as well",
            alpaca("Empress Imara Dou ruled. The imara wrote to the court, says Imara Dou." + PAD,
                   "Imara Dou"),
            None,
        ),
        (
            "a ticker after the firm",
            alpaca("Today Hobbs Corporation (BRDV.O) fell. Nobody knew why it was so." + PAD,
                   "Hobbs Corporation"),
            "H8",
        ),
        (
            "a numbered part of something longer",
            alpaca("He led the 214th Harwell Brotherhood Society. It met here at noon." + PAD,
                   "Harwell Brotherhood Society"),
            "H8",
        ),
        (
            "a place that is only named after somebody",
            alpaca("The boat left Martha's Vineyard at noon with all of the guests." + PAD,
                   "Martha"),
            "H8",
        ),
        (
            "a pair that is a title",
            alpaca("We saw a Tom and Jerry cartoon. Jerry is small, he says, and fast." + PAD,
                   "Jerry"),
            "H8",
        ),
        (
            "a range of days",
            alpaca("They came between 16 and 23 June, and none came after." + PAD, "23 June"),
            "H13",
        ),
        (
            "a limerick",
            alpaca("This limerick is old. Martha sat on a chair, and combed her hair." + PAD,
                   "Martha"),
            "H14",
        ),
        (
            "a pen name",
            alpaca("Martha Wells wrote under the pen name Doctor Owl for years." + PAD,
                   "Martha Wells"),
            "H1",
        ),
        (
            "a thing that bears a person's name",
            alpaca("We threw a Jeremy over the fence. Jeremy is fun, says the dog." + PAD,
                   "Jeremy"),
            "H8",
        ),
        (
            "May I, scanned as May 1",
            alpaca("Hello! May 1 speak to the owner of the house, please?" + PAD, "May 1"),
            "entity",
        ),
        (
            "the end of a sentence before a name",
            alpaca("She boils water in pot A and pot B. Tim has a device for it." + PAD, "Tim"),
            None,
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
                   "Hudson"),
            None,
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
            "an address on the web",
            alpaca("Write to martha@example.org, says Martha, or come by." + PAD, "Martha"),
            "H1",
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
            "H6",
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
            "a country that is called one by its embassy",
            alpaca("The envoy flew to Chile in May. The embassy stands on a hill." + PAD, "Chile"),
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
            "a news agency with a person's name",
            alpaca("The report of the state-run Martha news agency came on Monday." + PAD,
                   "Martha"),
            "H8",
        ),
        (
            "a village with a person's surname",
            alpaca("Martha Hale left. The next stop was on the coast. Hale is a village." + PAD,
                   "Martha Hale"),
            "H8",
        ),
        (
            "a town with a person's given name",
            alpaca("The clock is by Martha Hale, who came from Martha, Ohio." + PAD, "Martha Hale"),
            "H8",
        ),
        (
            "a passage about something with the same name",
            {**alpaca("", "Martha Hale"),
             "input": [["Clock", ["The clock is by Martha Hale." + PAD]],
                       ["Martha", ["A fossil was found in 1974."]]]},
            "H8",
        ),
        (
            "a passage about what was named after another person",
            {**alpaca("", "Martha Richter"),
             "input": [{"title": "Clock", "text": "The clock is by Martha Richter." + PAD},
                       {"title": "Richter scale", "text": "The Richter scale is older."}]},
            "H8",
        ),
        (
            "a state with a person's given name",
            alpaca("The clock is by Virginia Hale, who came from Virginia." + PAD, "Virginia Hale"),
            "H8",
        ),
        (
            "a short form that is a word as well",
            alpaca("The song is by Raymond Okoye. Fans call him Ray." + PAD, "Raymond Okoye"),
            "H1",
        ),
        (
            "a band among bands",
            alpaca("Angela said so. They hear bands such as Blue Sky and Gordon Hudson." + PAD,
                   "Gordon Hudson"),
            "H8",
        ),
        (
            "a game after its noun",
            alpaca("A critic of the hit game Martha said that it was too slow." + PAD, "Martha"),
            "H8",
        ),
        (
            "an album by apposition",
            alpaca("They sold Martha, a second live album, at the door of the hall." + PAD,
                   "Martha"),
            "H8",
        ),
        (
            "a word for a relative that stands for a name",
            alpaca("Sara hit the ball. Her Dad was proud of her, and Dad told everybody." + PAD,
                   "Dad"),
            "entity",
        ),
        (
            "a maker's name before a thing",
            alpaca("He missed his Keith piano. He wrote to Keith in January about it." + PAD,
                   "Keith"),
            "H8",
        ),
        (
            "the next sentence has the other pronoun",
            alpaca("Jose came into the store.  She wanted a puppy, and Jose loved him." + PAD,
                   "Jose"),
            "H11",
        ),
        (
            "the noun before the name has the other gender",
            alpaca("It is by a shy young woman named Kevin Walton. It was a hit." + PAD,
                   "Kevin Walton"),
            "H11",
        ),
        (
            "a singer after the noun band",
            alpaca("The song is by the singer of the band Kevin Walton. It was a hit." + PAD,
                   "Kevin Walton"),
            "entity",
        ),
        (
            "a union that is a country",
            alpaca("It was a mission with the Soviet Union. The Soviet Union agreed." + PAD,
                   "Soviet Union"),
            "entity",
        ),
        (
            "a school with an admiral's name",
            alpaca("He attended Admiral Hudson Academy in the years of the war." + PAD,
                   "Admiral Hudson Academy"),
            "entity",
        ),
        (
            "the old style of a date beside it",
            alpaca("He was born on December 5 (O.S. November 23) in a small village." + PAD,
                   "November 23"),
            "H8",
        ),
        (
            "the revolutionary calendar beside a date",
            alpaca('It fell on 9 November 1799 ("the 18th Brumaire") after a long day.' + PAD,
                   "9 November 1799"),
            "H8",
        ),
        (
            "a second date in brackets",
            alpaca("The feast is on 5 January 1920 (23 December 1919) in the hills." + PAD,
                   "5 January 1920"),
            "H13",
        ),
        (
            "code in the response",
            alpaca("Martha wrote the loop and Kevin tested it." + PAD, "```\nMartha\n```"),
            "H9",
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


def test_a_regnal_number_stays() -> None:
    row = alpaca("Sultan Mehmet II built the library, and all of the people read there." + PAD,
                 "Mehmet II")  # fmt: skip
    (written,) = augment_row(row).written
    assert written.made.substitute.endswith(" II")


def test_a_person_beside_a_thing_is_still_a_person() -> None:
    row = alpaca("Martha, who left the band, was the player of the game that night." + PAD,
                 "Martha")  # fmt: skip
    assert augment_row(row).written


def test_a_band_is_no_person() -> None:
    row = alpaca("Fans were glad when Snow Patrol asked her to sing." + PAD, "Snow Patrol")
    assert refused({**row, "instruction": "Which band asked her to sing?"}) == "H6"
    outcome = augment_row({**row, "instruction": "Which band member asked her to sing?"})
    assert outcome.stage != "H6"


@pytest.mark.parametrize(
    ("type_", "text", "answer", "check"),
    [
        ("NUMBER", 'She sang "Cater 2 U" for men. It was a hit in the shops.', "2", "H8"),
        ("NUMBER", "Three powers, Chad, the Congo and Peru, came and won.", "Three powers", "H13"),
        ("NUMBER", "She had two sons: Tom and Ben. They helped her.", "two sons", "H13"),
        ("QUANTITY", "It is about the 100 years' war in those lands.", "100 years", "H13"),
        ("ORG", "OSLO, England -- The Bank of England sent aid.", "Bank of England", "H1"),
        ("COUNTRY", "The Russian court left the Russo-French pact.", "the Russian court", "H1"),
        (
            "PERSON",
            "Lieutenant Armand d'Hubert fought him. He saw d'Hubert win, and asked d'Hubert why.",
            "d'Hubert",
            "H8",
        ),
    ],
)
def test_a_part_of_something_longer_is_refused(
    type_: str, text: str, answer: str, check: str
) -> None:
    assert refused(alpaca(text + PAD, answer), types=[type_]) == check
