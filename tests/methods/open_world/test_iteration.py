"""Open-world: the iteration and when it stops, against a plain version on the full canvas; what perception is asked."""

import cv2
import numpy as np
import pytest

from support.plain_open_world import canvas, plain_crop, plain_touched
from unocclude.clip import Clip
from unocclude.masks import MaskTrack
from unocclude.methods.open_world.crop import crop_region, take
from unocclude.methods.open_world.iteration import complete_image
from unocclude.methods.open_world.perception import (
    NAMELESS,
    ObjectPerception,
    PerceptionNetworks,
    occluders_from_evidence,
    occluders_in_concavities,
    segment_by_colour,
)
from unocclude.methods.open_world.rules import RULES, Parity, Progressive, Repaired
from unocclude.scene import Scene

SHAPE = (40, 56)


@pytest.fixture(autouse=True)
def no_networks(monkeypatch, tmp_path):
    """Whatever lies at home on this machine."""
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path / "none"))


def drawing(log):
    """A generator whose picture depends on everything it is given."""

    def draw(picture, mask, prompt, iteration):
        log.append((picture.copy(), mask.copy(), prompt, iteration))
        return np.where(mask[..., None], 255 - picture[::-1], picture // 2 + 10 * iteration).astype(np.uint8)

    return draw


class Script:
    """Networks that find, on the picture of every iteration, what a seed says."""

    def __init__(self, seed, query):
        self.rng = np.random.default_rng(seed)
        self.query = query  # (H, W) bool in the crop: candidates lie about it
        self.asked = []

    def ground(self, image, caption):
        self.asked.append(caption)
        count = int(self.rng.integers(1, 5)) if self.rng.random() < 0.95 else 0
        rows, columns = np.nonzero(self.query)
        boxes = []
        for _ in range(count + 1 if len(self.asked) < 3 else count):
            spread = int(self.rng.integers(1, 40))
            top, left = rows.min() - self.rng.integers(-5, spread), columns.min() - self.rng.integers(-5, spread)
            bottom, right = rows.max() + self.rng.integers(-5, spread), columns.max() + self.rng.integers(-5, spread)
            boxes.append((max(0, left), max(0, top), max(left + 2, right, 2), max(top + 2, bottom, 2)))
        return np.array(boxes, np.float32).reshape(-1, 4), ["thing"] * len(boxes), np.ones(len(boxes))

    def segment(self, image, boxes):
        masks = np.zeros((len(boxes), *image.shape[:2]), bool)
        for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
            mask[y0:y1, x0:x1] = True
        return masks

    def order(self, image, masks, query):
        return self.rng.random((len(masks), len(masks))) < 0.7

    def perception(self):
        return PerceptionNetworks(ground=self.ground, segment=self.segment, order=self.order)


def plain_run(image, query_mask, occluder, script, draw, progressive):
    """`run_iteration` and its loop as the facts tell them, on canvases of six times the image."""
    sides = plain_touched(query_mask)
    if progressive:
        rows = np.flatnonzero(query_mask.any(1))
        sides = [s for s in sides if s in ("left", "right")]
        sides += ["bottom"] * bool(rows.min() >= len(query_mask) - 10) + ["top"] * bool(rows.max() <= 10)
    top, bottom, left, right = plain_crop(query_mask, sides, 60 if progressive else 150, not progressive)
    crop = np.s_[top:bottom, left:right]
    picture = canvas(image, np.uint8(255)).astype(float)
    query, occ = canvas(query_mask, False).astype(int), canvas(occluder, False).astype(int)
    out = canvas(np.zeros(query_mask.shape, int), 1)
    start = np.argwhere(out == 0).min(0)
    first, amodal, run, iter_id = None, None, True, 0
    while run:
        sd_img, sd_query = picture[crop].astype(np.uint8), query[crop]
        mask = ((occ[crop] + out[crop]) > 0).astype(np.uint8)
        if iter_id == 0:
            first = mask.copy()
        elif not progressive:
            mask = mask & first
        if not mask.any():
            break
        if iter_id == 0 or progressive:
            mask = cv2.dilate(mask, np.ones((5, 5), np.uint8), iterations=3)
        else:
            mask = cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=1)
        if iter_id == 0 and not progressive:
            sd_img = np.where(sd_query[..., None] == 1, sd_img, np.array((137, 133, 132), np.uint8))
        drawn = draw(sd_img, mask > 0, "a thing", iter_id)
        iter_id += 1
        boxes = script.ground(drawn, "thing")[0]
        candidates = script.segment(drawn, boxes)
        if not len(candidates):
            amodal = None
            break
        best, amodal, largest = 0, sd_query.astype(bool), 0
        for k, candidate in enumerate(candidates):
            overlap = (sd_query.astype(bool) & candidate).sum() / (sd_query.astype(bool) | candidate).sum()
            if overlap > largest:
                best, amodal, largest = k, candidate, overlap
        new = np.zeros(amodal.shape, int)
        if len(candidates) > 1:
            order = script.order(drawn, candidates, best).T  # transposed: the object's row lists what is over it
            for j in np.flatnonzero(order[best]):
                if j != best:
                    new |= candidates[j]
        new[amodal] = 0
        picture[crop], query[crop], occ[crop], out[crop] = drawn, amodal, new, 0
        if progressive:
            rows = np.flatnonzero(amodal.any(1))
            sides = [s for s in plain_touched(amodal) if s in ("left", "right")]
            sides += ["bottom"] * bool(rows.min() >= len(amodal) - 10) + ["top"] * bool(rows.max() <= 10)
        else:
            sides = plain_touched(amodal)
            if "top" in sides:
                occ[: top + 5, :] = 1
            if "bottom" in sides:
                occ[bottom - 5 :, :] = 1
            if "left" in sides:
                occ[:, : left + 5] = 1
            if "right" in sides:
                occ[:, right - 5 :] = 1
        run = new.sum() > 0 or len(sides) > 0
        if iter_id > (5 if progressive else 3):
            break
    if amodal is None or iter_id == 0:
        return None
    offset = np.argwhere(query).min(0) - np.argwhere(amodal).min(0) - start
    return drawn, amodal, tuple(offset), iter_id


