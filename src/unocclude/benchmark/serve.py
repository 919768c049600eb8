"""Serve the preference study as a local web page that shows one trial after the other and logs the choices.

Other programs and pages in the browser can send requests as well. A request is answered only if it has the token and
the correct Host header, and a choice only if its Origin or Referer is this page.
"""

import re
import secrets
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from unocclude.benchmark.choices import MAX_NAME
from unocclude.benchmark.study import Study
from unocclude.errors import InputError, UnoccludeError

MAX_REQUEST = 2048
"""Maximum length of a request's path in characters, and of its (unused) body in bytes."""
HOSTS = ("127.0.0.1", "localhost", "[::1]")


class Server(ThreadingHTTPServer):
    """An HTTP server with a secret `token` that every request must contain."""

    daemon_threads = True
    token: str

    @property
    def address(self) -> str:
        """The start page."""
        return f"http://127.0.0.1:{self.server_port}/?{urlencode({'token': self.token})}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors such as a browser that closes the connection."""


def make_server(study: Study, port: int = 0, host: str = "127.0.0.1") -> Server:
    """Create a server of the study, not yet running; port 0 chooses a free one (`server.server_port`).

    `/?token=TOKEN` asks for a name; with `&person=NAME` it shows the first trial of NAME. A choice is logged and the
    next trial follows. Method names are never sent to the browser. Raises InputError if the port cannot be used.
    """
    try:
        server = Server((host, port), type("Handler", (_Handler,), {"study": study, "page": _Page(study)}))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"port {port} cannot be used: {reason}; give another --port") from error
    server.token = secrets.token_urlsafe()
    return server


class _Page:
    def __init__(self, study: Study):
        self.study = study
        self.lock = Lock()

    @cached_property
    def _template(self):  # type: ignore[no-untyped-def]
        from jinja2 import Environment

        return Environment(autoescape=True).from_string(
            (files("unocclude.benchmark") / "study.html.j2").read_text("utf-8")
        )

    def render(self, token: str, person: str, number: int, nonce: str) -> bytes:
        trials = self.study.trials(person)
        query = urlencode({"token": token, "person": person, "trial": number})
        return self._template.render(
            person=person, number=number, count=len(trials), done=number >= len(trials), query=query,
            slots=len(self.study.methods), nonce=nonce, token=token, longest=MAX_NAME,
        ).encode()  # fmt: skip


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, reason: str):
        super().__init__(reason)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    study: Study
    page: _Page
    server: Server
    timeout = 30  # seconds, so that an incomplete request does not block a thread forever
    nonce = ""

    def do_GET(self) -> None:
        self._answer(self._show)

    def do_POST(self) -> None:
        self._answer(self._choose)

    def _answer(self, act: Any) -> None:
        try:
            act()
        except _Refused as error:
            self._refuse(error.status, str(error))
        except (ValueError, IndexError, InputError):
            self._refuse(HTTPStatus.BAD_REQUEST, "there is no such trial or slot")
        except (UnoccludeError, OSError):
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "the study cannot be read or written")

    def _show(self) -> None:
        path, person, number, slot = self._asked()
        if path == "/":
            self.nonce = secrets.token_urlsafe()
            self._send("text/html; charset=utf-8", self.page.render(self.server.token, person, number, self.nonce))
        elif path == "/video":
            _require_name(person)
            trial = self.study.trials(person)[number]
            what = slot if slot in ("input", "truth") else trial.order[_number(slot)]
            with self.page.lock:  # two requests must not write the same file
                content = self.study.video(trial, what).read_bytes()
            self._send("video/mp4", content)
        else:
            raise _Refused(HTTPStatus.NOT_FOUND, "there is no such page")

    def _choose(self) -> None:
        path, person, number, slot = self._asked()
        if path != "/choose":
            raise _Refused(HTTPStatus.NOT_FOUND, "there is no such page")
        came_from = self.headers.get("Origin") or self.headers.get("Referer") or ""
        if urlsplit(came_from)[:2] != ("http", self.headers["Host"]):
            raise _Refused(HTTPStatus.FORBIDDEN, "the request does not come from the study's page")
        _require_name(person)
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or _number(length, 9) > MAX_REQUEST:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request body is too large")
        self.rfile.read(int(length))
        with self.page.lock:
            self.study.record(person, number, _number(slot))
        self.send_response(HTTPStatus.SEE_OTHER)
        query = urlencode({"token": self.server.token, "person": person, "trial": number + 1})
        self.send_header("Location", f"/?{query}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _asked(self) -> tuple[str, str, int, str]:
        """Check the request and return its path, person, trial number and slot."""
        if self.headers.get_all("Host", []) not in [[f"{host}:{self.server.server_port}"] for host in HOSTS]:
            raise _Refused(HTTPStatus.FORBIDDEN, "the Host header is not that of this server")
        if len(self.path) > MAX_REQUEST:
            raise _Refused(HTTPStatus.REQUEST_URI_TOO_LONG, "the address is too long")
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query, max_num_fields=8).items()}
        if not secrets.compare_digest(query.get("token", "").encode(), self.server.token.encode()):
            raise _Refused(HTTPStatus.FORBIDDEN, "use the address that `unocclude study` prints, including its token")
        person = query.get("person", "").strip()
        if len(person) > MAX_NAME or not person.isprintable():
            raise _Refused(HTTPStatus.BAD_REQUEST, f"a name has at most {MAX_NAME} characters on one line")
        return parts.path, person, _number(query.get("trial", "0")), query.get("slot", "")

    def _send(self, kind: str, content: bytes, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.close_connection = True
        self._send("text/plain; charset=utf-8", f"{reason}\n".encode(), status)

    def end_headers(self) -> None:
        own = f"style-src 'nonce-{self.nonce}'; script-src 'nonce-{self.nonce}'; " if self.nonce else ""
        policy = "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        for name, value in (
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "same-origin"),  # the address contains the token
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Content-Security-Policy", f"default-src 'none'; media-src 'self'; {own}{policy}"),
        ):
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def _require_name(person: str) -> None:
    if not person:
        raise _Refused(HTTPStatus.BAD_REQUEST, "open the page and give a name first")


def _number(text: str, digits: int = 6) -> int:
    """Parse a number from a request; raises ValueError if it is invalid."""
    if not re.fullmatch(rf"[0-9]{{1,{digits}}}", text):
        raise ValueError(text)
    return int(text)
