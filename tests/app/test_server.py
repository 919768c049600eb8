"""The server of the page: clicks, tracks, jobs, results and exports, and that a kill loses nothing."""

import io
import json
import os
import signal
import subprocess
import sys

import av
import httpx
import numpy as np
import pytest
from PIL import Image

import unocclude
from app.conftest import Page
from unocclude.app.events import EventLog
from unocclude.cli import main
from unocclude.completion import Completion
from unocclude.errors import InputError
from unocclude.media.images import read_png

BOX = {"id": 1, "name": "square", "cues": [{"frame": 0, "box": [0, 8, 19, 26]}], "colour": "#2f7fe0"}


def decoded(answer):
    """The mask of a picture: where it is opaque."""
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))[..., 3] > 127


def test_a_click_gives_the_mask_that_track_would_start_from(page, clip):
    item = {"id": 1, "name": "", "cues": [{"frame": 0, "points": [[9, 17, 1]]}]}
    found = decoded(page.client.post("/api/segment", json={"frame": 0, "object": item}))
    expected = unocclude.track(unocclude.open(clip / "frames"), point=(9, 17))[0]
    assert np.array_equal(found, expected) and found[17, 9]
    item["cues"][0]["points"].append([12, 20, 0])
    assert not decoded(page.client.post("/api/segment", json={"frame": 0, "object": item}))[20, 12]
    refused = (
        (3, item["cues"]),
        (0, [{"frame": 0, "points": [[900, 1, 1]]}]),
        (0, [{"frame": 0, "points": [[5, 5, 0]]}]),
        (99, [{"frame": 99, "box": [0, 0, 9, 9]}]),
    )
    for frame, cues in refused:
        asked = {"frame": frame, "object": {"id": 1, "cues": cues}}
        assert page.client.post("/api/segment", json=asked).status_code == 400


def test_frames_are_the_clips_and_are_kept_by_browsers(page, clip):
    number = page.project()["clip"]["id"]
    answer = page.client.get(f"/api/clips/{number}/frames/3.webp")
    assert "immutable" in answer.headers["cache-control"]
    shown, frame = Image.open(io.BytesIO(answer.content)), Image.fromarray(unocclude.open(clip / "frames")[3])
    luma = [np.asarray(picture.convert("L")).astype(int) for picture in (shown, frame)]
    assert np.abs(luma[0] - luma[1]).mean() < 6
    assert page.client.get(f"/api/clips/{number}/frames/6.webp").status_code == 404
    assert page.client.get("/api/clips/other/frames/0.webp").status_code == 404


def test_the_page_completes_as_the_command_line_does_and_exports_the_edit(page, clip, tmp_path):
    assert page.put(BOX).status_code == 200
    job = page.finished(page.client.post("/api/jobs/track").json())
    assert job["state"] == "done", job
    (track,) = page.project()["tracks"]
    assert track["current"] and track["visible"][:3] == [True] * 3 and len(track["visible"]) == 6
    job = page.finished(page.client.post("/api/jobs/complete").json())
    assert job["state"] == "done", job
    view = page.project()
    (result,) = view["results"]
    assert result["finished"] and result["objects"][0]["ready"] == 6 and len(result["objects"][0]["occlusion"]) == 6

    layers = page.session.project.folder / "layers"
    words = view["command"].split()
    assert words[:2] == ["unocclude", "layers"]
    out = tmp_path / "by-hand"
    words = [str(out) if word == str(layers) else word for word in words if word != "--overwrite"]
    assert main([*words[1:], "--quiet"]) == 0
    for file in sorted((out / "objects/1/rgba").iterdir()):
        assert file.read_bytes() == (layers / "objects/1/rgba" / file.name).read_bytes()

    rgba = Completion(layers / "objects/1").rgba
    run = result["run"]
    address = f"/api/results/{run}/objects/1"
    assert page.client.get(f"{address}/rgba/4.png").content == (layers / "objects/1/rgba/00004.png").read_bytes()
    amodal = decoded(page.client.get(f"{address}/amodal/4.png"))
    assert np.array_equal(amodal, read_png(layers / "objects/1/amodal_masks/00004.png") > 127)
    assert np.array_equal(decoded(page.client.get(f"{address}/provenance/4.png")), amodal)
    for missing in (
        f"{address}/rgba/6.png",
        f"/api/results/{run}/objects/2/rgba/0.png",
        f"{address}/hypotheses/1/9.png",
    ):
        assert page.client.get(missing).status_code == 404

    edit = {"background": "plate", "objects": {"1": {"move": [5, -3]}}}
    assert page.client.put("/api/edit", json=edit).status_code == 200
    asked = {"what": "composition", "format": ".mov", "start": 2, "end": 5}
    job = page.finished(page.client.post("/api/exports", json=asked).json())
    assert job["state"] == "done", job
    file = tmp_path / "edited.mov"
    file.write_bytes(page.client.get(f"/api/exports/{job['id']}").content)
    with av.open(str(file)) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    expected = unocclude.Layers(layers).compose(edit)[2:5]
    assert len(frames) == 3
    for got, wanted in zip(frames, expected, strict=True):
        assert np.abs(got - wanted).mean() < 3
    y, x = np.argwhere(rgba[2][..., 3] == 255)[0] + (-3, 5)
    assert np.abs(frames[0][y, x] - rgba[2][y + 3, x - 5, :3]).max() < 40

    job = page.finished(page.client.post("/api/exports", json={"what": "layers", "format": "folder"}).json())
    assert job["state"] == "done", job
    answer = page.client.get(f"/api/exports/{job['id']}")
    assert answer.content[:2] == b"PK" and "attachment" in answer.headers["content-disposition"]
    for wrong in ({"what": "object", "object": 9, "format": ".mov"}, {"what": "layers", "format": ".mov"}):
        assert page.client.post("/api/exports", json=wrong).status_code == 400
    job = page.finished(page.client.post("/api/exports", json={**asked, "start": 5, "end": 9}).json())
    assert job["state"] == "failed" and "frames 0 to 5" in job["message"]


