"""One hundred answers, labelled by hand: c names the context's, m the memory's, b both, n none."""

from __future__ import annotations

import pytest

from ifcurate.evaluation.answers import name_answers, split_aliases

# label | text | context answers (aliases after a slash) | memory answers
TABLE = """
c | The capital is Herat. | Herat | Kabul
m | The capital is Kabul. | Herat | Kabul
b | The capital moved from Kabul to Herat. | Herat | Kabul
n | I do not know. | Herat | Kabul
n | | Herat | Kabul
c | HERAT | Herat | Kabul
c | herat, since 2030 | Herat | Kabul
n | Herati carpets are famous. | Herat | Kabul
b | It is not Kabul but Herat. | Herat | Kabul
m | It is not known, perhaps Kabul. | Herat | Kabul
b | No longer Kabul: the seat is Herat. | Herat | Kabul
m | Not Kabul. | Herat | Kabul
c | "Herat" | Herat | Kabul
c | (Herat) | Herat | Kabul
c | Herat's mayor says that it is his city. | Herat | Kabul
m | Kabul’s government sits there. | Herat | Kabul
m | The capital of Nigeria is Abuja. | Niger | Abuja
b | Niger, not Nigeria, and not Abuja. | Niger | Abuja
n | Nigeria | Niger | Niamey
c | Niger. | Niger | Nigeria
m | Nigeria. | Niger | Nigeria
b | Niger and Nigeria | Niger | Nigeria
n | Nigerian | Niger | Nigeria
c | It lies in Guinea. | Guinea | Ghana
c | Papua New Guinea | Guinea | Ghana
n | Guineas | Guinea | Ghana
m | Rangoon | Mandalay | Rangoon / Yangon
m | Yangon is the capital. | Mandalay | Rangoon / Yangon
m | It is called Rangoon or Yangon. | Mandalay | Rangoon / Yangon
b | Mandalay replaced Yangon. | Mandalay | Rangoon / Yangon
c | Mandalay | Mandalay | Rangoon / Yangon
n | Rango on | Mandalay | Rangoon / Yangon
m | Washington, D.C. | Denver | Washington, D.C. / Washington
m | Washington | Denver | Washington, D.C. / Washington
m | Washington DC | Denver | Washington, D.C.
n | Washington | Denver | Washington, D.C.
c | Denver, Colorado | Denver | Washington
c | Durres | Durrës | Tirana
c | Durrës | Durres | Tirana
c | DURRËS! | Durrës | Tirana
m | Bogota | Medellin | Bogotá
m | Yaounde | Douala | Yaoundé
c | Sao Paulo | São Paulo | Brasilia
n | Paulo | São Paulo | Brasilia
c | São Paulo | Sao Paulo | Brasilia
m | Port-au-Prince | Jacmel | Port-au-Prince
m | Port au Prince | Jacmel | Port-au-Prince
n | Prince | Jacmel | Port-au-Prince
m | St. Louis | Chicago | St. Louis
m | St Louis | Chicago | St. Louis
n | Saint Louis | Chicago | St. Louis
c | Leonardo da Vinci painted it. | Leonardo da Vinci | Raphael
n | Leonardo painted it. | Leonardo da Vinci | Raphael
c | da Vinci | Leonardo da Vinci / da Vinci | Raphael
b | Raphael, a pupil of Leonardo da Vinci | Leonardo da Vinci | Raphael
m | Raphael. | Leonardo da Vinci | Raphael
n | Raphaels | Leonardo da Vinci | Raphael
c | The Hague | The Hague | Amsterdam
c | Hague | The Hague | Amsterdam
c | the hague | Hague | Amsterdam
b | The Hague or Amsterdam | The Hague | Amsterdam
c | An eagle | eagle | hawk
n | A beagle | eagle | hawk
m | hawk | eagle | hawk
n | hawks | eagle | hawk
c | 21,000 km | 21,000 km | 2,000 km
m | 2,000 km | 21,000 km | 2,000 km
c | 21000 km | 21,000 km | 2,000 km
n | 21 000 km | 21,000 km | 2,000 km
n | 1,000 km | 21,000 km | 2,000 km
c | In 1969. | 1969 | 1968
m | 1968! | 1969 | 1968
n | 19690 | 1969 | 1968
b | between 1968 and 1969 | 1969 | 1968
c | better late than bread | bread | never
m | better late than never | bread | never
b | never without bread | bread | never
n | nevermore | bread | never
n | breadcrumbs | bread | never
c | Jean-Paul Sartre | Jean-Paul Sartre | Albert Camus
c | Jean Paul Sartre | Jean-Paul Sartre | Albert Camus
n | Sartre | Jean-Paul Sartre | Albert Camus
c | J. R. R. Tolkien | J. R. R. Tolkien | C. S. Lewis
n | JRR Tolkien | J. R. R. Tolkien | C. S. Lewis
m | C. S. Lewis | J. R. R. Tolkien | C. S. Lewis
c | N'Djamena | N'Djamena | Moundou
c | N’Djamena | N'Djamena | Moundou
m | Moundou | N'Djamena | Moundou
c | Answer: Lyon | Lyon | Paris
c | **Lyon** | Lyon | Paris
c | Lyon\u2014since 2031 | Lyon | Paris
b | Lyon/Paris | Lyon | Paris
b | Paris; Lyon | Lyon | Paris
n | Parisian lions | Lyon | Paris
n | Lyons | Lyon | Paris
m | It was, and is, Paris | Lyon | Paris
c | The lake is called Lake Vostok | Lake Vostok | Lake Baikal
n | The lake is called Vostok | Lake Vostok | Lake Baikal
b | Lake Baikal is older than Lake Vostok | Lake Vostok | Lake Baikal
m | lake  baikal | Lake Vostok | Lake Baikal
"""
LABELS = {"c": "context", "m": "memory", "b": "both", "n": "neither"}


