"""Open-world run whole through the command line, on a tiny seeded inpainting pipeline in the published format."""

import json
import resource

import cv2
import numpy as np
import pytest
from PIL import Image

import unocclude
from support.development_data import DATA, needs_development_data
from support.plain_open_world import plain_crop, plain_touched
from support.small_clip import assert_one_line, contents, run
from unocclude.clip import Clip
from unocclude.masks import MaskTrack
from unocclude.media.images import read_png, write_png
from unocclude.methods.base import RunSettings
from unocclude.methods.inpainter import Inpainter
from unocclude.methods.open_world import OpenWorld
from unocclude.methods.open_world.perception import occluders_from_evidence, occluders_in_concavities
from unocclude.scene import Scene

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
torch.set_num_threads(1)

from support.tiny_inpainting import SIZE, write_inpainting  # noqa: E402

FAST = ("--method", "open-world", "--set", "steps=2", "--quiet")


@pytest.fixture(autouse=True)
def no_networks(monkeypatch, tmp_path):
    """Whatever lies at home on this machine."""
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path / "none"))


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    return write_inpainting(tmp_path_factory.mktemp("weights") / "inpainting")


def photo(folder, size=(120, 160), box=(30, 90, 40, 110), bar=(70, 86)):
    """A striped box behind a bar: image.png, visible.png, occluder.png; returns image, visible, amodal, occluder."""
    rng = np.random.default_rng(1)
    image = rng.integers(90, 110, (*size, 3)).astype(np.uint8)
    amodal, occluder = np.zeros((2, *size), bool)
    amodal[box[0] : box[1], box[2] : box[3]] = True
    image[amodal] = (220, 170, 60)
    image[amodal & (np.indices(size)[0] % 12 < 6)] = (200, 150, 50)
    occluder[max(0, box[0] - 20) : box[1] + 20, bar[0] : bar[1]] = True
    image[occluder] = (20, 40, 160)
    folder.mkdir(parents=True, exist_ok=True)
    write_png(folder / "image.png", image)
    write_png(folder / "visible.png", (amodal & ~occluder).astype(np.uint8) * 255)
    write_png(folder / "occluder.png", occluder.astype(np.uint8) * 255)
    return image, amodal & ~occluder, amodal, occluder


def complete(capsys, folder, out, weights, *more):
    code, _, err = run(
        capsys, "complete", folder / "image.png", "--masks", folder / "visible.png", "--occluders",
        folder / "occluder.png", "-o", out, "--weights", weights, *FAST, *more,
    )  # fmt: skip
    assert code == 0, err
    assert not err, err
    kinds = ("rgba", "amodal_masks", "provenance")
    return [read_png(out / kind / "00000.png") for kind in kinds]


