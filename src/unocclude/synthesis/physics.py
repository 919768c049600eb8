"""Physics scenes: objects, lights, camera and motion."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np

from unocclude.media.images import encode_png
from unocclude.synthesis.bodies import RIGID, post, put
from unocclude.synthesis.creatures import Gait, creature
from unocclude.synthesis.offscreen import FAR, NEAR, load_mujoco
from unocclude.synthesis.plates import TEXTURES, texture

FPS = 12.0
STEPS = 40
"""Simulation steps per frame."""
BEFORE = 0.5
"""Seconds of simulation before frame 0, so that walkers have found their gait and thrown objects are in the air."""
GRAVITY = 9.81
FASTEST = 100.0
"""Maximum speed, metres or radians per second; anything faster is a simulation error."""

Generator = np.random.Generator


@dataclass
class PhysicsObject:
    """An object of the scene: name of its body, kind ("rigid" or "creature") and shape."""

    body: str
    kind: str
    shape: str


@dataclass
class CameraPath:
    """The camera in every frame: azimuth and elevation in degrees, distance in metres, and its look-at point."""

    motion: str
    middle: float  # azimuth for which the scene is laid out, independent of the number of frames
    azimuth: np.ndarray
    elevation: np.ndarray
    distance: np.ndarray
    look_at: np.ndarray  # (T, 3)

    def at(self, i: int) -> Any:
        camera = load_mujoco().MjvCamera()
        camera.azimuth, camera.elevation, camera.distance = self.azimuth[i], self.elevation[i], self.distance[i]
        camera.lookat[:] = self.look_at[i]
        return camera

    def about(self) -> dict[str, Any]:
        course = {key: np.round(getattr(self, key), 5).tolist() for key in ("azimuth", "elevation", "distance")}
        return {"motion": self.motion, **course, "look_at": np.round(self.look_at, 5).tolist()}


@dataclass
class PhysicsScene:
    """A compiled scene. `starts`: initial qpos and qvel, by joint, of thrown objects and walkers."""

    model: Any
    things: list[PhysicsObject]
    gaits: list[Gait]
    path: CameraPath
    fovy: float
    starts: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def play(self, frames: int) -> Iterator[tuple[int, Any]]:
        """Simulate and yield (frame, MjData) for each frame; stops early if the simulation becomes unstable."""
        mujoco = load_mujoco()
        data = mujoco.MjData(self.model)
        for joint, (position, velocity) in self.starts.items():
            data.joint(joint).qpos[:] = position
            data.joint(joint).qvel[:] = velocity
        drives = [([data.actuator(name).id for name in gait.names], gait) for gait in self.gaits]
        for step in range(round(BEFORE * FPS * STEPS) + STEPS * (frames - 1) + 1):
            # MuJoCo would reset to its first pose and write a log file into the working directory
            if data.warning.number.any() or not np.abs(data.qvel).max(initial=0) < FASTEST:
                return
            done = step - round(BEFORE * FPS * STEPS)
            if done >= 0 and done % STEPS == 0:
                mujoco.mj_forward(self.model, data)
                yield done // STEPS, data
            for actuators, gait in drives:
                data.ctrl[actuators] = gait.targets(data.time)
            mujoco.mj_step(self.model, data)


class _Builder:
    """An MJCF document under construction."""

    def __init__(self, width: int, height: int, fovy: float, rng: Generator):
        self.root = Element("mujoco")
        self.files: dict[str, bytes] = {}
        self.rng = rng
        put(self.root, "option", timestep=1 / (FPS * STEPS), gravity=(0, 0, -GRAVITY), integrator="implicitfast")
        put(self.root, "statistic", extent=1, center=(0, 0, 0.5))
        visual = SubElement(self.root, "visual")
        put(visual, "global", offwidth=width, offheight=height, fovy=fovy)
        put(visual, "quality", offsamples=0, shadowsize=1024)
        put(visual, "map", znear=NEAR, zfar=FAR, shadowclip=4, shadowscale=0.9)
        ambient, direct = rng.uniform(0.25, 0.45), rng.uniform(0.05, 0.25)
        put(visual, "headlight", ambient=[ambient] * 3, diffuse=[direct] * 3, specular=(0, 0, 0))
        default = SubElement(self.root, "default")
        put(default, "geom", density=80, friction=(0.8, 0.01, 0.001), solref=(0.015, 0.5))
        self.asset, self.world, self.actuator = (
            SubElement(self.root, tag) for tag in ("asset", "worldbody", "actuator")
        )

    def _picture(self, image: np.ndarray) -> str:
        name = f"picture{len(self.files)}.png"
        self.files[name] = encode_png(image)
        return name

    def skin(self, hue: float, vivid: float = 1.0) -> str:
        """A material for bodies: a texture mapped onto a cube around each part."""
        rng = self.rng
        image = texture(str(rng.choice(list(TEXTURES))), 96, 96, rng.uniform(2.5, 4.5), hue, vivid, rng)
        file = self._picture(image)
        put(self.asset, "texture", name=file, type="cube", file=file)
        shine = {"specular": rng.uniform(0, 0.5), "shininess": rng.uniform(0.1, 0.8)}
        put(self.asset, "material", name=file, texture=file, **shine)
        return file

    def ground(self, hue: float, metres: float) -> str:
        """A material for floors and walls: a texture that repeats, mirrored, every `metres`."""
        rng = self.rng
        image = texture(str(rng.choice(list(TEXTURES))), 256, 256, rng.uniform(3, 6), hue, rng.uniform(0.2, 0.7), rng)
        calm = rng.uniform(0.35, 0.75)  # moving objects should stand out
        image = np.rint(image.mean((0, 1)) * (1 - calm) + image * calm).astype(np.uint8)
        image = np.concatenate([image, image[:, ::-1]], axis=1)
        file = self._picture(np.concatenate([image, image[::-1]], axis=0))
        put(self.asset, "texture", name=file, type="2d", file=file)
        repeat = (1 / metres, 1 / metres)
        put(self.asset, "material", name=file, texture=file, texrepeat=repeat, texuniform="true", specular=0.1)
        return file

    def mesh(self, vertices: np.ndarray, faces: np.ndarray) -> str:
        name = f"mesh{len(self.asset)}"
        put(self.asset, "mesh", name=name, vertex=vertices, face=faces, inertia="convex")
        return name

    def compile(self) -> Any:
        return load_mujoco().MjModel.from_xml_string(tostring(self.root, encoding="unicode"), self.files)


def build(frames: int, width: int, height: int, rng: Generator) -> PhysicsScene:
    """Build a random scene of floor and walls, posts, thrown objects and walkers, rendered at width x height
    samples."""
    fovy = float(rng.uniform(34, 40))
    make = _Builder(width, height, fovy, rng)
    path = _path(frames, rng)
    azimuth = np.deg2rad(path.middle)
    away, right = np.array([np.cos(azimuth), np.sin(azimuth), 0]), np.array([np.sin(azimuth), -np.cos(azimuth), 0])
    _place(make, away, right)

    scene = PhysicsScene(None, [], [], path, fovy)
    for _ in range(int(rng.choice([0, 1, 1, 2]))):
        at = rng.uniform(-1.2, -0.75) * away + rng.uniform(-0.7, 0.7) * right
        post(_add(make, scene, "rigid", "post", at, rng.uniform(0, np.pi)), _skins(make), rng)
    for k in range(int(rng.choice([0, 1, 1, 1, 2]))):
        _walker(make, scene, k, away, right)
    for _ in range(int(rng.integers(3, 6))):
        _thrown(make, scene, away, right)
    scene.model = make.compile()
    return scene


def _add(make: _Builder, scene: PhysicsScene, kind: str, shape: str, at: np.ndarray, turn: float) -> Element:
    name = f"object{len(scene.things)}"
    scene.things.append(PhysicsObject(name, kind, shape))
    return put(make.world, "body", name=name, pos=at, quat=(np.cos(turn / 2), 0, 0, np.sin(turn / 2)))


def _skins(make: _Builder) -> list[str]:
    hue = make.rng.uniform()
    return [make.skin(hue), make.skin(hue + make.rng.uniform(-0.2, 0.2)), make.skin(hue + 0.5)]


def _thrown(make: _Builder, scene: PhysicsScene, away: np.ndarray, right: np.ndarray) -> None:
    """Add a rigid body thrown towards a point on the ground, which it reaches within the clip."""
    rng = make.rng
    shape = str(rng.choice(list(RIGID)))
    reach = BEFORE + rng.uniform(-0.2, 0.6)
    target = rng.uniform(-0.7, 0.6) * away + rng.uniform(-0.8, 0.8) * right + (0, 0, 0.3)
    others = [position[:3] for position, _ in scene.starts.values() if len(position) == 7]
    for _ in range(30):
        start = rng.uniform(-0.9, 0.9) * away + rng.choice([-1, 1]) * rng.uniform(0.7, 2.0) * right
        start[2] = rng.uniform(0.5, 1.6)
        if all(np.linalg.norm(start - other) > 1.1 for other in others):
            break
    speed = (target - start) / reach
    speed[2] += GRAVITY * reach / 2
    body = _add(make, scene, "rigid", shape, start, 0.0)
    put(body, "freejoint", name=f"{scene.things[-1].body}.free")
    RIGID[shape](body, _skins(make), make.mesh, rng)
    turn = rng.normal(size=4)
    position = np.concatenate([start, turn / np.linalg.norm(turn)])
    scene.starts[f"{scene.things[-1].body}.free"] = position, np.concatenate([speed, rng.uniform(-4, 4, 3)])


def _walker(make: _Builder, scene: PhysicsScene, k: int, away: np.ndarray, right: np.ndarray) -> None:
    """Add a creature that crosses the view from one side to the other."""
    rng = make.rng
    side = rng.choice([-1, 1])
    heading = -side * right + rng.uniform(-0.25, 0.25) * away
    at = side * rng.uniform(0.9, 1.5) * right + (rng.uniform(0.0, 0.4) + 0.7 * k) * away
    body = _add(make, scene, "creature", "creature", at, float(np.arctan2(heading[1], heading[0])))
    name = scene.things[-1].body
    gait, tall, speed = creature(body, make.actuator, name, _skins(make), rng)
    body.set("pos", f"{at[0]:.9g} {at[1]:.9g} {tall + 0.01:.9g}")
    for geom in body.iter("geom"):  # its own parts do not collide with each other
        geom.set("contype", str(2 << k))
        geom.set("conaffinity", str(0xFF & ~(2 << k)))
        geom.set("friction", "1.2 0.01 0.001")
    scene.gaits.append(gait)
    scene.starts[f"{name}.x"] = np.zeros(1), np.array([speed])


def _place(make: _Builder, away: np.ndarray, right: np.ndarray) -> None:
    """Add floor, walls or sky, and lights."""
    rng = make.rng
    hue = rng.uniform()
    floor = make.ground(hue, rng.uniform(2, 4))
    put(make.world, "geom", type="plane", size=(30, 30, 1), material=floor, conaffinity=0xFF)
    if rng.uniform() < 0.65:
        wall = make.ground(hue + rng.uniform(0.2, 0.8), rng.uniform(2, 5))
        for turn in np.deg2rad([-58, 0, 58]):
            outward = np.cos(turn) * away + np.sin(turn) * right
            put(make.world, "geom", type="plane", size=(20, 20, 1), pos=rng.uniform(2.8, 4.2) * outward,
                zaxis=-outward, material=wall, conaffinity=0xFF)  # fmt: skip
    else:
        top, bottom = rng.uniform(0.2, 0.8, 3), rng.uniform(0.5, 1, 3)
        sky = {"type": "skybox", "builtin": "gradient", "width": 128, "height": 768}
        put(make.asset, "texture", name="sky", rgb1=top, rgb2=bottom, **sky)
    tilt = rng.uniform(-1.5, 1.5) * right + rng.uniform(-1.5, 0.5) * away + (0, 0, 2.2)
    colour = rng.uniform(0.45, 0.75) * (1 + rng.uniform(-0.15, 0.15, 3))
    put(make.world, "light", type="directional", pos=2 * tilt, dir=-tilt, diffuse=colour, specular=(0.3, 0.3, 0.3))
    for _ in range(int(rng.integers(0, 3))):
        at = rng.uniform(-3, 3) * right + rng.uniform(-3, 1) * away + (0, 0, rng.uniform(2, 4))
        colour = rng.uniform(0.1, 0.3) * (1 + rng.uniform(-0.4, 0.4, 3))
        soft = {"cutoff": 80, "castshadow": "false", "specular": (0.1, 0.1, 0.1)}
        put(make.world, "light", pos=at, dir=-at, diffuse=colour, **soft)


def _path(frames: int, rng: Generator) -> CameraPath:
    """A random smooth camera path: static (half of them), orbit, dolly or pan."""
    motion = str(rng.choice(["static", "static", "static", "orbit", "dolly", "pan"]))
    seconds = np.arange(frames) / FPS
    course = np.sin(rng.uniform(1.2, 2) * (seconds - 1) + rng.uniform(-0.5, 0.5))  # roughly -1 to 1 over 2 seconds
    sign = rng.choice([-1, 1])
    middle = rng.uniform(0, 360)
    azimuth = np.full(frames, middle)
    elevation = np.full(frames, -rng.uniform(9, 26))
    distance = np.full(frames, rng.uniform(3.7, 4.5))
    look_at = np.tile([*rng.uniform(-0.1, 0.1, 2), rng.uniform(0.4, 0.55)], (frames, 1))
    if motion == "orbit":
        azimuth = azimuth + sign * rng.uniform(7, 18) * course
        elevation = elevation + rng.uniform(-3, 3) * course
    elif motion == "dolly":
        distance = distance * (1 + sign * rng.uniform(0.06, 0.13) * course)
    elif motion == "pan":
        look_at = look_at + course[:, None] * [*rng.uniform(-0.3, 0.3, 2), rng.uniform(-0.1, 0.1)]
    return CameraPath(motion, middle, azimuth, elevation, distance, look_at)
