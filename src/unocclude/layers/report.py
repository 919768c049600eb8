"""Write report.html of layers: scrub, switch layers on and off, pull them apart, their order, plate and provenance."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from typing import Any

import numpy as np

from unocclude.clip import Clip
from unocclude.completion import OCCLUDED, PROVENANCE_NAMES, PROVENANCE_PALETTE, Completion, provenance_shares
from unocclude.layers.draw import colour, outlines
from unocclude.layers.result import Layer, Layers
from unocclude.media.files import write_bytes
from unocclude.media.images import read_png
from unocclude.report.draw import fit_size, shrink
from unocclude.report.embed import colours, for_script, nearest, png_address, webp_address
from unocclude.report.report import choose, title

NAME = "report.html"
MAX_PICTURES = 600
"""Maximum number of embedded pictures, over all layers; the frames that are shown are evenly spaced."""
LONG_SIDE = 480


def write_report(layers: Layers, clip: Clip) -> None:
    """Write report.html of layers whose images are complete.

    The page embeds everything it shows, downscaled, and links to the objects' own reports. It opens from disk and needs
    no network. Raises OSError if it cannot be written.
    """
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files("unocclude.layers") / "report.html.j2").read_text("utf-8"))
    info = layers.info
    shown = choose(len(layers), max(2, MAX_PICTURES // (2 * len(layers.objects) + 3)))
    data = {
        "shown": shown,
        "count": len(layers),
        "fps": info.fps,
        "order": info.order,
        "pictures": _pictures(layers, clip, shown),
    }
    page = template.render(
        colours=colours(),
        title=title(info.source["path"]),
        info=info,
        data=for_script(data),
        shown=shown,
        objects=[_about(layer, k) for k, layer in enumerate(layers.objects)],
        plate=_plate_shares(layers, shown),
        legend=list(zip(PROVENANCE_NAMES[1:], PROVENANCE_PALETTE[1:].tolist(), strict=True)),
    )
    write_bytes(layers.folder / NAME, page.encode(errors="backslashreplace"))  # file names may be invalid Unicode


def _pictures(layers: Layers, clip: Clip, shown: list[int]) -> dict[str, list[str]]:
    """Images of the shown frames by panel, as data URLs."""
    size = fit_size(*layers.size, LONG_SIDE)
    makers: dict[str, Callable[[int], str]] = {
        "clip": lambda i: webp_address(outlines(layers, clip, i, size)),
        "plate": lambda i: webp_address(shrink(layers.background[i], size)),
        "plate-provenance": lambda i: png_address(nearest(layers.background_provenance[i], size), PROVENANCE_PALETTE),
    }
    for layer in layers.objects:
        makers[f"object-{layer.id}"] = partial(_object, layer.completion, size)
        makers[f"provenance-{layer.id}"] = partial(_provenance, layer.completion, size)
    with ThreadPoolExecutor(2) as pool:
        return {panel: list(pool.map(make, shown)) for panel, make in makers.items()}


def _object(completion: Completion, size: tuple[int, int], i: int) -> str:
    return webp_address(shrink(completion.rgba[i], size))


def _provenance(completion: Completion, size: tuple[int, int], i: int) -> str:
    return png_address(nearest(completion.provenance[i], size), PROVENANCE_PALETTE)


def _about(layer: Layer, k: int) -> dict[str, Any]:
    """What the page says of an object."""
    frames = layer.completion.frames
    return {
        "id": layer.id,
        "name": layer.name,
        "colour": ",".join(map(str, colour(k))),
        "occluded": sum(frame["occlusion_rate"] > OCCLUDED for frame in frames),
        "most": max(frame["occlusion_rate"] for frame in frames),
        "shares": provenance_shares(frames),
    }


def _plate_shares(layers: Layers, shown: list[int]) -> dict[str, float]:
    """Fractions of the plate's pixels by provenance, over the shown frames."""
    folder = layers.folder / "background" / "provenance"
    counts = np.sum([np.bincount(read_png(folder / f"{i:05d}.png").ravel(), minlength=4) for i in shown], axis=0)
    return {name: counts[k] / counts.sum() for k, name in enumerate(PROVENANCE_NAMES) if k}
