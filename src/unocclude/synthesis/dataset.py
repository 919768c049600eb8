"""Generate a data set: clips are made in parallel and written atomically. Runs can be resumed.

The result does not depend on the number of workers.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unocclude.errors import InputError
from unocclude.executor import Executor, Serial, results
from unocclude.layout import SYNTH_FILE, remove_below
from unocclude.media import files
from unocclude.media.images import read_png
from unocclude.outfolder import OutFolder
from unocclude.synthesis import statistics
from unocclude.synthesis.dataset_spec import DatasetSpec
from unocclude.synthesis.kubric_layout import write_scene
from unocclude.synthesis.shards import read_picture, read_shard, write_shard
from unocclude.synthesis.sheet import Row, spread
from unocclude.synthesis.world import World, write_meta, write_world
from unocclude.types import Progress
from unocclude.version import __version__

SHARD = 100
"""Clips per shard."""
WAITING = ".clips"
"""Temporary folder of clips whose shard is not complete yet."""


def make_dataset(
    spec: DatasetSpec,
    out: str | Path,
    count: int,
    *,
    executor: Executor | None = None,
    shards: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Make clips 0 to count - 1 of a spec in `out` and return the content of its synth.json.

    Each clip is a folder in the GT layout, `out`/00000; a scene with several objects becomes `out`/00000_0, 00000_1 ...
    executor: makes the clips; this process by default. shards: clips per WebDataset shard, `out`/00000.tar (see
    `shards`); 0 writes folders. synth.json is written last and contains the version, arguments, statistics
    (`statistics.summarise`), and the train and validation clips if there is a split.

    Raises InputError if `out` cannot be used (see `outfolder.check_out`), and the exceptions of the spec.
    """
    if spec.protocol and shards:
        raise InputError("--shards packs our own layout; leave it out with --protocol")
    identity = {"verb": "synth", **spec.identity, "count": count, "shards": shards}
    folder = OutFolder(out, identity, resume=resume, overwrite=overwrite, result=SYNTH_FILE, inputs=spec.inputs)
    if folder.finished:
        return json.loads((folder.path / SYNTH_FILE).read_text())
    try:
        folder.claim()
        return _make(folder, spec, count, executor or Serial(), shards, progress)
    finally:
        folder.release()


def _make(
    folder: OutFolder, spec: DatasetSpec, count: int, executor: Executor, shards: int, progress: Progress
) -> dict[str, Any]:
    out = folder.path
    clips = out / WAITING if shards else out
    clips.mkdir(exist_ok=True)
    groups = [range(k, min(k + shards, count)) for k in range(0, count, shards)] if shards else []
    packed = [k for k, _ in enumerate(groups) if _shard(out, k).exists()]
    done = {i for k in packed for i in groups[k]} | {i for i in range(count) if _members(clips, i)}
    todo = [i for i in range(count) if i not in done]
    progress("making", len(done), count)
    for group, members in enumerate(groups):
        _pack(out, clips, group, members, done)
    for i in results(executor, _Make(spec, clips), todo):
        done.add(i)
        if shards:
            _pack(out, clips, i // shards, groups[i // shards], done)
        progress("making", len(done), count)
    files.remove_temporary(clips, [files.token])  # of workers that died
    if shards:
        clips.rmdir()
    metas = [meta for _, meta in clip_metas(out)]
    info: dict[str, Any] = {
        "tool": f"unocclude {__version__}",
        "versions": {"numpy": np.__version__, "opencv": cv2.__version__},
        "clips": len(metas),
        "statistics": statistics.summarise(metas),
    }
    if any("split" in meta for meta in metas):
        info["split"] = {name: [n for n, m in clip_metas(out) if m["split"] == name] for name in ("train", "val")}
    if spec.refused:
        info["left_out"] = spec.refused
    folder.finish(info)
    return json.loads((folder.path / SYNTH_FILE).read_text())


class _Make:
    """Picklable function for worker processes that makes the clip of a given number."""

    def __init__(self, spec: DatasetSpec, out: Path):
        self.spec, self.out = spec, out

    def __call__(self, index: int) -> int:
        if _members(self.out, index):  # made by a worker that died right afterwards
            return index
        worlds = self.spec.make(index)
        if self.spec.protocol:
            self._write_scene(index, worlds)
            return index
        names = [f"{index:05d}"] if len(worlds) == 1 else [f"{index:05d}_{k}" for k in range(len(worlds))]
        for name, world in zip(names, worlds, strict=True):
            world.about.update(statistics.measure(world), index=index, objects=len(worlds))
            part = files.temporary(self.out / name)
            write_world(world, part)
            files.sync(part)
            part.rename(self.out / name)
            files.sync(self.out)
        return index

    def _write_scene(self, index: int, worlds: list[World]) -> None:
        """Write a scene as a Kubric export, and beside it a meta.json for the data set's statistics."""
        whole = self.out / f"{index:05d}"
        part = files.temporary(whole)
        write_scene(worlds, part)
        worlds[0].about.update(statistics.measure(worlds[0]), index=index, objects=1)
        write_meta(worlds[0], part)
        files.sync(part)
        part.rename(whole)
        files.sync(self.out)


def _shard(out: Path, group: int) -> Path:
    return out / f"{group:05d}.tar"


def _members(out: Path, index: int) -> list[Path]:
    """The folders of a clip, one per object; empty unless the clip is complete."""
    found = sorted(path for path in (out / f"{index:05d}", *out.glob(f"{index:05d}_*")) if path.is_dir())
    if found and _objects(found[0]) == len(found):
        return found
    for path in found:  # an incomplete scene or a damaged clip is made again
        _remove(path)
    return []


def _objects(folder: Path) -> int:
    """The number of objects in a clip's scene, from its meta.json; 0 if that cannot be read."""
    try:
        return int(json.loads((folder / "meta.json").read_bytes())["objects"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _remove(clip: Path) -> None:
    out, above = (clip.parent.parent, f"{WAITING}/") if clip.parent.name == WAITING else (clip.parent, "")
    remove_below(out, above + clip.name, SYNTH_FILE)


def _pack(out: Path, clips: Path, group: int, members: range, done: set[int]) -> None:
    """Write a shard and remove its clips, if all of them are done."""
    if not done.issuperset(members):
        return
    folders = [folder for i in members for folder in _members(clips, i)]
    if not _shard(out, group).exists():
        write_shard(_shard(out, group), folders)
    for folder in folders:
        _remove(folder)


SHOWN = ("frames", "amodal_masks", "amodal_rgb")


# Reading back -----------------------------------------------------------------------------------------------


def clip_metas(out: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and meta.json of every clip of a data set in order, from folders or shards."""
    out = Path(out)
    for shard in sorted(out.glob("[0-9]*.tar")):
        for name, members in read_shard(shard):
            yield name, json.loads(members["meta.json"])
    for folder in sorted(path for path in out.glob("[0-9]*") if path.is_dir()):
        yield folder.name, json.loads((folder / "meta.json").read_text())


def rows(out: str | Path, count: int = 8, columns: int = 8) -> list[Row]:
    """The first clips of a data set, one per scene, for `sheet.contact_sheet`, from folders or shards."""
    out, found = Path(out), dict[str, Row]()
    for folder in sorted(path for path in out.glob("[0-9]*") if path.is_dir()):
        if len(found) < count and (scene := folder.name.partition("_")[0]) not in found:
            names = sorted(path.name for path in (folder / "frames").iterdir())
            chosen = [names[i] for i in spread(len(names), columns)]
            parts = {part: [read_png(folder / part / name) for name in chosen] for part in SHOWN}
            found[scene] = _row(folder.name, parts)
    for shard in sorted(out.glob("[0-9]*.tar")):
        for name, members in read_shard(shard):
            if len(found) == count:
                break
            if (scene := name.partition("_")[0]) not in found:
                numbers = spread(sum(member.startswith("frames.") for member in members), columns)
                parts = {part: [read_picture(members[f"{part}.{i:05d}.png"]) for i in numbers] for part in SHOWN}
                found[scene] = _row(name, parts)
    return list(found.values())


def _row(name: str, parts: dict[str, list[np.ndarray]]) -> Row:
    return Row(name, parts["frames"], [mask > 127 for mask in parts["amodal_masks"]], parts["amodal_rgb"])
