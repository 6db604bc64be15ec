"""The results of the scoring benchmark as tables: all, and the part that the README shows."""

from __future__ import annotations

from typing import Any

__all__ = ["full_table", "readme_table"]

_README_SHAPE = "135M"


def full_table(result: dict[str, Any]) -> str:
    """Return every contender, shape and dtype, as Markdown, with the machine and the limit."""
    peaks = ", ".join(
        f"{run['shape']} {run['dtype']} {run['peak_GFLOPs']:,}" for run in result["runs"]
    )
    lines = [
        f"{_what(result)}.",
        "",
        "The limit is the time that the floating-point operations of the unique tokens take at the "
        "rate of PyTorch's own matrix products, measured at the model's shapes in the same rounds "
        f"(GFLOP/s: {peaks}). float32 products on bfloat16 matrix tiles are faster than that rate, "
        "so a share can be above 100%.",
        "",
        "| model | dtype | | tokens/s | time, ours = 1 | share of the limit | memory, MiB "
        "| error, nats per token (rms / max) |",
        "|---|---|---|---:|---:|---:|---:|---|",
    ]
    for run in result["runs"]:
        for name, s in run["speed"].items():
            e = run["error_nats_per_token"].get(name)
            error = "" if e is None else f"{e['rms']:.1e} / {e['max']:.1e}"
            batch = f", batch {s['batch']}" if "batch" in s else ""
            lines.append(
                f"| {run['shape']} | {run['dtype']} | {name}{batch} | {s['tokens_per_second']} "
                f"| {s['times_slower_than_ours']} | {s['share_of_limit']:.0%} "
                f"| {s.get('peak_memory_MiB', '')} | {error} |"
            )
    return "\n".join(lines) + "\n"


def readme_table(result: dict[str, Any]) -> str:
    """Return the time and the share of the limit of each contender at one shape, in both dtypes."""
    runs = {run["dtype"]: run for run in result["runs"] if run["shape"] == _README_SHAPE}
    shown = [runs[dtype]["speed"] for dtype in ("float32", "bfloat16")]
    lines = [
        f"{_what(result)}; process CPU time.",
        "",
        "| float32 / bfloat16 | time, ours = 1 | share of the limit |",
        "|---|---:|---:|",
    ]
    for name in shown[0]:
        pair = [speed[name] for speed in shown if name in speed]
        cells = (
            " / ".join(f"{s['times_slower_than_ours']:.2f}" for s in pair),
            " / ".join(f"{s['share_of_limit']:.0%}" for s in pair),
        )
        batches = sorted({s["batch"] for s in pair if "batch" in s})
        note = f" (batch {' / '.join(map(str, batches))})" if batches else ""
        lines.append(f"| {name}{note} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _what(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return (
        f"{result['data']}: {result['rows']} examples, {result['tokens']:,} tokens in both "
        f"variants; {machine['device']}; torch {machine['torch']}, transformers "
        f"{machine['transformers']}; medians of {result['rounds']} interleaved rounds"
    )
