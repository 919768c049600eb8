"""motion/: against the truth of rigid worlds, and against plain versions."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from scipy.spatial import ConvexHull, Delaunay

from unocclude.clip import Clip
from unocclude.masks import MaskTrack
from unocclude.motion.align import Aligner, fit_object
from unocclude.motion.camera import fit_motion, is_tame, shift
from unocclude.motion.evidence import BACKGROUND, FOREIGN, Evidence
from unocclude.motion.fill import smooth_fill
from unocclude.motion.hull import hull
from unocclude.motion.trajectory import interpolate
from unocclude.motion.working import COMPARED, FrameCache, Working, cut_out
from unocclude.scene import Scene
from unocclude.synthesis import rigid_world


@pytest.fixture(scope="module")
def world():
    return rigid_world(1, "camera", 20, 192, 144, occluders=["pole"])


@pytest.fixture(scope="module")
def evidence(world):
    clip, track = Clip.from_frames(world.frames), MaskTrack.from_masks(world.visible)
    return Evidence(Scene(clip, track, None, 0.0))


def moved(motion, points):
    out = np.c_[points, np.ones(len(points))] @ motion.T
    return out[:, :2] / out[:, 2:]


# Camera -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "b"), [(0, 1), (3, 9), (12, 2), (0, 19)])
def test_camera_motion_is_found(world, evidence, a, b):
    true = world.camera[b] @ np.linalg.inv(world.camera[a])
    scale = evidence.work.width / 192
    grid = np.array([(x, y) for x in range(20, 180, 40) for y in range(20, 130, 40)], float)
    found = moved(evidence.camera.between(a, b), grid * scale) / scale
    assert np.abs(found - moved(true, grid)).mean() < 0.15 * abs(b - a) + 0.35


def plainly_tame(motion, points, limit):
    """By numerical derivatives and SVD."""
    low, high = points.min(0), points.max(0)
    middle = (low + high) / 2
    for x, y in ((low[0], low[1]), (high[0], high[1]), (low[0], high[1]), (high[0], low[1]), middle):
        w, w0 = motion[2] @ (x, y, 1), motion[2] @ (*middle, 1)
        if abs(w) < 1e-6 or not 1 / limit < w / w0 < limit:
            return False
        e = 1e-4
        at = moved(motion, np.array([(x - e, y), (x + e, y), (x, y - e), (x, y + e)]))
        jacobian = np.c_[(at[1] - at[0]) / (2 * e), (at[3] - at[2]) / (2 * e)]
        large, small = np.linalg.svd(jacobian, compute_uv=False)
        if np.linalg.det(jacobian) <= 0 or large > limit or small < 1 / limit or large > limit * small:
            return False
    return True


def test_plausible_transforms_are_those_of_the_plain_version():
    rng = np.random.default_rng(0)
    points = np.array([(10.0, 20.0), (110.0, 20.0), (110.0, 90.0), (10.0, 90.0)])
    answers = []
    for k in range(400):
        motion = np.eye(3) + rng.normal(0, 0.5, (3, 3)) * [
            [1, 1, 20],
            [1, 1, 20],
            [0.004 * (k % 2), 0.004 * (k % 2), 0],
        ]
        answers.append(is_tame(motion, points, 2.0))
        assert answers[-1] == plainly_tame(motion, points, 2.0), motion
    assert 40 < sum(answers) < 360


def test_a_fit_survives_outliers_and_few_points():
    rng = np.random.default_rng(1)
    true = np.array([[1.02, 0.03, 4], [-0.02, 0.99, -3], [1e-4, 2e-5, 1]])
    points = rng.uniform(0, 200, (80, 2))
    there = moved(true, points)
    there[:20] += rng.uniform(15, 60, (20, 2))
    assert np.abs(moved(fit_motion(points, there, 1.0), points) - moved(true, points)).max() < 0.6
    assert np.array_equal(fit_motion(points[:0], there[:0], 1.0), np.eye(3))
    assert np.allclose(fit_motion(points[:4], points[:4] + np.array([3, -2]), 1.0), shift(3, -2))


# Alignment ----------------------------------------------------------------------------------------


def test_an_object_is_fitted_with_no_more_freedom_than_it_shows():
    rng = np.random.default_rng(2)
    points = rng.uniform(0, 100, (60, 2)).astype(np.float32)
    turn = np.array([[0.9, -0.2, 5], [0.2, 0.9, 1], [0, 0, 1]])
    bent = np.array([[1.0, 0.1, 2], [0.0, 0.8, 1], [2e-3, -1e-3, 1]])
    for true, perspective in ((turn, False), (bent, True)):
        found = fit_object(points, moved(true, points).astype(np.float32), 1.0, 8)
        assert np.abs(moved(found, points) - moved(true, points)).max() < 0.3
        assert bool(np.abs(found[2, :2]).max() > 1e-4) == perspective
    assert fit_object(points, rng.uniform(0, 100, (60, 2)).astype(np.float32), 1.0, 30) is None


def test_references_that_are_trusted_lie_where_the_object_is(world, evidence):
    """Mean distance from the true place of the object's pixels, in pixels, for all pairs of a half-hidden frame."""
    aligner, distances = Aligner(evidence), []
    for hidden in (i for i in range(20) if 0.2 < world.occlusion_rate[i] < 0.7):
        for s in (s for s in range(20) if world.occlusion_rate[s] == 0 and abs(s - hidden) < 12):
            found = aligner.align(s, hidden)
            if found.trusted:
                true = world.homographies[hidden] @ np.linalg.inv(world.homographies[s])
                points = np.argwhere(world.amodal[s])[::7, ::-1].astype(float)
                distances.append(np.linalg.norm(moved(found.motion, points) - moved(true, points), axis=1).mean())
    assert len(distances) >= 5 and np.median(distances) < 0.8 and np.mean(np.array(distances) < 2) > 0.8, distances


