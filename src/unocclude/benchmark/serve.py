"""The preference study as a page on this machine: it shows one trial after the other and logs the choices."""

from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from threading import Lock
from urllib.parse import parse_qs, urlencode, urlsplit

from unocclude.benchmark.study import Study
from unocclude.errors import InputError


def make_server(study: Study, port: int = 0, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """A server of the study's page, not yet running; port 0 takes a free one (`server.server_port`).

    `/?person=NAME` shows the first trial that NAME has not chosen in since the server began; a choice is logged and the
    next trial follows. Method names are never sent to the browser.
    """
    try:
        server = ThreadingHTTPServer((host, port), type("Handler", (_Handler,), {"study": study, "page": _Page(study)}))
    except OSError as error:
        raise InputError(f"port {port} cannot be used: {error.strerror}; give another --port") from error
    server.daemon_threads = True
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

    def render(self, person: str, number: int) -> bytes:
        trials = self.study.trials(person)
        query = urlencode({"person": person, "trial": number})
        return self._template.render(
            person=person, number=number, count=len(trials), done=number >= len(trials), query=query,
            slots=len(self.study.methods),
        ).encode()  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    study: Study
    page: _Page

    def do_GET(self) -> None:
        try:
            path, person, number, slot = self._asked()
            if path == "/":
                self._send("text/html; charset=utf-8", self.page.render(person, number))
            elif path == "/video":
                trial = self.study.trials(person)[number]
                what = slot if slot in ("input", "truth") else trial.order[int(slot)]
                with self.page.lock:  # two requests must not make the same file
                    content = self.study.video(trial, what).read_bytes()
                self._send("video/mp4", content)
            else:
                self.send_error(HTTPStatus.NOT_FOUND)
        except (ValueError, IndexError, InputError) as error:
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))

    def do_POST(self) -> None:
        try:
            _, person, number, slot = self._asked()
            with self.page.lock:
                self.study.record(person, number, int(slot))
        except (ValueError, InputError) as error:
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))
            return
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", "/?" + urlencode({"person": person, "trial": number + 1}))
        self.end_headers()

    def _asked(self) -> tuple[str, str, int, str]:
        """Path, person, number of the trial, slot."""
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        number = int(query.get("trial", 0))
        if number < 0:
            raise ValueError("there is no such trial")
        return parts.path, query.get("person", "anonymous"), number, query.get("slot", "")

    def _send(self, kind: str, content: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass
