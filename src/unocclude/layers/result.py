"""A finished OUT folder of `layers`."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from unocclude.clip import Clip
from unocclude.completion import SCHEMA, Completion, LazySequence, TemporaryFolder
from unocclude.errors import InputError
from unocclude.layers.order import OrderRange
from unocclude.layout import LAYERS_FILE, RUN_FILE
from unocclude.media.images import read_png
from unocclude.perception.objects import ObjectPrompt
from unocclude.result import uneven_times

if TYPE_CHECKING:
    from unocclude.layers.compose import Edit


@dataclass(frozen=True)
class LayersInfo:
    """The content of layers.json."""

    FILE: ClassVar[str] = LAYERS_FILE

    unocclude: str
    fps: float
    frame_count: int
    canvas: dict[str, Any]
    source: dict[str, Any]
    objects: list[dict[str, Any]]
    order: list[dict[str, Any]]
    cycles: list[dict[str, Any]]
    times: list[float] | None = None

    @classmethod
    def of(
        cls,
        clip: Clip,
        size: tuple[int, int],
        objects: Sequence[ObjectPrompt],
        ranges: Sequence[OrderRange],
        completions: Sequence[Completion],
        version: str,
    ) -> "LayersInfo":
        """What there is to say of a run; size: (height, width) of the canvas."""
        height, width = size
        return cls(
            unocclude=version,
            fps=clip.fps,
            frame_count=len(clip),
            canvas={
                "width": width,
                "height": height,
                "offset": [(width - clip.width) // 2, (height - clip.height) // 2],
            },
            source={"path": str(clip.path) if clip.path else None, "names": list(clip.names) if clip.names else None},
            objects=[
                {"id": item.id, "name": item.name, "folder": f"objects/{item.id}", "tracker": c.info["tracker"]}
                for item, c in zip(objects, completions, strict=True)
            ],
            order=[{"start": r.start, "end": r.end, "ids": list(r.ids)} for r in ranges],
            cycles=[{"start": r.start, "end": r.end, "ids": list(cycle)} for r in ranges for cycle in r.cycles],
            times=uneven_times(clip).get("times"),
        )

    @classmethod
    def read(cls, folder: Path) -> "LayersInfo":
        """Read layers.json; raises InputError if the folder is not a finished result."""
        file = folder / cls.FILE
        try:
            info = json.loads(file.read_text())
            if info["schema"] != SCHEMA:
                raise InputError(f"{file} has schema {info['schema']}, this version reads {SCHEMA}; run it again")
            return cls(**{key: info[key] for key in cls.__dataclass_fields__ if key in info})
        except FileNotFoundError:
            there = "an unfinished run; finish it with --resume" if (folder / RUN_FILE).exists() else f"no {cls.FILE}"
            raise InputError(f"{folder} holds {there}; give the OUT folder of `unocclude layers`") from None
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{file} was not written by this tool; give another folder") from None

    def as_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Layer:
    """One object as a layer. id, name: as given. completion: its result, an ordinary one of `complete`."""

    id: int
    name: str
    completion: Completion


class Layers:
    """A finished OUT folder of `layers`, read on access.

    objects: the layers, in the order in which they were given. order: ranges of frames with the ids back to front.
    background[i]: the clean plate, (H, W, 3) uint8. background_provenance[i]: (H, W) uint8, 1 seen, 2 recalled, 3
    generated. edges[i]: (H, W, 4) uint8, the clip's own pixels at objects' edges. info: the content of layers.json.
    Raises InputError if the folder is not a finished result.
    """

    def __init__(self, folder: str | Path, keep: TemporaryFolder | None = None, info: LayersInfo | None = None):
        self.folder = Path(folder)
        self._keep = keep  # a temporary folder is deleted with this object
        self.info = info or LayersInfo.read(self.folder)
        count = self.info.frame_count
        self.background = LazySequence(count, lambda i: self._plate("rgb", i))
        self.edges = LazySequence(count, lambda i: self._plate("edges", i))
        self.background_provenance = LazySequence(count, lambda i: self._plate("provenance", i))

    @classmethod
    def unfinished(cls, folder: Path, info: LayersInfo) -> "Layers":
        """A result whose images are complete, before its layers.json is written."""
        return cls(folder, info=info)

    def __len__(self) -> int:
        return self.info.frame_count

    @cached_property
    def objects(self) -> list[Layer]:
        return [
            Layer(item["id"], item["name"], Completion(self.folder / item["folder"], self._keep))
            for item in self.info.objects
        ]

    @cached_property
    def order(self) -> list[OrderRange]:
        return [
            OrderRange(
                r["start"], r["end"], tuple(r["ids"]),
                tuple(tuple(c["ids"]) for c in self.info.cycles if c["start"] == r["start"]),
            )
            for r in self.info.order
        ]  # fmt: skip

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the canvas in pixels."""
        return self.info.canvas["height"], self.info.canvas["width"]

    def order_at(self, i: int) -> tuple[int, ...]:
        """The ids of the objects in frame i, back to front."""
        return next(r.ids for r in self.order if r.start <= i < r.end)

    def compose(self, edit: "Edit | dict[str, Any] | str | Path | None" = None) -> LazySequence[np.ndarray]:
        """The layers put together as edited: for each frame (H, W, 3) uint8 RGB, or, if the background is "none",
        (H, W, 4) with straight alpha.

        edit: as in EDIT.json (docs/layers.md), a file with it, or None for the layers as they are, which gives the
        input frames again: exactly, but for pixels within 2 of an object's edge. Raises InputError for an edit that
        does not fit these layers.
        """
        from unocclude.layers.compose import Composer, read_edit

        composer = Composer(self, read_edit(edit))
        return LazySequence(len(self), composer.frame)

    def _plate(self, kind: str, i: int) -> np.ndarray:
        return read_png(self.folder / "background" / kind / f"{i:05d}.png")
