"""Statistics of a generated data set, in the rows of TGVAC's Table 1."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from unocclude.synthesis.world import World

ROWS = {
    "mean_frames": "Mean #frames",
    "object_classes": "# object classes",
    "instances": "# instances",
    "clips": "# synthesized video",
    "object_size": "# average object size",
    "occlusion_rate": "# average occlusion rate",
    "occlusion_coverage_rate": "# average occlusion-coverage rate",
}


def coverage_rate(amodal: Sequence[np.ndarray], visible: Sequence[np.ndarray]) -> float:
    """|∪ᵢ (Aᵢ ∩ Oᵢ)| / |∪ᵢ Aᵢ| of a clip (TGVAC section 3.2): the fraction of the area ever covered by the object
    that is hidden at least once. Masks (H, W) bool; 0 without an object."""
    object_ = np.zeros_like(amodal[0])
    hidden = np.zeros_like(amodal[0])
    for whole, seen in zip(amodal, visible, strict=True):
        object_ |= whole
        hidden |= whole & ~seen
    return float(hidden.sum() / object_.sum()) if object_.any() else 0.0


def measure(world: World) -> dict[str, float]:
    """Statistics of one clip.

    object_size: mean of |A| / (H W). mean_occlusion_rate: mean of 1 - |M| / |A| over frames with an object.
    occlusion_coverage_rate: see `coverage_rate`.
    """
    there = [bool(a.any()) for a in world.amodal]
    rates = [rate for rate, is_there in zip(world.occlusion_rate, there, strict=True) if is_there]
    return {
        "object_size": round(float(np.mean([a.mean() for a in world.amodal])), 6),
        "mean_occlusion_rate": round(float(np.mean(rates)) if rates else 0.0, 6),
        "occlusion_coverage_rate": round(coverage_rate(world.amodal, world.visible), 6),
    }


def summarise(clips: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Table 1 from the meta.json of all clips: data set → row of `ROWS` → value; averages are over clips."""
    table = {}
    for name in sorted({str(clip.get("dataset", clip["kind"])) for clip in clips}):
        own = [clip for clip in clips if str(clip.get("dataset", clip["kind"])) == name]
        table[name] = {
            "mean_frames": round(float(np.mean([len(clip["occlusion_rate"]) for clip in own])), 2),
            "object_classes": len({clip.get("class", clip["kind"]) for clip in own}),
            "instances": len({clip.get("instance", clip["seed"]) for clip in own}),
            "clips": len(own),
            "object_size": round(float(np.mean([clip["object_size"] for clip in own])), 4),
            "occlusion_rate": round(float(np.mean([clip["mean_occlusion_rate"] for clip in own])), 4),
            "occlusion_coverage_rate": round(float(np.mean([clip["occlusion_coverage_rate"] for clip in own])), 4),
        }
    return table


def as_text(table: dict[str, dict[str, float]]) -> str:
    """Format the table as in the paper, one column per data set."""
    wide = max(map(len, ROWS.values()))
    columns = {name: max(len(name), 8) for name in table}
    lines = [" " * wide + "".join(f"  {name:>{w}}" for name, w in columns.items())]
    for row, title in ROWS.items():
        values = [f"{table[n][row]:.2%}" if row == "object_size" else f"{table[n][row]:g}" for n in table]
        lines.append(f"{title:<{wide}}" + "".join(f"  {v:>{w}}" for v, w in zip(values, columns.values(), strict=True)))
    return "\n".join(lines)
