"""lm-evaluation-harness: standard benchmarks, and the conflict suites as its tasks.

The harness is the extra ``[eval]``. A task is one of its names or a YAML file.
`export_tasks` writes the conflict suites as YAML tasks, with prompts in the template of finetuning
and the package's own measures.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

from ifcurate.engines.base import Tokenizer
from ifcurate.errors import DataError, ModelError
from ifcurate.evaluation.suites import load_suite, to_example
from ifcurate.network import offline_without_network
from ifcurate.phrases import missing_package
from ifcurate.storage.files import refuse_unwritable, write_json, write_json_lines, write_text

#: The paper's standard benchmarks, by the harness's names.
STANDARD: Final = ("squad_completion", "mmlu", "arc_challenge", "gsm8k")


def export_tasks(
    suites: Sequence[str], folder: Path, *, template: str, tokenizer: Tokenizer
) -> list[Path]:
    """Return a YAML task, with its data, for each suite; the paths of the YAML files."""
    from ifcurate.prompts.templates import load_template

    layout = load_template(template, tokenizer)
    texts = files(__package__) / "tasks"
    task = Template((texts / "task.yaml").read_text("utf-8"))
    written = []
    for name in suites:
        suite = load_suite(name)
        data = folder / f"{suite.name}.jsonl"
        rows = (
            {
                "id": question.id,
                "prompt": layout.render(to_example(question, response="x")).prefix,
                "context_answers": question.context_answers,
                "memory_answers": question.memory_answers,
            }
            for question in suite.questions
        )
        write_json_lines(data, rows)
        path = folder / f"{suite.name}.yaml"
        title = f"ifcurate_{suite.name.replace('-', '_')}"
        write_text(path, task.substitute(task=title, data=json.dumps(str(data.resolve()))))
        written.append(path)
    write_text(folder / "measures.py", (texts / "measures.py.txt").read_text("utf-8"))
    return written


def run_benchmarks(
    model: str, tasks: Sequence[str], out: Path, *, limit: int | None, device: str
) -> dict[str, dict[str, float]]:
    """Return the harness's figures for each task, written to `out`.

    Finished tasks are not run again.

    Raises `ModelError` without the extra, `DataError` for a task that does not load, and for an
    `out` that cannot be written.
    """
    from ifcurate.engines.hf.source import find_model
    from ifcurate.models import resolve_model
    from ifcurate.options.score import LoadOptions

    try:
        import lm_eval  # noqa: F401
    except ImportError as error:
        raise ModelError(missing_package("benchmark", "eval", error)) from error
    refuse_unwritable(out)
    for task in tasks:
        _task_of(task)  # a missing file is named before the work
    source = find_model(resolve_model(model), LoadOptions())
    figures: dict[str, dict[str, float]] = {}
    for task in tasks:
        path = out / f"{Path(task).stem}.benchmark.json"
        identity = {"task": task, "model": source.name, "revision": source.revision, "limit": limit}
        saved = json.loads(path.read_text("utf-8")) if path.exists() else {}
        if all(saved.get(key) == value for key, value in identity.items()):
            figures[task] = saved["figures"]
            continue
        figures[task] = _run_task(task, source.folder, limit=limit, device=device)
        write_json(path, {**identity, "figures": figures[task]})
    return figures


def _run_task(task: str, model: Path, *, limit: int | None, device: str) -> dict[str, float]:
    import lm_eval

    from ifcurate.engines.hf.quiet import quiet

    name, place = _task_of(task)
    try:
        with quiet(), offline_without_network():
            if place is None:
                _refuse_without_data(name)
            result: Any = lm_eval.simple_evaluate(
                model="hf",
                model_args={"pretrained": str(model), "device": device},
                tasks=[name],
                task_manager=_list_tasks(place),
                limit=limit,
                bootstrap_iters=0,
            )
    except (KeyError, ValueError, ConnectionError, FileNotFoundError) as error:
        raise DataError(
            f"task {task}: cannot be run; found {type(error).__name__}: {error}; check the "
            "network, and give a task of lm-evaluation-harness or a YAML file with local data"
        ) from error
    return {
        key.partition(",")[0]: float(value)
        for key, value in result["results"][name].items()
        if isinstance(value, int | float) and "stderr" not in key and key != "sample_len"
    }


@cache
def _list_tasks(place: Path | None) -> Any:
    """Return the harness's tasks, or those of a folder. To list its own takes it 10 seconds."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=str(place) if place else None, include_defaults=place is None)


def _refuse_without_data(task: str) -> None:
    """Raise `DataError` offline if no dataset is in a cache. The harness is slow to say so."""
    from huggingface_hub import constants

    made = os.environ.get("HF_DATASETS_CACHE", Path(constants.HF_HOME, "datasets"))
    kept = [*Path(constants.HF_HUB_CACHE).glob("datasets--*"), *Path(made).glob("*/")]
    if constants.HF_HUB_OFFLINE and not kept:
        raise DataError(
            f"task {task}: its data cannot be downloaded; found no network, or HF_HUB_OFFLINE, and "
            f"no dataset in {constants.HF_HOME}; connect, set HF_HOME to a folder with the data, "
            "or give a YAML file with local data"
        )


def _task_of(task: str) -> tuple[str, Path | None]:
    """Return the harness's name of a task, and the folder of its file where it is one."""
    path = Path(task)
    if path.suffix not in (".yaml", ".yml"):
        return task, None
    if not path.is_file():
        raise DataError(f"task {task}: no such file; check the path")
    names = [
        line.split(":", 1)[1].strip()
        for line in path.read_text("utf-8").splitlines()
        if line.startswith("task:")
    ]
    if not names:
        raise DataError(f"task {task}: the file names no task; add a line 'task: NAME'")
    return names[0], path.parent