def plain_drawn(folder, image, visible, occluder, words, seed, steps=2):
    """The generator's first picture as published, from diffusers' own pipeline, and its place in the image."""
    top, bottom, left, right = plain_crop(visible, plain_touched(visible))
    height, width = visible.shape
    row, column = (6 * height) // 2 - height // 2, (6 * width) // 2 - width // 2
    picture, outside = np.full((6 * height, 6 * width, 3), 255, np.uint8), np.ones((6 * height, 6 * width), np.uint8)
    query, front = np.zeros_like(outside), np.zeros_like(outside)
    at = np.s_[row : row + height, column : column + width]
    picture[at], query[at], front[at], outside[at] = image, visible, occluder & ~visible, 0
    crop = np.s_[top:bottom, left:right]
    shown = np.where(query[crop][..., None] > 0, picture[crop], np.array((137, 133, 132), np.uint8))
    mask = cv2.dilate(front[crop] | outside[crop], np.ones((5, 5), np.uint8), iterations=3)
    pipeline = diffusers.StableDiffusionInpaintPipeline.from_pretrained(folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    drawn = pipeline(
        prompt=f"a {words}",
        image=Image.fromarray(shown).resize((SIZE, SIZE), Image.LANCZOS),
        mask_image=Image.fromarray(mask * 255).resize((SIZE, SIZE), Image.NEAREST),
        num_inference_steps=steps, height=SIZE, width=SIZE,
        generator=torch.Generator().manual_seed(
            int(np.random.SeedSequence([seed, 0, 0]).generate_state(1, np.uint64)[0]) // 2
        ),
    ).images[0]  # fmt: skip
    return np.asarray(drawn.resize((right - left, bottom - top), Image.BICUBIC)), top - row, left - column


def test_what_is_drawn_is_what_the_published_pipeline_draws(tmp_path, capsys, weights):
    image, visible, _, occluder = photo(tmp_path, (300, 320), (120, 180, 120, 190), (150, 166))  # it is drawn once
    rgba, amodal, provenance = complete(
        capsys, tmp_path, tmp_path / "out", weights, "--set", "rules=parity", "--set", "words=box", "--seed", "5"
    )
    drawn, row, column = plain_drawn(weights, image, visible, occluder, "box", 5)
    rows, columns = np.nonzero(provenance == 3)
    assert len(rows) > 100  # or there would be nothing to compare
    assert np.array_equal(rgba[rows, columns, :3], drawn[rows - row, columns - column])
    assert not (drawn.std((0, 1)) < 5).any()
    assert np.array_equal(rgba[visible, :3], image[visible]) and (provenance[visible] == 1).all()
    assert ((amodal > 0) == (provenance > 0)).all()


@pytest.mark.parametrize("rules", ["repaired", "parity", "progressive"])
def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(tmp_path, capsys, weights, rules):
    photo(tmp_path)
    outs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        complete(capsys, tmp_path, tmp_path / name, weights, "--set", f"rules={rules}", "--seed", seed)
        outs.append(contents(tmp_path / name, "rgba", "amodal_masks", "provenance"))
    assert outs[0] == outs[1] != outs[2]


def truthful(monkeypatch, frames, visible, pictures, log=None):
    """Instead of a generator: the truth, each frame's known by its picture, on the wallpaper's grey.

    pictures: the whole object of every frame, (H, W, 3), black elsewhere."""
    crops = []
    for frame, mask, picture in zip(frames, visible, pictures, strict=True):
        top, bottom, left, right = plain_crop(mask, plain_touched(mask))
        height, width = mask.shape
        row, column = (6 * height) // 2 - height // 2, (6 * width) // 2 - width // 2
        big = np.full((6 * height, 6 * width, 3), (137, 133, 132), np.uint8)
        shown = big.copy()
        at = np.s_[row : row + height, column : column + width]
        shown[at] = np.where(mask[..., None], frame, shown[at])
        big[at] = np.where(picture.any(2)[..., None], picture, big[at])
        crops.append((shown[top:bottom, left:right], big[top:bottom, left:right]))

    def draw(self, picture, mask, prompt, seed, resample):
        if log is not None:
            log.append(prompt)
        return next(big for shown, big in crops if np.array_equal(shown, picture))

    monkeypatch.setattr(Inpainter, "__call__", draw)


def figures(capsys, out, truth):
    code, _, err = run(capsys, "evaluate", out, truth, "--json", out / "figures.json")
    assert code == 0, err
    return json.loads((out / "figures.json").read_text())


@needs_development_data
@pytest.mark.slow
def test_what_hides_the_objects_of_cocoa_is_found_without_networks():
    """The share of the hidden part that the generator may fill: that of the pockets, and with the segments that lie in
    them. And how well visible part and pockets alone match the whole object (the visible part does by .66)."""
    covered, pockets, iou = [], [], []
    for folder in sorted((DATA / "images").glob("cocoa_*")):
        image = unocclude.open(folder / "image.jpg")
        visible, amodal = (read_png(folder / f"{kind}_mask.png") > 0 for kind in ("visible", "amodal"))
        hidden = amodal & ~visible
        scene = Scene(image, MaskTrack.from_masks([visible]))
        found = occluders_from_evidence(scene, 0, 1.0)
        covered.append(found[hidden].mean())
        pocket = occluders_in_concavities(
            np.zeros_like(image[0]), visible
        )  # on a flat picture there are no segments to be found
        pockets.append(pocket[hidden].mean())
        iou.append(((visible | pocket) & amodal).sum() / (visible | pocket | amodal).sum())
    assert len(covered) == 5
    assert np.mean(covered) > 0.9 > 0.6 > np.mean(pockets) > 0.5  # measured: .928, .528
    assert np.mean(iou) > 0.82  # measured: .839


@needs_development_data
@pytest.mark.parametrize(
    ("clip", "least_iou", "least_psnr"), [("parkour_kitesurfer", 0.94, 33), ("beachboy_pole", 0.95, 27)]
)
def test_a_generator_that_knows_the_truth_is_believed(
    tmp_path, capsys, weights, monkeypatch, clip, least_iou, least_psnr
):
    """Everything but the drawing: cropping, what is in front, cutting out, putting back, on real pictures."""
    source = DATA / "composites" / clip
    rates = json.loads((source / "meta.json").read_text())["occlusion_rate"]
    chosen = [i for i, rate in enumerate(rates) if 0.05 < rate < 0.6][::5]
    names = {"frames": "jpg", "visible_masks": "png", "amodal_masks": "png", "amodal_rgb": "png"}
    pictures = {}
    for kind, suffix in names.items():
        (tmp_path / "gt" / kind).mkdir(parents=True)
        for k, i in enumerate(chosen):
            (tmp_path / "gt" / kind / f"{k:05d}.{suffix}").write_bytes(
                (source / kind / f"{i:05d}.{suffix}").read_bytes()
            )
        paths = sorted((tmp_path / "gt" / kind).iterdir())
        pictures[kind] = [cv2.imread(str(path))[..., ::-1] for path in paths]
    (tmp_path / "gt" / "meta.json").write_text("{}")
    (tmp_path / "occluders").mkdir()
    visible = [picture[..., 0] > 0 for picture in pictures["visible_masks"]]
    amodal = [picture[..., 0] > 0 for picture in pictures["amodal_masks"]]
    for k, (seen, whole) in enumerate(zip(visible, amodal, strict=True)):
        # what is in front reaches beyond what it hides
        grown = cv2.dilate((whole & ~seen).astype(np.uint8) * 255, np.ones((31, 31), np.uint8))
        write_png(tmp_path / "occluders" / f"{k:05d}.png", grown)
    truthful(monkeypatch, pictures["frames"], visible, pictures["amodal_rgb"])
    code, _, err = run(
        capsys, "complete", tmp_path / "gt" / "frames", "--masks", tmp_path / "gt" / "visible_masks", "--occluders",
        tmp_path / "occluders", "-o", tmp_path / "out", "--weights", weights, *FAST,
    )  # fmt: skip
    assert code == 0, err
    found = figures(capsys, tmp_path / "out", tmp_path / "gt")
    assert found["miou_occ"] > least_iou and found["psnr_hidden"] > least_psnr


def test_the_element_lies_where_it_belongs_with_and_without_a_margin(tmp_path, capsys, weights, monkeypatch):
    """At each border and in the middle; what is beyond the frame is there where there is room."""
    places = ((30, 90, 40, 110), (0, 60, 40, 110), (60, 120, 40, 110), (30, 90, 0, 70), (30, 90, 90, 160))
    for k, box in enumerate(places):
        folder = tmp_path / str(k)
        image, visible, amodal, _ = photo(folder, box=box, bar=(box[2] + 20, box[2] + 40))
        whole = np.where(amodal[..., None], np.indices(amodal.shape).sum(0)[..., None] // 2 + (60, 90, 20), 0)
        whole = whole.astype(np.uint8)
        whole[visible] = image[visible]
        truthful(monkeypatch, [image], [visible], [whole])
        plain = complete(capsys, folder, folder / "plain", weights)
        padded = complete(capsys, folder, folder / "padded", weights, "--pad", "0.5")
        assert padded[0].shape == (240, 320, 4)
        for one, other in zip(plain[1:], padded[1:], strict=True):
            assert np.array_equal(one, other[60:180, 80:240])
        assert np.array_equal(plain[0][plain[1] > 0, :3], padded[0][60:180, 80:240][plain[1] > 0, :3])
        assert ((plain[1] > 0) & amodal).sum() / ((plain[1] > 0) | amodal).sum() > 0.99
        hidden = (plain[2] == 3) & amodal
        assert hidden.sum() > 0.9 * (amodal & ~visible).sum()
        assert np.abs(plain[0][hidden, :3].astype(int) - whole[hidden]).mean() < 6


def test_beyond_the_border_is_drawn_only_where_there_is_room(tmp_path, capsys, weights, monkeypatch):
    _, visible, _, _ = photo(tmp_path, box=(30, 90, 0, 70), bar=(150, 160))  # cut by the left side, else whole
    log = []

    def draw(self, picture, mask, prompt, seed, resample):
        log.append(prompt)
        drawn = np.full_like(picture, (137, 133, 132))
        rows, columns = np.nonzero((picture != (137, 133, 132)).any(2))
        drawn[rows.min() : rows.max() + 1, 100 : columns.min()] = (210, 160, 55)
        return drawn

    monkeypatch.setattr(Inpainter, "__call__", draw)
    plain = complete(capsys, tmp_path, tmp_path / "plain", weights)
    assert not log and np.array_equal(plain[1] > 0, visible)
    padded = complete(capsys, tmp_path, tmp_path / "padded", weights, "--pad", "0.5", "--set", "words=box")
    assert log and set(log) == {"a box"}
    beyond = padded[1][:, :80] > 0
    assert beyond[90:150, 40:].mean() > 0.9 and not beyond[:80].any() and not beyond[160:].any()
    assert np.array_equal(padded[1][60:180, 80:240] > 0, visible)


@needs_development_data
def test_frames_that_are_not_hidden_go_through_without_the_generator(tmp_path, capsys, weights, monkeypatch):
    source = DATA / "composites" / "beachboy_pole"
    rates = json.loads((source / "meta.json").read_text())["occlusion_rate"]
    asked = []
    drawn = Inpainter.__call__

    def draw(self, picture, *more):
        asked.append(picture)
        return drawn(self, picture, *more)

    monkeypatch.setattr(Inpainter, "__call__", draw)
    clip = unocclude.open(source / "frames")
    track = unocclude.read_masks(source / "visible_masks")
    method = OpenWorld(OpenWorld.Options(steps=1), RunSettings(0, 1, "cpu", str(weights)))
    frames = [clip[i] for i in range(len(clip))]
    scene = Scene(Clip.from_frames(frames), track)
    whole, hidden = [], []
    for i in range(0, len(clip), 6):
        before = len(asked)
        result = next(method.complete(scene, start=i))
        assert np.array_equal(result.rgba[track[i]][:, :3], frames[i][track[i]])
        (hidden if rates[i] > 0.05 else whole if rates[i] == 0 else []).append(len(asked) > before)
        if len(asked) == before:
            assert np.array_equal(result.amodal, track[i])
    assert np.mean(hidden) > 0.9 and np.mean(whole) < 0.35


def test_a_hidden_frame_and_a_run_that_is_taken_up_later(weights):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (60, 80, 3)).astype(np.uint8) for _ in range(3)]
    masks, bars = np.zeros((2, 3, 60, 80), bool)
    masks[::2, 20:40, 30:50], bars[:, 15:45, 50:55] = True, True  # in frame 1 nothing is seen
    scene = Scene(Clip.from_frames(frames), MaskTrack.from_masks(masks), MaskTrack.from_masks(bars))
    method = OpenWorld(OpenWorld.Options(steps=1), RunSettings(3, 2, "cpu", str(weights)))
    results = list(method.complete(scene))
    assert not results[1].amodal.any() and len(results[1].hypotheses) == 2
    assert [np.array_equal(r.hypotheses[0].rgba, r.rgba) for r in results] == [True] * 3
    later = list(method.complete(scene, start=2))
    assert len(later) == 1
    for one, other in zip(later[0].hypotheses, results[2].hypotheses, strict=True):
        assert np.array_equal(one.rgba, other.rgba)


