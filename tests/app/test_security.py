"""The server answers its own page alone, and gives away nothing else of this machine."""

import http.client
import io

import httpx
import numpy as np
import pytest
from PIL import Image

from unocclude.app import server as servers
from unocclude.app.words import without_paths

PATHS = ("/", "/api/project", "/api/openapi.json", "/api/events", "/api/methods", "/assets/icon.svg", "/elsewhere")


def raw(page, path, method="GET", body=b"", **headers):
    """A request exactly as given, without a client that mends it; `_` in names stands for `-`."""
    connection = http.client.HTTPConnection("127.0.0.1", page.server.port, timeout=10)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    given = {"Host": f"127.0.0.1:{page.server.port}"} | {k.replace("_", "-"): v for k, v in headers.items()}
    for name, value in given.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


def cookie(page):
    (one,) = page.client.cookies.jar
    return f"{one.name}={one.value}"


def test_without_the_token_every_path_is_refused(page):
    for path in PATHS:
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            assert raw(page, path, method, Origin=page.base, Content_Length="0")[0] in (401, 403), (path, method)
    wrong = [page.server.token[:-1], page.server.token + "x", "", "é", "%ff", page.server.token[::-1]]
    for token in wrong:
        assert httpx.get(page.base + "/", params={"token": token}).status_code == 401
    assert httpx.get(page.base + "/api/project", params={"token": page.server.token}).status_code == 401
    assert raw(page, "/api/project", Cookie=f"unocclude-{page.server.port}={page.server.token}")[0] == 401
    assert raw(page, "/api/project", Cookie="\x01;;=;")[0] == 401


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(page):
    answer = httpx.get(page.base + "/", params={"token": page.server.token})
    given = answer.headers["set-cookie"]
    assert "HttpOnly" in given and "SameSite=Strict" in given and page.server.token not in given
    assert len(page.server.token) >= 40
    assert raw(page, "/api/project", Cookie=cookie(page))[0] == 200


def test_it_listens_on_this_machine_alone_and_to_its_own_name(page):
    assert page.server._socket.getsockname()[0] == "127.0.0.1"
    port = page.server.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
        assert raw(page, "/api/project", Host=host, Cookie=cookie(page))[0] == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", "localhost:1", "", None, f"127.0.0.1:{port}.x"):
        assert raw(page, "/api/project", Host=host, Cookie=cookie(page))[0] in (400, 403)
        assert raw(page, f"/?token={page.server.token}", Host=host)[0] in (400, 403)


def test_other_origins_are_refused(page):
    own = page.base
    for origin in ("null", "http://evil.example", own.replace("http:", "https:"), own + "0", "", own + "/"):
        for path, method in (("/api/project", "GET"), ("/api/jobs/track", "POST")):
            status = raw(page, path, method, Origin=origin, Cookie=cookie(page), Content_Length="0")[0]
            assert status == 403, origin
    assert raw(page, "/api/jobs/track", "POST", Cookie=cookie(page), Content_Length="0")[0] == 403
    assert raw(page, "/api/project", Cookie=cookie(page), Sec_Fetch_Site="cross-site")[0] == 403
    assert raw(page, "/api/project", Cookie=cookie(page), Sec_Fetch_Site="same-site")[0] == 403


def test_answers_cannot_be_framed_sniffed_or_scripted(page):
    for path in (*PATHS[:3], "/elsewhere"):
        for more in ({}, {"Cookie": cookie(page)}):
            headers = raw(page, path, **more)[1]
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy and headers["x-content-type-options"] == "nosniff"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert "access-control-allow-origin" not in headers and headers.get("server") is None


TRAVERSALS = (
    "..",
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f",
    "..\\..\\x",
    "/etc/passwd",
    "%00",
    "a/../b",
)


