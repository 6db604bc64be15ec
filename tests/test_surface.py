"""The public surface, the layers, and the packaging stay as they are meant."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import ifcurate

ROOT = Path(__file__).resolve().parents[1]
SURFACE = {
    "ContextBlock",
    "DataError",
    "Example",
    "IfcurateError",
    "ModelError",
    "RecipeError",
    "RowError",
    "RowTooLargeError",
    "RunError",
    "ScoreSettings",
    "TemplateError",
    "Turn",
    "augment_counterfactual",
    "filter_examples",
    "find_run",
    "load_engine",
    "read_examples",
    "score_examples",
    "score_run",
    "split_scores",
    "summarise_scores",
}

# From the bottom to the top: a module imports from rows below its own, or its own.
LAYERS = [
    {"errors", "phrases"},
    {"records", "files", "sorting", "tables", "models", "contexts", "pocket", "sandbox"},
    {"turns", "conversation"},
    {"engines", "manifest", "reading", "formats"},
    {"templates", "sources", "writing", "split", "summaries"},
    {"prompts"},
    {"scoring", "cache"},
    {"runs", "filtering", "parity", "shards", "counterfactual"},
    {"distributed", "rescoring"},
    {"steps"},
    {"workflow"},
]
# What belongs together is one room, whatever its files.
ROOMS = {
    "runs_": "runs",
    "distributed_": "distributed",
    "reading_": "reading",
    "formats_": "formats",
    "rescoring_": "rescoring",
    "scoring_": "scoring",
    "labels": "split",
    "cuts": "split",
    "two_groups": "split",
    "split_": "split",
}
HEAVY = {
    "torch": {"engines", "pocket"},
    "transformers": {"engines", "pocket"},
    "vllm": {"engines"},
    "datasets": {"reading"},
    "ray": {"distributed"},
    "spacy": {"counterfactual"},
    "gliner": {"counterfactual"},
    "typer": set(),
}


def room_of(module: str) -> str:
    for start, room in ROOMS.items():
        if module.startswith(start):
            return room
    return module


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it, as dotted names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = path.relative_to(ROOT).parts[: -node.level]
                base = ".".join((*package, base)).rstrip(".")
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def modules() -> dict[Path, str]:
    paths = sorted((ROOT / "ifcurate").rglob("*.py"))
    named = {p: p.relative_to(ROOT / "ifcurate").parts[0].removesuffix(".py") for p in paths}
    return {p: room_of(n) for p, n in named.items() if n not in ("__init__", "__main__")}


def test_the_surface_is_pinned() -> None:
    assert set(ifcurate.__all__) == SURFACE
    for name in SURFACE:
        assert getattr(ifcurate, name).__doc__


def test_imports_point_one_way() -> None:
    level = {name: i for i, names in enumerate(LAYERS) for name in names}
    unknown = {room for room in modules().values() if room not in level}
    assert not unknown - set(), unknown
    wrong = []
    for path, room in modules().items():
        for name in imports_of(path):
            parts = name.split(".")
            if parts[0] != "ifcurate" or len(parts) < 2:
                continue
            other = room_of(parts[1])
            if other in level and room in level and level[other] > level[room]:
                wrong.append(f"{path.name} imports {name}")
    assert not wrong


def test_heavy_packages_have_one_door_each() -> None:
    wrong = []
    for path, room in modules().items():
        tops = {name.split(".")[0] for name in imports_of(path)}
        wrong += [
            f"{path.name}: {p}" for p, doors in HEAVY.items() if p in tops and room not in doors
        ]
    assert not wrong


def test_importing_the_library_loads_nothing_heavy(tmp_path: Path) -> None:
    heavy = {"torch", "polars", "transformers"}
    code = f"import sys, ifcurate; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_packages_are_the_folders() -> None:
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    renamed = setup["package-dir"]
    for package in setup["packages"]:
        place = renamed.get(package, package.replace(".", "/"))
        assert (ROOT / place / "__init__.py").is_file(), package
    folders = {p.parent for p in (ROOT / "ifcurate").rglob("__init__.py")}
    named = {".".join(f.relative_to(ROOT).parts) for f in folders}
    assert named <= set(setup["packages"])


def test_no_module_has_a_name_of_the_standard_library_or_the_surface() -> None:
    names = {p.stem for p in modules()} | {p.stem for p in (ROOT / "ifcurate").glob("*.py")}
    assert not (names - {"__init__", "__main__"}) & (sys.stdlib_module_names | SURFACE)
