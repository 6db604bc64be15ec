"""No waiting for a network that is not there."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import getproxies


@contextlib.contextmanager
def offline_without_network() -> Iterator[None]:
    """Let the libraries of the Hub use their caches only, if the Hub takes no connection.

    They would try again for half a minute. A slow network is not affected: the connection has
    the time that these libraries give to a request.
    """
    from huggingface_hub import constants

    place = urlsplit(constants.ENDPOINT)
    if constants.HF_HUB_OFFLINE or getproxies():  # a proxy connects by itself
        yield
        return
    try:
        address = (place.hostname or "", place.port or (80 if place.scheme == "http" else 443))
        socket.create_connection(address, timeout=constants.HF_HUB_ETAG_TIMEOUT).close()
    except OSError:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = False