def test_several_hypotheses_differ(tmp_path, capsys, weights):
    photo(tmp_path)
    complete(capsys, tmp_path, tmp_path / "out", weights, "--hypotheses", "3", "--set", "rules=parity")
    found = contents(tmp_path / "out" / "hypotheses")
    assert len({data for name, data in found.items() if "rgba" in name}) == 3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("words=" + "x" * 5000,), ("words", "500")),
        (("rules=best",), ("rules", "repaired")),
        (("steps=0",), ("steps",)),
        (("size=100",), ("size", "multiple of 8")),
        (("guidance=nan",), ("guidance",)),
        (("wallpaper=nowhere.png",), ("nowhere.png",)),
    ],
)
def test_bad_settings_are_one_line(tmp_path, capsys, weights, settings, words):
    photo(tmp_path)
    code, _, err = run(
        capsys, "complete", tmp_path / "image.png", "--masks", tmp_path / "visible.png", "-o", tmp_path / "out",
        "--weights", weights, *FAST, *(part for setting in settings for part in ("--set", setting)),
    )  # fmt: skip
    assert code == 2 and not (tmp_path / "out").exists()
    assert_one_line(err, *words)
    assert len(err) < 400


@pytest.mark.parametrize(
    "words", ["", "  \t ", "2 cats, no. 7", "a\ncat\x00\x1b[31m", "кошка за растением 🐈", "cat " * 60]
)
def test_descriptions_up_to_a_length_are_accepted(tmp_path, capsys, weights, words):
    photo(tmp_path)
    complete(capsys, tmp_path, tmp_path / "out", weights, "--set", f"words={words}", "--set", "steps=1")


