"""A server of the page in this process, and a client that its token lets in."""

import threading
import time

import httpx
import pytest

pytest.importorskip("fastapi")

from support import small_clip


class Page:
    """A running server, and requests as its page makes them."""

    def __init__(self, folder, source=None):
        from unocclude.app.project import Project
        from unocclude.app.server import make_server
        from unocclude.app.session import Session

        self.session = Session(Project(folder, source))
        self.server = make_server(self.session)
        self.thread = threading.Thread(target=self.server.serve_here, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        self.base = f"http://127.0.0.1:{self.server.port}"
        self.origin = {"Origin": self.base}
        self.client = httpx.Client(base_url=self.base, timeout=60, headers=self.origin)
        assert self.client.get("/", params={"token": self.server.token}).status_code in (200, 503)

    def close(self):
        self.client.close()
        self.server.should_exit = True
        self.thread.join(10)
        self.session.close()

    def project(self):
        return self.client.get("/api/project").json()

    def put(self, *objects):
        revision = self.project()["revision"]
        return self.client.put("/api/objects", json={"revision": revision, "objects": list(objects)})

    def finished(self, job, seconds=120):
        """The job when it is no longer waiting or running."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = next(one for one in self.project()["jobs"] if one["id"] == job["id"])
            if found["state"] not in ("queued", "running"):
                return found
            time.sleep(0.05)
        raise AssertionError(f"{found} did not end")


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    return small_clip.make(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def page(tmp_path, clip):
    page = Page(tmp_path / "project", clip / "frames")
    yield page
    page.close()


@pytest.fixture
def empty_page(tmp_path):
    page = Page(tmp_path / "empty")
    yield page
    page.close()
