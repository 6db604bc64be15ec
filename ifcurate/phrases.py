"""Parts of messages: counts with nouns, errors in a line, types, similar names, installing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["check_type", "count", "did_you_mean", "first_line", "install_line"]


def count(n: int, noun: str, plural: str = "") -> str:
    """The number with its noun: `1 row`, `1,204 rows`; an `s` unless the plural is given."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def first_line(error: BaseException) -> str:
    """The first line of an error's text, at most 200 characters; its type without a text."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)[:200]


def check_type(name: str, value: object, kinds: type | tuple[type, ...], advice: str) -> None:
    """Raise `TypeError` for an argument of another type; the message says what to give."""
    if not isinstance(value, kinds):
        raise TypeError(f"{name}: found {type(value).__name__}; {advice}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message, `; did you mean pocket?`; "" when no other known name is similar."""
    names = {other.lower(): other for other in known}
    if names.get(name.lower()) == name:
        return ""
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.7)
    return f"; did you mean {names[near[0]]}?" if near else ""


def install_line(extra: str) -> str:
    """The command that adds an extra to this installation: from its checkout, or by name."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote, urlsplit

    try:
        text = distribution("ifcurate").read_text("direct_url.json") or "{}"
        origin = json.loads(text)
    except (PackageNotFoundError, OSError, ValueError):
        origin = {}
    url = str(origin.get("url", ""))
    if url.startswith("file:"):
        editable = "-e " if origin.get("dir_info", {}).get("editable") else ""
        return f"pip install {editable}'{unquote(urlsplit(url).path)}[{extra}]'"
    if url and "vcs_info" in origin:
        return f"pip install 'ifcurate[{extra}] @ {origin['vcs_info']['vcs']}+{url}'"
    return f"pip install 'ifcurate[{extra}]'"
