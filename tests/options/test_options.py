"""Options are declared once: the library, recipes and commands agree on names and bounds."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import ifcurate
from ifcurate.errors import OptionError
from ifcurate.options.augment import AugmentOptions, SubstitutionOptions
from ifcurate.options.base import Options, takes_options
from ifcurate.options.data import DataOptions
from ifcurate.options.export import ExportOptions
from ifcurate.options.filter import FilterOptions
from ifcurate.options.finetune import FinetuneOptions
from ifcurate.options.mix import MixOptions
from ifcurate.options.report import ReportOptions
from ifcurate.options.score import ClusterOptions, EngineOptions, RunOptions, ScoreSettings
from ifcurate.options.split import RescoreOptions, SplitOptions

COMMANDS: dict[str, tuple[type[Options], ...]] = {
    "inspect": (DataOptions,),
    "score": (EngineOptions, ScoreSettings, DataOptions, RunOptions, ClusterOptions),
    "split": (SplitOptions, RescoreOptions),
    "filter": (FilterOptions,),
    "augment": (AugmentOptions, DataOptions),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_the_options_of_its_models_with_their_help(name: str) -> None:
    command = import_module("ifcurate.cli.commands").load_command(name)
    shown = {p.name: re.sub(r"\\([<\[])", r"\1", p.help or "") for p in command.params}
    for model in COMMANDS[name]:
        for field_name, field in model.model_fields.items():
            extra = field.json_schema_extra
            assert isinstance(extra, dict), f"{model.__name__}.{field_name}: use option()"
            if not extra["command"]:
                continue
            flags = extra["flags"]
            flag = str(flags[0]) if isinstance(flags, list) and flags else field_name
            key = flag.partition("/")[0].removeprefix("--").replace("-", "_")
            assert shown[key].startswith(str(field.description)), field_name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rule": "gain", "fraction": 0.3}, "fraction is only for the rules paper"),
        ({"rule": "paper", "threshold": 0.3}, "threshold is only for the rules gain"),
        ({"length_bins": 4}, "length_bins is only for --length-control"),
        ({"seed": 1}, "seed is only for the rule auto"),
        ({"fraction": 0}, "fraction: must be greater than 0 (found 0)"),
        ({"fraction": "120%"}, "fraction: must be less than 1 (found '120%')"),
        ({"fracton": 0.2}, "fracton: unknown option"),
    ],
)
def test_the_library_refuses_what_the_command_refuses(given: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError) as caught:
        SplitOptions.create(**given)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (SplitOptions, {"rule": "auto", "threshold": 1, "fraction": 0.3}, "auto without a thr"),
        (AugmentOptions, {"threshold": 1}, "threshold is only for --verify MODEL"),
        (AugmentOptions, {"recogniser_model": "m"}, "only for --recogniser openai:URL"),
        (DataOptions, {"context": "field", "context_regex": "(?P<context>a)"}, "inside a prompt"),
        (DataOptions, {"context": "tool", "min_confidence": 0.7}, "contexts inside a text"),
        (ExportOptions, {"trainer": "alpaca", "max_length": 9}, "max_length is only for trainers"),
        (FinetuneOptions, {"model": "m", "max_steps": 9, "epochs": 2}, "epochs is only for runs"),
        (DataOptions, {"context": 5}, "context: must be a text or a list of texts"),
        (MixOptions, {"seed": 2**32}, "seed: must be at most 4294967295"),
        (AugmentOptions, {"seed": -1}, "seed: must be at least 0"),
    ],
)
def test_an_option_out_of_bounds_or_without_effect_is_refused(
    kind: type[Options], given: dict[str, object], said: str
) -> None:
    with pytest.raises(OptionError, match=said):
        kind.create(**given)


def test_an_option_of_another_engine_is_refused() -> None:
    with pytest.raises(OptionError, match="concurrency is only for --engine server"):
        EngineOptions.create(engine="hf", model="pocket", concurrency=2)
    assert (
        EngineOptions.create(engine="server", base_url="http://x", concurrency=2).concurrency == 2
    )


def test_a_library_function_shows_the_options_as_its_own() -> None:
    parameters = inspect.signature(ifcurate.split_scores).parameters
    assert list(parameters)[:3] == ["scores", "rule", "fraction"]
    assert parameters["fraction"].default == 0.25
    assert "fraction: For paper and both" in str(ifcurate.split_scores.__doc__)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("read_examples", DataOptions),
        ("load_engine", EngineOptions),
        ("score_run", RunOptions),
        ("split_scores", SplitOptions),
        ("filter_examples", FilterOptions),
        ("augment_counterfactual", SubstitutionOptions),
        ("mix_examples", MixOptions),
        ("export_mixture", ExportOptions),
        ("write_report", ReportOptions),
    ],
)
def test_a_function_has_the_defaults_of_its_options(name: str, model: type[Options]) -> None:
    parameters = inspect.signature(getattr(ifcurate, name)).parameters
    shared = set(parameters) & set(model.model_fields)
    shared -= {"shard", "cache"} if name == "score_run" else {"tokenizer"}  # objects, not names
    assert shared
    for option in shared:
        field = model.model_fields[option]
        default = inspect.Parameter.empty if field.is_required() else field.default
        assert parameters[option].default == default, option


#: Parameters that have the name of an option and are something else.
HOMONYMS = {
    *("contexts.lines.limit", "counterfactual.planner.concurrency", "engines.toy.max_length"),
    *("engines.load.engine", "lab.arms.update", "lab.plan.name"),
    *("lab.plan.rate", "lab.plan.warm_up", "pipeline.loading.name", "review.session.statistic"),
}


#: `name: type = value` of a parameter or a field; the value is a text, a number or True.
STATED = re.compile(r"""\b(\w+): [\w\[\], |."']+? = ("[^"\n]+"|True|-?\d[\w.]*)""")


def test_no_function_states_the_default_of_an_option_again() -> None:
    """Except 0, and None, False and empty texts: they only say that nothing was given."""
    root = Path(__file__).resolve().parents[2]
    for path in (root / "ifcurate" / "options").glob("*.py"):
        import_module(f"ifcurate.options.{path.stem}")
    models = [m for m in _all_models(Options) if m.__module__.startswith("ifcurate.options.")]
    options = {name for model in models for name in model.model_fields}
    found = set()
    for path in root.glob("ifcurate/**/*.py"):
        place = ".".join(path.relative_to(root).with_suffix("").parts).removeprefix("ifcurate.")
        stated = STATED.findall(path.read_text("utf-8"))
        if not place.startswith("options."):
            found |= {
                f"{place}.{n}" for n, value in stated if n in options and value not in ("0", "0.0")
            }
    assert found == HOMONYMS


def _all_models(model: type[Options]) -> Iterator[type[Options]]:
    for own in model.__subclasses__():
        yield own
        yield from _all_models(own)


def test_options_and_fields_together_are_refused() -> None:
    @takes_options(FilterOptions)
    def show(*, options: FilterOptions) -> str | None:
        return options.keep

    chosen = FilterOptions.create(keep="context-critical")
    assert show(options=chosen) == show(keep="context-critical") == "context-critical"
    with pytest.raises(OptionError, match="give only one of them"):
        show(options=chosen, keep="context-critical")


def test_an_environment_variable_sets_an_option(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is that of the option as it is typed: --hub-split, not the field's name."""
    from typer.testing import CliRunner

    app = import_module("ifcurate.cli").app
    monkeypatch.setenv("IFCURATE_SPLIT_FRACTION", "2")
    result = CliRunner().invoke(app, ["split"])
    assert result.exit_code == 2
    assert "--fraction" in result.output


@pytest.mark.parametrize(
    ("text", "size"), [("4GB", 4 * 10**9), ("2GiB", 2 << 30), ("500 mb", 5 * 10**8), (10**9, 10**9)]
)
def test_sizes_of_memory(text: str | int, size: int) -> None:
    assert EngineOptions.create(memory=text).memory == size


@pytest.mark.parametrize("text", ["1", "nan", "4XB", "-4GB", "9" * 400 + "GB", "inf"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(OptionError, match=r"memory: .*(write a size such as|must be from 100MB)"):
        EngineOptions.create(memory=text)
