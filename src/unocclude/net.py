"""HTTP requests to servers that may be slow, broken or hostile, with a total timeout and restricted redirects."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from threading import Event, Timer
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

ERRORS = (URLError, OSError, HTTPException, ValueError)
"""Exceptions of `open_url`, including HTTPError for an error status and TimeoutError after the timeout."""


@contextmanager
def open_url(request: Request, seconds: float, redirects: Sequence[str] = ()) -> Iterator[HTTPResponse]:
    """Send a request and yield the open response; raises TimeoutError unless the block ends within `seconds`.

    The timeout of urllib applies to each read only, so a server that sends slowly could block forever. redirects: the
    schemes to which redirects are allowed; others raise HTTPError.
    """
    sockets: list[socket.socket] = []
    late = Event()

    def stop() -> None:
        late.set()
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # interrupts blocked reads

    opener = build_opener(_Plain(sockets.append), _Secure(sockets.append), _Redirects(redirects))
    timer = Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        with opener.open(request, timeout=seconds) as answer:
            yield answer
    except ERRORS as error:
        if late.is_set():
            raise TimeoutError(f"no whole answer within {seconds:g} seconds") from error
        raise
    finally:
        timer.cancel()
    if late.is_set():
        raise TimeoutError(f"no whole answer within {seconds:g} seconds")


class _Redirects(HTTPRedirectHandler):
    def __init__(self, schemes: Sequence[str]):
        self.schemes = schemes

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        if urlsplit(newurl).scheme not in self.schemes:
            return None  # urllib then raises HTTPError
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Plain(HTTPHandler):
    def __init__(self, keep: Callable[[Any], None]):
        super().__init__()
        self.keep = keep

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(_made, HTTPConnection, self.keep), req)


class _Secure(HTTPSHandler):
    def __init__(self, keep: Callable[[Any], None]):
        super().__init__()
        self.keep = keep

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(_made, HTTPSConnection, self.keep), req)


def _made(kind: type[HTTPConnection], keep: Callable[[Any], None], host: str, **options: Any) -> HTTPConnection:
    """Create a connection that passes its socket to `keep` when it connects."""
    connection = kind(host, **options)
    connect = connection.connect

    def connect_and_keep() -> None:
        connect()
        keep(connection.sock)

    connection.connect = connect_and_keep  # type: ignore[method-assign]
    return connection