# Evidence -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("occluder", "least_foreign"), [("pole", 0.05), ("blob", 0.5)])
def test_background_and_occluders_are_told_apart(occluder, least_foreign):
    """Hardly anything that hides the object passes for background; what moves in front of it is seen to be foreign."""
    world = rigid_world(1, "affine", 20, 192, 144, occluders=[occluder])
    evidence = Evidence(Scene(Clip.from_frames(world.frames), MaskTrack.from_masks(world.visible), None, 0.0))
    assert evidence.work.scale == 1
    wrong = hiding = foreign = 0
    for i in range(20):
        labels, hidden = evidence.labels[i], (world.amodal[i] & ~world.visible[i])[evidence.window(i)]
        wrong += ((labels == BACKGROUND) & hidden).sum()
        foreign += ((labels == FOREIGN) & hidden).sum()
        hiding += hidden.sum()
    assert hiding > 1000 and wrong / hiding < 0.03 and foreign / hiding > least_foreign, (
        wrong / hiding,
        foreign / hiding,
    )


def test_given_occluders_are_taken_at_their_word(world):
    occluders = [world.amodal[i] & ~world.visible[i] for i in range(20)]
    clip, track = Clip.from_frames(world.frames), MaskTrack.from_masks(world.visible)
    evidence = Evidence(Scene(clip, track, MaskTrack.from_masks(occluders), 0.0))
    for i in (0, 7, 12):
        labels = evidence.labels[i]
        assert np.array_equal(labels == FOREIGN, occluders[i][evidence.window(i)])
        assert ((labels == FOREIGN) | (labels == BACKGROUND)).all()


# Small things -------------------------------------------------------------------------------------


def test_filling_keeps_what_is_known_and_stays_between():
    rng = np.random.default_rng(3)
    for shape in ((31, 17), (1, 9), (40, 40, 3)):
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        known = rng.random(shape[:2]) < 0.2
        known[0, 0] = True
        filled = smooth_fill(image, known)
        assert np.array_equal(filled[known], image[known])
        assert filled.min() >= image[known].min() and filled.max() <= image[known].max()
    flat = smooth_fill(np.full((20, 30), 77, np.uint8), np.eye(20, 30) > 0)
    assert (flat == 77).all()
    assert not smooth_fill(image, np.zeros(image.shape[:2], bool)).any()


def test_hull_holds_what_scipy_holds():
    rng = np.random.default_rng(4)
    mask = np.zeros((60, 70), bool)
    mask[tuple(rng.integers(10, 50, (2, 12)))] = True
    points = np.argwhere(mask)
    inside = Delaunay(points[ConvexHull(points).vertices]).find_simplex(np.argwhere(np.ones_like(mask))) >= 0
    inside = inside.reshape(mask.shape)
    wider = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0  # it takes whole pixels
    assert hull(mask)[inside].all() and wider[hull(mask)].all() and hull(mask)[mask].all()
    assert not hull(np.zeros_like(mask)).any()
    one = np.zeros_like(mask)
    one[3, 4] = True
    assert np.array_equal(hull(one), one)


