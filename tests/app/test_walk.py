"""One walk through the page in a real browser: click, correct, track, complete, a kill, edit and export."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.resources import files

import av
import numpy as np
import pytest
from PIL import Image

import unocclude
from unocclude.media.images import read_png
from unocclude.synthesis import rigid_world, write_world

pytest.importorskip("fastapi")
playwright = pytest.importorskip("playwright.sync_api")

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
WAIT = 60_000  # ms
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no chromium found; apt-get install chromium"),
    pytest.mark.skipif(
        not (files("unocclude.app") / "page" / "index.html").is_file(), reason="the page is not built; `make app`"
    ),
]


class Server:
    """`unocclude app` as a process of its own."""

    def __init__(self, clip, project):
        self._command = [sys.executable, "-m", "unocclude.cli", "app", clip, "--project", project, "--no-browser"]
        self.start()

    def start(self):
        command = list(map(str, self._command))
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.address = self.process.stdout.readline().strip()

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


def until(page, words):
    """Wait until the project, `v`, is as `words` say in JavaScript."""
    ask = f"fetch('/api/project').then(answer => answer.json()).then(v => !!({words}))"
    end = time.monotonic() + WAIT / 1000
    while not page.evaluate(ask):
        assert time.monotonic() < end, (words, page.evaluate("fetch('/api/project').then(answer => answer.text())"))
        page.wait_for_timeout(100)


def click(page, x, y, alt=False):
    """Click a place of the frame, and return the mask that comes back."""
    box = page.locator("canvas").bounding_box()
    scale = box["width"] / 200
    page.mouse.move(box["x"] + (x + 0.5) * scale, box["y"] + (y + 0.5) * scale)
    with page.expect_response(lambda answer: "/api/segment" in answer.url, timeout=WAIT) as got:
        if alt:
            page.keyboard.down("Alt")
        page.mouse.down()
        page.mouse.up()
        if alt:
            page.keyboard.up("Alt")
    assert got.value.status == 200, got.value.text()
    # Chromium does not keep the bodies of pictures, so the page asks once more
    data = page.evaluate(
        "body => fetch('/api/segment', {method: 'POST', body, headers: {'Content-Type': 'application/json'}})"
        ".then(answer => answer.arrayBuffer()).then(data => [...new Uint8Array(data)])",
        got.value.request.post_data,
    )
    return np.asarray(Image.open(io.BytesIO(bytes(data))).convert("RGBA"))[..., 3] > 0


def show(page, frame, view=None):
    if view:
        page.get_by_role("button", name=view, exact=True).click()
    slider = page.get_by_label("Frame", exact=True)
    slider.fill(str(frame))
    page.wait_for_selector(f"canvas[data-frame='{frame}']")


def colour_at(page, x, y):
    """What the canvas shows at a place of the frame."""
    return page.evaluate(
        "([x, y]) => [...document.querySelector('canvas').getContext('2d').getImageData(x, y, 1, 1).data]", [x, y]
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walk")
    write_world(rigid_world(3, "camera", 8, 200, 136, size=0.66, occluders=["pole"], noise=1.0, fps=12), folder)
    return folder


def test_from_click_to_export(clip, tmp_path):
    truth = read_png(clip / "visible_masks" / "00000.png") > 127
    ys, xs = np.nonzero(truth)
    middle = np.argmin((ys - np.median(ys)) ** 2 + (xs - np.median(xs)) ** 2)
    x, y = int(xs[middle]), int(ys[middle])
    ground = np.argwhere(~(read_png(clip / "amodal_masks" / "00000.png") > 127))
    far_y, far_x = map(int, ground[np.argmax(np.abs(ground - (y, x)).sum(1))])
    project, errors = tmp_path / "project", []
    server = Server(clip / "frames", project)
    try:
        with playwright.sync_playwright() as player:
            browser = player.chromium.launch(executable_path=BROWSER, args=FLAGS)
            page = browser.new_page(viewport={"width": 1100, "height": 720})
            page.on("pageerror", lambda error: errors.append(str(error)))
            asked = []
            page.on("request", lambda request: asked.append(request.url))
            page.goto(server.address)
            page.wait_for_selector("canvas[data-frame='0']", timeout=WAIT)
            assert "token" not in page.url

            # a click, and one that takes away
            before = colour_at(page, x, y)
            mask = click(page, x, y)
            assert mask[y, x] and (mask & truth).sum() > 0.4 * (mask | truth).sum()
            page.wait_for_function(
                "([x, y, was]) => document.querySelector('canvas').getContext('2d').getImageData(x, y, 1, 1)"
                ".data.some((value, k) => Math.abs(value - was[k]) > 8)", arg=[x, y, before], timeout=WAIT,
            )  # fmt: skip
            mask = click(page, far_x, far_y, alt=True)
            assert mask[y, x] and not mask[far_y, far_x]
            # undo and redo
            page.keyboard.press("Control+z")
            until(page, "v.objects[0].cues[0].points.length == 1")
            page.keyboard.press("Control+Shift+z")
            until(page, "v.objects[0].cues[0].points.length == 2")

            # a second object, which is taken back
            page.get_by_role("button", name="New", exact=True).click()
            assert click(page, far_x, far_y)[far_y, far_x]
            until(page, "v.objects.length == 2 && v.objects[1].cues.length == 1")
            page.get_by_role("button", name="Delete").click()
            until(page, "v.objects.length == 1")

            # track, correct in a later frame, and track again
            page.get_by_role("button", name="Track", exact=True).click()
            until(page, "v.tracks.length && v.tracks[0].current")
            show(page, 6)
            box = read_png(clip / "visible_masks" / "00006.png") > 127
            ys6, xs6 = np.nonzero(box)
            k = np.argmin((ys6 - np.median(ys6)) ** 2 + (xs6 - np.median(xs6)) ** 2)
            assert click(page, int(xs6[k]), int(ys6[k]))[ys6[k], xs6[k]]
            until(page, "v.objects[0].cues.length == 2 && !v.tracks[0].current")
            page.get_by_role("button", name="Track", exact=True).click()
            until(page, "v.tracks[0].current && !v.jobs.some(j => j.state == 'running')")

            # complete: frames appear while it runs; the server dies in the middle of it
            page.get_by_role("button", name="Complete", exact=True).click()
            until(page, "v.results.some(r => r.objects.some(o => o.ready > 0))")
            server.kill()
            page.wait_for_selector("text=Connection lost", timeout=WAIT)
            server.start()
            page.goto(server.address)
            page.wait_for_selector("canvas[data-frame='0']", timeout=WAIT)
            until(page, "v.objects[0].cues.length == 2 && v.tracks[0].current")
            if page.get_by_role("button", name="Resume").count():
                page.get_by_role("button", name="Resume").click()
            until(page, "v.results.some(r => r.finished)")

            # look at the result
            show(page, 3, "Provenance")
            page.wait_for_function(
                "([x, y]) => { const [r, g] = document.querySelector('canvas').getContext('2d')"
                ".getImageData(x, y, 1, 1).data; return g > 120 && r < 120; }",
                arg=_seen(project), timeout=WAIT,
            )  # fmt: skip

            # drag the layer
            show(page, 3, "Layers")
            until(page, "v.results[0].finished")
            x3, y3 = _seen(project)
            area = page.locator("canvas").bounding_box()
            scale = area["width"] / 200
            page.wait_for_timeout(500)
            page.mouse.move(area["x"] + x3 * scale, area["y"] + y3 * scale)
            page.mouse.down()
            page.wait_for_timeout(500)
            page.mouse.move(area["x"] + (x3 + 10) * scale, area["y"] + (y3 + 4) * scale, steps=3)
            page.mouse.up()
            until(page, "v.edit.objects[1] && v.edit.objects[1].move[0] > 5")

            # export the picture as edited, and compare
            page.get_by_label("What").select_option("composition")
            page.get_by_label("Format").select_option(".mov")
            page.get_by_role("button", name="Export", exact=True).click()
            with page.expect_download(timeout=WAIT) as download:
                page.locator("a[download]").click(timeout=WAIT)
            file = tmp_path / "edited.mov"
            download.value.save_as(file)
            edit = page.evaluate("fetch('/api/project').then(answer => answer.json()).then(v => v.edit)")
            browser.close()
    finally:
        server.kill()
    assert not errors
    assert all(url.startswith(("http://127.0.0.1:", "blob:", "data:")) for url in asked)
    with av.open(str(file)) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    layers = unocclude.Layers(project / "layers")
    assert len(frames) == 8 and edit["objects"]["1"]["move"] == pytest.approx([10, 4], abs=2)
    for got, expected in zip(frames, layers.compose(edit), strict=True):
        assert np.abs(got - expected).mean() < 3
    assert np.abs(frames[3] - unocclude.open(clip / "frames")[3]).mean() > 3  # it has moved


def _seen(project):
    """A place in frame 3 where the object is seen, well inside it."""
    import cv2

    seen = (read_png(project / "layers/objects/1/provenance/00003.png") == 1).astype(np.uint8)
    depth = cv2.distanceTransform(seen, cv2.DIST_L2, 3)
    y, x = np.unravel_index(np.argmax(depth), depth.shape)
    return [int(x), int(y)]