def cases():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        image = rng.integers(0, 256, (*SHAPE, 3)).astype(np.uint8)
        query, occluder = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
        top, left = rng.integers(0, 30), rng.integers(0, 40)
        query[top : top + rng.integers(4, 20), left : left + rng.integers(4, 25)] = True
        if rng.random() < 0.8:
            occluder[:, left + 3 : left + 8] = True
        yield seed, image, query, occluder & ~query


@pytest.mark.parametrize("name", ["parity", "progressive"])
def test_the_iteration_is_the_published_one(name):
    rules, ends = RULES[name](), set()
    for seed, image, query, occluder in cases():
        sides = rules.touched_sides(query)
        if not rules.is_needed(occluder, sides, True):
            continue
        crop = take(query, crop_region(query, sides, rules.border, rules.anchored), 0)
        logs = [], []
        scripts = Script(seed, crop), Script(seed, crop)
        perceived = ObjectPerception(scripts[0].perception(), rules, image, query, "thing")
        element = complete_image(occluder, perceived, drawing(logs[0]), rules)
        expected = plain_run(image, query, occluder, scripts[1], drawing(logs[1]), name == "progressive")
        assert len(logs[0]) == len(logs[1])
        for (picture, mask, prompt, k), (plain_picture, plain_mask, plain_prompt, plain_k) in zip(*logs, strict=True):
            assert np.array_equal(picture, plain_picture) and np.array_equal(mask, plain_mask)
            assert (prompt, k) == (plain_prompt, plain_k)
        assert (element is None) == (expected is None)
        if element:
            drawn, amodal, offset, times = expected
            assert np.array_equal(element.rgb, drawn) and np.array_equal(element.amodal, amodal)
            assert element.offset == offset and element.inpaintings == times
            ends.add(times)
        else:
            ends.add("given up")
    assert ends >= {1, 2, "given up", rules.inpaintings}  # every way to end is met


def look(rules, candidates, order=None, image=None, query=None, occluder=None):
    """Run with networks that always find the same; returns the element and how often it was drawn."""
    image = np.full((*SHAPE, 3), 90, np.uint8) if image is None else image
    if query is None:
        query, occluder = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
        query[12:26, 15:30], occluder[10:28, 30:40] = True, True
    log = []

    def segment(picture, boxes):
        return np.array([candidate(picture.shape[:2]) for candidate in candidates])

    perception = PerceptionNetworks(
        ground=lambda picture, caption: (np.zeros((len(candidates), 4)), ["thing"] * len(candidates), None),
        segment=segment,
        order=lambda picture, masks, query: np.zeros((len(masks),) * 2) if order is None else order,
    )
    return complete_image(
        occluder, ObjectPerception(perception, rules, image, query, "thing"), drawing(log), rules
    ), log


def middle(shape):
    """The object's box in the crop, and four columns of its occluder."""
    mask = np.zeros(shape, bool)
    mask[60:75, 60:79] = True
    return mask


def everything(shape):
    return np.ones(shape, bool)


def test_it_ends_when_nothing_hides_the_object():
    element, log = look(Parity(), [middle])
    assert len(log) == element.inpaintings == 1