def test_what_cannot_be_done_is_said(page):
    assert page.client.post("/api/jobs/track").json()["detail"].startswith("nothing is marked")
    assert page.client.post("/api/exports", json={"what": "composition", "format": ".mp4"}).status_code == 400
    assert page.client.delete("/api/jobs/nothing").status_code == 404
    assert page.client.put("/api/settings", json={"method": "nothing"}).status_code == 400
    assert page.client.put("/api/settings", json={"options": {"no": 1}}).status_code == 400
    assert page.put(BOX, BOX).status_code == 400
    assert page.put({"id": 1, "name": "x" * 101}).status_code == 422
    page.put({"id": 1, "cues": [{"frame": 77, "box": [0, 0, 9, 9]}]})
    job = page.finished(page.client.post("/api/jobs/complete").json())
    assert job["state"] == "failed" and "frame 77" in job["message"]
    assert str(page.session.project.folder) not in job["message"]


def test_two_windows_do_not_overwrite_each_other(page):
    old = page.project()["revision"]
    assert page.put(BOX).status_code == 200
    late = page.client.put("/api/objects", json={"revision": old, "objects": []})
    assert late.status_code == 409 and page.project()["objects"][0]["name"] == "square"


def test_a_killed_server_loses_nothing(tmp_path, clip):
    folder = tmp_path / "project"
    command = [
        sys.executable,
        "-m",
        "unocclude.cli",
        "app",
        str(clip / "frames"),
        "--project",
        str(folder),
        "--no-browser",
    ]

    def start():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        address = process.stdout.readline().strip()
        client = httpx.Client(base_url=address.partition("/?")[0], timeout=60)
        client.headers["Origin"] = address.partition("/?")[0]
        client.get("/", params={"token": address.partition("token=")[2]})
        return process, client

    process, client = start()
    try:
        client.put("/api/objects", json={"revision": client.get("/api/project").json()["revision"], "objects": [BOX]})
        client.put("/api/edit", json={"objects": {"1": {"move": [3, 4]}}})
        client.post("/api/jobs/complete")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    process, client = start()
    try:
        view = client.get("/api/project").json()
        assert view["objects"][0]["cues"][0]["box"] == BOX["cues"][0]["box"] and view["edit"]["objects"]["1"][
            "move"
        ] == [3, 4]
        assert [job["state"] for job in view["jobs"]] == ["interrupted"]
        assert json.loads((folder / "objects.json").read_text())["objects"][0]["name"] == "square"
        with pytest.raises(InputError, match="another run"):
            Page(folder)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert not [path for path in folder.rglob("*") if path.name.endswith(".lock") and path.parent == folder]


def test_a_project_belongs_to_its_clip(page, clip, tmp_path):
    page.close()
    folder = page.session.project.folder
    other = tmp_path / "other.png"
    Image.new("RGB", (20, 20)).save(other)
    assert main(["app", str(other), "--project", str(folder), "--no-browser"]) == 2
    assert main(["app", "--project", str(clip), "--no-browser"]) == 2  # a folder with something else in it
    assert main(["app", str(tmp_path / "missing.mp4"), "--project", str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new").exists()
    (folder / "project.json").write_text('{"schema": 99}')
    with pytest.raises(InputError, match="schema 99"):
        Page(folder)


def test_cancelling_ends_the_work(page):
    page.put(BOX)
    jobs = [page.client.post("/api/jobs/track").json() for _ in range(1)]
    page.client.delete(f"/api/jobs/{jobs[0]['id']}")
    assert page.finished(jobs[0])["state"] in ("cancelled", "done")
    again = page.finished(page.client.post("/api/jobs/track").json())
    assert again["state"] == "done", again


@pytest.mark.parametrize(
    ("last", "expected"), [(None, ["reset"]), ("other-3", ["reset"]), ("{}-1", ["b", "c"]), ("{}-9", ["reset"])]
)
def test_events_are_taken_up_where_they_broke(last, expected):
    import asyncio

    async def heard():
        log = EventLog()
        for kind in "abc":
            log.add(kind, value=kind)
        found = []
        async for text in log.follow(last and last.format(log._epoch)):
            found.append(text.split("event: ")[1].split("\n")[0])
            if len(found) == len(expected):
                return found
        return found

    assert asyncio.run(heard()) == expected
