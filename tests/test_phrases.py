"""Counts with their nouns, and names that were perhaps meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ifcurate.models import nearest_model
from ifcurate.phrases import count, did_you_mean, install_line, say_in_python


@pytest.mark.parametrize(
    ("n", "said"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1204, "1,204 rows")]
)
def test_counts(n: int, said: str) -> None:
    assert count(n, "row") == said


def test_a_plural_of_its_own() -> None:
    assert count(1, "entry", "entries") == "1 entry"
    assert count(3, "entry", "entries") == "3 entries"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("pockett", "pocket"),
        ("Pocket", "pocket"),
        ("llama2-7b", "llama-2-7b"),
        ("meta-llama/Llama-2-7b", "meta-llama/Llama-2-7b-hf"),
        ("./models/tuned", "models/tuned-2"),
        ("models/Tuned2", "models/tuned-2"),
        ("something/else", ""),
        ("meta-llama/Llama-2-7b-hf", ""),
    ],
)
def test_models_that_were_perhaps_meant(name: str, meant: str, folder: Path) -> None:
    (folder / "models" / "tuned-2").mkdir(parents=True)
    (folder / "models" / "tuned-2" / "config.json").write_text("{}")
    assert nearest_model(name) == (f"; did you mean {meant}?" if meant else "")


def test_nothing_is_near() -> None:
    assert did_you_mean("x", ("alpaca", "plain")) == ""
    assert did_you_mean("ALPACCA", ("alpaca", "plain")) == "; did you mean alpaca?"


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        (None, "pip install 'ifcurate[ray]'"),
        (
            {"url": "file:///a%20b/c", "dir_info": {"editable": True}},
            "pip install -e '/a b/c[ray]'",
        ),
        (
            {"url": "https://host/ifcurate", "vcs_info": {"vcs": "git"}},
            "pip install 'ifcurate[ray] @ git+https://host/ifcurate'",
        ),
    ],
)
def test_an_extra_is_added_where_the_package_came_from(
    origin: object, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            return json.dumps(origin) if origin and name == "direct_url.json" else None

    monkeypatch.setattr("importlib.metadata.distribution", lambda _: Installed())
    assert install_line("ray") == said


@pytest.mark.parametrize(
    ("typed", "argument"),
    [
        ("give either --keep LABEL or --drop LABEL", "give either keep=LABEL or drop=LABEL"),
        ("use --dtype float32, or --threads 1", "use dtype float32, or threads=1"),
        ("pass allow_pickle (--allow-pickle) if", "pass allow_pickle if"),
        (
            "make it: ifcurate split --as NAME; or --out",
            "make it: ifcurate split --as NAME; or out",
        ),
        ("found full--aa55148e; give --run", "found full--aa55148e; give run"),
    ],
)
def test_options_are_arguments_in_python(typed: str, argument: str) -> None:
    assert say_in_python(typed) == argument
