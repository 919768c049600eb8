"""Who may talk to the server: the page that it printed the address of, and nobody else.

Any program and any page in the browser can send requests to a port of this machine. A request is answered only with
the cookie that the printed address is exchanged for, to this server's own name, and from its own page.
"""

import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HOSTS = ("127.0.0.1", "localhost", "[::1]")
MAX_BODY = 16 << 20
"""Maximum length of a request's body in bytes, uploads apart."""
MAX_ADDRESS = 2048
"""Maximum length of a request's path and query together."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self'; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
)


class _TooLarge(Exception):
    """A request's body is too long."""


class Guard:
    """ASGI middleware that refuses what does not come from the page.

    port: the server's. uploads: the path whose bodies may have up to `upload_bytes`. The start page with `?token=TOKEN`
    sets a cookie, HttpOnly and SameSite=Strict, which every other request must bring.
    """

    def __init__(self, app: Any, port: int, token: str, uploads: str = "", upload_bytes: int = MAX_BODY):
        self._app, self._token = app, token
        self._cookie, self._session = f"unocclude-{port}", secrets.token_urlsafe()
        self._hosts = {f"{host}:{port}" for host in HOSTS}
        self._uploads, self._upload_bytes = uploads, upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        answer = _with_headers(send)
        refusal, cookie = self._check(scope, headers)
        if refusal is not None:
            await _refuse(answer, *refusal)
            return
        most = self._upload_bytes if scope["path"] == self._uploads else MAX_BODY
        length = headers.get("content-length", ["0"])[0]
        if not re.fullmatch("[0-9]{1,15}", length) or int(length) > most:
            await _refuse(answer, 413, "that is too large")
            return
        body = _Counted(receive, most)
        refused = False

        async def begun(message: MutableMapping[str, Any]) -> None:
            nonlocal refused
            if refused:
                return
            if message["type"] == "http.response.start":
                if body.too_large:  # whatever the application made of it
                    refused = True
                    await _refuse(answer, 413, "that is too large")
                    return
                if cookie:
                    message["headers"] = [*message.get("headers", []), (b"set-cookie", cookie.encode("latin-1"))]
            await answer(message)

        await self._app(scope, body, begun)

    def _check(self, scope: Scope, headers: dict[str, list[str]]) -> tuple[tuple[int, str] | None, str | None]:
        """Why a request is refused (status, reason), and the cookie to set."""
        host = headers.get("host", [])
        if len(host) != 1 or host[0] not in self._hosts:
            return (403, "the Host header is not that of this server"), None
        query = scope.get("query_string", b"")
        if len(scope.get("raw_path") or b"") + len(query) > MAX_ADDRESS:
            return (414, "the address is too long"), None
        origin = headers.get("origin", [])
        own = f"http://{host[0]}"
        writes = scope["method"] not in ("GET", "HEAD")
        if origin not in ([], [own]) or (writes and origin != [own]):
            return (403, "the request does not come from the page"), None
        if self._has_cookie(headers.get("cookie", [])):
            if headers.get("sec-fetch-site", ["same-origin"])[0] in ("same-origin", "none"):
                return None, None
            return (403, "the request does not come from the page"), None
        if scope["path"] == "/" and scope["method"] == "GET":
            try:
                given = parse_qs(query.decode("latin-1"), max_num_fields=8).get("token", [""])[0]
            except ValueError:
                given = ""
            if _equal(given, self._token):
                return None, f"{self._cookie}={self._session}; Path=/; HttpOnly; SameSite=Strict"
        return (401, "open the address that was printed when the server was started, with its token"), None

    def _has_cookie(self, given: list[str]) -> bool:
        try:
            cookies = SimpleCookie("; ".join(given))
        except CookieError:
            return False
        return self._cookie in cookies and _equal(cookies[self._cookie].value, self._session)


def _equal(given: str, expected: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), expected.encode())


class _Counted:
    """A request's body, which ends in an error once it is longer than `most` bytes, whatever its header said."""

    def __init__(self, receive: Receive, most: int):
        self._receive, self._left = receive, most
        self.too_large = False

    async def __call__(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self._left -= len(message.get("body") or b"")
        if self._left < 0:
            self.too_large = True
            raise _TooLarge
        return message


def _with_headers(send: Send) -> Send:
    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message.get("headers", [])}
            extra = [(name.encode(), value.encode()) for name, value in HEADERS if name.encode() not in given]
            if b"cache-control" not in given:
                extra.append((b"cache-control", b"no-store"))
            message["headers"] = [*message.get("headers", []), *extra]
        await send(message)

    return sent


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = f"{reason}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
