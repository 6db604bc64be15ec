"""The card of a mixture, `card.md.jinja`: a pure function of its tables and its manifest.

The metadata is `huggingface_hub.DatasetCardData`. Its `configs` name the data file, so that
`load_dataset` and the Hub's viewer find it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import polars as pl

from ifcurate.data.known_sets import KnownSet, find_known_set
from ifcurate.mixing.mixture import COLUMNS, DATA, MANIFEST, Mixture
from ifcurate.options.base import takes_options
from ifcurate.options.card import CardOptions
from ifcurate.storage.files import file_digest, write_text

CARD: Final = "README.md"
Steps = Mapping[str, Mapping[str, Any]]  # component -> the step that made it, if any
_SHOWN: Final = 600  # characters of an example's text
#: The Hub's names for numbers of rows, from 1,000 on by powers of ten.
_SIZES: Final = (
    *("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B"),
    *("1B<n<10B", "10B<n<100B", "100B<n<1T", "n>1T"),
)
#: Patterns of licence names, the strictest first. This is a cautious order, not legal advice.
_STRICT: Final = (
    r"unknown|other",
    r".*-nc-nd.*",
    r".*-nc-sa.*",
    r".*-nc.*",
    r".*-nd.*",
    r"agpl.*|gpl.*|.*-sa.*|odbl.*",
    r"cc-by.*|odc-by.*",
    r"apache.*|mit|bsd.*",
    r"cc0.*|pddl|unlicense",
)


def size_category(n_rows: int) -> str:
    """Return the Hub's name for a number of rows."""
    return _SIZES[min(max(len(str(n_rows)) - 3, 0), len(_SIZES) - 1)]


@takes_options(CardOptions)
def write_card(mixture: Mixture, folder: Path, *, recipe: str = "", options: CardOptions) -> Path:
    """Write the card of a mixture into its folder, and its hash into the manifest.

    Raises `DataError` when it cannot be written.
    """
    path = folder / CARD
    write_text(path, render_card(mixture, recipe=recipe, options=options))
    manifest = mixture.manifest
    manifest.outputs["card"] = CARD
    manifest.digests[CARD] = file_digest(path)
    manifest.write(folder / MANIFEST)
    return path


def render_card(mixture: Mixture, *, recipe: str = "", options: CardOptions) -> str:
    """Return the card as Markdown, after a block of metadata."""
    from jinja2 import Environment, StrictUndefined

    manifest = mixture.manifest
    counts, identity = manifest.counts, manifest.identity
    steps = mixture.origins
    sources = list(list_origins(mixture, options.license))
    title = options.title or " + ".join(steps)
    # Markdown, so the filters below escape what HTML would not.
    environment = Environment(  # noqa: S701
        undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"plain": _plain, "number": "{:,}".format}
    environment.globals["table"] = _table
    template = (files(__package__) / "card.md.jinja").read_text("utf-8")
    return environment.from_string(template).render(
        metadata=_metadata(mixture, sources, title, options),
        title=title,
        manifest=manifest,
        counts=counts,
        components=_components(mixture),
        tokenizer=identity.get("tokenizer"),
        counted=identity["options"]["count"],
        stages=list(_stages(steps)),
        by_source=_by_source(mixture),
        scorings=[(name, _scoring_facts(own)) for name, own in steps.items() if own.get("engine")],
        by_hand=list(_by_hand(steps)),
        licences=[(o.component, o.name, o.licence, o.licence_from) for o in sources],
        strictest=strictest_licence([origin.licence for origin in sources]),
        left_out=list(mixture.reasons.items()),
        columns=[(name, meaning) for name, (_, meaning) in COLUMNS.items()],
        examples=_examples(mixture, options.examples),
        counterfactual=any(origin.get("step") == "augment" for origin in steps.values()),
        unchecked=sorted(
            {(k.name, k.unchecked) for o in sources if (k := o.known) and k.unchecked}
        ),
        versions=", ".join(f"{k} {v}" for k, v in manifest.versions.items()),
        recipe=recipe,
    )


def _metadata(mixture: Mixture, origins: Sequence[Origin], title: str, options: CardOptions) -> str:
    from huggingface_hub import DatasetCardData

    licences = sorted({origin.licence for origin in origins} or {"unknown"})
    known_sets = [origin.known for origin in origins if origin.known]
    languages = options.language or sorted({code for k in known_sets for code in k.languages})
    data = DatasetCardData(
        license=licences if len(licences) > 1 else licences[0],
        language=languages or None,
        pretty_name=" ".join(title.split()),
        size_categories=size_category(mixture.n_rows),
        task_categories=["text-generation"],
        source_datasets=sorted({known.hub_id for known in known_sets}) or None,
        tags=["ifcurate", "instruction-tuning"],
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": DATA}]}],
    )
    return str(data.to_yaml())


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(c) for c in line) + " |" for line in lines)


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """Text of data inside a line of Markdown: no markup, no line breaks."""
    return re.sub(r"([<>`*_\[\]#])", r"\\\1", " ".join(text.split())) if text != "---" else text