def test_it_draws_four_times_at_most_and_its_ancestor_six():
    order = np.array([[0, 0], [1, 0]])
    for rules, most in ((Parity(), 4), (Progressive(), 6)):
        element, log = look(rules, [middle, everything], order)
        assert len(log) == element.inpaintings == most
        assert [entry[3] for entry in log] == list(range(most))


def test_a_finished_completion_is_given_up_only_as_published():
    assert look(Parity(), [])[0] is None
    element, log = look(Repaired(), [])
    assert len(log) == 1 and element.amodal.sum() == 14 * 15


def test_repaired_keeps_visible_pixels_and_grows_only_where_something_may_hide_it():
    element, log = look(Repaired(), [everything])
    picture, mask, _, _ = log[0]
    rows, columns = np.nonzero((picture == 90).all(2))
    seen = np.zeros(mask.shape, bool)
    seen[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    assert seen.sum() == 14 * 15 and not (mask & seen).any()
    assert (element.rgb[seen] == 90).all()
    allowed = seen.copy()
    allowed[rows.min() - 2 : rows.max() + 3, columns.max() + 1 : columns.max() + 11] = True
    top, left = element.offset
    inside = np.zeros(mask.shape, bool)
    inside[max(0, -top) : SHAPE[0] - top, max(0, -left) : SHAPE[1] - left] = True
    assert np.array_equal(element.amodal & inside, allowed)
    published, log = look(Parity(), [everything])
    assert (log[0][1] & seen).any() and published.amodal.all()


def test_what_perception_is_asked():
    image, query = np.zeros((*SHAPE, 3), np.uint8), np.zeros(SHAPE, bool)
    query[5:9, 5:9] = True
    asked, offered = [], []

    def ground(picture, caption):
        asked.append(caption)
        return np.zeros((1, 4), np.float32), ["cat" if "cat" in caption else "dog"], np.ones(1)

    def choose(picture, mask, names):
        offered.append(names)
        assert picture is image and mask is query
        return names[0]

    perception = PerceptionNetworks(
        tags=lambda picture: ["cat", "plant"], ground=ground, choose=choose, order=lambda *_: np.zeros((2, 2)),
        segment=lambda picture, boxes: np.zeros((len(boxes), *SHAPE), bool),
    )  # fmt: skip
    for rules, names in (
        (Parity(), ["cat", "plant", "background", "the 2 cats"]),
        (Repaired(), ["cat", "plant", "the 2 cats"]),
        (Progressive(), ["the 2 cats"]),
    ):
        perceived = ObjectPerception(perception, rules, image, query, "the 2 cats")
        assert perceived.name == names[0] and offered.pop() == names and not offered
        asked.clear()
        found = perceived.detect(image)
        first = "cat. plant. background"
        assert asked == ([first] if perceived.name == "cat" else [first, "the 2 cats"])  # nobody had that name
        assert len(found) == len(asked)
    assert ObjectPerception(PerceptionNetworks(), Repaired(), image, query, "the cat").name == "the cat"
    assert ObjectPerception(PerceptionNetworks(), Repaired(), image, query, "").name == NAMELESS


def test_what_is_in_front_by_the_networks():
    image, query = np.zeros((*SHAPE, 3), np.uint8), np.zeros(SHAPE, bool)
    query[10:20, 10:30] = True
    left, right = np.zeros((2, *SHAPE), bool)
    left[5:25, 5:15], right[5:25, 25:35] = True, True
    seen = []

    def order(picture, masks, query):
        assert query == 2
        seen.append(len(masks))
        over = np.zeros((len(masks),) * 2, bool)
        over[1, 2] = over[2, 0] = over[2, 2] = True  # right over the object, the object over left
        return over

    perception = PerceptionNetworks(
        ground=lambda *_: (np.zeros((2, 4)), ["a", "b"], None), segment=lambda *_: np.array([left, right]), order=order
    )
    for rules, segments in ((Parity(), 1), (Repaired(), 1), (Progressive(), 0)):
        perceived = ObjectPerception(perception, rules, image, query, "a")
        assert np.array_equal(perceived.in_front(), right & ~query)
        assert seen.pop() == 3 + segments and not seen
    nothing = PerceptionNetworks(
        ground=lambda *_: (np.zeros((0, 4)), [], np.zeros(0)),
        segment=lambda *_: np.zeros((0, *SHAPE), bool),
        order=lambda _, masks, query: np.zeros((len(masks),) * 2),
    )
    assert ObjectPerception(nothing, Parity(), image, query, "a").in_front() is None
    assert not ObjectPerception(nothing, Repaired(), image, query, "a").in_front().any()


def test_the_object_is_cut_out_of_what_was_drawn():
    rng = np.random.default_rng(0)
    drawn = np.full((120, 160, 3), (137, 133, 132), np.uint8)
    truth, visible, allowed = np.zeros((3, 120, 160), bool)
    cv2.ellipse(shape := np.zeros((120, 160), np.uint8), (80, 60), (50, 35), 0, 0, 360, 1, -1)
    truth |= shape > 0
    drawn[truth] = (180, 60, 40)
    drawn = np.clip(drawn + rng.normal(0, 6, drawn.shape), 0, 255).astype(np.uint8)
    visible |= truth
    visible[:, 75:] = False
    allowed[:, 75:150] = True
    cut = segment_by_colour(drawn, visible, allowed)
    assert (cut & truth).sum() / (cut | truth).sum() > 0.97
    drawn[:, 75:] = (137, 133, 132)  # nothing was drawn: nothing is added
    assert segment_by_colour(drawn, visible, allowed).sum() <= visible.sum() * 1.03
    nothing = np.zeros_like(visible)
    assert np.array_equal(segment_by_colour(drawn, visible, nothing), visible)
    assert np.array_equal(segment_by_colour(drawn, nothing, allowed), nothing)


def scene_of(frames, masks, occluders=None, pad=0.0):
    track = MaskTrack.from_masks(masks)
    return Scene(Clip.from_frames(frames), track, None if occluders is None else MaskTrack.from_masks(occluders), pad)


def test_evident_occluders():
    disc = np.zeros((100, 120), np.uint8)
    cv2.circle(disc, (60, 50), 30, 1, -1)
    bar = np.zeros((100, 120), bool)
    bar[20:80, 52:64] = True
    frame = np.full((100, 120, 3), (60, 140, 60), np.uint8)
    frame[disc > 0] = (200, 80, 60)
    whole = scene_of([frame], [disc > 0])
    assert not occluders_from_evidence(whole, 0, 1.0).any()
    frame = frame.copy()
    frame[bar] = (30, 30, 200)
    cut = (disc > 0) & ~bar
    found = occluders_from_evidence(scene_of([frame], [cut], pad=0.5), 0, 1.0)
    assert found[25:75, 53:63].mean() > 0.95 and not (found & cut).any()
    given = scene_of([frame], [cut], [bar])
    assert np.array_equal(occluders_from_evidence(given, 0, 1.0), bar)
    assert occluders_from_evidence(given, 0, 0.5).shape == (50, 60)
    for shape in ((1, 1), (3, 2)):
        assert not occluders_in_concavities(np.zeros((*shape, 3), np.uint8), np.ones(shape, bool)).any()
        assert not occluders_in_concavities(np.zeros((*shape, 3), np.uint8), np.zeros(shape, bool)).any()


def test_the_published_networks_answer_where_their_weights_are(monkeypatch):
    import sys
    from types import ModuleType

    from unocclude.methods.open_world import networks

    image = np.random.default_rng(0).integers(1, 256, (*SHAPE, 3)).astype(np.uint8)
    mask = np.zeros(SHAPE, bool)
    mask[3:9, 4:20] = True
    made = []

    def network(answer):
        def make(**settings):
            made.append(settings)
            return answer

        return make

    def choose(picture, names):
        assert np.array_equal(picture, np.where(mask[..., None], image, 0))
        return [len(name) for name in names]

    answers = {
        "tags": lambda picture: ("cat", "plant"),
        "ground": lambda picture, caption: (np.zeros((1, 4)), [caption], np.ones(1)),
        "segment": lambda picture, cues: (np.array([np.full(SHAPE, cue.bounds[0] > 1) for cue in cues]), None),
        "choose": choose,
        "order": lambda picture, masks, query: np.eye(len(masks)) * query,
    }
    assert networks.load_published("cpu") == PerceptionNetworks()  # no weights are here
    monkeypatch.setattr(networks, "is_present", lambda id: True)
    where = {}
    for question, (ids, _, settings) in networks.WHERE.items():
        module = ModuleType(f"stand_in_{question}")
        module.Network = network(answers[question])
        monkeypatch.setitem(sys.modules, module.__name__, module)
        where[question] = (ids, f"{module.__name__}:Network", settings)
    monkeypatch.setattr(networks, "WHERE", where)
    networks._network.cache_clear()
    perception = networks.load_published("cpu")
    assert perception.can_detect and not made  # nothing is loaded before it is asked
    assert perception.tags(image) == ["cat", "plant"]
    assert perception.ground(image, "cat. plant")[1] == ["cat. plant"]
    assert perception.segment(image, np.array([[0, 0, 4, 4], [2, 0, 4, 4]])).mean((1, 2)).tolist() == [0, 1]
    assert perception.choose(image, mask, ["a", "abc", "ab"]) == "abc"
    assert perception.order(image, [mask, mask], 1).tolist() == [[1, 0], [0, 1]]
    assert made[0] == {"device": "cpu", "threshold": 0.6} and len(made) == 5
    networks._network.cache_clear()
