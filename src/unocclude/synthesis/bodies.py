"""What stands, falls and walks in physics worlds: MJCF bodies of several parts, in random measures."""

from collections.abc import Callable
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from scipy.spatial import ConvexHull

Generator = np.random.Generator


def put(parent: Element, tag: str, **attributes: object) -> Element:
    """Add an MJCF element; numbers and arrays become text."""
    text = {
        key: value if isinstance(value, str) else " ".join(f"{v:.9g}" for v in np.ravel(np.asarray(value, float)))
        for key, value in attributes.items()
    }
    return SubElement(parent, tag, text)


# Rigid bodies -----------------------------------------------------------------------------------------------

Mesh = Callable[[np.ndarray, np.ndarray], str]
"""Takes vertices (n, 3) and faces (m, 3), gives the mesh's name."""
Skins = list[str]
"""Names of materials: the first one is the body's main colour."""


def _table(body: Element, skins: Skins, mesh: Mesh, rng: Generator) -> None:
    x, y, z = rng.uniform(0.3, 0.48), rng.uniform(0.25, 0.4), rng.uniform(0.25, 0.4)
    thick = rng.uniform(0.04, 0.06)
    put(body, "geom", type="box", size=(x, y, thick), pos=(0, 0, z), material=skins[0])
    for sx in (-1, 1):
        for sy in (-1, 1):
            at = (sx * (x - thick), sy * (y - thick), 0)
            put(body, "geom", type="box", size=(thick, thick, z), pos=at, material=skins[1])


def _chair(body: Element, skins: Skins, mesh: Mesh, rng: Generator) -> None:
    side, leg, back = rng.uniform(0.22, 0.28), rng.uniform(0.17, 0.24), rng.uniform(0.2, 0.3)
    put(body, "geom", type="box", size=(side, side, 0.05), material=skins[0])
    put(body, "geom", type="box", size=(0.045, side, back), pos=(-side, 0, back), material=skins[1])
    for sx in (-1, 1):
        for sy in (-1, 1):
            ends = (sx * (side - 0.04), sy * (side - 0.04), 0, sx * side, sy * side, -2 * leg)
            put(body, "geom", type="capsule", size=0.045, fromto=ends, material=skins[2])


def _dumbbell(body: Element, skins: Skins, mesh: Mesh, rng: Generator) -> None:
    half, bar = rng.uniform(0.25, 0.4), rng.uniform(0.06, 0.1)
    put(body, "geom", type="cylinder", size=bar, fromto=(-half, 0, 0, half, 0, 0), material=skins[0])
    for side, skin in ((-1, skins[1]), (1, skins[2])):
        radius = rng.uniform(0.16, 0.26)
        if rng.uniform() < 0.5:
            put(body, "geom", type="sphere", size=radius, pos=(side * half, 0, 0), material=skin)
        else:
            ends = (side * (half - 0.08), 0, 0, side * (half + 0.08), 0, 0)
            put(body, "geom", type="cylinder", size=radius, fromto=ends, material=skin)


def _jack(body: Element, skins: Skins, mesh: Mesh, rng: Generator) -> None:
    for axis, skin in zip(np.eye(3), skins, strict=True):
        ends = np.concatenate([axis, -axis]) * rng.uniform(0.25, 0.42)
        put(body, "geom", type="capsule", size=rng.uniform(0.08, 0.12), fromto=ends, material=skin)


def _arch(body: Element, skins: Skins, mesh: Mesh, rng: Generator) -> None:
    x, z, thick, deep = rng.uniform(0.25, 0.4), rng.uniform(0.2, 0.35), rng.uniform(0.07, 0.11), rng.uniform(0.1, 0.2)
    put(body, "geom", type="box", size=(x + thick, deep, thick), pos=(0, 0, z), material=skins[0])
    for side, skin in ((-1, skins[1]), (1, skins[2])):
        put(body, "geom", type="box", size=(thick, deep, z), pos=(side * x, 0, 0), material=skin)


def _clump(body: Element, skins: Skins, mesh: Mesh, rng: Generator) -> None:
    """A few primitives, each grown on the one before."""
    at = np.zeros(3)
    for k in range(rng.integers(2, 5)):
        kind = str(rng.choice(["box", "sphere", "cylinder", "ellipsoid", "capsule"]))
        size = rng.uniform(0.12, 0.26, 3)
        turn = rng.normal(size=4)
        put(body, "geom", type=kind, size=size, pos=at, quat=turn / np.linalg.norm(turn), material=skins[k % 3])
        step = rng.normal(size=3)
        at = at + step / np.linalg.norm(step) * rng.uniform(0.2, 0.3)


def _rock(body: Element, skins: Skins, mesh: Mesh, rng: Generator) -> None:
    points = rng.normal(size=(rng.integers(10, 24), 3))
    points *= rng.uniform(0.25, 0.45, 3) / np.linalg.norm(points, axis=1, keepdims=True)
    hull = ConvexHull(points)
    faces = hull.simplices.copy()
    corners = points[faces]
    outward = (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) * hull.equations[:, :3]).sum(1)
    faces[outward < 0] = faces[outward < 0][:, ::-1]
    put(body, "geom", type="mesh", mesh=mesh(points, faces), material=skins[0])


