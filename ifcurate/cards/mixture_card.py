"""The card of a mixture: a pure function of its tables and its manifest.

The metadata is `huggingface_hub.DatasetCardData`. Its `configs` name the data file, so that
`load_dataset` and the Hub's viewer find it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from ifcurate.cards.licences import Origin, list_origins, strictest_licence
from ifcurate.mixing.mixture import COLUMNS, DATA, MANIFEST, Mixture
from ifcurate.options.base import takes_options
from ifcurate.options.card import CardOptions
from ifcurate.storage.files import file_digest, write_text

CARD: Final = "README.md"
_SHOWN: Final = 600  # characters of an example's text
#: The Hub's names for numbers of rows, from 1,000 on by powers of ten.
_SIZES: Final = (
    *("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B"),
    *("1B<n<10B", "10B<n<100B", "100B<n<1T", "n>1T"),
)


def size_category(n_rows: int) -> str:
    """The Hub's name for a number of rows."""
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
    """The card as Markdown, after a block of metadata."""
    origins = list(list_origins(mixture, options.license))
    title = options.title or " + ".join(name for name, _ in _origins(mixture))
    sections = [
        f"# {_plain(title)}",
        _summary(mixture),
        _table_of_components(mixture),
        _stages(mixture),
        _scoring(mixture),
        _by_hand(mixture),
        _licences(origins),
        _left_out(mixture),
        _column_table(),
        _examples(mixture, options.examples),
        _limits(mixture, origins),
        _how_made(mixture, recipe),
    ]
    return (
        f"---\n{_metadata(mixture, origins, title, options)}\n---\n\n"
        + "\n\n".join(section for section in sections if section)
        + "\n"
    )


def _metadata(mixture: Mixture, origins: Sequence[Origin], title: str, options: CardOptions) -> str:
    from huggingface_hub import DatasetCardData

    licences = sorted({origin.licence for origin in origins} or {"unknown"})
    known_sets = [origin.known for origin in origins if origin.known]
    languages = options.language or sorted({code for k in known_sets for code in k.languages})
    data = DatasetCardData(
        license=licences if len(licences) > 1 else licences[0],
        language=languages or None,
        pretty_name=_plain(title),
        size_categories=size_category(mixture.n_rows),
        task_categories=["text-generation"],
        source_datasets=sorted({known.hub_id for known in known_sets}) or None,
        tags=["ifcurate", "instruction-tuning"],
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": DATA}]}],
    )
    return str(data.to_yaml())