def test_boxes_between_knots():
    boxes = np.array([[0, 0, 10, 10], [9, 9, 9, 9], [4, 8, 30, 20]], float)
    at = interpolate(boxes, [0, 2], np.array([0, 1, 2, 5]))
    assert at.tolist() == [[0, 0, 10, 10], [2, 4, 20, 15], [4, 8, 30, 20], [4, 8, 30, 20]]


def test_the_cache_drops_the_least_recently_used():
    made = []
    recent = FrameCache(lambda i: made.append(i) or i * i, keep=2)
    assert [recent[i] for i in (3, 4, 3, 5, 3, 4)] == [9, 16, 9, 25, 9, 16]
    assert made == [3, 4, 5, 4]


def test_parts_are_cut_with_a_margin():
    picture = np.arange(20 * 30 * 3, dtype=np.uint16).astype(np.uint8).reshape(20, 30, 3)
    mask = np.zeros((20, 30), bool)
    mask[8:12, 1:5] = True
    part = cut_out(picture, mask, 4)
    assert (part.x, part.y, part.image.shape) == (0, 4, (12, 9, 3))
    assert np.array_equal(part.image, picture[4:16, 0:9]) and part.mask.sum() == mask.sum()


def test_large_objects_and_pictures_are_looked_at_small():
    def working(width, height, span):
        boxes = np.tile([10, 10, 10 + span, 20], (3, 1))
        track = SimpleNamespace(boxes=boxes, areas=np.full(3, span * 10))
        scene = SimpleNamespace(
            track=track, width=width, height=height, offset=(0, 0), inside=np.ones((height, width), bool),
            given_occluders=None, others=(), frame=lambda i: np.zeros((height, width, 3), np.uint8),
            visible=lambda i: cv2.rectangle(np.zeros((height, width), np.uint8), (10, 10), (9 + span, 19), 1, -1) > 0,
        )  # fmt: skip
        return Working(scene)

    assert working(640, 480, 60).scale == 1
    assert working(640, 480, 352).scale == 0.5
    large = working(4000, 3000, 60)
    assert large.scale == 0.16 and large.inside.shape == (480, 640)
    there = moved(large.to_canvas, np.array([(0.0, 0.0), (639.0, 479.0)]))
    assert np.allclose(there, [(2.625, 2.625), (3996.375, 2996.375)])
    assert large.frame(0).shape == (480, 640, 3) and large.parts[0].full.image.shape[:2] == (18, 68)
    assert COMPARED > 0


def boxes_of(visible):
    """The expected boxes of a black clip with these masks; `gone`."""
    masks = np.array(visible)
    clip = Clip.from_frames(np.zeros((*masks.shape, 3), np.uint8))
    clip.__dict__["shots"] = [range(len(clip))]
    trajectory = Evidence(Scene(clip, MaskTrack.from_masks(masks))).trajectory
    return trajectory.boxes, trajectory.gone


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("backwards", [False, True])
def test_an_object_that_leaves_the_frame_is_not_expected_in_it(turn, backwards):
    masks = np.zeros((20, 60, 60), bool)
    for i in range(20):  # 24 wide, 16 high; its left edge goes from 4 by 5 a frame
        masks[i, 20:36, 4 + 5 * i : 28 + 5 * i] = True
    masks = np.rot90(masks, turn, axes=(1, 2))[:: -1 if backwards else 1]
    boxes, gone = boxes_of(masks)
    there = masks.any((1, 2))
    assert np.array_equal(gone, ~there) and np.isnan(boxes[~there]).all()
    sizes = boxes[there, 2:] - boxes[there, :2]
    tall, wide = (16, 24) if turn % 2 == 0 else (24, 16)
    assert np.abs(sizes - (wide, tall)).max() < 6
    for i in np.flatnonzero(there):
        x, y, w, h = cv2.boundingRect(masks[i].astype(np.uint8))
        assert (boxes[i, :2] <= (x, y)).all() and (boxes[i, 2:] >= (x + w, y + h)).all()


def test_what_stands_at_the_border_and_is_hidden_from_above_is_still_expected():
    masks = np.zeros((16, 60, 60), bool)
    masks[:, 20:, 25:40] = True
    masks[6:11, :45] = False
    masks[8] = False
    boxes, gone = boxes_of(masks)
    assert not gone.any()
    assert np.array_equal(boxes, np.tile([25, 20, 40, 60], (16, 1)))