def _turned(profile: np.ndarray, closed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Turn a profile, (n, 2) radius and height, counter-clockwise, around the z axis: vertices and faces."""
    around = 28
    angle = np.arange(around) * 2 * np.pi / around
    radius, height = profile.T
    rows = [radius * np.cos(a) for a in angle], [radius * np.sin(a) for a in angle], [height] * around
    vertices = np.stack([np.stack(row) for row in rows], axis=-1).reshape(-1, 3)
    n = len(profile)
    faces = []
    for i in range(around):
        for j in range(n if closed else n - 1):
            a, b = i * n + j, i * n + (j + 1) % n
            c, d = (i + 1) % around * n + j, (i + 1) % around * n + (j + 1) % n
            faces += [(a, c, b), (b, c, d)]
    return vertices, np.array(faces)


def _ring(body: Element, skins: Skins, mesh: Mesh, rng: Generator) -> None:
    angle = np.arange(14) * 2 * np.pi / 14
    thick = rng.uniform(0.07, 0.13)
    profile = np.stack([rng.uniform(0.27, 0.36) + thick * np.cos(angle), thick * np.sin(angle)], axis=-1)
    put(body, "geom", type="mesh", mesh=mesh(*_turned(profile, closed=True)), material=skins[0])


def _vase(body: Element, skins: Skins, mesh: Mesh, rng: Generator) -> None:
    height = np.linspace(-0.4, 0.4, 16)
    radius = 0.2 + sum(rng.uniform(-0.09, 0.09) * np.cos(k * np.pi * (height + 0.4) / 0.8) for k in (1, 2, 3))
    profile = np.stack([np.maximum(radius, 0.06), height], axis=-1)
    profile = np.concatenate([[(1e-3, -0.4)], profile, [(1e-3, 0.4)]])
    put(body, "geom", type="mesh", mesh=mesh(*_turned(profile, closed=False)), material=skins[0])


RIGID: dict[str, Callable[[Element, Skins, Mesh, Generator], None]] = {
    "table": _table,
    "chair": _chair,
    "dumbbell": _dumbbell,
    "jack": _jack,
    "arch": _arch,
    "clump": _clump,
    "rock": _rock,
    "ring": _ring,
    "vase": _vase,
}


def post(body: Element, skins: Skins, rng: Generator) -> None:
    """Something tall that stands on the ground and does not move."""
    half, height = rng.uniform(0.07, 0.16), rng.uniform(0.45, 0.8)
    kind = "box" if rng.uniform() < 0.5 else "cylinder"
    size = (half, half, height) if kind == "box" else (half, height, 0)
    put(body, "geom", type=kind, size=size, pos=(0, 0, height), material=skins[0])
    put(body, "geom", type="box", size=(2 * half, 2 * half, 0.04), pos=(0, 0, 0.04), material=skins[1])


# Creatures --------------------------------------------------------------------------------------------------


@dataclass
class Gait:
    """A creature's drive: actuator k goes for `offset + swing * wave(2 pi rate t + phase)`, where the wave is
    a sine, or, for knees, its positive half."""

    rate: float
    names: list[str] = field(default_factory=list)
    rows: list[tuple[float, float, float, bool]] = field(default_factory=list)  # offset, swing, phase, half

    def add(self, name: str, offset: float, swing: float, phase: float, half: bool = False) -> None:
        self.names.append(name)
        self.rows.append((offset, swing, phase, half))

    def targets(self, time: float) -> np.ndarray:
        """Angles for all actuators at a time in seconds, (n,) radians."""
        offset, swing, phase, half = np.array(self.rows, float).T
        wave = np.sin(2 * np.pi * self.rate * time + phase)
        return offset + swing * np.where(half > 0, np.maximum(wave, 0), wave)


def creature(body: Element, actuators: Element, name: str, skins: Skins, rng: Generator) -> tuple[Gait, float, float]:
    """A walker along its own x axis: torso, neck, head, tail, and two, four or six legs of two parts each.

    Its torso turns against springs, which stand for the sense of balance that a sine does not have. Gives its
    gait, how high its torso is, in metres, and how fast it walks, in metres a second.
    """
    pairs = int(rng.choice([1, 2, 2, 2, 3]))
    half = rng.uniform(0.1, 0.16) if pairs == 1 else rng.uniform(0.24, 0.36)  # of the torso's length
    girth, thigh, shin = rng.uniform(0.13, 0.19), rng.uniform(0.2, 0.3), rng.uniform(0.2, 0.28)
    limb = rng.uniform(0.045, 0.065)
    mass = 12.0
    height = thigh + shin + limb
    gait = Gait(rate=rng.uniform(1.2, 1.7))
    stride = rng.uniform(0.3, 0.4)
    stiff = (24 if pairs == 1 else 12) * mass * height

    for k, axis in enumerate(np.eye(3)):
        put(body, "joint", name=f"{name}.{'xyz'[k]}", type="slide", axis=axis, damping=0.0)
    put(body, "joint", name=f"{name}.yaw", axis=(0, 0, 1), stiffness=stiff / 4, damping=stiff / 12)
    put(body, "joint", name=f"{name}.pitch", axis=(0, 1, 0), stiffness=2 * stiff, damping=stiff / 6)
    put(body, "joint", name=f"{name}.roll", axis=(1, 0, 0), stiffness=2 * stiff, damping=stiff / 6)
    if pairs == 1:
        put(body, "geom", type="ellipsoid", size=(half + 0.04, girth, 0.27), pos=(0, 0, 0.2), mass=mass, material=skins[0])
    elif rng.uniform() < 0.5:
        put(body, "geom", type="capsule", size=girth, fromto=(-half, 0, 0, half, 0, 0), mass=mass, material=skins[0])
    else:
        put(body, "geom", type="ellipsoid", size=(half + girth, girth, 1.15 * girth), mass=mass, material=skins[0])

    def hinge(parent: Element, part: str, pos: object, axis: tuple[int, int, int], strength: float) -> Element:
        child = put(parent, "body", name=f"{name}.{part}", pos=pos)
        put(child, "joint", name=f"{name}.{part}", axis=axis, damping=0.2, armature=0.01)
        put(actuators, "position", name=f"{name}.{part}", joint=f"{name}.{part}", kp=strength, dampratio=1.0)
        return child

    strength = 60 * mass * height / pairs
    for pair in range(pairs):
        x = 0.0 if pairs == 1 else half * (1 - 2 * pair / (pairs - 1))
        for side in (-1, 1):
            part = f"leg{pair}{'lr'[side > 0]}"
            phase = np.pi * ((pair + (side > 0)) % 2)  # the legs across from each other step together
            skin = skins[1]
            upper = hinge(body, part, (x, side * girth * 0.8, -0.02), (0, 1, 0), strength)
            put(upper, "geom", type="capsule", size=limb * 1.25, fromto=(0, 0, 0, 0, 0, -thigh), mass=0.5, material=skin)
            lower = hinge(upper, f"{part}.knee", (0, 0, -thigh), (0, 1, 0), strength / 2)
            put(lower, "geom", type="capsule", size=limb, fromto=(0, 0, 0, 0, 0, -shin), mass=0.3, material=skin)
            foot = (limb * 1.7, limb * 1.1, limb)
            put(lower, "geom", type="ellipsoid", size=foot, pos=(limb * 0.6, 0, -shin), mass=0.1, material=skins[2])
            # a positive turn swings a leg back; it is bent while it comes forward
            gait.add(f"{name}.{part}", -0.12, -stride, phase)
            gait.add(f"{name}.{part}.knee", 0.15, 0.9, phase + np.pi / 2, half=True)

    _head(hinge, body, pairs, half, girth, name, gait, skins, rng)
    tail, at, length = body, (-(half + 0.7 * girth), 0.0, 0.05), rng.uniform(0.12, 0.2)
    for k in range(3):
        tail = hinge(tail, f"tail{k}", at, (0, 0, 1), 3.0)
        ends = (0, 0, 0, -length, 0, 0.3 * length)
        put(tail, "geom", type="capsule", size=0.045 - 0.009 * k, fromto=ends, mass=0.08, material=skins[(k + 1) % 3])
        gait.add(f"{name}.tail{k}", 0.0, 0.45, -0.9 * k)
        at = (-length, 0.0, 0.3 * length)
    return gait, height, 3.5 * stride * (thigh + shin) * gait.rate


def _head(
    hinge: Callable[..., Element], body: Element, pairs: int, half: float, girth: float, name: str, gait: Gait,
    skins: Skins, rng: Generator,
) -> None:  # fmt: skip
    up = 0.42 if pairs == 1 else 0.3 * girth
    neck = hinge(body, "neck", (0.0 if pairs == 1 else half + 0.4 * girth, 0, up), (0, 1, 0), 12.0)
    reach = np.array([0.06, 0, 0.12]) if pairs == 1 else np.array([rng.uniform(0.1, 0.2), 0, rng.uniform(0.08, 0.28)])
    skull = rng.uniform(0.11, 0.15)
    put(neck, "geom", type="capsule", size=0.06, fromto=(0, 0, 0, *reach), mass=0.2, material=skins[0])
    put(neck, "geom", type="ellipsoid", size=(1.2 * skull, skull, skull), pos=reach, mass=0.3, material=skins[2])
    nose = reach + (1.15 * skull, 0, -0.25 * skull)
    put(neck, "geom", type="capsule", size=0.4 * skull, fromto=(*reach, *nose), mass=0.05, material=skins[1])
    for side in (-1, 1):
        ear = reach + (-0.2 * skull, side * 0.6 * skull, 0.9 * skull)
        put(neck, "geom", type="ellipsoid", size=(0.03, 0.05, rng.uniform(0.06, 0.12)), pos=ear, mass=0.02, material=skins[1])
        eye = reach + (0.85 * skull, side * 0.55 * skull, 0.45 * skull)
        put(neck, "geom", type="sphere", size=0.028, pos=eye, mass=0.01, rgba=(0.05, 0.05, 0.05, 1))
    gait.add(f"{name}.neck", 0.0, 0.15, 0.0)