def test_nothing_is_reached_by_a_path(page):
    clip = page.project()["clip"]["id"]
    forms = (
        "/assets/{}", "/api/clips/{}/frames/0.webp", f"/api/clips/{clip}/frames/{{}}.webp", "/api/tracks/{}/x/0.png",
        "/api/tracks/1/{}/0.png", "/api/results/{}/plate/0.webp", "/api/results/x/objects/{}/rgba/0.png",
        "/api/results/x/objects/1/{}/0.png", "/api/exports/{}", "/api/results/x/composed/{}/0.webp", "/{}",
    )  # fmt: skip
    for form in forms:
        for attack in TRAVERSALS:
            status, _, body = raw(page, form.format(attack), Cookie=cookie(page))
            assert status in (400, 404, 405, 422), (form, attack, status)
            assert b"root:" not in body and str(page.session.project.folder).encode() not in body
    for mask in ("../../secret.png", "masks/../../x.png", "/etc/passwd", "masks/" + "0" * 32 + ".png"):
        item = {"id": 1, "name": "a", "cues": [{"frame": 0, "mask": mask}]}
        assert page.put(item).status_code in (400, 422)
    for background in ("/etc/passwd", "../x.png", "file.png"):
        assert page.client.put("/api/edit", json={"background": background}).status_code == 422
    for weights in ("/etc", "../x", "a/../b", "..", "a/b/c"):
        assert page.client.put("/api/settings", json={"weights": weights}).status_code == 422


def test_large_requests_are_refused(page, monkeypatch):
    own = {"Origin": page.base, "Cookie": cookie(page)}
    assert raw(page, "/api/objects", "PUT", Content_Length=str(1 << 40), **own)[0] == 413
    assert raw(page, "/api/objects", "PUT", Content_Length="-1", **own)[0] in (400, 413)
    assert raw(page, "/" + "x" * 3000, **own)[0] == 414

    def endless():
        for _ in range(40):
            yield b" " * (1 << 20)

    with page.client.stream("PUT", "/api/objects", content=endless()) as answer:  # without a length
        assert answer.status_code == 413


def test_uploads_are_limited_checked_and_stored_by_id(empty_page, clip, monkeypatch):
    page = empty_page
    page.server.config.app._upload_bytes = 100_000
    uploads = page.session.project.folder / "uploads"
    picture = (clip / "frames" / "00000.png").read_bytes()
    refused = [
        (b"no clip at all", "x.mp4", 400), (b"", "x.mp4", 400), (picture[:200], "x.png", 400),
        (b"\0" * 100_001, "x.mp4", 413), (picture, "x" * 300, 422),
    ]  # fmt: skip
    for data, name, status in refused:
        answer = page.client.post("/api/clip", params={"name": name}, content=data)
        assert answer.status_code == status, (name, answer.text)
        assert str(page.session.project.folder) not in answer.text and not list(uploads.iterdir())
    hostile = "<img src=x onerror=alert(1)>/../../é.png"
    assert page.client.post("/api/clip", params={"name": hostile}, content=picture).status_code == 200
    (stored,) = uploads.iterdir()
    assert stored.suffix == ".png" and len(stored.stem) == 16 and stored.stem.isalnum()
    answer = page.client.get("/api/project")
    assert answer.json()["clip"]["name"] == hostile and answer.headers["content-type"] == "application/json"
    assert page.client.post("/api/clip", params={"name": "y.png"}, content=picture).status_code == 409


def test_painted_masks_are_checked(page):
    def png(size, mode="L"):
        data = io.BytesIO()
        Image.new(mode, size).save(data, "PNG")
        return data.getvalue()

    for data in (b"", b"GIF89a", png((1, 1)), png((4000, 1)), b"\x89PNG\r\n\x1a\n" + b"\0" * 50):
        assert page.client.post("/api/masks", content=data).status_code == 400
    height, width = page.session.clip.height, page.session.clip.width
    name = page.client.post("/api/masks", content=png((width, height), "RGBA")).json()["mask"]
    assert not np.asarray(Image.open(page.session.project.folder / name)).any()  # transparent is not the object


def test_a_server_that_fails_tells_no_paths(page, monkeypatch):
    def broken(*_):
        raise RuntimeError(f"{page.session.project.folder}/secret is broken")

    monkeypatch.setattr(servers, "_view", broken)
    answer = page.client.get("/api/project")
    assert answer.status_code == 500 and str(page.session.project.folder) not in answer.text


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("/home/ann/clips/a b.mp4: is broken", "a b.mp4: is broken"),
        ("cannot read /etc/passwd; give another", "cannot read passwd; give another"),
        (r"C:\Users\ann\x.mov: no", "x.mov: no"),
        ("3/4 of 24 fps and 1/2", "3/4 of 24 fps and 1/2"),
    ],
)
def test_messages_lose_their_paths(message, told):
    assert without_paths(message, "/home/ann/clips/a b.mp4") == told
