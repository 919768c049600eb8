"""Physics worlds: their truth is that of their pixels, they hold still for nobody, and a seed is a world."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from unocclude.datasets.gt import read_truth
from unocclude.errors import InputError, UnoccludeError
from unocclude.media.images import read_png
from unocclude.synthesis import offscreen, physics, physics_worlds, write_world
from unocclude.synthesis import worlds as generator
from unocclude.synthesis.bodies import RIGID, put
from unocclude.synthesis.worlds import _count, _film, _second

pytest.importorskip("mujoco", reason="mujoco is not installed: pip install 'unocclude[worlds]'")


@pytest.fixture(scope="module", autouse=True)
def renderer():
    try:
        offscreen.gl_context(16, 16).free()
    except InputError as error:
        pytest.skip(str(error))


SMALL = {"frames": 8, "width": 96, "height": 64}


@pytest.fixture(scope="module", params=[1, 5])
def worlds(request):
    return physics_worlds(request.param, **SMALL)


def digest(worlds):
    state = hashlib.sha256()
    for world in worlds:
        for part in ("frames", "visible", "amodal", "amodal_rgb", "occluders", "depth"):
            for array in getattr(world, part):
                state.update(array.tobytes())
        state.update(repr(world.about).encode())
    return state.hexdigest()


def test_kinds_and_shapes(worlds):
    assert len({world.about["object"] for world in worlds}) == len(worlds) >= 1
    for world in worlds:
        assert world.frames is worlds[0].frames and world.fps == 12
        for part in (world.visible, world.amodal, world.amodal_rgb, world.occluders, world.depth):
            assert len(part) == len(world) == 8
        assert {a.dtype for a in world.frames + world.amodal_rgb + world.occluders} == {np.dtype(np.uint8)}
        assert {a.shape for a in world.frames + world.amodal_rgb} == {(64, 96, 3)}
        assert {a.shape for a in world.visible + world.amodal + world.depth} == {(64, 96)}
        assert {a.dtype for a in world.visible + world.amodal} == {np.dtype(bool)}
        assert {a.dtype for a in world.depth} == {np.dtype(np.float32)}
        assert world.about["body"] in ("rigid", "creature") and world.about["kind"] == "worlds"
        assert len(world.about["camera"]["azimuth"]) == 8


def test_masks_colour_and_occluders_agree(worlds):
    for world in worlds:
        for frame, visible, amodal, rgb, opacity in zip(
            world.frames, world.visible, world.amodal, world.amodal_rgb, world.occluders, strict=True
        ):
            assert not (visible & ~amodal).any()
            assert np.array_equal(rgb[visible], frame[visible])
            assert not rgb[~amodal].any()
            assert np.array_equal(visible, amodal & (opacity < 128).all(0))


def test_hidden_in_some_frames_and_not_the_same_in_all(worlds):
    for world in worlds:
        rates = np.array(world.occlusion_rate)
        assert ((rates > 0.1) & (rates < 1)).any() and np.ptp(rates) > 0.05


def test_hidden_part_has_the_colours_of_the_object(worlds):
    """What the object looks like where it is hidden is not black, and no copy of what hides it."""
    for world in worlds:
        hidden = [a & ~m for a, m in zip(world.amodal, world.visible, strict=True)]
        rgb = np.concatenate([c[h] for c, h in zip(world.amodal_rgb, hidden, strict=True)])
        frame = np.concatenate([c[h] for c, h in zip(world.frames, hidden, strict=True)])
        assert (rgb.max(1) > 8).mean() > 0.95
        assert (np.abs(rgb.astype(int) - frame).max(1) > 8).mean() > 0.7


def test_visible_masks_of_different_objects_are_apart(worlds):
    """But for pixels that two of them share by half."""
    for i in range(8):
        owners = np.sum([world.visible[i] for world in worlds], axis=0)
        assert owners.max() <= 2 and (owners == 2).sum() <= 0.02 * owners.sum()


def test_depth_is_finite_on_objects_and_between_camera_and_far(worlds):
    for world in worlds:
        for depth, visible in zip(world.depth, world.visible, strict=True):
            assert np.isfinite(depth[visible]).all() and (depth[visible] < 12).all()
            assert (depth > offscreen.NEAR).all()


def test_frames_are_neither_dark_nor_still(worlds):
    frames = np.array(worlds[0].frames, float)
    assert frames.mean() > 25 and frames.std((1, 2)).min() > 5
    assert (np.abs(np.diff(frames, axis=0)).mean((1, 2, 3)) > 0.5).all()


def test_same_seed_same_bytes_here_and_in_a_fresh_process(worlds):
    seed = worlds[0].about["seed"]
    assert digest(physics_worlds(seed, **SMALL)) == digest(worlds)
    if seed != 5:
        return
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_worlds as t;"
        "print(t.digest(t.physics_worlds(5, **t.SMALL)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == digest(worlds)


def test_another_seed_is_another_world(worlds):
    other = physics.build(1, 16, 16, np.random.default_rng([9, 2, 0]))
    mine = physics.build(1, 16, 16, np.random.default_rng([worlds[0].about["seed"], 2, 0]))
    assert other.path.about() != mine.path.about()


def test_written_worlds_are_read_as_truth(worlds, tmp_path):
    write_world(worlds[0], tmp_path)
    truth = read_truth(tmp_path)
    assert len(truth) == 8
    assert json.loads((tmp_path / "meta.json").read_text())["camera"] == worlds[0].about["camera"]
    for i in range(8):
        assert np.array_equal(truth.visible[i], worlds[0].visible[i])
        assert np.array_equal(truth.amodal[i], worlds[0].amodal[i])
        near = worlds[0].depth[i] < 65
        written = read_png(tmp_path / "depth" / f"{i:05d}.png") / 1000
        assert np.abs(written - worlds[0].depth[i])[near].max() <= 0.0005001
        assert not written[np.isinf(worlds[0].depth[i])].any()


@pytest.mark.parametrize("size", [{"frames": 0}, {"width": 15}, {"height": 8}])
def test_bad_sizes(size):
    with pytest.raises(ValueError, match="expected 1 or more"):
        physics_worlds(0, **{**SMALL, **size})


def test_missing_egl_is_said_in_one_line(monkeypatch):
    def missing(*_):
        raise AttributeError("'NoneType' object has no attribute 'eglQueryString'")

    monkeypatch.setattr("mujoco.egl.GLContext", missing)
    monkeypatch.setattr("mujoco.gl_context.GLContext", missing)
    with pytest.raises(InputError, match="libegl1") as caught:
        physics_worlds(0, **SMALL)
    assert "\n" not in str(caught.value)


def test_missing_mujoco_is_said_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(InputError, match=r"unocclude\[worlds\]"):
        physics_worlds(0, **SMALL)


def test_depth_and_labels_of_a_known_sphere():
    """A sphere of 0.5 m whose centre is 3 m from the camera: its depth is 2.5 m, its outline is a circle."""
    make = physics._Builder(200, 200, 40.0, np.random.default_rng(0))
    body = put(make.world, "body", name="ball", pos=(0, 0, 1))
    put(body, "geom", type="sphere", size=0.5)
    model = make.compile()
    import mujoco

    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    path = physics.CameraPath("static", 0.0, np.zeros(1), np.zeros(1), np.full(1, 3.0), np.array([[0, 0, 1.0]]))
    with offscreen.Offscreen(model, 200, 200) as screen:
        screen.look(data, path.at(0))
        geom, buffer = screen.labels()
        colour, same = screen.colour()
        screen.look(data, path.at(0), np.array([False]), sky=False)
        nothing, _ = screen.labels()
    depth = offscreen.metres(buffer)
    assert np.array_equal(buffer, same) and colour.any()
    assert abs(depth[100, 100] - 2.5) < 0.01 and np.isinf(depth[0, 0])
    assert np.array_equal(geom >= 0, np.isfinite(depth)) and set(np.unique(geom)) == {-1, 0}
    assert (nothing == -1).all()
    y, x = np.mgrid[:200, :200] - 99.5
    radius = 100 / np.tan(np.deg2rad(20)) * np.tan(np.arcsin(0.5 / 3))
    disc = np.hypot(x, y) < radius
    assert ((geom >= 0) != disc).mean() < 0.01


def test_truth_of_known_spheres():
    """A red sphere behind a green one, and a blue one half under the ground: discs are their outlines."""
    make = physics._Builder(400, 400, 40.0, np.random.default_rng(0))
    put(make.world, "geom", type="plane", size=(30, 30, 1))
    balls = {
        "red": ((2, 0, 1), (1, 0, 0, 1)),
        "green": ((0, 0.2, 1), (0, 1, 0, 1)),
        "blue": ((0, -0.8, 0), (0, 0, 1, 1)),
    }
    for name, (pos, rgba) in balls.items():
        put(put(make.world, "body", name=name, pos=pos), "geom", type="sphere", size=0.4, rgba=rgba)
    path = physics.CameraPath("static", 0.0, np.zeros(1), np.zeros(1), np.full(1, 4.0), np.array([[0, 0, 1.0]]))
    things = [physics.PhysicsObject(name, "rigid", "ball") for name in balls]
    scene = physics.PhysicsScene(make.compile(), things, [], path, 40.0)
    red, green, blue = _film(scene, 1, 200, 200, {}, background=False)

    def disc(distance, left, radius=0.4):
        focal = 100 / np.tan(np.deg2rad(20))
        y, x = np.mgrid[:200, :200] - 99.5
        # a pixel's ray meets the sphere when it passes its centre at less than the radius
        ray = np.stack([x, y, np.full_like(x, focal)], axis=-1)
        ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
        return np.linalg.norm(np.cross(ray, [-left, 0.0, distance]), axis=-1) < radius

    far, near = disc(6, 0.0), disc(4, 0.2)
    assert (red.amodal[0] != far).sum() < 0.06 * far.sum()
    assert (green.amodal[0] != near).sum() < 0.06 * near.sum()
    assert np.array_equal(green.amodal[0], green.visible[0])
    assert (red.visible[0] != (far & ~near)).sum() < 0.06 * far.sum()
    assert 0.2 < red.occlusion_rate[0] < 0.95
    hidden = red.amodal[0] & ~red.visible[0]
    assert (red.amodal_rgb[0][hidden] * np.array([0, 1, 1]) == 0).all() and red.amodal_rgb[0][hidden][:, 0].min() > 20
    assert (red.frames[0][hidden].argmax(-1) == 1).mean() > 0.9
    assert abs(red.depth[0][hidden].min() - 3.6) < 0.05
    assert np.array_equal(blue.amodal[0], blue.visible[0])  # the ground hides nothing: what is below is not there
    assert blue.amodal[0].any() and np.flatnonzero(blue.amodal[0].any(1))[-1] < 199


def test_one_frame_and_odd_sizes():
    world = physics_worlds(3, frames=1, width=65, height=47)[0]
    assert len(world) == 1 and world.frames[0].shape == (47, 65, 3) and world.occlusion_rate[0] > 0.1


@pytest.mark.parametrize("seed", range(3))
def test_a_seed_is_the_same_scene_at_every_size_and_length(seed):
    long, short = (physics.build(t, w, w, np.random.default_rng(seed)) for t, w in ((24, 64), (2, 32)))
    assert long.things == short.things
    for joint, start in long.starts.items():
        assert np.array_equal(np.concatenate(start), np.concatenate(short.starts[joint]))
    for name in ("geom_size", "body_pos", "light_dir", "tex_data"):
        assert np.array_equal(getattr(long.model, name), getattr(short.model, name)), name
    assert long.path.azimuth[0] == short.path.azimuth[0]


def test_a_scene_that_shows_nothing_is_drawn_again(monkeypatch):
    answers = iter([False] * 3)
    monkeypatch.setattr(generator, "_worthwhile", lambda world: next(answers, True))
    assert physics_worlds(0, frames=1, width=32, height=32)[0].about["attempt"] in (0, 1)
    monkeypatch.setattr(generator, "_worthwhile", lambda world: False)
    monkeypatch.setattr(generator, "ATTEMPTS", 2)
    with pytest.raises(UnoccludeError, match="seed 0"):
        physics_worlds(0, frames=1, width=32, height=32)


def test_an_unstable_simulation_gives_no_world(monkeypatch):
    scene = physics.build(4, 64, 64, np.random.default_rng(0))
    for position, velocity in scene.starts.values():
        velocity[:] = 1e4
        assert np.isfinite(position).all()
    assert _film(scene, 4, 32, 32, {}, background=False) == []


def test_samples_are_counted_and_ordered_as_a_plain_loop_does():
    rng = np.random.default_rng(0)
    mask, buffer = rng.uniform(size=(6, 10)) < 0.5, rng.uniform(size=(6, 10)).astype(np.float32)
    for i in range(3):
        for j in range(5):
            block = np.s_[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            assert _count(mask)[i, j] == mask[block].sum()
            assert _second(buffer)[i, j] == np.sort(buffer[block].ravel())[2]


@pytest.mark.parametrize("seed", range(4))
def test_creatures_walk(seed):
    """Alone on a plain, a creature goes its way and stays on its feet."""
    rng = np.random.default_rng(seed)
    make = physics._Builder(16, 16, 40.0, rng)
    scene = physics.PhysicsScene(None, [], [], physics._path(24, rng), 40.0)
    put(make.world, "geom", type="plane", size=(30, 30, 1), conaffinity=0xFF)
    physics._walker(make, scene, 0, np.array([1.0, 0, 0]), np.array([0, -1.0, 0]))
    scene.model = make.compile()
    course, knees, tilts = [], [], []
    for _, data in scene.play(24):
        course.append(data.body("object0").xpos.copy())
        knees.append(data.joint("object0.leg0l.knee").qpos[0])
        tilts.append([data.joint(f"object0.{axis}").qpos[0] for axis in ("pitch", "roll")])
    course = np.array(course)
    assert len(course) == 24
    assert np.linalg.norm(course[-1, :2] - course[0, :2]) > 1.2  # metres in two seconds
    assert course[:, 2].min() > 0.35 and np.abs(tilts).max() < 0.5
    assert np.ptp(knees) > 0.4


@pytest.mark.parametrize("shape", RIGID)
def test_rigid_bodies_compile_fall_and_come_to_rest_on_the_ground(shape):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        make = physics._Builder(16, 16, 40.0, rng)
        put(make.world, "geom", type="plane", size=(30, 30, 1))
        body = put(make.world, "body", name="object0", pos=(0, 0, 1))
        put(body, "freejoint", name="free")
        RIGID[shape](body, physics._skins(make), make.mesh, rng)
        scene = physics.PhysicsScene(make.compile(), [], [], physics._path(1, rng), 40.0)
        heights = [data.body("object0").xipos[2] for _, data in scene.play(30)]
        assert len(heights) == 30 and min(heights) > 0 and heights[-1] < 0.9