def _components(mixture: Mixture) -> Iterator[list[object]]:
    counts = mixture.manifest.counts
    for component in mixture.manifest.identity["components"]:
        name, amount = component["name"], component["amount"]
        size = f"{amount['value']:g}" + (f" of {amount['of']}" if amount["of"] else "")
        sources = ", ".join(item["name"] for item in component.get("inputs", []))
        tokens = counts.get(f"tokens:{name}", "not counted")
        kind = f"{amount['kind']} {size}"
        yield [name, sources or "examples", kind, counts[f"rows:{name}"], tokens]


def _stages(steps: Steps) -> Iterator[tuple[str, str, list[tuple[str, int]]]]:
    """Counts of the steps before mixing, by component."""
    for name, origin in steps.items():
        if counts := origin.get("counts") or origin.get("funnel"):
            yield name, origin["step"], [(k, v) for k, v in counts.items() if isinstance(v, int)]


def _by_source(mixture: Mixture) -> list[list[object]]:
    """Rows and tokens of the mixture by component, source and label."""
    keys = ("ifcurate_component", "ifcurate_source", "ifcurate_label")
    tokens = pl.col("ifcurate_tokens").sum()
    table = mixture.rows.group_by(keys).agg(pl.len(), tokens).sort(keys).collect()
    counted = mixture.n_tokens is not None
    return [
        [component, source, label or "not split", n, tokens if counted else "not counted"]
        for component, source, label, n, tokens in table.iter_rows()
    ]


def _scoring_facts(origin: Mapping[str, Any]) -> list[list[str]]:
    engine, template = origin["engine"], origin.get("template")
    split = origin.get("split") or {}
    facts = [
        ["model", engine.get("model") or "none"],
        ["revision", engine.get("revision") or "not known"],
        ["engine", engine.get("engine") or engine.get("name", "")],
        ["dtype", engine.get("dtype", "")],
        ["template", (template.get("name") if isinstance(template, Mapping) else template) or ""],
        ["formula and threshold", origin.get("formula", "")],
        ["split", ", ".join(f"{key} {value}" for key, value in split.items())],
    ]
    return [fact for fact in facts if fact[1]]


def _by_hand(steps: Steps) -> Iterator[list[object]]:
    """Labels and verdicts that a person set, by component."""
    for name, origin in steps.items():
        if n := origin.get("set_by_hand"):
            yield [name, "labels set by hand", n]
        for verdict, n in origin.get("judged", {}).items():
            yield [name, f"counterfactual rows judged {verdict}", n]


def _examples(mixture: Mixture, n: int) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the first rows of each label: the fence that encloses the text, and the text."""
    if not n:
        return []
    labels = mixture.rows.select(pl.col("ifcurate_label").unique()).collect()[:, 0].to_list()
    examples = []
    for label in sorted(labels, key=lambda name: name or "~"):
        same = pl.col("ifcurate_label").eq_missing(pl.lit(label, dtype=pl.String))
        shown = mixture.rows.filter(same).head(n).collect()
        texts = []
        for messages in shown["messages"].to_list():
            text = "\n".join(
                f"[{m['role']}] {_shorten(m['content'] or m['tool_calls'] or '')}" for m in messages
            )
            longest = max((len(run) for run in re.findall("`+", text)), default=0)
            texts.append(("`" * max(3, longest + 1), text))
        examples.append((label or "not split", texts))
    return examples


def _shorten(text: str) -> str:
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"


def strictest_licence(licences: Sequence[str]) -> str:
    """Return the strictest of the licences. An unknown licence counts as the strictest."""

    def rank(licence: str) -> tuple[int, str]:
        matches = (i for i, p in enumerate(_STRICT) if re.fullmatch(p, licence))
        return next(matches, 0), licence

    return min(licences, key=rank, default="unknown")


@dataclass(frozen=True, slots=True)
class Origin:
    """One source of a component."""

    component: str
    name: str
    licence: str
    known: KnownSet | None

    @property
    def licence_from(self) -> str:
        """The source of the statement about the licence."""
        if self.known:
            return "its card"
        return "not known" if self.licence == "unknown" else "the person who mixed"


def list_origins(mixture: Mixture, licence: str) -> Iterator[Origin]:
    """Yield the original sources of every component, before scoring and filtering.

    `licence` is used for sources that are not a known dataset.
    """
    for component in mixture.manifest.identity["components"]:
        origin = component.get("origin", {})
        names = origin.get("sources") or [item["name"] for item in component.get("inputs", [])]
        for name in dict.fromkeys(names):
            known = find_known_set(name)
            own = known.licence if known else licence or "unknown"
            yield Origin(component["name"], name, own, known)
