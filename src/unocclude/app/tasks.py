"""What the worker process does. The functions are those of the command line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unocclude.app import project as folders
from unocclude.app.project import ExportRequest, PageEdit, Settings, content_id
from unocclude.app.tracks import write_track
from unocclude.clip import Clip
from unocclude.clip import open as open_clip
from unocclude.masks import MaskTrack
from unocclude.perception.objects import ObjectPrompt, ObjectsFile, objects_of
from unocclude.perception.prompt import Prompt

Report = Callable[..., None]
"""report(kind, *content): tells the server how far the work is."""


@dataclass(frozen=True)
class Track:
    """Track objects. objects: all with cues, as JSON. wanted: id → `project.cues_key` of those to track."""

    folder: Path
    clip: Path
    objects: str
    wanted: dict[int, str]
    device: str

    def run(self, report: Report) -> None:
        clip, items = self.opened()
        self.track(clip, items, report)

    def opened(self) -> tuple[Clip, list[ObjectPrompt]]:
        """The clip, and all objects."""
        read = ObjectsFile.model_validate_json(self.objects)
        return open_clip(self.clip), objects_of(self.folder / folders.OBJECTS, read)

    def track(self, clip: Clip, items: Sequence[ObjectPrompt], report: Report) -> dict[int, MaskTrack]:
        """Track what is wanted and write it to the project."""
        from unocclude.perception.locate import locate

        wanted = [item for item in items if item.id in self.wanted]
        if not wanted:
            return {}
        report("progress", "tracking", 0, len(clip))
        prompts = [item.prompt for item in wanted if isinstance(item.prompt, Prompt)]
        together = locate(
            clip, prompts, lambda done, total: report("progress", "tracking", done, total), self.device,
            found=lambda k, i, counts: report("mask", wanted[k].id, i, counts),
        )  # fmt: skip
        found = {}
        for item, track in zip(wanted, together, strict=True):
            write_track(self.folder / folders.TRACKS / f"{item.id}.json", track, self.wanted[item.id])
            report("tracked", item.id)
            found[item.id] = track
        return found


@dataclass(frozen=True)
class Complete(Track):
    """Complete all objects as layers, tracking those first whose masks are out of date."""

    settings: Settings
    fps: float | None = None

    def run(self, report: Report) -> None:
        from unocclude.app.tracks import read_track
        from unocclude.layers.run import LayersRequest, run_layers
        from unocclude.methods import create
        from unocclude.methods.base import RunSettings
        from unocclude.outfolder import holds_run

        settings = self.settings
        chosen = RunSettings(settings.seed, settings.hypotheses, settings.device, settings.weights)
        method = create(settings.method, dict(settings.options), chosen)
        clip, items = self.opened()
        request = LayersRequest(clip, tuple(items), method, None, settings.pad)
        known = self.track(clip, items, report)
        for item in items:
            stored = read_track(self.folder / folders.TRACKS / f"{item.id}.json")
            if item.id not in known and stored is not None:
                known[item.id] = stored.track
        out = self.folder / folders.LAYERS
        resume = holds_run(out, request.identity)
        report("run", run_id(request.identity))
        run_layers(
            request, out, resume=resume, overwrite=out.exists() and not resume, known=known,
            progress=lambda stage, done, total: report("progress", stage, done, total),
        )  # fmt: skip


def run_id(identity: dict[str, Any]) -> str:
    """The id of a run with these arguments; runs with the same id write the same bytes."""
    return content_id(identity)


@dataclass(frozen=True)
class Export:
    """Export a finished result to a folder of its own."""

    folder: Path
    out: Path
    name: str
    request: ExportRequest
    edit: PageEdit

    def run(self, report: Report) -> None:
        from unocclude.exporting import export
        from unocclude.layers.composition import write_composition

        asked, layers = self.request, self.folder / folders.LAYERS
        self.out.mkdir(exist_ok=True)
        suffix = "" if asked.format == "folder" else asked.format
        file = self.out / f"{self.name}{suffix}"

        def progress(stage: str, done: int, total: int) -> None:
            report("progress", stage, done, total)

        start, end = asked.start, asked.end
        if asked.what == "composition":
            files = write_composition(layers, file, self.edit, overwrite=True, progress=progress, start=start, end=end)
        elif asked.what == "object":
            one = layers / "objects" / str(asked.object)
            files = export(one, file, overwrite=True, progress=progress, start=start, end=end)
        else:
            files = export(layers, file, overwrite=True, frame=asked.frame, progress=progress, start=start, end=end)
        report("files", [path.relative_to(self.out).as_posix() for path in files])


Task = Track | Complete | Export
