"""The report and the preview: looked at in a browser, and measured."""

import json
import re
import shutil

import numpy as np
import pytest

import unocclude
from support import small_clip
from support.small_clip import COUNT, HEIGHT, WIDTH, run
from unocclude.clip import Clip
from unocclude.completion import PROVENANCE_PALETTE
from unocclude.media.images import read_png
from unocclude.report import report
from unocclude.report.draw import fit_size, on_checkerboard, overlay, shrink
from unocclude.report.embed import for_script
from unocclude.report.report import choose, occlusion_chart

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def finished(tmp_path, monkeypatch, capsys):
    """Run the test method and give the OUT folder."""
    small_clip.register(monkeypatch)

    def make(*args, clip=None, count=COUNT):
        clip = clip or small_clip.make(tmp_path / "clip", count)
        arguments = (
            "-o",
            tmp_path / "out",
            "--masks",
            clip / "visible_masks",
            "--method",
            "drawing",
            "--quiet",
        )
        code, _, err = run(capsys, "complete", clip / "frames", *arguments, *args)
        assert code == 0, err
        return tmp_path / "out"

    return make


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def test_report_is_whole_in_itself(finished):
    out = finished()
    page = (out / "report.html").read_text()
    assert not re.search(r"https?://|//[a-z]+\.", re.sub(r"data:[^\"]+", "", page))
    data = data_of(page)
    assert data["shown"] == list(range(COUNT))
    assert set(data["pictures"]) == {"overlay", "amodal", "rgba", "provenance"}
    assert all(len(pictures) == COUNT for pictures in data["pictures"].values())
    assert data["figures"] == unocclude.Completion(out).frames


def test_a_name_cannot_become_markup(finished, tmp_path):
    clip = small_clip.make(tmp_path / "<img src=x onerror=alert(1)>&'\"")
    (clip / "frames").rename(clip / "<script>alert(2)<")
    (clip / "frames").symlink_to(clip / "<script>alert(2)<")
    page = (finished(clip=clip) / "report.html").read_text()
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img src=x" not in page and "<script>alert" not in page


def test_data_cannot_end_its_script():
    assert "</script" not in for_script({"name": "</script><b>"})
    assert json.loads(for_script({"a": "</b>&"})) == {"a": "</b>&"}


def test_chosen_frames_are_even():
    for count in (1, 2, 119, 120, 121, 500, 10_000):
        chosen = choose(count, 120)
        gaps = set(np.diff(chosen).tolist())
        assert len(chosen) == min(count, 120) == len(set(chosen))
        assert chosen[0] == 0 and chosen[-1] == count - 1
        assert not gaps or max(gaps) - min(gaps) <= 1


def test_chart_keeps_short_occlusions():
    rates = [0.0] * 10_000
    rates[7_777] = 0.9
    points = [tuple(map(float, point.split(","))) for point in occlusion_chart(rates).split()]
    assert len(points) <= 800
    (peak,) = [x for x, y in points if y < 50]
    assert peak == pytest.approx(777.8, abs=1.5)
    assert occlusion_chart([0.25]) == "0,75.0 1000,75.0"
    assert occlusion_chart([0.0, -0.5, 1.0]).split() == ["0.0,100.0", "500.0,100.0", "1000.0,0.0"]


def test_long_clips_give_small_reports(finished, monkeypatch):
    monkeypatch.setattr(report, "MAX_SHOWN", 10)
    page = (finished(count=40) / "report.html").read_text()
    data = data_of(page)
    assert data["count"] == 40 and len(data["shown"]) == 10
    assert all(len(pictures) == 10 for pictures in data["pictures"].values())
    assert "This page shows 10 of 40 frames" in page
    assert page.count("<tr data-k=") == 10


