"""Joint angles of gaits over time, (T,) radians by name of the part; figures face right, legs hang down.

A positive angle turns clockwise on the screen: it swings a leg back. Phases and amplitudes follow textbook gait
diagrams: the knee bends while the leg swings forward; arms swing against legs; four legs step a quarter cycle apart
when walking, in diagonal pairs when trotting, fore and hind together when galloping.
"""

import numpy as np

Gait = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]
"""Angles by part; pitch of the whole body (T,); height above the ground (T,), relative to the figure's height."""


def _phase(frames: int, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    """Phase (T,) with a random rate of `low` to `high` cycles in 24 frames."""
    return 2 * np.pi * rng.uniform(low, high) * np.arange(frames) / 24 + rng.uniform(0, 2 * np.pi)


def _leg(phase: np.ndarray, swing: float, bend: float, rest: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Angles of hip and knee; the knee bends most just before the leg passes under the body moving forward."""
    return -swing * np.sin(phase), rest + bend * (0.5 + 0.5 * np.cos(phase + 0.4)) ** 2


def biped(frames: int, rng: np.random.Generator) -> Gait:
    """Walk (two thirds) or run."""
    run = rng.uniform() < 0.33
    phase = _phase(frames, 1.3, 2.0, rng) if run else _phase(frames, 0.7, 1.2, rng)
    swing = rng.uniform(0.6, 0.85) if run else rng.uniform(0.32, 0.52)
    bend = rng.uniform(1.3, 1.8) if run else rng.uniform(0.6, 1.0)
    elbow = rng.uniform(1.1, 1.7) if run else rng.uniform(0.1, 0.6)
    angles: dict[str, np.ndarray] = {}
    for side, shift in (("near", 0.0), ("far", np.pi)):
        hip, knee = _leg(phase + shift, swing, bend, 0.06)
        angles[f"{side} thigh"], angles[f"{side} shank"] = hip, knee
        angles[f"{side} foot"] = -0.8 * (hip + knee)  # nearly level
        arm = 0.8 * swing * np.sin(phase + shift)
        angles[f"{side} arm"] = arm
        angles[f"{side} forearm"] = -elbow - 0.25 * np.maximum(0, -np.sin(phase + shift)) * swing
    angles["torso"] = rng.uniform(0.1, 0.3) * run + 0.03 * np.sin(2 * phase)
    for side in ("near", "far"):  # legs are attached to the torso, but do not lean with it
        angles[f"{side} thigh"] = angles[f"{side} thigh"] - angles["torso"]
    angles["neck"] = -0.7 * angles["torso"]
    angles["head"] = 0.06 * np.sin(phase + 1)
    angles["tress"] = 0.25 * np.sin(2 * phase - 0.8)
    angles["skirt"] = 0.08 * np.sin(2 * phase)
    still = np.zeros(frames)
    bounce = 0.03 * np.abs(np.sin(phase)) if run else still
    return angles, still, bounce


def quadruped(frames: int, rng: np.random.Generator) -> Gait:
    """Walk, trot or gallop."""
    kind = str(rng.choice(["walk", "trot", "gallop"], p=[0.5, 0.25, 0.25]))
    shifts = {
        "walk": (0.0, 0.5, 0.25, 0.75),
        "trot": (0.0, 0.5, 0.5, 0.0),
        "gallop": (0.0, 0.08, 0.5, 0.58),
    }[kind]  # near hind, far hind, near fore, far fore
    phase = _phase(frames, *{"walk": (0.7, 1.2), "trot": (1.2, 1.8), "gallop": (1.3, 2.0)}[kind], rng)
    swing = rng.uniform(*{"walk": (0.28, 0.45), "trot": (0.35, 0.55), "gallop": (0.6, 0.85)}[kind])
    bend = rng.uniform(0.7, 1.2)
    angles: dict[str, np.ndarray] = {}
    names = ("near hind", "far hind", "near fore", "far fore")
    for name, shift in zip(names, shifts, strict=True):
        hip, knee = _leg(phase + 2 * np.pi * shift, swing, bend, 0.1)
        if name.endswith("hind"):
            hip, knee = hip - 0.15, knee + 0.25  # hind legs are bent when standing
        angles[f"{name} thigh"], angles[f"{name} shank"] = hip, knee
        angles[f"{name} foot"] = -hip - 0.7 * knee
    nod, wag = rng.uniform(0.03, 0.1), rng.uniform(0.1, 0.35)
    angles["neck"] = nod * np.sin(2 * phase)
    angles["head"] = -0.5 * nod * np.sin(2 * phase + 0.6)
    angles["ear"] = 0.15 * np.sin(2 * phase + 1)
    for k in range(3):
        angles[f"tail {k}"] = wag * np.sin(phase * rng.uniform(0.9, 1.1) - 0.7 * k)
    angles["trunk"] = 0.2 * np.sin(phase)
    angles["trunk end"] = 0.3 * np.sin(phase - 0.8)
    gallop = kind == "gallop"
    pitch = 0.1 * np.sin(phase + 0.5) if gallop else 0.015 * np.sin(2 * phase)
    bounce = 0.05 * np.maximum(0, np.sin(phase - 0.8)) if gallop else np.zeros(frames)
    return angles, pitch, bounce


def wings(frames: int, rng: np.random.Generator) -> Gait:
    """Beating wings, whose tips lag behind."""
    phase = _phase(frames, 1.2, 3.0, rng)
    beat = rng.uniform(0.5, 1.0)
    angles: dict[str, np.ndarray] = {}
    for side, lag in (("near", 0.0), ("far", 0.25)):
        angles[f"{side} wing"] = beat * np.sin(phase + lag) - (0.9 if side == "near" else 0.6)
        angles[f"{side} tip"] = 0.6 * beat * np.sin(phase + lag - 1.1)
    angles["tail"] = 0.12 * np.sin(phase + 2)
    angles["head"] = -0.08 * np.sin(phase)
    return angles, rng.uniform(-0.2, 0.15) + 0.06 * np.sin(phase), 0.05 * np.sin(phase + 0.5)
