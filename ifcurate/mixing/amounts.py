"""The amount of a component in a mixture: `0.1`, `10%`, `1000`, `2Mtok`, `w3`, `10%-of-NAME`.

==================  ======================================================
amount              rows taken
==================  ======================================================
`all`               every row (the default)
`0.1`, `10%`        this share of the component's rows; above 1 repeats rows
`1000`              this many rows
`500ktok`, `2Mtok`  rows up to this many tokens
`10%-of-NAME`       10% of the number of rows that component NAME gives, rounded down
`w3`                three parts of the mixture's total
==================  ======================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ifcurate.errors import DataError
from ifcurate.options.base import SCALES
from ifcurate.options.mix import MixOptions

Kind = Literal["fraction", "rows", "tokens", "weight", "share"]

_NUMBER: Final = r"\d+(?:\.\d+)?"
_FRACTION: Final = re.compile(rf"(?:({_NUMBER})%|(\d+\.\d+))(?:-of-(.+))?")
_ROWS: Final = re.compile(r"([\d_]+)(rows?)?")
_TOKENS: Final = re.compile(rf"({_NUMBER})([kMG]?)tok(?:ens)?")
_WEIGHT: Final = re.compile(rf"w({_NUMBER})")
_NEGATIVE: Final = re.compile(rf"-{_NUMBER}(?:%?(?:-of-.+)?|rows?|[kMG]?tok(?:ens)?)")
_NAME: Final = re.compile(r"[A-Za-z][\w.-]*")
_HELP: Final = "write all, 0.1 or 10%, 1000 (rows), 2Mtok (tokens), 10%-of-NAME, or w3 (a weight)"


@dataclass(frozen=True, slots=True)
class Amount:
    """The amount of one component that is taken."""

    kind: Kind = "fraction"
    value: float = 1.0  # a fraction, a number of rows or tokens, or a weight
    of: str = ""  # for "share": the component to which the fraction refers


def parse_amount(text: str) -> Amount:
    """Return an amount from its text.

    Raises `DataError` for text that is no amount, for 0, and for a lone `1`, which can mean
    one row or all rows.
    """
    amount = _parse(text.strip())
    if amount is None:
        raise DataError(f"amount {text!r}: is not an amount; {_HELP}")
    if amount.value <= 0:
        raise DataError(f"amount {text!r}: takes nothing; leave the component out, or {_HELP}")
    return amount


def _parse(text: str) -> Amount | None:
    if text == "all":
        return Amount()
    if text == "1":
        raise DataError(
            "amount '1': can mean one row or all rows; write 1rows for one row, "
            "or 1.0, 100% or all for all of them"
        )
    if _NEGATIVE.fullmatch(text):
        raise DataError(f"amount {text!r}: is negative; {_HELP}")
    if match := _FRACTION.fullmatch(text):
        value = float(match[1]) / 100 if match[1] else float(match[2])
        return Amount("share", value, match[3]) if match[3] else Amount("fraction", value)
    if (match := _ROWS.fullmatch(text)) and match[1].strip("_"):
        return Amount("rows", int(match[1]))
    if match := _TOKENS.fullmatch(text):
        return Amount("tokens", round(float(match[1]) * SCALES.get(match[2], 1)))
    if match := _WEIGHT.fullmatch(text):
        return Amount("weight", float(match[1]))
    return None


def split_component(text: str) -> tuple[str, str, Amount]:
    """Return the name, the path and the amount of `NAME=PATH[:AMOUNT]`.

    The text after the last colon is the amount if it has the form of one; otherwise it is
    part of the path. Raises `DataError`.
    """
    name, equals, rest = text.partition("=")
    if not equals or not rest or not _NAME.fullmatch(name):
        raise DataError(
            f"component {text!r}: has no name; write NAME=PATH or NAME=PATH:AMOUNT, "
            "for example alpaca=alpaca.jsonl:50%"
        )
    path, colon, last = rest.rpartition(":")
    if colon and path and _parse(last.strip()) is not None:
        return name, path, parse_amount(last)
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


def find_total(rows: int | None, tokens: int | None) -> Amount | None:
    """Return the total of a mixture; None if it has none."""
    if tokens is not None:
        return Amount("tokens", tokens)
    return None if rows is None else Amount("rows", rows)


def check_amounts(amounts: Mapping[str, Amount], options: MixOptions) -> None:
    """Raise `DataError` for amounts that contradict each other at any size of the components."""
    in_tokens = [name for name, amount in amounts.items() if amount.kind == "tokens"]
    if in_tokens and not options.tokenizer:
        raise DataError(
            f"component {in_tokens[0]}: its amount is in tokens, and no tokenizer is named; "
            "name the model that you will train: --tokenizer MODEL"
        )
    unknown = dict.fromkeys(amounts, 0)
    resolve_amounts(amounts, unknown, unknown, find_total(options.rows, options.tokens))


def resolve_amounts(
    amounts: Mapping[str, Amount],
    rows: Mapping[str, int],
    tokens: Mapping[str, int],
    total: Amount | None,
) -> dict[str, Amount]:
    """Return each component's amount as a number of rows or tokens.

    `rows` and `tokens` are the sizes of the components. `total` is that of the mixture, in rows
    or in tokens; None when there is none. Without a total, weighted
    components are as large as they can be without repeating a row. With a total, the
    weighted components divide what the other amounts leave; a component with the amount
    `all` has its size as its weight. Raises `DataError` for amounts that contradict each
    other.
    """
    in_tokens = total is not None and total.kind == "tokens"
    weights = _find_weights(amounts, tokens if in_tokens else rows, total)
    shares = {name: amount for name, amount in amounts.items() if amount.kind == "share"}
    fixed = {
        name: Amount("rows", round(rows[name] * amount.value))
        if amount.kind == "fraction"
        else amount
        for name, amount in amounts.items()
        if name not in weights and name not in shares
    }
    _check_shares(shares, {**fixed, **dict.fromkeys(weights, Amount("weight"))})
    if total is None:
        resolved = {**fixed, **_fill_components(weights, rows)}
        resolved |= _share_rows(shares, resolved)
    else:
        # A share of a weighted component is weighted too.
        weights |= {n: weights[a.of] * a.value for n, a in shares.items() if a.of in weights}
        shares = {name: amount for name, amount in shares.items() if name not in weights}
        fixed |= _share_rows(shares, fixed)
        resolved = {**fixed, **_divide_total(total, weights, fixed)}
    return {name: resolved[name] for name in amounts}


def _find_weights(
    amounts: Mapping[str, Amount], sizes: Mapping[str, int], total: Amount | None
) -> dict[str, float]:
    """Return the weights of the components whose size the others decide."""
    return {
        name: amount.value if amount.kind == "weight" else sizes[name]
        for name, amount in amounts.items()
        if amount.kind == "weight" or (total is not None and amount == Amount())
    }


def _check_shares(shares: Mapping[str, Amount], bases: Mapping[str, Amount]) -> None:
    for name, amount in shares.items():
        if amount.of in shares:
            raise DataError(
                f"component {name}: its amount is a share of {amount.of}, whose amount is a share "
                f"too; give {amount.of} an amount of its own, such as all, 50% or 1000"
            )
        base = bases.get(amount.of)
        if base is None:
            raise DataError(
                f"component {name}: its amount is a share of {amount.of!r}, and no component has "
                f"that name; the other components are {', '.join(bases) or 'none'}"
            )
        if base.kind == "tokens":
            raise DataError(
                f"component {name}: its amount is a share of {amount.of}'s rows, and the amount of "
                f"{amount.of} is in tokens; give {name} a number of tokens too"
            )


def _share_rows(shares: Mapping[str, Amount], resolved: Mapping[str, Amount]) -> dict[str, Amount]:
    return {
        # The small term keeps 10% of 30 from becoming 2.
        name: Amount("rows", int(resolved[amount.of].value * amount.value + 1e-9))
        for name, amount in shares.items()
    }


def _fill_components(weights: Mapping[str, float], rows: Mapping[str, int]) -> dict[str, Amount]:
    """Return the sizes of weighted components, as large as possible without repeating a row."""
    if not weights:
        return {}
    rows_per_weight = min(rows[name] / weight for name, weight in weights.items())
    # The small term keeps a sum such as 29.999999999 from losing a row.
    total = int(rows_per_weight * sum(weights.values()) + 1e-9)
    counts = allocate(total, list(weights.values()))
    return {
        name: Amount("rows", min(n, rows[name])) for name, n in zip(weights, counts, strict=True)
    }


def _divide_total(
    total: Amount, weights: Mapping[str, float], fixed: Mapping[str, Amount]
) -> dict[str, Amount]:
    """Return what the fixed amounts leave of the total, divided by weight."""
    if not weights:
        raise DataError(
            "mix: a total needs a component without a fixed amount; leave out the amount of one "
            "component, or give weights such as w3"
        )
    unit = total.kind
    taken = {name: amount for name, amount in fixed.items() if amount.value}
    for name, amount in taken.items():
        if amount.kind != unit:
            raise DataError(
                f"component {name}: has an amount in {amount.kind}, and the total is in {unit}; "
                f"give both in {unit}"
            )
    n_total, n_taken = int(total.value), int(sum(amount.value for amount in taken.values()))
    if n_taken > n_total:
        raise DataError(
            f"mix: the total is {n_total:,} {unit}, and the given amounts take "
            f"{n_taken:,}; raise the total, or lower an amount"
        )
    if not sum(weights.values()):
        return dict.fromkeys(weights, Amount(unit, 0))
    counts = allocate(n_total - n_taken, list(weights.values()))
    return {name: Amount(unit, n) for name, n in zip(weights, counts, strict=True)}
