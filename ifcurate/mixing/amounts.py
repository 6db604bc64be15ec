"""How much of a component a mixture takes: `0.1`, `10%`, `1000`, `2Mtok`, `w3`, `10%-of-NAME`.

==================  ======================================================
amount              rows taken
==================  ======================================================
`all`               every row (the default)
`0.1`, `10%`        this share of the component's rows; above 1 repeats rows
`1000`              this many rows
`500ktok`, `2Mtok`  rows up to this many tokens
`10%-of-NAME`       up to 10% of the number of rows that component NAME gives
`w3`                three parts of the mixture's total
==================  ======================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ifcurate.errors import DataError

__all__ = ["Amount", "allocate", "parse_amount", "resolve_amounts", "split_component"]

Kind = Literal["fraction", "rows", "tokens", "weight", "share"]

_NUMBER: Final = r"\d+(?:\.\d+)?"
_FRACTION: Final = re.compile(rf"(?:({_NUMBER})%|(\d+\.\d+))")
_SHARE: Final = re.compile(rf"(?:({_NUMBER})%|(\d+\.\d+))-of-(.+)")
_ROWS: Final = re.compile(r"([\d_]+)(rows?)?")
_TOKENS: Final = re.compile(rf"({_NUMBER})([kMG]?)tok(?:ens)?")
_WEIGHT: Final = re.compile(rf"w({_NUMBER})")
_SCALE: Final = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_NAME: Final = re.compile(r"[A-Za-z][\w.-]*")
_HELP: Final = "write all, 0.1 or 10%, 1000 (rows), 2Mtok (tokens), 10%-of-NAME, or w3 (a weight)"


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of one component is taken."""

    kind: Kind = "fraction"
    value: float = 1.0  # a fraction, a number of rows or tokens, or a weight
    of: str = ""  # for "share": the component whose rows the fraction is of


def parse_amount(text: str) -> Amount:
    """An amount from its text. Raises `DataError`; a lone `1` is asked back."""
    found = _parse(text.strip())
    if found is None:
        raise DataError(f"amount {text!r}: is no amount; {_HELP}")
    if found.value <= 0:
        raise DataError(f"amount {text!r}: takes nothing; leave the component out, or {_HELP}")
    return found


def _parse(text: str) -> Amount | None:
    if text == "all":
        return Amount()
    if text == "1":
        raise DataError(
            "amount '1': can mean one row or all rows; write 1rows for one row, "
            "or 1.0, 100% or all for all of them"
        )
    if match := _SHARE.fullmatch(text):
        return Amount("share", _fraction(match), match[3])
    if match := _FRACTION.fullmatch(text):
        return Amount("fraction", _fraction(match))
    if (match := _ROWS.fullmatch(text)) and match[1].strip("_"):
        return Amount("rows", int(match[1]))
    if match := _TOKENS.fullmatch(text):
        return Amount("tokens", round(float(match[1]) * _SCALE[match[2]]))
    if match := _WEIGHT.fullmatch(text):
        return Amount("weight", float(match[1]))
    return None


def _fraction(match: re.Match[str]) -> float:
    return float(match[1]) / 100 if match[1] else float(match[2])


def split_component(text: str) -> tuple[str, str, Amount]:
    """The name, the path and the amount of `NAME=PATH[:AMOUNT]`.

    What follows the last colon is an amount when it reads as one; else it belongs to the
    path. Raises `DataError`.
    """
    name, equals, rest = text.partition("=")
    if not equals or not rest or not _NAME.fullmatch(name):
        raise DataError(
            f"component {text!r}: has no name; write NAME=PATH or NAME=PATH:AMOUNT, "
            "for example alpaca=alpaca.jsonl:50%"
        )
    path, colon, last = rest.rpartition(":")
    if colon and path and (amount := _parse(last.strip())) is not None:
        return name, path, parse_amount(last) if amount.value <= 0 else amount
    return name, rest, Amount()


def allocate(total: int, weights: Sequence[float]) -> list[int]:
    """`total` divided by weights into whole numbers that sum to it, by largest remainder."""
    scale = sum(weights)
    exact = [total * weight / scale for weight in weights]
    counts = [int(value) for value in exact]
    by_rest = sorted(range(len(weights)), key=lambda i: (counts[i] - exact[i], i))
    for i in by_rest[: total - sum(counts)]:
        counts[i] += 1
    return counts


