"""Composites and carved pairs from sources: what is selected, what is hidden, and the statistics."""

import numpy as np
import pytest

from support.source_clips import COLOURS, write_source
from unocclude.errors import InputError
from unocclude.synthesis.carve import carve, carve_world, choose_object, mean_visibility
from unocclude.synthesis.composite import choose_pair, composite_world, split_sources
from unocclude.synthesis.source_clips import find_source_clips, longest_run
from unocclude.synthesis.statistics import as_text, coverage_rate, measure, summarise
from unocclude.synthesis.world import World


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    write_source(folder / "a", 0, meta={"class": "apple", "caption": "a red apple", "fps": 8})
    write_source(folder / "b", 1, meta={"class": "pea"})
    write_source(folder / "set" / "c", 2)
    write_source(folder / "set" / "d", 3, rates=[0.6] * 3 + [0] * 6 + [0.5])
    write_source(folder / "set" / "hidden", 4, rates=[0.5] * 10)
    write_source(folder / "set" / "border", 5, frames=8, start=0, size=(30, 48))
    found, refused = find_source_clips(folder)
    return {source.name: source for source in found}, refused


def test_selection(sources):
    found, refused = sources
    assert sorted(found) == ["a", "b", "set/c", "set/d"]
    assert sorted(refused) == ["set/border", "set/hidden"]
    assert (found["a"].label, found["a"].caption, found["a"].fps) == ("apple", "a red apple", 8)
    assert (found["b"].caption, found["set/c"].label, found["set/c"].dataset) == ("pea", "c", "set")
    assert (found["set/d"].first, found["set/d"].last) == (3, 9)
    assert (found["a"].first, found["a"].last) == (0, 10)


def test_occlusion_rates_of_meta_are_believed(tmp_path):
    rates = [0.0, 0.3, 0, 0, 0.04, 0, 0, 0.2, 0, 0]
    write_source(tmp_path / "x", 0, meta={"occlusion_rate": rates})
    (source,), _ = find_source_clips(tmp_path)
    assert (source.first, source.last) == (2, 7)