def _origins(mixture: Mixture) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The name of each component, and the step that made it; an empty mapping if it was a file."""
    for component in mixture.manifest.identity["components"]:
        yield component["name"], component.get("origin", {})


def _summary(mixture: Mixture) -> str:
    tokens = f", {mixture.n_tokens:,} tokens" if mixture.n_tokens is not None else ""
    return (
        f"A mixture of instruction-tuning data: {mixture.n_rows:,} rows{tokens}, in training "
        "order. Each row is a conversation in `messages`, and the row as it was read is in "
        "`ifcurate_record`. Columns that start with `ifcurate_` say where a row comes from."
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(c) for c in line) + " |" for line in lines)


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """Text of data inside a line of Markdown: no markup, no line breaks."""
    return re.sub(r"([<>`*_\[\]#])", r"\\\1", " ".join(text.split())) if text != "---" else text


def _table_of_components(mixture: Mixture) -> str:
    counts = mixture.manifest.counts
    rows: list[list[object]] = []
    for component in mixture.manifest.identity["components"]:
        name, amount = component["name"], component["amount"]
        size = f"{amount['value']:g}" + (f" of {amount['of']}" if amount["of"] else "")
        sources = ", ".join(item["name"] for item in component.get("inputs", []))
        tokens = counts.get(f"tokens:{name}", "not counted")
        rows.append(
            [
                name,
                sources or "examples",
                f"{amount['kind']} {size}",
                counts[f"rows:{name}"],
                tokens,
            ]
        )
    header = ("component", "read from", "amount", "rows", "tokens")
    known = mixture.manifest.identity.get("tokenizer")
    how = mixture.manifest.identity["options"]["count"]
    text = (
        f"\n\nTokens of the {how}, with the tokenizer of {_plain(known['name'])}." if known else ""
    )
    return "## Components\n\n" + _table(header, rows) + text


def _stages(mixture: Mixture) -> str:
    """Counts of the steps before mixing, and rows by source."""
    parts = []
    for name, origin in _origins(mixture):
        counts = origin.get("counts") or origin.get("funnel")
        if counts:
            flat = [[k, v] for k, v in counts.items() if isinstance(v, int)]
            table = _table(("what", "rows"), flat)
            parts.append(f"{_plain(name)}, step `{origin['step']}`:\n\n{table}")
    by_source = (
        mixture.rows.group_by("ifcurate_component", "ifcurate_source", "ifcurate_label")
        .agg(pl.len().alias("rows"), pl.col("ifcurate_tokens").sum().alias("tokens"))
        .sort("ifcurate_component", "ifcurate_source", "ifcurate_label")
        .collect()
    )
    counted = mixture.n_tokens is not None
    rows = [
        [c, source, label or "not split", n, tokens if counted else "not counted"]
        for c, source, label, n, tokens in by_source.iter_rows()
    ]
    header = ("component", "source", "label", "rows", "tokens")
    parts.append("In the mixture:\n\n" + _table(header, rows))
    return "## Rows by stage and source\n\n" + "\n\n".join(parts)


def _scoring(mixture: Mixture) -> str:
    """Model, template and rule of the components that were scored."""
    parts = [
        f"{_plain(name)}:\n\n{_table(('what', 'value'), _scoring_facts(origin))}"
        for name, origin in _origins(mixture)
        if origin.get("engine")
    ]
    if not parts:
        return ""
    return (
        "## How rows were scored\n\nEvery response was scored with and without its context; "
        "losses are in nats per token, and the gain is the difference.\n\n" + "\n\n".join(parts)
    )


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


def _by_hand(mixture: Mixture) -> str:
    """Labels and verdicts that a person set, by component."""
    rows: list[list[object]] = []
    for name, origin in _origins(mixture):
        if n := origin.get("set_by_hand"):
            rows.append([name, "labels set by hand", n])
        judged = origin.get("judged", {}).items()
        rows += [[name, f"counterfactual rows judged {verdict}", n] for verdict, n in judged]
    if not rows:
        return ""
    note = "Rows that were judged broken are not in the mixture."
    return f"## Decided by hand\n\n{_table(('component', 'what', 'rows'), rows)}\n\n{note}"


def _licences(origins: Sequence[Origin]) -> str:
    strictest = strictest_licence([origin.licence for origin in origins])
    if strictest == "unknown":
        text = (
            "The licence of at least one source is **unknown**. "
            "Find out which one it is before you publish."
        )
    else:
        text = f"The strictest licence of the sources is **{strictest}**."
    rows = [[o.component, o.name, o.licence, o.licence_from] for o in origins]
    table = _table(("component", "source", "licence", "stated by"), rows)
    return f"## Licence\n\n{table}\n\n{text}"


def _left_out(mixture: Mixture) -> str:
    counts = mixture.manifest.counts
    rows = [
        [key.removeprefix("dropped:"), n] for key, n in counts.items() if key.startswith("dropped:")
    ]
    text = f"{counts['read']:,} rows were read, and {counts['dropped']:,} are not in the mixture."
    table = "\n\n" + _table(("reason", "rows"), rows) if rows else ""
    return f"## What was left out\n\n{text} `dropped.parquet` lists each with its reason.{table}"


def _column_table() -> str:
    rows = [[name, meaning] for name, (_, meaning) in COLUMNS.items()]
    return "## Columns\n\n" + _table(("column", "meaning"), rows)


def _examples(mixture: Mixture, n: int) -> str:
    """The first rows of each label, each in a fence longer than any fence in the text."""
    if not n:
        return ""
    labels = mixture.rows.select(pl.col("ifcurate_label").unique()).collect()[:, 0].to_list()
    parts = []
    for label in sorted(labels, key=lambda name: name or "~"):
        same = pl.col("ifcurate_label").eq_missing(pl.lit(label, dtype=pl.String))
        shown = mixture.rows.filter(same).head(n).collect()
        parts.append(f"### {label or 'not split'}")
        for messages in shown["messages"].to_list():
            text = "\n".join(
                f"[{m['role']}] {_shorten(m['content'] or m['tool_calls'] or '')}" for m in messages
            )
            longest = max((len(run) for run in re.findall("`+", text)), default=0)
            fence = "`" * max(3, longest + 1)
            parts.append(f"{fence}text\n{text}\n{fence}")
    return "## Examples\n\n" + "\n\n".join(parts)


def _shorten(text: str) -> str:
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"


def _limits(mixture: Mixture, origins: Sequence[Origin]) -> str:
    lines = [
        "A score says what one model can do without the context. With another model, other rows "
        "may be context-critical.",
        "Rules find the contexts inside a text. They miss some contexts, and they mark some text "
        "that is not a context.",
    ]
    if any(origin.get("step") == "augment" for _, origin in _origins(mixture)):
        lines.append(
            "Counterfactual rows state false things on purpose. A small share of them has "
            "substitution errors that no check finds."
        )
    unchecked = {o.known.name: o.known.unchecked for o in origins if o.known}
    lines += [
        f"Not checked at the source of {name}: {facts}."
        for name, facts in sorted(unchecked.items())
        if facts
    ]
    lines += map(_plain, mixture.manifest.notes)
    return "## Known limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _how_made(mixture: Mixture, recipe: str) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in mixture.manifest.versions.items())
    parts = [f"## How it was made\n\nVersions: {_plain(versions)}."]
    if mixture.manifest.command:
        parts.append(f"```\n{mixture.manifest.command}\n```")
    if recipe:
        parts.append(f"The recipe:\n\n```yaml\n{recipe.rstrip()}\n```")
    parts.append("`ifcurate verify` recomputes all hashes and counts of the folder.")
    return "\n\n".join(parts)