def resolve_amounts(
    amounts: Mapping[str, Amount],
    rows: Mapping[str, int],
    tokens: Mapping[str, int],
    *,
    total_rows: int | None = None,
    total_tokens: int | None = None,
) -> dict[str, Amount]:
    """Each component's amount as a number of rows or tokens.

    `rows` and `tokens` say how much each component has. Without a total, weighted
    components are as large as they can be without repeating a row. With one, what the
    other amounts leave is divided among the weighted components; one that was asked for
    as `all` weighs what it has. Raises `DataError` for amounts that contradict each other.
    """
    if total_rows is not None and total_tokens is not None:
        raise DataError("mix: give a total of rows or of tokens, not both")
    has_total = total_rows is not None or total_tokens is not None
    sizes = tokens if total_tokens is not None else rows
    weights: dict[str, float] = {}
    found: dict[str, Amount] = {}
    for name, amount in amounts.items():
        if amount.kind == "weight":
            weights[name] = amount.value
        elif has_total and amount == Amount():
            weights[name] = sizes[name]
        elif amount.kind == "fraction":
            found[name] = Amount("rows", round(rows[name] * amount.value))
        elif amount.kind != "share":
            found[name] = amount
    shares = {name: a for name, a in amounts.items() if a.kind == "share"}
    _check_shares(shares, {**found, **{name: Amount("weight") for name in weights}})
    if has_total:  # a share of a component that the total decides is a part of the total too
        weighed_shares = {n: a for n, a in shares.items() if a.of in weights}
        weights |= {name: weights[a.of] * a.value for name, a in weighed_shares.items()}
        shares = {name: a for name, a in shares.items() if name not in weights}
        if not weights:
            raise DataError(
                "mix: a total needs a component whose size it decides; leave one without an "
                "amount, or give weights such as w3"
            )
        found |= _share_rows(shares, found)
        found |= _divide_total(weights, found, total_rows, total_tokens)
    elif weights:
        most = min(rows[name] / weight for name, weight in weights.items())
        counts = allocate(int(most * sum(weights.values()) + 1e-9), list(weights.values()))
        found |= {n: Amount("rows", min(c, rows[n])) for n, c in zip(weights, counts, strict=True)}
    found |= _share_rows(shares, found)
    return {name: found[name] for name in amounts}


def _check_shares(shares: Mapping[str, Amount], bases: Mapping[str, Amount]) -> None:
    for name, amount in shares.items():
        base = bases.get(amount.of)
        if base is None:
            known = ", ".join(bases) or "none"
            raise DataError(
                f"component {name}: its amount is a share of {amount.of!r}, which is no component "
                f"with an amount of its own; known are {known}"
            )
        if base.kind == "tokens":
            raise DataError(
                f"component {name}: its amount is a share of {amount.of}'s rows, and {amount.of} "
                f"is asked for by tokens; give {name} a number of tokens too"
            )


def _share_rows(shares: Mapping[str, Amount], found: Mapping[str, Amount]) -> dict[str, Amount]:
    return {
        name: Amount("rows", round(found[amount.of].value * amount.value))
        for name, amount in shares.items()
    }


def _divide_total(
    weights: Mapping[str, float],
    fixed: Mapping[str, Amount],
    total_rows: int | None,
    total_tokens: int | None,
) -> dict[str, Amount]:
    """What the fixed amounts leave of the total, divided by weight."""
    unit: Kind = "tokens" if total_tokens is not None else "rows"
    total = total_tokens if total_tokens is not None else total_rows
    assert total is not None
    others = {name: amount for name, amount in fixed.items() if amount.value}
    mixed = [name for name, amount in others.items() if amount.kind != unit]
    if mixed:
        raise DataError(
            f"component {mixed[0]}: has an amount in {others[mixed[0]].kind}, and the total is in "
            f"{unit}; give both in {unit}"
        )
    left = total - int(sum(amount.value for amount in others.values()))
    if left < 0:
        raise DataError(
            f"mix: the total is {total:,} {unit}, and the amounts that are given take "
            f"{total - left:,}; raise the total, or lower an amount"
        )
    if not sum(weights.values()):
        return dict.fromkeys(weights, Amount(unit, 0))
    counts = allocate(left, list(weights.values()))
    return {name: Amount(unit, n) for name, n in zip(weights, counts, strict=True)}
