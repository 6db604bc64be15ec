"""The lexicon's own promises, names and values."""

from __future__ import annotations

import gzip
from importlib.resources import files

import pytest

from ifcurate.counterfactual.edit.forms import name_forms
from ifcurate.counterfactual.lexicon.kinds import drawn, fictional_names, fictional_type
from ifcurate.counterfactual.lexicon.tables import LEXICON
from ifcurate.counterfactual.lexicon.wording import fold
from ifcurate.counterfactual.recognise.names import LexiconRecogniser
from ifcurate.counterfactual.recognise.values import date_mentions, number_mentions

from .making import NAMED

LEXICON_FILE = files("ifcurate.counterfactual.lexicon").joinpath("lexicon.txt.gz")


def test_the_file_is_small_and_says_where_it_comes_from() -> None:
    data = LEXICON_FILE.read_bytes()
    assert len(data) <= 150_000
    head = gzip.decompress(data)[:400].decode("utf-8")
    for source in ("Faker", "CLDR", "GeoNames", "CC BY 4.0"):
        assert source in head


def test_pools_hold_names_that_are_nothing_else() -> None:
    lexicon = LEXICON
    for letter, names in lexicon.first_pool.items():
        assert len(names) > (20 if letter == "b" else 200)
        for name in names:
            assert lexicon.gender[name.lower()] == letter
            assert name.lower() not in lexicon.wordy
    assert not {n.lower() for n in lexicon.last_pool} & set(lexicon.gender)
    assert {c.code for c in lexicon.countries.values()} >= {"DE", "PE", "US", "NG", "JP"}


def test_made_up_names_are_in_no_list() -> None:
    lexicon = LEXICON
    for kind in ("first_m", "first_f", "last", "city", "country"):
        names = fictional_names(kind)
        assert len(names) >= 60
        assert len(set(names)) == len(names)
        for name in names:
            assert not lexicon.is_place(name)
            assert name.lower() not in lexicon.gender
            assert fictional_type(name)
    assert fictional_type("Martha") == ""


@pytest.mark.parametrize("count", [1, 2, 3, 10, 97, 360])
def test_a_draw_is_a_permutation(count: int) -> None:
    assert sorted(drawn("a key", range(count))) == list(range(count))
    assert list(drawn("a key", range(360))) != list(drawn("another key", range(360)))


def test_folding() -> None:
    assert fold("Jos\u00e9 \u00c5NGSTR\u00d6M\u2019s") == "jose angstrom's"


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("Martha", {"full": "Martha"}),
        ("Mary Shelley", {"full": "Mary Shelley", "first": "Mary", "last": "Shelley"}),
        ("Ludwig van Beethoven", {"first": "Ludwig", "last": "Beethoven",
                                  "rest": "van Beethoven"}),
        ("John F. Kennedy", {"first": "John", "last": "Kennedy", "rest": "F. Kennedy"}),
        ("J.K. Rowling", {"full": "J.K. Rowling", "last": "Rowling"}),
        ("Elizabeth II", {"first": "Elizabeth"}),
    ],
)  # fmt: skip
def test_forms_of_a_name(name: str, forms: dict[str, str]) -> None:
    found = name_forms(name)
    assert {role: found.get(role) for role in forms} == forms


@pytest.mark.parametrize(
    ("text", "date", "rewritten"),
    [
        ("on 5 May 1950.", (1950, 5, 5), "3 July 1951"),
        ("May 5th, 1950", (1950, 5, 5), "July 3rd, 1951"),
        ("Sept. 21", (None, 9, 21), "Jul. 3"),
        ("the 21st of June", (None, 6, 21), "3rd of July"),
        ("2021-11-30T10:00", (2021, 11, 30), "1951-07-03"),
        ("March 2020", (2020, 3, None), "July 1951"),
        ("MAY 5, 1950", (1950, 5, 5), "JULY 3, 1951"),
    ],
)
def test_dates(text: str, date: tuple[int | None, int, int | None], rewritten: str) -> None:
    (found,) = date_mentions(text)
    assert (found.year, found.month, found.day) == date
    assert found.rewritten(1951, 7, 3) == rewritten


@pytest.mark.parametrize("text", ["03/04/2020", "May I go?", "march on", "1.5.2", "2020-13-45"])
def test_no_dates(text: str) -> None:
    assert date_mentions(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It cost $1,250.50 then.", [("1,250.50", "MONEY", 1250.5)]),
        ("5 million dollars", [("5", "MONEY", 5.0)]),
        ("\u20ac20", [("20", "MONEY", 20.0)]),
        ("in 1987 and 2.5 km", [("1987", "YEAR", 1987.0), ("2.5", "QUANTITY", 2.5)]),
        ("[8 9, 5, 4]", [("8", "NUMBER", 8.0), ("9", "NUMBER", 9.0), ("5", "NUMBER", 5.0),
                         ("4", "NUMBER", 4.0)]),
        ("version 1.2.3, 50%, A4, 10:30", [("10", "NUMBER", 10.0), ("30", "NUMBER", 30.0)]),
    ],
)  # fmt: skip
def test_numbers(text: str, found: list[tuple[str, str, float]]) -> None:
    assert [(n.text, n.kind, n.value) for n in number_mentions(text)] == found


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("Yesterday Martha met Dr. Alan Kemp.", [("Martha", "PERSON"), ("Alan Kemp", "PERSON")]),
        ("He lives in Lyon, France.", [("Lyon", "CITY"), ("France", "COUNTRY")]),
        ("The Peruvians left.", [("Peruvians", "COUNTRY")]),
        ("Lyon Street is long.", [("Lyon Street", "FAC")]),
        ("Martha Square and Kugel Park", [("Martha Square", "FAC"), ("Kugel Park", "FAC")]),
        ("I saw Grace, Will and May.", []),
        ("Captain America wins.", []),
        ("Jordan, Chad and Georgia came.", []),
        ("We must march on.", []),
        ("Kugel's wife came. He saw Kugel sleep.", [("Kugel", "PERSON")] * 2),
        ("We met in Kugel. The Kugel is long.", []),
        (
            "It is by José Müller and Łukasz Nowak.",
            [("José Müller", "PERSON"), ("Łukasz Nowak", "PERSON")],
        ),
        ("J. K. Rowland wrote it.", [("J. K. Rowland", "PERSON")]),
        ("Bill Harris, a guest, laughed.", [("Bill Harris", "PERSON")]),
        ("They met the physicist Dirk Coster there.", [("Dirk Coster", "PERSON")]),
        (
            "The Battle of Senlac and Harwick University",
            [("Harwick University", "ORG"), ("Battle of Senlac", "EVENT")],
        ),
        ('Her novel "The Silent Harbor" sold well.', [("The Silent Harbor", "WORK")]),
        ("New York City is big, says Kevin.", [("New York City", "CITY"), ("Kevin", "PERSON")]),
    ],
)
def test_the_recogniser(text: str, spans: list[tuple[str, str]]) -> None:
    found = LexiconRecogniser(NAMED).spans({"t": text})
    assert sorted((s.text, s.type) for s in found) == sorted(spans)
    assert all(text[s.start : s.end] == s.text for s in found)