def test_what_cannot_be_used_says_so(tmp_path):
    with pytest.raises(InputError, match="not a folder"):
        find_source_clips(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no source"):
        find_source_clips(tmp_path)
    write_source(tmp_path / "x", 0)
    (tmp_path / "x/visible_masks/00009.png").unlink()
    with pytest.raises(InputError, match="10 frames and 9 visible masks"):
        find_source_clips(tmp_path)
    write_source(tmp_path / "x", 0)
    (tmp_path / "x/meta.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        find_source_clips(tmp_path)


def test_longest_run_against_a_plain_search():
    rng = np.random.default_rng(3)
    for _ in range(200):
        flags = rng.uniform(size=rng.integers(1, 12)) < 0.6
        runs = [(a, b) for a in range(len(flags)) for b in range(a + 1, len(flags) + 1) if flags[a:b].all()]
        best = max(runs, key=lambda run: (run[1] - run[0], -run[0]), default=(0, 0))
        assert longest_run(flags) == best


def test_windows(sources):
    source = sources[0]["set/d"]  # frames 3 to 8
    rng = np.random.default_rng(0)
    assert source.window(None, rng).tolist() == [3, 4, 5, 6, 7, 8]
    assert source.window(13, rng).tolist() == [3, 4, 5, 6, 7, 8, 7, 6, 5, 4, 3, 4, 5]
    starts = {int(source.window(4, rng)[0]) for _ in range(60)}
    assert starts == {3, 4, 5} and source.window(4, rng).tolist()[-1] <= 8
    assert source.window(1, rng).shape == (1,)


@pytest.mark.parametrize("size", [None, (40, 33)])
def test_composite_truth(sources, size):
    object_, occluder = sources[0]["a"], sources[0]["b"]
    rates = []
    for seed in range(8):
        world = composite_world(object_, occluder, seed, 7, size)
        assert len(world) == 7 and world.frames[0].shape[:2] == ((48, 64) if size is None else size[::-1])
        parts = (world.frames, world.amodal, world.visible, world.amodal_rgb, world.occluders)
        for frame, amodal, visible, rgb, opacity in zip(*parts, strict=True):
            assert not (visible & ~amodal).any() and amodal.any()
            assert np.array_equal(rgb[visible], frame[visible]) and not rgb[~amodal].any()
            if size is None:  # the truth is the disc, all of it in its own colour, and the occluder is in the other's
                assert (rgb[amodal] == COLOURS[0]).all()
                assert np.array_equal(amodal & ~visible, amodal & (opacity[0] > 0))
                assert (np.abs(frame[opacity[0] == 255].astype(int) - COLOURS[1]) <= 2).all()
                assert 200 < amodal.sum() < 330
        rates.append(np.mean(world.occlusion_rate))
    assert np.std(rates) > 0.08 and max(rates) > 0.4 and min(rates) < 0.35
    assert world.about["class"] == "apple" and world.about["caption"] == "a red apple"
    assert world.about["occluder"] == {"class": "pea", "instance": "b"} and world.fps == 8
    again = composite_world(object_, occluder, 7, 7, size)
    assert all(np.array_equal(x, y) for x, y in zip(world.frames, again.frames, strict=True))
    assert len(composite_world(object_, occluder, 0)) == 10 and len(composite_world(object_, occluder, 0, 1)) == 1


class _Named:
    def __init__(self, name):
        self.name = name


def test_split_and_pairs():
    many = [_Named(f"s{k}") for k in range(20)]
    splits = split_sources(many, 4)
    assert sorted(splits.values()).count("val") == 4 and splits == split_sources(many, 4)
    assert splits != split_sources(many, 5)
    pairs = [choose_pair(many, i, 4) for i in range(40)]
    assert all(a is not b and splits[a.name] == splits[b.name] for a, b in pairs)
    for turn in (pairs[:20], pairs[20:]):
        assert len({a.name for a, _ in turn}) == 20
    few = many[:3]  # one is held out and has nobody to be with
    assert all(a is not b for a, b in (choose_pair(few, i, 0) for i in range(9)))
    assert {choose_object(many, i, 1).name for i in range(20)} == {s.name for s in many}


def plain_carve(amodal, masks, threshold):
    modal, used = amodal.copy(), 0
    for sequence in masks:
        if used:
            ious = [(m & a).sum() / (m | a).sum() for m, a in zip(modal, amodal, strict=True) if a.any()]
            if np.mean(ious) < threshold:
                break
        if (modal & ~sequence).any():
            modal, used = modal & ~sequence, used + 1
    return modal, used


def test_carving_against_a_plain_version():
    rng = np.random.default_rng(8)
    counts = set()
    for _ in range(60):
        amodal = rng.uniform(size=(4, 6, 5)) < rng.uniform(0.05, 0.9)
        masks = rng.uniform(size=(5, 4, 6, 5)) < rng.uniform(0.02, 0.6)
        left, used = carve(list(amodal), [list(m) for m in masks], 0.7)
        expected, count = plain_carve(amodal, masks, 0.7)
        assert np.array_equal(np.array(left), expected) and used == count
        counts.add(used)
    assert {1, 5} <= counts
    whole = np.ones((2, 3, 3), bool)
    left, used = carve(list(whole), [list(whole)] * 3)  # it would take everything
    assert used == 0 and np.array_equal(left, whole)
    assert mean_visibility([np.zeros((2, 2), bool)], [np.zeros((2, 2), bool)]) == 1.0


def test_carved_pairs(sources):
    found = list(sources[0].values())
    world = carve_world(found[0], found, 3)
    assert len(world) == 25 and world.frames[0].shape == (128, 256, 3)
    world = carve_world(found[0], found, 3, 10, (64, 48))
    for frame, amodal, visible, rgb in zip(world.frames, world.amodal, world.visible, world.amodal_rgb, strict=True):
        assert not (visible & ~amodal).any() and np.array_equal(rgb[visible], frame[visible])
        assert (frame[~visible] == 255).all() and (rgb[amodal] == COLOURS[0]).all() and not rgb[~amodal].any()
    assert 1 <= len(world.about["carved_with"]) <= 5 and "a" not in world.about["carved_with"]
    assert mean_visibility(world.visible, world.amodal) < 0.7 or len(world.about["carved_with"]) == 5
    again = carve_world(found[0], found, 3, 10, (64, 48))
    assert all(np.array_equal(x, y) for x, y in zip(world.visible, again.visible, strict=True))


def test_coverage_against_counting_pixels():
    rng = np.random.default_rng(5)
    for _ in range(20):
        amodal = rng.uniform(size=(3, 5, 4)) < rng.uniform(0, 0.8)
        visible = amodal & (rng.uniform(size=(3, 5, 4)) < rng.uniform())
        ever = hidden = 0
        for y in range(5):
            for x in range(4):
                ever += any(amodal[i, y, x] for i in range(3))
                hidden += any(amodal[i, y, x] and not visible[i, y, x] for i in range(3))
        assert coverage_rate(list(amodal), list(visible)) == pytest.approx(hidden / ever if ever else 0)


def hand_made():
    """Two frames of 4x5: an object of 4 pixels of which 2 are hidden, and of 2 of which none is."""
    amodal, visible = np.zeros((2, 4, 5), bool), np.zeros((2, 4, 5), bool)
    amodal[0, 0, :4], visible[0, 0, :2] = True, True
    amodal[1, 1, :2], visible[1, 1, :2] = True, True
    blank = [np.zeros((4, 5, 3), np.uint8)] * 2
    return World(blank, list(visible), list(amodal), blank, [np.zeros((0, 4, 5), np.uint8)] * 2, 24.0)


def test_statistics_of_hand_made_masks():
    world = hand_made()
    found = measure(world)
    assert found == {"object_size": 0.15, "mean_occlusion_rate": 0.25, "occlusion_coverage_rate": 0.333333}
    gone = World(world.frames, *([[np.zeros((4, 5), bool)] * 2] * 2), world.frames, world.occluders, 24.0)
    assert measure(gone) == {"object_size": 0, "mean_occlusion_rate": 0, "occlusion_coverage_rate": 0}
    clip = {**found, "kind": "composite", "seed": 0, "occlusion_rate": [0.5, 0]}
    clips = [
        {**clip, "dataset": "D", "class": "dog", "instance": "x"},
        {**clip, "dataset": "D", "class": "dog", "instance": "x", "mean_occlusion_rate": 0.75},
        {**clip, "dataset": "D", "class": "cat", "instance": "y", "occlusion_rate": [0] * 5, "object_size": 0.3},
        {**clip, "dataset": "E", "class": "cow", "instance": "z"},
    ]
    table = summarise(clips)
    assert table["D"] == {
        "mean_frames": 3, "object_classes": 2, "instances": 2, "clips": 3, "object_size": 0.2,
        "occlusion_rate": 0.4167, "occlusion_coverage_rate": 0.3333,
    }  # fmt: skip
    text = as_text(table)
    assert text.splitlines()[0].split() == ["D", "E"] and "20.00%" in text and "0.4167" in text
    assert len({len(line) for line in text.splitlines()}) == 1


def test_captions_by_blip2_where_its_weights_are(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from support.tiny_blip2 import write_blip2
    from unocclude.synthesis.dataset_spec import prepare_dataset_spec

    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path / "home"))
    write_source(tmp_path / "in" / "a", 0, meta={"class": "cat"})
    write_source(tmp_path / "in" / "b", 1, meta={"class": "dog", "caption": "a dog that runs"})

    def captions(**options):
        return [
            source.caption
            for source in prepare_dataset_spec("composite", 0, sources=[tmp_path / "in"], **options).sources
        ]

    assert captions() == ["cat", "a dog that runs"]
    written = write_blip2(tmp_path / "home" / "blip2-opt-2.7b")
    said, kept = captions()
    assert said not in ("", "cat")
    assert kept == "a dog that runs"
    assert captions(weights=written) == [said, kept]
    with pytest.raises(InputError, match="neither a folder nor a known checkpoint"):
        captions(weights="blip3")
    with pytest.raises(InputError, match="uses no weights"):
        prepare_dataset_spec("sprites", 0, weights=written)


def test_memory_does_not_grow_with_the_clip(tmp_path):
    """One frame of a composite is kept at a time, and it is the same whatever was read before."""
    write_source(tmp_path / "a", 0, frames=12)
    write_source(tmp_path / "b", 1, frames=12)
    found, _ = find_source_clips(tmp_path)
    world = composite_world(*found, seed=3)
    assert len(world) == 12
    once = [world.frames[i] for i in range(12)]
    made = world.frames._read.func.__self__.made
    assert made[0] == 11 and len(made[1]) == 5
    for i in (5, 0, 11):
        assert np.array_equal(world.frames[i], once[i])
        assert np.array_equal(world.visible[i], world.amodal[i] & (world.occluders[i][0] == 0))
        outside = ~world.amodal[i]
        assert not world.amodal_rgb[i][outside].any()
