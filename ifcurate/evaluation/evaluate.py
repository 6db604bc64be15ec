"""Evaluate models on conflict suites. An interrupted evaluation resumes from its folder.

OUT/MODEL/SUITE.answers.jsonl has a line per answered question and is written batch
by batch. OUT/MODEL/SUITE.json has the measures and their identity: model, suite,
template and options. Questions with an answer in the folder are not asked again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from ifcurate.engines.base import Engine, Prompt
from ifcurate.errors import OptionError, RunError
from ifcurate.evaluation.measures import Answered, measure
from ifcurate.evaluation.models import LocalModel, measure_attention, open_model
from ifcurate.evaluation.suites import Question, Suite, load_suite, note_duplicates, to_example
from ifcurate.options.base import takes_options
from ifcurate.options.evaluate import EvaluateOptions
from ifcurate.storage.files import refuse_unwritable, writable, write_json

_SAVED_TOGETHER: Final = 4  # batches between two writes
Progress = Callable[[str, int, int], None]  # suite, questions done, of how many


@takes_options(EvaluateOptions)
def evaluate_model(
    model: str, out: str | Path, *, options: EvaluateOptions, progress: Progress | None = None
) -> dict[str, Any]:
    """Ask a model every question of the suites and return the measures by suite.

    Earlier answers under the same model, template and questions are kept.
    Raises `DataError` for a suite or for an `out` that cannot be written, `ModelError` for a
    model, and `RunError` where the folder holds answers of another model or other options.
    """
    folder = Path(out) / _folder_name(model)
    refuse_unwritable(folder)
    suites = [load_suite(name, limit=options.limit) for name in options.suite]
    _refuse_equal_names(suites, options.suite)
    notes = note_duplicates(suites)
    results: dict[str, Any] = {}
    with closing(open_model(model, options)) as opened:
        for suite in suites:
            results[suite.name] = ask_suite(opened, suite, folder, options, progress)
    result = {"model": model, "folder": str(folder), "notes": notes, "suites": results}
    if options.benchmark:
        from ifcurate.engines.hf.loading import choose_device
        from ifcurate.evaluation.harness import run_benchmarks

        device, limit = str(choose_device(options.device)), options.benchmark_limit
        result["benchmarks"] = run_benchmarks(
            model, options.benchmark, folder, limit=limit, device=device
        )
    return result


def _refuse_equal_names(suites: Sequence[Suite], given: Sequence[str]) -> None:
    """Refuse two suites with one name, which would share a file of answers."""
    names = [suite.name for suite in suites]
    for name in names:
        if names.count(name) > 1:
            same = ", ".join(g for g, n in zip(given, names, strict=True) if n == name)
            raise OptionError(
                f"suite {name}: two suites have this name, and their answers would be in one "
                f"file; found {same}; rename a file, or give a suite once"
            )


def _folder_name(model: str) -> str:
    # "checkpoint-20" alone is ambiguous, so the name of its run is added.
    parts = [part for part in Path(model).parts if part not in ("/", ".", "..")]
    return "--".join(parts[-2:]) or "model"


def ask_suite(
    model: Engine,
    suite: Suite,
    folder: Path,
    options: EvaluateOptions,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the measures of one suite.

    Only questions without an answer in the folder are asked.
    """
    from ifcurate.prompts.templates import load_template

    template = load_template(options.template, model.tokenizer)
    identity = {
        "model": model.identity.model,
        "revision": model.identity.revision,
        "suite": suite.fingerprint,
        "template": {"name": template.name, "fingerprint": template.fingerprint},
        "options": options.model_dump(
            include={"max_new_tokens", "knowledge", "logprobs", "engine", "dtype", "seed"}
        ),
        **({"attention": True} if options.attention else {}),
    }
    path = folder / f"{suite.name}.answers.jsonl"
    _refuse_foreign(folder, suite.name)
    _check_identity(folder / f"{suite.name}.run.json", identity)
    answers = read_answers(path, suite)
    left = [q for q in suite.questions if q.id not in answers]
    step = options.batch_size * _SAVED_TOGETHER
    for start in range(0, len(left), step):
        if progress:
            progress(suite.name, len(answers), len(suite.questions))
        batch = left[start : start + step]
        answered = list(_ask(model, template, batch, options))
        _append(path, answered)
        answers.update((a.question.id, a) for a in answered)
    if progress:
        progress(suite.name, len(answers), len(suite.questions))
    ordered = [answers[q.id] for q in suite.questions]
    result = {
        "identity": identity,
        "n": len(ordered),
        "notes": list(suite.notes),
        **measure(ordered, seed=options.seed),
    }
    write_json(folder / f"{suite.name}.json", result)
    return result


