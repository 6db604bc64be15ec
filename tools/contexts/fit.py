"""Fit the weights of `ifcurate.contexts.model` and `slots` on marked prompts.

``python -m tools.contexts.fit [--public FILE] [--marked FILE ...] [--without FILE ...]`` fits
on all marked prompts and writes the weights. It also fits on four of five folds and measures
on the other, five times. The prompts of one writer are in one fold, since writers repeat
themselves. It takes 25 minutes on two cores.

A prompt gives one example: its runs of units, and which of them are right. The networks are
fitted on these examples. A template gives several: its options, as the networks read them when
its fold was not fitted on. The weights of the options are a conditional logit, fitted by Adam
with a quadratic penalty. One thread, the same seed and the same prompts give the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray

from ifcurate.contexts import find, learn, model, slots
from ifcurate.contexts.kinds import KINDS
from ifcurate.contexts.learned_template import LearnedTemplate, find_in_template
from ifcurate.contexts.model import Candidates, Weights, describe_units, read_words
from ifcurate.contexts.units import divide
from tools.contexts.marked import Marked, read_marked, read_own, read_public, read_without
from tools.contexts.network import Example, fit_networks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ifcurate.contexts.spans import ContextSpan

WEIGHTS = Path(model.__file__).with_name("weights.npz")
FOLDS = 5
#: The collections of each fold, by writer.
WRITERS = (
    {"tasks", "records"},
    {"fourth", "data", "everyday", "wishes"},
    {"chats", "passages", "own", "layout", "kept", "nlp"},
    {"templates", "languages", "shapes", "datasets"},
    {"public", "choices", "ordinary"},
)


@dataclass(frozen=True)
class Choice:
    """The options of the slots of one template."""

    features: NDArray[np.float32]  # options x features
    right: NDArray[np.bool_]
    fold: int


def fold_of(row: Marked) -> int:
    """Return the fold of a row: that of its writer or, where nobody is known, of its family."""
    collection = row.family.split("-")[0]
    for fold, collections in enumerate(WRITERS):
        if collection in collections:
            return fold
    return int(hashlib.md5(row.family.encode()).hexdigest(), 16) % FOLDS


# ----------------------------------------------------------------------- single prompts
def make_example(row: Marked) -> Example | None:
    """Return the candidates of a row; None if none of them is right."""
    units = divide(row.text)
    if not units:
        return None
    c = Candidates.of(row.text, units)
    starts = [units[i].start for i in c.first]
    ends = [units[j - 1].end for j in c.stop]
    runs = list(zip(starts, ends, strict=True))
    right = np.array([not row.contexts, *(row.is_right(*run) for run in runs)])
    costly = [row.is_damaged(*run) or not row.contexts for run in runs]
    if not right.any():
        return None
    words = [read_words(row.text, unit) for unit in units]
    return Example(
        units=describe_units(c),
        words=[of_unit for of_unit, _ in words],
        ends=[at_ends for _, at_ends in words],
        first=c.first,
        stop=c.stop,
        right=right,
        costly=np.array([False, *costly]) & ~right,
        weight=row.weight,
    )


# ---------------------------------------------------------------------------- templates
@contextmanager
def use_weights(weights: Weights) -> Iterator[None]:
    """Use these weights in place of those in the file."""
    with (
        mock.patch.object(model, "read_weights", return_value=weights),
        mock.patch.object(slots, "read_weights", return_value=weights),
    ):
        yield


def collect_choices(rows: Sequence[Marked], fold: int) -> list[Choice]:
    """Return the choices that the learner meets in these rows, read by template and together."""
    by_text = {row.text.rstrip(): row for row in rows}
    choices: list[Choice] = []

    def choose(
        parts: tuple[str, ...], texts: Sequence[str], n_rows: int, responses: dict[str, str]
    ) -> LearnedTemplate | None:
        read = slots.read_rows(parts, texts, responses)
        if not read:
            return None
        options = slots.list_options(len(parts) - 1)
        share = np.array([_share_right(parts, read, o, by_text) for o in options])
        right = share >= max(0.6, share.max() - 0.07)
        features = slots.describe_options(parts, read, options)
        choices.append(Choice(features, right, fold))
        first, last, asks = best = options[int(share.argmax())]
        if not right.any() or best == slots.APART:
            return None
        numbers = tuple(range(first, last + 1)) if first >= 0 else ()
        return LearnedTemplate(parts, numbers, n_rows, 1.0, 1.0, asks)

    groups: dict[str, list[Marked]] = defaultdict(list)
    for row in rows:
        groups[row.template].append(row)
    together = [row for row in rows if not row.template.startswith("kept")]
    random.Random(5).shuffle(together)
    with mock.patch.object(learn, "choose_slots", choose):
        for group in [*groups.values(), together]:
            if len(group) > 1:
                texts = [row.text for row in group]
                learn.learn_templates(texts, responses=[row.response for row in group])
    return choices


def _share_right(
    parts: tuple[str, ...],
    rows: Sequence[slots.Row],
    option: slots.Option,
    by_text: dict[str, Marked],
) -> float:
    """Return the share of rows in which an option is right."""
    numbers = tuple(range(option.first, option.last + 1))
    template = LearnedTemplate(parts, numbers, 0, 1.0, 1.0, option.asks)
    right = 0
    for row in rows:
        if option == slots.NONE:
            found: list[ContextSpan] = []
        elif option == slots.APART:
            found = find.find_context(row.text, min_confidence=0)
        else:
            divided = [model.divide_slot(row.text, slot, option.asks) for slot in row.slots]
            found = find_in_template(row.text, template, divided)
        right += judge(by_text[row.text], found)[0]
    return right / len(rows)


def fit_slots(choices: Sequence[Choice], penalty: float = 3e-3) -> NDArray[np.float32]:
    """Fit the weights of the options of templates."""
    torch.manual_seed(0)
    choices = [choice for choice in choices if choice.right.any()]
    all_features = np.concatenate([choice.features for choice in choices])
    scale = np.maximum(all_features.std(0), 0.1)
    sizes = np.array([len(choice.features) for choice in choices])
    owner = torch.from_numpy(np.repeat(np.arange(len(choices)), sizes))
    features = torch.from_numpy(all_features / scale)
    right = torch.from_numpy(np.concatenate([choice.right for choice in choices]))
    weights = torch.zeros(len(scale), requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=0.03)
    for _ in range(400):
        scores = (features @ weights).exp()
        zeros = torch.zeros(len(choices))
        of_all = zeros.index_add(0, owner, scores)
        of_right = zeros.index_add(0, owner[right], scores[right])
        loss = (of_all / of_right).log().mean() + penalty * (weights**2).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    fitted: NDArray[np.float32] = weights.detach().numpy() / scale
    return fitted


# ---------------------------------------------------------------------------- measuring
def judge(row: Marked, found: Sequence[ContextSpan]) -> tuple[bool, bool]:
    """Return whether what was found is right, and whether it cuts a part of the request."""
    damaged = any(row.is_damaged(f.outer_start, f.outer_end) for f in found)
    if not found:
        return not row.contexts, False
    if not row.contexts:
        return all(row.is_right(f.start, f.end) for f in found) and not damaged, damaged
    inner = {i for f in found for i in range(f.start, f.end)}
    apart = {i for a, b in row.contexts for i in range(a, b)}
    whole = set(range(row.contexts[0][0], row.contexts[-1][1]))
    either = {i for a, b in row.either for i in range(a, b)}
    truths = (apart, whole, apart | either, whole | either)
    right = max(len(inner & t) / len(inner | t) for t in truths) >= 0.9
    return right and not damaged, damaged


def find_all(rows: Sequence[Marked], mode: str) -> list[list[ContextSpan]]:
    """Find the contexts of rows, read "alone", by "template", or in one "mixed" file."""
    groups: dict[str, list[int]] = defaultdict(list)
    for k, row in enumerate(rows):
        groups[{"alone": str(k), "template": row.template}.get(mode, "")].append(k)
    found: list[list[ContextSpan]] = [[] for _ in rows]
    for group in groups.values():
        random.Random(5).shuffle(group)
        texts, said = [rows[k].text for k in group], [rows[k].response for k in group]
        learned = learn.learn_templates(texts, responses=said) if len(group) > 1 else ()
        for k in group:
            found[k] = find.find_context(rows[k].text, templates=learned)
    return found


def measure(
    rows: Sequence[Marked], folds: Sequence[int], weights: Sequence[Weights], choices: list[Choice]
) -> None:
    """Print how right the contexts of rows are that were not fitted on."""
    for fold in range(FOLDS):
        weights[fold]["slots"] = fit_slots([c for c in choices if c.fold != fold])
    kinds: Counter[tuple[str, bool]] = Counter()
    for mode in ("template", "mixed", "alone"):
        by_set: dict[str, Counter[str]] = defaultdict(Counter)
        for fold in range(FOLDS):
            part = [row for row, of in zip(rows, folds, strict=True) if of == fold]
            with use_weights(weights[fold]):
                found = find_all(part, mode)
            for row, spans in zip(part, found, strict=True):
                right, damaged = judge(row, spans)
                counts = by_set[row.family.split("-")[0]]
                name = "with" if row.contexts else "without"
                counts[name] += 1
                counts[f"{name} right"] += right
                counts["damaged"] += damaged
                for rule in {span.rule for span in spans}:
                    if mode == "alone" or (mode == "template" and rule == "template"):
                        kinds[rule, right] += 1
        total = sum(by_set.values(), Counter())
        for name, counts in [*sorted(by_set.items()), ("all", total)]:
            print(
                f"{mode}, {name}: right {counts['with right']} of {counts['with']}, "
                f"damaged {counts['damaged']}, false alarms "
                f"{counts['without'] - counts['without right']} of {counts['without']}",
                flush=True,
            )
    for kind in KINDS:
        n = kinds[kind.name, True] + kinds[kind.name, False]
        print(f"{kind.name}: {kinds[kind.name, True]} of {n}")


def _fit_all(
    rows: Sequence[Marked], examples: dict[int, Example], folds: Sequence[int]
) -> tuple[Weights, list[Weights], list[Choice]]:
    """Return the weights fitted on all, those fitted without each fold, and their choices in it."""
    _SHARED.update(rows=rows, examples=examples, folds=folds)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        results = pool.map(_fit_without, [None, *range(FOLDS)], chunksize=1)
    (of_all, _), *of_folds = results
    choices = [choice for _, of_fold in of_folds for choice in of_fold]
    return of_all, [weights for weights, _ in of_folds], choices


#: What the processes inherit: it is large.
_SHARED: dict[str, Any] = {}


def _fit_without(fold: int | None) -> tuple[Weights, list[Choice]]:
    """Fit without a fold, and collect the choices in it."""
    torch.set_num_threads(1)
    rows, examples, folds = _SHARED["rows"], _SHARED["examples"], _SHARED["folds"]
    weights = fit_networks([e for k, e in examples.items() if folds[k] != fold])
    if fold is None:
        return weights, []
    with use_weights(weights):
        part = [row for row, of in zip(rows, folds, strict=True) if of == fold]
        return weights, collect_choices(part, fold)


def write_weights(weights: Weights, path: Path = WEIGHTS) -> None:
    """Write the weights as numbers of 16 bits. The same weights give the same bytes."""
    arrays: Any = {name: values.astype(np.float16) for name, values in weights.items()}
    np.savez_compressed(path, **arrays)


def main(arguments: Iterable[str] | None = None) -> None:
    """Read the marked prompts, then fit and write, or measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--public", type=Path, help="rows of public templates")
    parser.add_argument("--marked", type=Path, nargs="*", default=[], help="more marked prompts")
    parser.add_argument("--without", type=Path, nargs="*", default=[], help="none has a context")
    given: Any = parser.parse_args(None if arguments is None else list(arguments))
    torch.set_num_threads(1)
    rows = read_own()
    rows += read_public(given.public) if given.public else []
    rows += [row for path in given.marked for row in read_marked(path)]
    rows += [row for path in given.without for row in read_without(path)]
    folds = [fold_of(row) for row in rows]
    examples = {k: e for k, row in enumerate(rows) if (e := make_example(row)) is not None}
    print(f"{len(rows)} prompts; {len(rows) - len(examples)} have no right candidate", flush=True)
    of_all, weights, choices = _fit_all(rows, examples, folds)
    write_weights({**of_all, "slots": fit_slots(choices)})
    measure(rows, folds, weights, choices)


if __name__ == "__main__":
    main()
