"""The description of a run in sentences, for the first section of its report."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from ifcurate.phrases import count
from ifcurate.reports.facts import Facts

_ABLATIONS: Final = {
    "drop": "the second time without the context, in the same prompt",
    "template": "the second time with the template for rows without input",
}

_NAMES: Final = {"loss_without_context": "loss without context", "context_gain": "gain"}


def describe_run(facts: Facts) -> list[str]:
    """Paragraphs about the data, the scoring and the cut."""
    identity, counts = facts.run.manifest.identity, facts.run.manifest.counts
    names = [item["name"] for item in identity["inputs"]]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    day = datetime.fromisoformat(facts.run.manifest.created_at).strftime("%d %B %Y").lstrip("0")
    limit = f" Reading stopped after {identity['limit']:,} rows." if identity["limit"] else ""
    quarantined = counts.get("quarantined", 0)
    aside = ""
    if quarantined:
        verb = "was" if quarantined == 1 else "were"
        aside = f" {count(quarantined, 'row')} could not be read and {verb} quarantined."
    engine = identity["engine"]
    ablation = _ABLATIONS.get(identity["settings"].get("ablation", "drop"), "")
    rows = counts.get("rows", facts.table.height)
    return [
        f"On {day}, {count(rows, 'row')} of {shown} gave "
        f"{count(facts.table.height, 'example')}.{limit}{aside}",
        f"The model {engine['model']} (revision {engine['revision']}, {engine['dtype']}, engine "
        f"{engine['engine']}) scored each response twice with the template "
        f"{identity['template']['name']}: {ablation}. The gain is the loss without the context "
        "minus the loss with it, in nats per response token. Above 0 the context helped.",
        describe_cut(facts),
    ]


def describe_cut(facts: Facts) -> str:
    """The rule of the split in words."""
    parameters = facts.parameters
    start = "" if facts.split else "This run has no split yet, so the default split is shown. "
    return start + f"Rule {parameters['rule']}: {_rule(parameters)} Exactly: {facts.formula}."


def _rule(parameters: dict[str, Any]) -> str:
    share = f"{100 * (parameters.get('fraction') or 0):.4g}%"
    statistic = _NAMES.get(parameters["statistic"], parameters["statistic"])
    match parameters["rule"]:
        case "paper":
            words = f"the {share} of the scored examples with the lowest {statistic} are dropped."
        case "gain":
            words = f"examples with a {statistic} above {parameters['threshold']} nats are kept."
        case "attention":
            words = (
                f"examples with more than {parameters['threshold']} of their attention on the "
                "context are kept."
            )
        case "both":
            words = (
                f"an example is kept when it is not among the {share} that are easiest without "
                f"the context and its {statistic} is above {parameters['threshold']} nats."
            )
        case _:
            words = f"the cut of {statistic} is found from its distribution."
    where = " Each source has its own cut." if parameters.get("per") == "source" else ""
    lengths = " The share is the same for short and long responses."
    return words + where + lengths * bool(parameters.get("length_control"))