def rows() -> list[tuple[str, str, list[str], list[str]]]:
    found = []
    for line in TABLE.strip().splitlines():
        label, text, context, memory = (part.strip() for part in line.split("|"))
        found.append((LABELS[label], text, context.split(" / "), memory.split(" / ")))
    return found


def test_the_table_has_a_hundred_rows() -> None:
    assert len(rows()) == 100


@pytest.mark.parametrize(("label", "text", "context", "memory"), rows())
def test_the_measure_agrees_with_the_hand(
    label: str, text: str, context: list[str], memory: list[str]
) -> None:
    assert name_answers(text, context, memory).outcome == label


@pytest.mark.parametrize(
    ("text", "aliases"),
    [
        ("Kabul", ("Kabul",)),
        ("La Paz (administrative); Sucre (judicial)", ("La Paz", "Sucre")),
        ("Rangoon (Yangon); Naypyidaw or Nay Pyi Taw (administrative)",
         ("Rangoon", "Yangon", "Naypyidaw", "Nay Pyi Taw")),
        ("Gitega (changed from Bujumbura in December 2018)", ("Gitega",)),
        ("Amsterdam; The Hague (seat of government)", ("Amsterdam", "The Hague")),
        ("Washington, D.C.", ("Washington, D.C.",)),
        ("El Salvador", ("El Salvador",)),
    ],
)  # fmt: skip
def test_aliases_are_split(text: str, aliases: tuple[str, ...]) -> None:
    assert split_aliases(text) == aliases


@pytest.mark.parametrize(
    ("text", "answer", "outcome"),
    [
        ("法国的首都是里昂。", "里昂", "context"),
        ("フランスの首都はリヨンです。", "リヨン", "context"),
        ("เมืองหลวงของฝรั่งเศสคือลียง", "ลียง", "context"),
        ("फ्रांस की राजधानी लियोन।", "लियोन", "context"),
        ("هل العاصمة ليون؟", "ليون", "context"),
        ("法国的首都是巴黎。", "里昂", "neither"),
    ],
)
def test_answers_in_other_scripts_are_found(text: str, answer: str, outcome: str) -> None:
    assert name_answers(text, [answer], ["Paris"]).outcome == outcome