@pytest.mark.parametrize("rules", ["repaired", "parity", "progressive"])
@pytest.mark.parametrize("pad", ["0", "1"])
def test_odd_images(tmp_path, capsys, weights, rules, pad):
    rng = np.random.default_rng(0)
    cases = {
        "one pixel": (np.ones((1, 1), bool), np.zeros((1, 1), bool)),
        "one row": (np.arange(90)[None] < 40, np.arange(90)[None] >= 40),
        "all object": (np.ones((30, 40), bool), np.zeros((30, 40), bool)),
        "all hidden but one": (np.eye(20, dtype=bool) & (np.arange(20) == 7), np.ones((20, 20), bool)),
    }
    for name, (visible, occluder) in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        image = rng.integers(0, 256, (*visible.shape, 3)).astype(np.uint8)
        write_png(folder / "image.png", image)
        write_png(folder / "visible.png", visible.astype(np.uint8) * 255)
        write_png(folder / "occluder.png", occluder.astype(np.uint8) * 255)
        rgba, amodal, _ = complete(
            capsys, folder, folder / "out", weights, "--set", f"rules={rules}", "--pad", pad, "--set", "steps=1"
        )
        y, x = (a * int(pad) for a in visible.shape)
        at = np.s_[y : y + visible.shape[0], x : x + visible.shape[1]]
        assert np.array_equal(rgba[at][visible, :3], image[visible]), name
        assert (amodal[at][visible] > 0).all()
    still = tmp_path / "one pixel"
    code, _, err = run(
        capsys, "complete", still / "image.png", "--masks", still / "visible.png", "-o", still / "alone", "--weights",
        weights, *FAST, "--set", f"rules={rules}", "--pad", pad,
    )  # fmt: skip
    assert code == 0, err