def _refuse_foreign(folder: Path, suite: str) -> None:
    """Raise `RunError` for files of these names that no evaluation wrote."""
    if (folder / f"{suite}.run.json").exists():
        return
    for name in (f"{suite}.json", f"{suite}.answers.jsonl"):
        if (folder / name).exists():
            raise RunError(
                f"{folder / name}: exists already and is not of an evaluation; choose another "
                "--out, or move it away"
            )


def _check_identity(path: Path, identity: dict[str, Any]) -> None:
    if not path.exists():
        write_json(path, identity)
        return
    try:
        saved = dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        saved = {}
    if saved != identity:
        differs = ", ".join(key for key in identity if saved.get(key) != identity[key])
        raise RunError(
            f"{path.parent}: holds answers from another evaluation; what differs: {differs}; "
            "choose another folder with --out, or delete this one"
        )


def _ask(
    model: Engine, template: Any, questions: Sequence[Question], options: EvaluateOptions
) -> Iterator[Answered]:
    from ifcurate.prompts.pairs import build_prompts

    def prompts(responses: Sequence[str], *, with_context: bool = True) -> list[Prompt]:
        examples = [
            to_example(q, response=r, with_context=with_context)
            for q, r in zip(questions, responses, strict=True)
        ]
        return build_prompts(examples, template, model.tokenizer)

    def write(*, with_context: bool) -> list[str]:
        # The template needs a response to show where it starts.
        probes = prompts(["x"] * len(questions), with_context=with_context)
        heads = [probe.ids[: probe.response_start] for probe in probes]
        return model.continue_greedily(heads, max_new_tokens=options.max_new_tokens)

    def score(answers: Sequence[str]) -> list[float]:
        return [float(values.sum()) for values in model.response_logprobs(prompts(answers))]

    texts = write(with_context=True)
    answered = [Answered(q, text) for q, text in zip(questions, texts, strict=True)]
    if options.knowledge:
        bare = write(with_context=False)
        answered = [replace(a, bare_text=text) for a, text in zip(answered, bare, strict=True)]
    if options.logprobs:
        context = score([q.context_answers[0] for q in questions])
        memory = score([q.memory_answers[0] for q in questions])
        answered = [
            replace(a, context_logprob=c, memory_logprob=m)
            for a, c, m in zip(answered, context, memory, strict=True)
        ]
    if options.attention:
        answered = _watch(model, template, answered)
    yield from answered


def _watch(model: Engine, template: Any, answered: Sequence[Answered]) -> list[Answered]:
    """Return the answers, with the attention on contexts while the model reads their answers."""
    assert isinstance(model, LocalModel)  # the options refuse other engines
    examples = [to_example(a.question, response=a.question.context_answers[0]) for a in answered]
    measured = measure_attention(model.model, model.tokenizer, template, examples)
    by_id = {
        id: tuple(own.mean(axis=(1, 2), dtype=np.float64).tolist()) for id, own in measured.items()
    }
    return [replace(a, attention=by_id.get(a.question.id)) for a in answered]


def _append(path: Path, answered: Sequence[Answered]) -> None:
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("ab")
    with stream:
        for a in answered:
            record = {
                **asdict(a),
                "question": a.question.id,
                "outcome": a.outcome,
                "knows": a.knows,
            }
            stream.write(json.dumps(record, ensure_ascii=False).encode("utf-8") + b"\n")
        stream.flush()


def read_answers(path: Path, suite: Suite) -> dict[str, Answered]:
    """Answers by question id. An incomplete last line is removed from the file."""
    if not path.exists():
        return {}
    questions = {q.id: q for q in suite.questions}
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        path.write_bytes(whole)
    answers = {}
    for line in whole.splitlines():
        record = json.loads(line)
        question = questions.get(record["question"])
        if question is not None:
            names = ("text", "bare_text", "context_logprob", "memory_logprob")
            attention = record.get("attention")
            answers[question.id] = Answered(
                question,
                **{name: record[name] for name in names},
                attention=None if attention is None else tuple(attention),
            )
    return answers
