"""Start the application on a free loopback port, and stop it on Ctrl-C."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable

from ifcurate.errors import IfcurateError
from ifcurate.options.base import takes_options
from ifcurate.options.review import ReviewOptions
from ifcurate.reports.facts import gather_facts
from ifcurate.reports.tokens import TokenTexts
from ifcurate.runs.run import Run

__all__ = ["serve_review"]


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
        on_ready: is given the address, token included, before the first request.

    Raises:
        IfcurateError: Starlette and uvicorn are not installed, or the port is taken.
        RunError: the run is unfinished, or its files do not belong together.
    """
    try:
        import uvicorn

        from ifcurate.review.application import create_application
    except ImportError as error:
        raise IfcurateError(
            f"review: needs a web server; found no package {error.name}; "
            'install it: pip install "ifcurate[review]"'
        ) from error
    from ifcurate.review.counterfactuals import Counterfactuals
    from ifcurate.review.session import Session

    session = Session(gather_facts(run), TokenTexts(run, options.tokenizer))
    counterfactuals = Counterfactuals(options.augmented or run.folder / "augmented")
    token = secrets.token_urlsafe(24)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", options.port))
        except OSError as error:
            raise IfcurateError(
                f"review: port {options.port} cannot be used: {error.strerror}; choose another with --port"
            ) from error
        port = listener.getsockname()[1]
        application = create_application(session, counterfactuals, token=token, port=port)
        # No access log: the addresses in it hold the token.
        settings = uvicorn.Config(application, log_level="warning", access_log=False)
        on_ready(f"http://127.0.0.1:{port}/{token}/")
        uvicorn.Server(settings).run(sockets=[listener])
