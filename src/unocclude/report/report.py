"""Write report.html, a page that shows a result and the provenance of its pixels."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from unocclude.completion import (
    OCCLUDED,
    PROVENANCE_NAMES,
    PROVENANCE_PALETTE,
    doubtful_spans,
    provenance_shares,
)
from unocclude.masks import DOUBTFUL
from unocclude.media.contact_sheet import choose
from unocclude.media.files import write_bytes
from unocclude.media.images import read_png
from unocclude.report.draw import fit_size, overlay, shrink
from unocclude.report.embed import colours, for_script, nearest, png_address, webp_address
from unocclude.scene import Scene

NAME = "report.html"
MAX_SHOWN = 120
"""Maximum number of embedded frames, evenly spaced; the report links to the full-size images of these frames."""
LONG_SIDE = 480
HYPOTHESIS_SIDE = 200
CHART_POINTS = 800


def write_report(path: Path, scene: Scene, info: dict[str, Any]) -> None:
    """Write `path`/report.html for an OUT folder with all frames. Writing is atomic.

    The page embeds everything it shows (downscaled images of at most 120 frames) and links to the PNGs next to it. It
    opens from disk and needs no network. info: the content of result.json. Raises OSError if it cannot be written.
    """
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files("unocclude.report") / "report.html.j2").read_text("utf-8"))
    shown = choose(len(scene), MAX_SHOWN)
    samples = sorted((path / "hypotheses").glob("[0-9]*"), key=lambda folder: int(folder.name))
    data = {
        "shown": shown,
        "figures": [info["frames"][i] for i in shown],
        "pictures": _pictures(path, scene, shown, [folder.name for folder in samples]),
        "count": len(scene),
        "fps": info["fps"],
    }
    page = template.render(
        colours=colours(),
        title=title(info["input"]),
        info=info,
        data=for_script(data),
        shown=shown,
        hypotheses=[folder.name for folder in samples],
        legend=list(zip(PROVENANCE_NAMES[1:], PROVENANCE_PALETTE[1:].tolist(), strict=True)),
        chart=occlusion_chart([frame["occlusion_rate"] for frame in info["frames"]]),
        doubtful=_doubtful_bars(info["frames"]),
        tracked="confidence" in info["frames"][0],
        doubtful_below=DOUBTFUL,
        summary=_summary(info),
        settings=_settings(info),
    )
    write_bytes(path / NAME, page.encode(errors="backslashreplace"))  # file names may be invalid Unicode


def title(input: str | None) -> str:
    """The name of a file, or of a folder with its parent, because a folder is often just called `frames`."""
    if input is None:
        return "frames in memory"
    path = Path(input)
    return f"{path.absolute().parent.name}/{path.name}" if path.is_dir() else path.name


def _pictures(path: Path, scene: Scene, shown: list[int], samples: list[str]) -> dict[str, list[str]]:
    """Images of the shown frames by panel, as data URLs."""
    size = fit_size(scene.height, scene.width, LONG_SIDE)
    small = fit_size(scene.height, scene.width, HYPOTHESIS_SIDE)
    makers: dict[str, Callable[[int], str]] = {
        "overlay": lambda i: webp_address(_overlay(path, scene, i, size)),
        "amodal": lambda i: png_address(shrink(_read(path, "amodal_masks", i) > 127, size).astype(np.uint8) * 255),
        "rgba": lambda i: webp_address(shrink(_read(path, "rgba", i), size)),
        "provenance": lambda i: png_address(nearest(_read(path, "provenance", i), size), PROVENANCE_PALETTE),
    }
    if samples:
        makers["disagreement"] = lambda i: png_address(shrink(_read(path, "disagreement", i), size))
    for name in samples:
        makers[f"hypothesis-{name}"] = partial(_hypothesis, path / "hypotheses" / name, small)
    with ThreadPoolExecutor(2) as pool:
        return {panel: list(pool.map(make, shown)) for panel, make in makers.items()}


def _read(folder: Path, kind: str, i: int) -> np.ndarray:
    return read_png(folder / kind / f"{i:05d}.png")


def _hypothesis(folder: Path, size: tuple[int, int], i: int) -> str:
    return webp_address(shrink(_read(folder, "rgba", i), size))


def _overlay(path: Path, scene: Scene, i: int, size: tuple[int, int]) -> np.ndarray:
    amodal = shrink(_read(path, "amodal_masks", i) > 127, size)
    return overlay(shrink(scene.frame(i), size), shrink(scene.visible(i), size), amodal)


def occlusion_chart(rates: list[float]) -> str:
    """Points of an SVG line of the occlusion rate: x is 0 to 1000 over the clip, y is 0 to 100 downwards.

    In a long clip, each point is the maximum rate of several frames, so that short occlusions stay visible.
    """
    count = len(rates)
    edges = np.linspace(0, count, min(count, CHART_POINTS) + 1).astype(int)
    points = []
    for start, end in pairwise(edges):
        x = 1000 * ((start + end - 1) / 2) / max(count - 1, 1)
        points.append(f"{x:.1f},{100 * (1 - max(0.0, max(rates[start:end]))):.1f}")
    if len(points) == 1:  # one frame: a horizontal line
        y = points[0].split(",")[1]
        points = [f"0,{y}", f"1000,{y}"]
    return " ".join(points)


def _doubtful_bars(frames: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """For each span of doubtful frames: its left end and width on the chart, 0 to 1000, and the frames in words."""
    scale = 1000 / max(len(frames) - 1, 1)
    bars = []
    for span in doubtful_spans(frames):
        left, right = max(0.0, (span[0] - 0.5) * scale), min(1000.0, (span[-1] + 0.5) * scale)
        words = f"frame {span[0]}" if len(span) == 1 else f"frames {span[0]} to {span[-1]}"
        bars.append((f"{left:.1f}", f"{right - left:.1f}", words))
    return bars


def _summary(info: dict[str, Any]) -> list[tuple[str, str]]:
    frames = info["frames"]
    occluded = [frame["occlusion_rate"] for frame in frames if frame["occlusion_rate"] > OCCLUDED]
    doubtful = sum(map(len, doubtful_spans(frames)))
    return [
        ("frames", f"{info['frame_count']}"),
        ("canvas", f"{info['canvas']['width']}x{info['canvas']['height']}"),
        ("occluded", f"{len(occluded)} frames, at most {max(occluded, default=0):.0%}"),
        *((name, f"{share:.1%} of the object") for name, share in provenance_shares(frames).items()),
        *([("doubtful", f"{doubtful} frames")] if doubtful else []),
        *_cleaning(info),
        ("time", f"{sum(info['timings'].values()):.1f} s"),
    ]


def _cleaning(info: dict[str, Any]) -> list[tuple[str, str]]:
    done = info.get("mask_cleaning", {"pixels": 0})
    return [("masks cleaned", f"{done['pixels']} pixels in {done['frames']} frames")] if done["pixels"] else []


def _settings(info: dict[str, Any]) -> list[tuple[str, str]]:
    """Rows of the table of settings and timings."""
    rows = {
        "input": info["input"] or "frames in memory",
        "method": f"{info['method']['name']}, version {info['method']['version']}",
        **{f"option {key}": value for key, value in info["method"]["options"].items()},
        **info["arguments"],
        "seed": info["seed"],
        "visible masks from": info["tracker"],
        "frames per second": f"{info['fps']:g}",
        "canvas offset": info["canvas"]["offset"],
        "resumed at frame": info["resumed_at"],
        **{f"seconds {stage}": f"{seconds:.2f}" for stage, seconds in info["timings"].items()},
        "unocclude": info["unocclude"],
    }
    return [
        (key, value if isinstance(value, str) else json.dumps(value))
        for key, value in rows.items()
        if value is not None
    ]
