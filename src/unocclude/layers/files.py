"""Write layers to files that editors and compositors open: OpenTimelineIO, OpenEXR, Photoshop, PNG sequences."""

import importlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unocclude.errors import InputError
from unocclude.layers.result import Layers
from unocclude.layers.stack import PLATE, Stack, StackLayer
from unocclude.layers.target import check_target, frame_range, times_of, whole_folder, writing
from unocclude.media.exr import linear_premultiplied
from unocclude.media.files import write_bytes
from unocclude.media.images import write_png
from unocclude.media.layers import write_layers
from unocclude.types import Progress, no_progress

FORMATS = {
    ".otio": "OpenTimelineIO with a ProRes 4444 clip for each layer",
    ".exr": "OpenEXR with all layers, one file per frame",
    ".psd": "Photoshop, one layer for each object, of one frame",
    "": "a folder of PNG sequences, one for each layer",
}
"""Suffix → format."""
MODULES = {".otio": "opentimelineio", ".exr": "OpenEXR", ".psd": "psd_tools"}
REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
"""Chromaticities of red, green, blue and white (ITU-R BT.709)."""


def export_layers(
    result: Layers | str | Path,
    file: str | Path,
    *,
    frame: int = 0,
    start: int = 0,
    end: int | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> list[Path]:
    """Write all layers of a result to `file`, whose suffix selects the format (`FORMATS`); returns the files written.

    - `.otio`: a timeline with the plate at the bottom and one track for each place in the order; the clips are in
      NAME_media beside it.
    - `.exr`: NAME.00000.exr and so on; half floats, linear light with the primaries of BT.709, premultiplied. R, G, B,
      A hold the composition, LAYER.R, LAYER.G, LAYER.B, LAYER.A each layer; the attribute `layerOrder` lists the layers
      back to front.
    - `.psd`: `frame` alone.
    - no suffix: a folder with a folder of PNGs for each layer, named as the source frames are, and order.json.

    What hides an object and is none itself is a layer "in front". start, end: the frames to write, from
    `start` to before `end`. Raises InputError if the result is not finished, the
    suffix is unknown, a package is missing, or the file exists or belongs to the result; UnoccludeError if writing
    fails.
    """
    file = Path(file)
    result = result if isinstance(result, Layers) else Layers(result)
    suffix = file.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(
            f"{file}: layers are written as {', '.join(filter(None, FORMATS))} or to a folder; for {suffix}, use "
            "`unocclude compose`, or export one of the folders in objects/"
        )
    if not 0 <= frame < len(result):
        raise InputError(f"frame {frame} does not exist; the layers have frames 0 to {len(result) - 1}")
    if suffix in MODULES:
        _check_module(MODULES[suffix])
    first = {
        ".otio": file if file.exists() else _media(file),
        ".exr": file.with_name(f"{file.stem}.00000{file.suffix}"),
    }
    check_target(result.folder, file, overwrite, first.get(suffix))
    stack = Stack(result, range(frame, frame + 1) if suffix == ".psd" else frame_range(start, end, len(result)))
    with writing(file):
        if suffix == ".otio":
            return _write_otio(stack, file, progress)
        if suffix == ".exr":
            return _write_exr(stack, file, progress)
        if suffix == ".psd":
            return _write_psd(stack, file)
        return _write_pngs(stack, file, progress)


def _check_module(name: str) -> None:
    try:
        importlib.import_module(name)
    except ImportError:
        raise InputError(f"this format needs {name}; pip install 'unocclude[layers]'") from None


# OpenTimelineIO ---------------------------------------------------------------------------------------------


def _media(file: Path) -> Path:
    return file.with_name(f"{file.stem}_media")


def _write_otio(stack: Stack, file: Path, progress: Progress) -> list[Path]:
    import opentimelineio as otio

    folder, info, count = _media(file), stack.result.info, len(stack)
    names = [f"{layer.slug}.mov" for layer in stack.layers()]
    with whole_folder(folder) as part:
        for layer, name in zip(stack.layers(), names, strict=True):
            write_layers(part / name, _shown(stack, layer, progress), info.fps, times_of(info.times, stack.numbers))

    def clip(layer: StackLayer, start: int, end: int) -> Any:
        whole = otio.opentime.TimeRange(_time(0, info.fps), _time(count, info.fps))
        media = otio.schema.ExternalReference(f"{folder.name}/{layer.slug}.mov", whole)
        part = otio.opentime.TimeRange(_time(start, info.fps), _time(end - start, info.fps))
        return otio.schema.Clip(layer.name, media, part, metadata={"unocclude": {"id": layer.id}})

    timeline = otio.schema.Timeline(file.stem)
    places = len(stack.at(0))
    for place in range(places):
        track = otio.schema.Track(PLATE.name if place == 0 else f"layer {place}", kind=otio.schema.TrackKind.Video)
        for start, end, layer in _pieces(stack, place):
            track.append(clip(layer, start, end))
        timeline.tracks.append(track)
    write_bytes(file, otio.adapters.write_to_string(timeline, "otio_json").encode())
    return [*(folder / name for name in names), file]


def _time(frames: int, fps: float) -> Any:
    import opentimelineio as otio

    return otio.opentime.RationalTime(frames, fps)


def _pieces(stack: Stack, place: int) -> Iterator[tuple[int, int, StackLayer]]:
    """The layers in one place of the stack over time, as (start, end, layer)."""
    start = 0
    for i in range(1, len(stack) + 1):
        if i == len(stack) or stack.at(i)[place] != stack.at(start)[place]:
            yield start, i, stack.at(start)[place]
            start = i


def _shown(stack: Stack, layer: StackLayer, progress: Progress) -> Iterator[np.ndarray]:
    """The frames of a layer, with progress."""
    progress(layer.name, 0, len(stack))
    for i, rgba in enumerate(stack.frames(layer)):
        yield rgba
        progress(layer.name, i + 1, len(stack))


# OpenEXR ----------------------------------------------------------------------------------------------------


def _write_exr(stack: Stack, file: Path, progress: Progress) -> list[Path]:
    import OpenEXR

    whole, count = stack.result.compose(), len(stack)
    names = [f"{file.stem}.{i:05d}{file.suffix}" for i in range(count)]
    progress("exporting", 0, count)
    with whole_folder(file, file.parent) as part:
        for i, name in enumerate(names):
            order = stack.at(i)
            channels = _channels("", _opaque(whole[stack.numbers[i]]))
            for layer in order:
                channels |= _channels(f"{layer.slug}.", stack.rgba(layer, i))
            header = {
                "compression": OpenEXR.ZIP_COMPRESSION,
                "type": OpenEXR.scanlineimage,
                "chromaticities": REC709,
                "comments": "scene-linear light, primaries of ITU-R BT.709, premultiplied alpha",
                "layerOrder": " ".join(layer.slug for layer in order),
            }
            OpenEXR.File(header, channels).write(str(part / name))
            progress("exporting", i + 1, count)
    return [file.with_name(name) for name in names]


def _opaque(rgb: np.ndarray) -> np.ndarray:
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])