def test_preview_shows_overlay_beside_rgba(finished, tmp_path):
    out = finished("--pad", "0.5")
    preview, result = unocclude.open(out / "preview.mp4"), unocclude.Completion(out)
    assert (preview.height, preview.width) == (2 * HEIGHT, 4 * WIDTH)
    clip = unocclude.open(tmp_path / "clip" / "frames")
    for i in (0, COUNT - 1):
        canvas = np.pad(clip[i], ((HEIGHT // 2,) * 2, (WIDTH // 2,) * 2, (0, 0)))
        left = overlay(canvas, result.visible_masks[i], result.amodal_masks[i])
        right = on_checkerboard(result.rgba[i])
        difference = np.abs(preview[i].astype(int) - np.hstack([left, right]).astype(int))
        assert difference.mean() < 12  # compressed, on noise
        assert np.abs(preview[i].astype(int) - np.hstack([right, left]).astype(int)).mean() > 24


def test_pictures_hold_what_they_should():
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[10:30, 10:30] = (200, 100, 50, 255)
    small = shrink(rgba, (15, 15))
    assert small.shape == (15, 15, 4)
    edge = (small[..., 3] > 40) & (small[..., 3] < 255)
    assert edge.any() and np.abs(small[edge][:, :3].astype(int) - (200, 100, 50)).max() <= 2  # no dark fringe
    board = on_checkerboard(rgba)
    assert np.array_equal(board[15, 15], (200, 100, 50)) and len(np.unique(board[0:8, 0:16])) == 2
    assert (
        fit_size(1080, 1920, 960) == (540, 960)
        and fit_size(10, 20, 960) == (10, 20)
        and fit_size(1, 5000, 480) == (1, 480)
    )
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    assert shrink(mask, (20, 20)).sum() == 100


def test_report_is_written_whole_or_not_at_all(finished, monkeypatch):
    out = finished()
    (out / "report.html").unlink()
    result = unocclude.Completion(out)
    clip = Clip.from_frames([np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * COUNT)
    scene = unocclude.Scene(clip, unocclude.MaskTrack.from_masks(list(result.visible_masks)))
    monkeypatch.setattr(report, "occlusion_chart", lambda rates: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report.write_report(out, scene, result.info)
    assert not [p for p in out.iterdir() if "report" in p.name]
    monkeypatch.undo()
    report.write_report(out, scene, result.info)
    assert (out / "report.html").exists()


@pytest.fixture(scope="module")
def browser():
    if BROWSER is None:
        pytest.skip("no chromium found; apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    page = browser.new_context(viewport={"width": 1200, "height": 900}).new_page()
    page.wrong = []
    page.on("console", lambda message: page.wrong.append(message.text))
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:")) else page.wrong.append(request.url),
    )
    yield page
    page.context.close()
    assert page.wrong == []


# what the browser decoded, as [red, green, blue, alpha] at a place given in parts of the picture
PIXEL = """(panel, at) => {
  const image = document.querySelector(`img[data-panel="${panel}"]`);
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const x = Math.floor(at[0] * canvas.width), y = Math.floor(at[1] * canvas.height);
  return [...context.getImageData(x, y, 1, 1).data];
}"""


def test_report_in_a_browser(finished, page, tmp_path):
    out = finished("--hypotheses", "2")
    result = unocclude.Completion(out)
    page.goto(f"file://{out / 'report.html'}")

    def where():
        return int(re.match(r"frame (\d+) of 6", page.locator("#where").text_content())[1])

    assert where() == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert where() == 2
    page.keyboard.press("ArrowLeft")
    assert where() == 1
    page.keyboard.press("End")
    assert where() == COUNT - 1
    page.keyboard.press("ArrowRight")
    assert where() == COUNT - 1
    page.locator("#scrub").fill("3")
    assert where() == 3
    chart = page.locator("#chart").bounding_box()
    page.mouse.click(chart["x"] + 0.81 * chart["width"], chart["y"] + 20)
    assert where() == 4
    page.locator("#play").click()
    page.wait_for_function("document.querySelector('#where').textContent.startsWith('frame 1 ')")
    page.locator("#play").click()
    page.locator("#scrub").fill("4")

    images = page.locator("img[data-panel]")
    assert images.count() == 4 + 1 + 2
    page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    for y, x in [(12, 22), (17, 30), (2, 2), (15, 40)]:
        at = [(x + 0.5) / WIDTH, (y + 0.5) / HEIGHT]

        def pixel(panel, at=at):
            return page.evaluate(f"([panel, at]) => ({PIXEL})(panel, at)", [panel, at])

        assert pixel("amodal")[0] == 255 * result.amodal_masks[4][y, x]
        kind = result.provenance[4][y, x]
        assert pixel("provenance") == ([*PROVENANCE_PALETTE[kind].tolist(), 255] if kind else [0, 0, 0, 0])
        assert (pixel("rgba")[3] > 127) == (result.rgba[4][y, x, 3] > 127)
        assert pixel("disagreement")[0] == read_png(out / "disagreement" / "00004.png")[y, x]
    links = page.locator("a[data-folder]")
    for k in range(links.count()):
        assert (out / links.nth(k).get_attribute("href")).is_file()
    page.screenshot(path=tmp_path / "report.png", full_page=True)
    assert (tmp_path / "report.png").stat().st_size > 10_000


def test_report_of_one_frame_in_a_browser(finished, page):
    out = finished(count=1)
    page.goto(f"file://{out / 'report.html'}")
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    assert page.locator("#where").text_content().startswith("frame 0 of 1")
    assert page.locator("#frames tbody tr").count() == 1
