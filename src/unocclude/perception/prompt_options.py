"""The options that name an object, as text: how they are read. The command line and the lists of `batch` share them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unocclude.errors import InputError

if TYPE_CHECKING:
    from unocclude.clip import Clip
    from unocclude.mask_files import SomeMasks
    from unocclude.masks import MaskTrack
    from unocclude.perception.objects import ObjectPrompt
    from unocclude.perception.prompt import Prompt


@dataclass(frozen=True)
class PromptOptions:
    """The values of the options that name an object."""

    masks: Path | None
    box: Sequence[str] | None
    point: Sequence[str] | None
    not_point: Sequence[str] | None
    mask: Sequence[str] | None
    hidden: Sequence[int] | None
    objects: Path | None
    text: str | None
    frame: int
    object_id: int | None

    def check(self) -> None:
        """Raise InputError unless exactly one kind of prompt is given; cues may be mixed."""
        cues = [
            name
            for name in ("--box", "--point", "--not-point", "--mask", "--hidden")
            if getattr(self, name[2:].replace("-", "_"))
        ]
        others = {"--masks": self.masks, "--objects": self.objects, "--text": self.text}
        given = [name for name, value in others.items() if value is not None]
        if not (cues or given):
            raise InputError("no object is given; give --masks, --box, --point, --mask, --objects or --text")
        if len(given) > 1 or (given and cues):
            raise InputError(
                f"{(given + cues)[0]} and {(given + cues)[1]} are two kinds of prompt; give one of them "
                "(boxes, points and --mask can be mixed)"
            )
        if self.object_id is not None and self.masks is None and self.objects is None:
            raise InputError("--object-id picks an object of --masks or --objects; give one of them, or leave it out")
        if self.frame and self.objects is not None:
            raise InputError("--frame is not for --objects, whose cues have frames of their own; leave it out")

    @property
    def files(self) -> list[Path | None]:
        """The files that the options name."""
        return [self.masks, self.objects, *(_at_frame("--mask", value, 0)[0] for value in self.mask or ())]  # type: ignore[list-item]

    def read(self, clip: "Clip") -> "MaskTrack | Prompt":
        """The one object that the options name: its masks in all frames, or a prompt to track.

        Raises InputError where the options do not name one object of the clip.
        """
        self.check()
        if self.objects is not None:
            return self._one_of(self.read_objects()).prompt
        if not 0 <= self.frame < len(clip):
            raise InputError(f"--frame {self.frame} does not exist; the clip has frames 0 to {len(clip) - 1}")
        if self.masks is not None:
            return self._masks(clip, self.masks)
        prompt = self._cues()
        prompt.check(clip)
        return prompt

    def read_objects(self) -> "list[ObjectPrompt]":
        """The objects of --objects, or the one that --object-id picks."""
        from unocclude.perception.objects import read_objects

        assert self.objects is not None
        objects = read_objects(self.objects)
        return objects if self.object_id is None else [self._one_of(objects)]

    def _one_of(self, objects: "list[ObjectPrompt]") -> "ObjectPrompt":
        ids = ", ".join(str(item.id) for item in objects)
        chosen = [item for item in objects if self.object_id in (None, item.id)]
        if not chosen:
            raise InputError(f"{self.objects}: there is no object {self.object_id}; the ids there are: {ids}")
        if len(chosen) > 1:
            raise InputError(f"{self.objects}: holds {len(objects)} objects; choose one with --object-id: {ids}")
        return chosen[0]

    def _cues(self) -> "Prompt":
        from unocclude.perception.objects import read_one_mask
        from unocclude.perception.prompt import Prompt

        prompt = Prompt() if self.text is None else Prompt().text(self.text, frame=self.frame)
        for value in self.box or ():
            (x0, y0, x1, y1), frame = _numbers("--box", value, "X0,Y0,X1,Y1", self.frame)
            prompt = prompt.box(x0, y0, x1, y1, frame=frame)
        for flag, values in (("--point", self.point), ("--not-point", self.not_point)):
            for value in values or ():
                (x, y), frame = _numbers(flag, value, "X,Y", self.frame)
                prompt = prompt.point(x, y, frame=frame, positive=flag == "--point")
        for value in self.mask or ():
            file, frame = _at_frame("--mask", value, self.frame)
            prompt = prompt.mask(read_one_mask(Path(file)), frame=frame)
        for frame in self.hidden or ():
            prompt = prompt.hidden(frame=frame)
        return prompt

    def _masks(self, clip: "Clip", path: Path) -> "MaskTrack | Prompt":
        from unocclude.mask_files import read_for, read_masks
        from unocclude.media.source import is_image
        from unocclude.perception.prompt import Prompt

        if len(clip) > 1 and path.is_file() and is_image(path):
            track = read_masks(path, object_id=self.object_id)
            if len(track) == 1:
                prompt = Prompt(notes=track.notes).mask(track[0], frame=self.frame)
                prompt.check(clip)
                return prompt
        if self.frame:
            raise InputError(
                f"--frame {self.frame} is only for a prompt in one frame; {path} holds masks of their own frames"
            )
        return as_prompt(read_for(clip, path, self.object_id))


def as_prompt(masks: "MaskTrack | SomeMasks") -> "MaskTrack | Prompt":
    """Masks of all frames as they are; masks of some frames as cues."""
    from unocclude.masks import MaskTrack
    from unocclude.perception.prompt import Prompt

    if isinstance(masks, MaskTrack):
        return masks
    prompt = Prompt(notes=masks.notes)
    for frame, mask in masks.masks.items():
        prompt = prompt.mask(mask, frame=frame)
    return prompt


def _at_frame(flag: str, value: str, frame: int) -> tuple[str, int]:
    """Split VALUE@FRAME; without @FRAME the frame is `frame`. A file whose own name ends like that is taken whole."""
    rest, at, number = value.rpartition("@")
    if not at or (flag == "--mask" and Path(value).exists()):
        return value, frame
    if not (number.isascii() and number.isdigit() and rest):
        raise InputError(f"{flag} {value}: expected a frame number after @")
    return rest, int(number)


def _numbers(flag: str, value: str, form: str, frame: int) -> tuple[tuple[float, ...], int]:
    text, frame = _at_frame(flag, value, frame)
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != form.count(",") + 1 or not all(math.isfinite(n) for n in numbers):
        raise InputError(f"{flag} {value}: expected {form} in pixels, without spaces, and @FRAME if need be")
    return numbers, frame