def large(width, height):
    """An image of so many pixels and its visible and occluder masks, a disc and a bar, as a scene."""
    image = np.full((height, width, 3), 90, np.uint8)
    disc = cv2.circle(np.zeros((height, width), np.uint8), (width // 2, height // 2), height // 4, 1, -1) > 0
    image[disc] = (200, 60, 40)
    bar = np.zeros((height, width), bool)
    bar[:, width // 2 : width // 2 + height // 8] = True
    image[bar] = 30
    return Scene(Clip.from_frames([image]), MaskTrack.from_masks([disc & ~bar]), MaskTrack.from_masks([bar]))


@pytest.mark.slow
def test_a_hundred_megapixels_in_bounded_memory(weights):
    scene = large(12500, 8000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    method = OpenWorld(OpenWorld.Options(steps=1), RunSettings(0, 1, "cpu", str(weights)))
    (result,) = method.complete(scene)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024  # MiB
    assert np.array_equal(result.rgba[scene.track[0]][:, :3], scene.clip[0][scene.track[0]])
    assert result.rgba.shape == (8000, 12500, 4)
    assert grown < 40 * 100, f"{grown:.0f} MiB"  # 40 bytes a pixel
    with pytest.raises(unocclude.InputError, match="does not support images this large"):
        published = OpenWorld(OpenWorld.Options(steps=1, rules="parity"), RunSettings(0, 1, "cpu", str(weights)))
        wide = np.zeros((2000, 12000), bool)
        wide[900:1100] = True
        scene = Scene(Clip.from_frames([np.zeros((2000, 12000, 3), np.uint8)]), MaskTrack.from_masks([wide]), pad=0.1)
        next(published.complete(scene))


def test_an_image_beyond_the_size_that_is_worked_at(weights, monkeypatch):
    """The element is worked out smaller and put back where it belongs."""
    scene = large(3000, 2200)
    visible, bar = scene.track[0], scene.given_occluders[0]
    disc = cv2.circle(np.zeros((2200, 3000), np.uint8), (1500, 1100), 550, 1, -1) > 0

    def draw(self, picture, mask, prompt, seed, resample):
        assert max(picture.shape) < 2048
        seen = (picture[..., 0] > 180).astype(np.uint8)
        (x, y), radius = cv2.minEnclosingCircle(cv2.findNonZero(seen))
        drawn = np.full_like(picture, (137, 133, 132))
        cv2.circle(drawn, (round(x), round(y)), round(radius), (200, 60, 40), -1)
        return drawn

    monkeypatch.setattr(Inpainter, "__call__", draw)
    (result,) = OpenWorld(OpenWorld.Options(), RunSettings(0, 1, "cpu", str(weights))).complete(scene)
    assert (result.amodal & disc).sum() / (result.amodal | disc).sum() > 0.98
    hidden = result.amodal & bar
    assert np.abs(result.rgba[hidden][:, :3].astype(int) - (200, 60, 40)).mean() < 3
    assert np.array_equal(result.rgba[visible][:, :3], scene.clip[0][visible])


@pytest.mark.parametrize(("more", "asked"), [((), "a cat no. 2"), (("--set", "words=tabby"), "a tabby")])
def test_the_words_of_a_text_prompt_reach_the_generator(tmp_path, capsys, weights, monkeypatch, more, asked):
    _, visible, _, _ = photo(tmp_path)
    monkeypatch.setattr("unocclude.perception.prompt.check_weights", lambda text="": None)
    monkeypatch.setattr("unocclude.run.locate", lambda *_: [MaskTrack.from_masks([visible], "stand-in")])
    log = []
    monkeypatch.setattr(
        Inpainter, "__call__", lambda self, picture, mask, prompt, *_: log.append(prompt) or np.zeros_like(picture)
    )
    code, _, err = run(
        capsys, "complete", tmp_path / "image.png", "--text", "cat no. 2", "--occluders", tmp_path / "occluder.png",
        "-o", tmp_path / "out", "--weights", weights, *FAST, *more,
    )  # fmt: skip
    assert code == 0, err
    assert log and set(log) == {asked}