def _channels(prefix: str, rgba: np.ndarray) -> dict[str, np.ndarray]:
    pixels = linear_premultiplied(rgba).astype(np.float16)
    return {f"{prefix}{name}": np.ascontiguousarray(pixels[..., c]) for c, name in enumerate("RGBA")}


# Photoshop --------------------------------------------------------------------------------------------------


def _write_psd(stack: Stack, file: Path) -> list[Path]:
    from psd_tools import PSDImage

    height, width = stack.result.size
    document = PSDImage.new("RGBA", (width, height))  # keeps the alpha of layers as transparency
    for layer in stack.at(0):
        rgba = stack.rgba(layer, 0)
        ys, xs = np.nonzero(rgba[..., 3])
        top, left, bottom, right = (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1) if len(ys) else (0, 0, 1, 1)
        picture = Image.fromarray(np.ascontiguousarray(rgba[top:bottom, left:right]))
        document.create_pixel_layer(picture, name=layer.name, top=int(top), left=int(left))
    data = io.BytesIO()
    document.save(data)
    write_bytes(file, data.getvalue())
    return [file]


# PNG sequences ----------------------------------------------------------------------------------------------


def _write_pngs(stack: Stack, folder: Path, progress: Progress) -> list[Path]:
    names, written = stack.frame_names(), []
    order = [{"name": name, "layers": [layer.slug for layer in stack.at(i)]} for i, name in enumerate(names)]
    with whole_folder(folder) as part:
        for layer in stack.layers():
            (part / layer.slug).mkdir()
            for name, rgba in zip(names, _shown(stack, layer, progress), strict=True):
                write_png(part / layer.slug / f"{name}.png", rgba)
                written.append(folder / layer.slug / f"{name}.png")
        write_bytes(part / "order.json", (json.dumps({"frames": order}, indent=1) + "\n").encode())
    return [*written, folder / "order.json"]
