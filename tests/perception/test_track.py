"""The weight-free tracker: prompts, first masks, propagation, occlusion, on made clips with exact truth."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from support.development_data import DATA, needs_development_data
from support.moving_ellipse import HEIGHT, WIDTH, box_of, iou, one_shot, scene, scores, texture
from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.perception.colours import ColourGrid, colour_bins
from unocclude.perception.flow import dense_flow, pixels, sample, similarity
from unocclude.perception.graphcut import min_cut
from unocclude.perception.locate import track
from unocclude.perception.prompt import Prompt
from unocclude.perception.track import track_prompt
from unocclude.perception.window import Window


@pytest.fixture(scope="module")
def passing() -> tuple[Clip, list[np.ndarray]]:
    return scene(lambda t: (40 + 5 * t, 45 + t), 12)


def test_box_prompt_follows_a_moving_object(passing: tuple[Clip, list[np.ndarray]]) -> None:
    clip, truth = passing
    told: list[tuple[int, int]] = []
    result = track(clip, box=box_of(truth[0]), progress=lambda done, total: told.append((done, total)))
    assert scores(result, truth).min() > 0.9
    assert result.origin == "flow+cut" and len(result) == len(clip)
    assert told == [(i + 1, 12) for i in range(12)]


def test_mask_prompt_in_the_middle_goes_both_ways(passing: tuple[Clip, list[np.ndarray]]) -> None:
    clip, truth = passing
    result = track(clip, mask=truth[6].astype(np.uint8) * 255, frame=6)
    assert (result[6] == truth[6]).all()
    assert scores(result, truth).min() > 0.9


def test_point_prompt(passing: tuple[Clip, list[np.ndarray]]) -> None:
    clip, truth = passing
    assert scores(track(clip, point=(40, 45)), truth).mean() > 0.85
    assert scores(track(clip, point=[(30, 45), (52, 47)]), truth).mean() > 0.85


def test_several_boxes_are_one_object(passing: tuple[Clip, list[np.ndarray]]) -> None:
    clip, truth = passing
    x0, y0, x1, y1 = box_of(truth[0])
    result = track(clip, box=[(x0, y0, 40, y1), (40, y0, x1, y1)])
    assert iou(result[0], truth[0]) > 0.9


def test_same_input_same_bits(passing: tuple[Clip, list[np.ndarray]]) -> None:
    clip, truth = passing
    prompt = Prompt().box(*box_of(truth[0]))
    assert track_prompt(clip, prompt).fingerprint == track_prompt(clip, prompt).fingerprint


def test_occluder_is_not_taken_and_the_object_comes_back() -> None:
    # a wide bar stands still; the object passes behind it and is fully hidden for some frames
    clip, truth = scene(lambda t: (25 + 5 * t, 48), 24, lambda t: slice(60, 106))
    hidden = [i for i, mask in enumerate(truth) if not mask.any()]
    assert hidden
    result = track(clip, box=box_of(truth[0]))
    assert max(result.areas[i] for i in hidden) == 0
    assert max(result[i][:, 60:106].mean() for i in range(len(clip))) < 0.02
    got = scores(result, truth)
    assert got.mean() > 0.85
    assert got[-4:].min() > 0.85


def test_occluder_sweeps_over_a_still_object() -> None:
    clip, truth = scene(lambda t: (80, 48), 24, lambda t: slice(max(0, 8 * t - 60), max(0, 8 * t - 10)))
    assert any(not mask.any() for mask in truth)
    got = scores(track(clip, box=box_of(truth[0])), truth)
    assert got.mean() > 0.85 and got[-3:].min() > 0.85


def test_object_leaves_through_the_border() -> None:
    clip, truth = scene(lambda t: (100 + 7 * t, 48), 14)
    assert not truth[-1].any()
    result = track(clip, box=box_of(truth[0]))
    assert scores(result, truth).mean() > 0.85
    assert not result[len(clip) - 1].any()


def test_nothing_is_chained_across_a_cut_but_the_object_is_found_again(
    passing: tuple[Clip, list[np.ndarray]],
) -> None:
    clip, truth = passing
    other = [np.ascontiguousarray(clip[i][::-1, ::-1]) for i in range(5)]
    away = [texture(HEIGHT, WIDTH, 9 + i, (90, 110, 100)) for i in range(2)]
    cut = Clip.from_frames([*(clip[i] for i in range(5)), *away, *(clip[i] for i in range(6, 10)), *other])
    cut.__dict__["shots"] = [range(0, 5), range(5, 7), range(7, 11), range(11, 16)]
    result = track(cut, box=box_of(truth[0]))
    assert result.areas[5:7].max() == 0
    assert scores([result[i] for i in range(7, 11)], truth[6:10]).mean() > 0.8


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 23), (3, 40)])
def test_tiny_frames(height: int, width: int) -> None:
    frames = [texture(height, width, i, (100, 100, 100)) for i in range(3)]
    for frame in frames:
        frame[1 : height // 2 + 1, 4:12] = (220, 40, 40)
    result = track(one_shot(frames), box=(4, 1, 12, height // 2 + 1))
    assert len(result) == 3 and result.areas[0] > 0
    assert (result.height, result.width) == (height, width)
    assert track(one_shot(frames), point=(7, 2)).areas[0] > 0


def test_single_grey_frame_and_whole_frame_box() -> None:
    grey = np.repeat(texture(60, 80, 4, (60, 60, 60), 20)[..., :1], 3, 2)
    y, x = np.mgrid[:60, :80]
    mask = (x - 40) ** 2 + (y - 30) ** 2 < 18**2
    grey[mask] += 120
    result = track(one_shot([grey]), box=box_of(mask))
    assert len(result) == 1 and iou(result[0], mask) > 0.9
    assert iou(track(one_shot([grey]), point=(40, 30))[0], mask) > 0.85
    assert track(one_shot([grey]), box=(-5, -5, 200, 200)).areas[0] == 60 * 80
    assert track(one_shot([np.zeros((20, 20, 3), np.uint8)]), box=(3, 3, 9, 9)).areas[0] > 0


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ({"box": (10, 10, 20, 20), "frame": 12}, "frame 12 does not exist"),
        ({"box": (10, 10, 20, 20), "frame": -1}, "frame -1 does not exist"),
        ({"box": (30, 10, 20, 20)}, "x1 > x0"),
        ({"box": (10, 20, 20, 20)}, "y1 > y0"),
        ({"box": (float("nan"), 0, 5, 5)}, "x1 > x0"),
        ({"box": (161, 0, 200, 20)}, "outside the 161x97 frame"),
        ({"box": (-20, 0, 0, 20)}, "outside the 161x97 frame"),
        ({"box": (1, 2, 3)}, "x0, y0, x1, y1"),
        ({"box": "there"}, "x0, y0, x1, y1"),
        ({"point": (161, 5)}, "outside the 161x97 frame"),
        ({"point": (1, 2, 3)}, "x, y"),
        ({"mask": np.ones((50, 60), bool)}, "60x50"),
        ({"mask": np.zeros((HEIGHT, WIDTH), bool)}, "marks no object"),
        ({}, "marks no object"),
        ({"not_point": (3, 3)}, "marks no object"),
        ({"box": (1, 1, 5, 5), "text": "a ball"}, "not both"),
    ],
)
def test_bad_prompts_say_what_was_wrong(passing: tuple[Clip, list[np.ndarray]], prompt: dict, words: str) -> None:
    with pytest.raises(InputError) as caught:
        track(passing[0], **prompt)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_text_needs_weights(passing: tuple[Clip, list[np.ndarray]], monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path))
    with pytest.raises(InputError, match=r"`unocclude weights fetch grounding-dino-tiny .*--box"):
        Prompt().text("the red ball").check(passing[0])


def test_min_cut_finds_the_least_energy() -> None:
    # every labelling of a 3 x 3 image, by plain enumeration
    rng = np.random.default_rng(5)
    lab = rng.integers(0, 256, (3, 3, 3)).astype(np.uint8)
    logit = rng.normal(size=(3, 3)) * 1.5
    pairs = [
        ((y, x), (y + dy, x + dx))
        for y in range(3)
        for x in range(3)
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1))
        if y + dy < 3 and 0 <= x + dx < 3
    ]
    steps = [((lab[a].astype(float) - lab[b]) ** 2).sum() for a, b in pairs]
    weights = [
        2.0 * np.exp(-d / (2 * np.mean(steps))) / np.hypot(a[0] - b[0], a[1] - b[1])
        for d, (a, b) in zip(steps, pairs, strict=True)
    ]

    def energy(labels: np.ndarray) -> float:
        cost = sum(w * (labels[a] != labels[b]) for w, (a, b) in zip(weights, pairs, strict=True))
        return float(cost - (logit * labels).sum())

    least = min(energy(np.array([n >> k & 1 for k in range(9)], bool).reshape(3, 3)) for n in range(512))
    assert energy(min_cut(logit, lab, 2.0)) == pytest.approx(least, abs=0.05)


def test_flow_goes_where_it_says() -> None:
    a = texture(60, 80, 11, (120, 120, 120))
    b = np.roll(a, (2, 3), axis=(0, 1))
    flow = dense_flow(a, b)
    assert np.abs(np.median(flow, axis=(0, 1)) - (3, 2)).max() < 0.05
    moved = sample(b, pixels(flow.shape) + flow)
    assert np.abs(moved[5:-5, 5:-5].astype(int) - a[5:-5, 5:-5]).mean() < 2
    assert similarity(flow, np.ones(flow.shape[:2], bool)) == pytest.approx(np.array([[1, 0, 3], [0, 1, 2]]), abs=0.1)
    assert not dense_flow(a[:8], b[:8]).any()


def test_colour_grid_tells_colours_and_places_apart() -> None:
    lab = np.zeros((4, 40, 3), np.uint8) + np.array([120, 128, 128], np.uint8)
    lab[:, 20:, 1] = 170
    inside = np.zeros((4, 40))
    inside[:, 20:] = 1
    grid = ColourGrid(cells=4)
    x = np.broadcast_to(np.arange(40) / 40, (4, 40))
    grid.add(colour_bins(lab), x, np.zeros((4, 40)), inside, np.ones((4, 40)))
    own, other = grid.look(colour_bins(lab), x, np.zeros((4, 40)))
    assert (own > other).tolist() == (inside > 0).tolist()
    assert grid.totals.tolist() == [80, 80]


def test_window_gives_back_full_size_masks_with_fitting_edges() -> None:
    frame = np.full((400, 600, 3), 40, np.uint8)
    truth = np.zeros((400, 600), bool)
    truth[83:307, 121:479] = True
    frame[truth] = (200, 150, 90)
    window = Window.around((121, 83, 479, 307), truth.shape, side=160)
    assert max(window.width, window.height) == 160
    assert iou(window.put(window.take(truth.astype(np.float32)) > 0.5, frame), truth) > 0.99


def test_import_is_light() -> None:
    code = "import sys, unocclude; sys.exit(any(m in sys.modules for m in ('cv2', 'torch', 'av')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def development_clip(kind: str, name: str, stop: int | None = None) -> tuple[Clip, list[np.ndarray]]:
    folder = DATA / kind / name
    frames = [cv2.imread(str(p))[..., ::-1] for p in sorted((folder / "frames").iterdir())[:stop]]
    paths = sorted((folder / "visible_masks").iterdir())[:stop]
    return one_shot(frames), [cv2.imread(str(p), 0) > 127 for p in paths]


@needs_development_data
def test_real_clip_from_a_box() -> None:
    clip, truth = development_clip("composites", "dogtrainer_parkour", 8)
    assert scores(track(clip, box=box_of(truth[0])), truth).mean() > 0.65


@pytest.mark.slow
@needs_development_data
@pytest.mark.parametrize(
    ("kind", "name", "frame", "least"),
    [("composites", "dogtrainer_parkour", 0, 0.5), ("real", "kite-walk", 0, 0.7), ("real", "person", 7, 0.7)],
)
def test_real_clips_from_a_mask(kind: str, name: str, frame: int, least: float) -> None:
    clip, truth = development_clip(kind, name)
    assert scores(track(clip, mask=truth[frame], frame=frame), truth).mean() > least
