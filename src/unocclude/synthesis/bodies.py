"""Bodies of physics worlds: MJCF bodies of several parts with random dimensions."""

from collections.abc import Callable
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


def solid(body: Element, kind: str, size: object, skin: str, **attributes: object) -> None:
    """Add a geom of a material; sizes are half sizes, in metres, as in MJCF."""
    put(body, "geom", type=kind, size=size, material=skin, **attributes)


# Rigid bodies -----------------------------------------------------------------------------------------------

Mesh = Callable[[np.ndarray, np.ndarray], str]
"""A function that adds a mesh from vertices (n, 3) and faces (m, 3) and returns its name."""
Skins = list[str]
"""Names of materials: the first one is the body's main colour."""


def _table(body: Element, skins: Skins, mesh: Mesh, rng: Generator) -> None:
    x, y, z = rng.uniform(0.3, 0.48), rng.uniform(0.25, 0.4), rng.uniform(0.25, 0.4)
    thick = rng.uniform(0.04, 0.06)
    solid(body, "box", (x, y, thick), skins[0], pos=(0, 0, z))
    for sx in (-1, 1):
        for sy in (-1, 1):
            at = (sx * (x - thick), sy * (y - thick), 0)
            solid(body, "box", (thick, thick, z), skins[1], pos=at)


def _chair(body: Element, skins: Skins, mesh: Mesh, rng: Generator) -> None:
    side, leg, back = rng.uniform(0.22, 0.28), rng.uniform(0.17, 0.24), rng.uniform(0.2, 0.3)
    solid(body, "box", (side, side, 0.05), skins[0])
    solid(body, "box", (0.045, side, back), skins[1], pos=(-side, 0, back))
    for sx in (-1, 1):
        for sy in (-1, 1):
            ends = (sx * (side - 0.04), sy * (side - 0.04), 0, sx * side, sy * side, -2 * leg)
            solid(body, "capsule", 0.045, skins[2], fromto=ends)


def _dumbbell(body: Element, skins: Skins, mesh: Mesh, rng: Generator) -> None:
    half, bar = rng.uniform(0.25, 0.4), rng.uniform(0.06, 0.1)
    solid(body, "cylinder", bar, skins[0], fromto=(-half, 0, 0, half, 0, 0))
    for side, skin in ((-1, skins[1]), (1, skins[2])):
        radius = rng.uniform(0.16, 0.26)
        if rng.uniform() < 0.5:
            solid(body, "sphere", radius, skin, pos=(side * half, 0, 0))
        else:
            ends = (side * (half - 0.08), 0, 0, side * (half + 0.08), 0, 0)
            solid(body, "cylinder", radius, skin, fromto=ends)


def _jack(body: Element, skins: Skins, mesh: Mesh, rng: Generator) -> None:
    for axis, skin in zip(np.eye(3), skins, strict=True):
        ends = np.concatenate([axis, -axis]) * rng.uniform(0.25, 0.42)
        solid(body, "capsule", rng.uniform(0.08, 0.12), skin, fromto=ends)


def _arch(body: Element, skins: Skins, mesh: Mesh, rng: Generator) -> None:
    x, z, thick, deep = rng.uniform(0.25, 0.4), rng.uniform(0.2, 0.35), rng.uniform(0.07, 0.11), rng.uniform(0.1, 0.2)
    solid(body, "box", (x + thick, deep, thick), skins[0], pos=(0, 0, z))
    for side, skin in ((-1, skins[1]), (1, skins[2])):
        solid(body, "box", (thick, deep, z), skin, pos=(side * x, 0, 0))


def _clump(body: Element, skins: Skins, mesh: Mesh, rng: Generator) -> None:
    """A few primitives, each attached to the previous one."""
    at = np.zeros(3)
    for k in range(rng.integers(2, 5)):
        kind = str(rng.choice(["box", "sphere", "cylinder", "ellipsoid", "capsule"]))
        size = rng.uniform(0.12, 0.26, 3)
        turn = rng.normal(size=4)
        solid(body, kind, size, skins[k % 3], pos=at, quat=turn / np.linalg.norm(turn))
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
    """Solid of revolution of a profile (n, 2), radius and height, counter-clockwise: vertices and faces."""
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
    """A tall, static object standing on the ground."""
    half, height = rng.uniform(0.07, 0.16), rng.uniform(0.45, 0.8)
    kind = "box" if rng.uniform() < 0.5 else "cylinder"
    size = (half, half, height) if kind == "box" else (half, height, 0)
    solid(body, kind, size, skins[0], pos=(0, 0, height))
    solid(body, "box", (2 * half, 2 * half, 0.04), skins[1], pos=(0, 0, 0.04))
