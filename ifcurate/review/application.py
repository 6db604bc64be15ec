"""The web application of a review: one page and its API, for this machine only.

It listens on a loopback address. Every path starts with a random token. Requests for
another host, or from a page of another origin, are refused. No request can name a file.
Starlette and uvicorn are in the extra `[review]`.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal

import uvicorn
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ifcurate.errors import IfcurateError
from ifcurate.options.base import takes_options
from ifcurate.options.review import ReviewOptions
from ifcurate.pages.shell import Page, Place, Section
from ifcurate.reports.facts import gather_facts
from ifcurate.reports.tokens import TokenTexts
from ifcurate.review.counterfactuals import Counterfactuals
from ifcurate.review.session import STATISTICS, Query, Session
from ifcurate.runs.run import Run

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
MOST_BYTES: Final = 10_000  # largest request


class _LabelRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    place: int = Field(ge=0)
    label: Literal["context-critical", "non-context-critical"] | None


class _VerdictRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    hash: str = Field(max_length=64)
    verdict: Literal["good", "broken"] | None


def _find_problem(request: Request, token: str, hosts: frozenset[str]) -> str:
    """Return why a request is refused: a wrong token, another host or another origin; else ""."""
    if request.headers.get("host", "") not in hosts:
        return "this application answers only on this machine's loopback address"
    origin = request.headers.get("origin")
    if origin is not None and origin not in {f"http://{host}" for host in hosts}:
        return "this application answers only its own page"
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "this application answers only its own page"
    first = request.url.path.split("/")[1] if "/" in request.url.path else ""
    if not secrets.compare_digest(first.encode(), token.encode()):
        return "the address lacks its token; open the one that `ifcurate review` printed"
    return ""


@takes_options(ReviewOptions)
def serve_review(
    run: Run,
    *,
    options: ReviewOptions,
    on_ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve the review of a run until it is interrupted.

    Args:
        run: a finished run.
        on_ready: called with the address, which includes the token, before the first request.

    Raises:
        IfcurateError: the port is taken.
        RunError: the run is unfinished, its files do not belong together, or no split has the
            name.
    """
    session = Session(gather_facts(run, options.split), TokenTexts(run, options.tokenizer))
    counterfactuals = Counterfactuals(options.augmented or run.folder / "augmented")
    token = secrets.token_urlsafe(24)
    with open_listener(options.port) as listener:
        port = listener.getsockname()[1]
        application = create_application(session, counterfactuals, token=token, port=port)
        # No access log: the addresses in it hold the token.
        settings = uvicorn.Config(application, log_level="warning", access_log=False)
        on_ready(f"http://127.0.0.1:{port}/{token}/")
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends the review
            uvicorn.Server(settings).run(sockets=[listener])


def open_listener(port: int) -> socket.socket:
    """Return a socket that listens on 127.0.0.1, at a free port for 0. Raises `IfcurateError`."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()  # a browser can connect as soon as it knows the address
    except OSError as error:
        listener.close()
        raise IfcurateError(
            f"review: port {port} cannot be used: {error.strerror}; choose another with --port"
        ) from error
    return listener


def create_application(
    session: Session, counterfactuals: Counterfactuals, *, token: str, port: int
) -> Starlette:
    """Return the application of one run.

    Args:
        session: the rows and labels under review.
        counterfactuals: the augmented rows, possibly none.
        token: the first part of every address.
        port: the port it listens on, which requests must name.
    """
    answers: dict[str, Callable[[Query], Any]] = {
        "state": session.state,
        "rows": session.rows,
        "example": session.example,
        "histogram": lambda wanted: session.histogram(wanted.statistic),
        "counterfactual": lambda wanted: counterfactuals.show(wanted.place),
    }
    changes: dict[str, tuple[type[BaseModel], Callable[[Any], Any]]] = {
        "label": (_LabelRequest, lambda wanted: session.set_label(wanted.place, wanted.label)),
        "verdict": (_VerdictRequest, lambda new: counterfactuals.judge(new.hash, new.verdict)),
    }

    async def guard(request: Request, answer: RequestResponseEndpoint) -> Response:
        problem = _find_problem(request, token, hosts)
        response = PlainTextResponse(problem, 403) if problem else await answer(request)
        response.headers.update(HEADERS)
        return response

    async def page(request: Request) -> Response:
        return HTMLResponse(await run_in_threadpool(_render, session, counterfactuals))

    def decide(wanted: Any) -> Any:
        decisions = session.decisions(wanted)
        return {**decisions, "counterfactuals": counterfactuals.decisions()}

    attachment = {"Content-Disposition": 'attachment; filename="ifcurate-decisions.json"'}
    api = f"/{token}/api"
    routes = [
        Route(f"/{token}/", page),
        *(Route(f"{api}/{name}", _answer(work)) for name, work in answers.items()),
        Route(f"{api}/decisions", _answer(decide, headers=attachment)),
        *(
            Route(f"{api}/{name}", _answer(work, kind), methods=["POST"])
            for name, (kind, work) in changes.items()
        ),
    ]
    hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
    return Starlette(routes=routes, middleware=[Middleware(BaseHTTPMiddleware, dispatch=guard)])


def _answer(
    work: Callable[[Any], Any],
    kind: type[BaseModel] = Query,
    headers: Mapping[str, str] | None = None,
) -> Callable[[Request], Awaitable[Response]]:
    """Return a route that reads a request, calls `work` in a thread, and answers in JSON."""

    async def route(request: Request) -> Response:
        try:
            if request.method == "POST":
                wanted = kind.model_validate_json(await _body(request))
            else:
                wanted = kind.model_validate(dict(request.query_params))
        except ValidationError as error:
            return JSONResponse({"error": str(error)}, 422)
        result = await run_in_threadpool(work, wanted)
        if result is None or result is False:
            return JSONResponse({"error": "no such row"}, 404)
        return JSONResponse({"saved": True} if result is True else result, headers=headers)

    return route


def _render(session: Session, counterfactuals: Counterfactuals) -> str:
    """Return the page of the review."""
    facts, start = session.facts, session.start
    name = facts.split_name
    sections = [Section("review", "Examples", blocks=(Place("reviewer"),))]
    if len(counterfactuals):
        sections.append(Section("counterfactuals", "Counterfactuals", blocks=(Place("pairs"),)))
    page = Page(
        "ifcurate review",
        sections,
        subtitle=f"{facts.run.folder.name}{f', split {name}' if name else ''}, scored by "
        f"{facts.run.manifest.identity['engine']['model']}",
        data={
            "statistics": STATISTICS,
            "start": {"statistic": start.statistic, "share": start.share},
            "note": _explain_cut(session),
            "sources": facts.table["source"].unique().sort().to_list()[:1000],
            "counterfactuals": counterfactuals.counts(),
        },
        scripts=("review.js",),
        charts=True,
        connects=True,
    )
    return page.render()


def _explain_cut(session: Session) -> str:
    """Return how the slider differs from the run's own split; "" where it is the same cut."""
    rule = session.facts.formula
    if session.has_own_cut:
        return ""
    if session.keeps_other_cut:
        return f"The slider moves the cut of the gain; the other cut stays: {rule}."
    return f"The run's own split is not one cut of one number, so the slider shows another: {rule}."


async def _body(request: Request) -> bytes:
    """Return the request's body; empty when it is not JSON or is too large."""
    if request.headers.get("content-type", "").split(";")[0] != "application/json":
        return b""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            return b""
    return body
