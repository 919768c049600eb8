"""What each verb writes into its OUT folder, by name: only that is ever removed from one."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePath

from unocclude.media.files import is_temporary

RESULT_FILE = "result.json"
"""What `complete` writes last."""
TRACK_FILE = "track.json"
"""What `track` writes last."""
SYNTH_FILE = "synth.json"
"""What `synth` writes last."""
TRAIN_FILE = "train.json"
"""What `train` writes last."""
BENCH_FILE = "bench.json"
"""What `bench` writes last."""
RUN_FILE = "run.json"
"""Present while a run is unfinished: what it was asked to do, so that only the same run resumes it."""
LOCK_FILE = ".lock"
"""Present while a process is at work. What counts is its lock: a file that a kill left behind keeps nobody out."""

_FRAME = r"\d{5,}\.png"
_KINDS = "(amodal_masks|rgba|provenance)"
_COMPLETE = (
    f"(visible_masks|disagreement)/{_FRAME}",
    f"{_KINDS}/{_FRAME}",
    rf"hypotheses/\d+/{_KINDS}/{_FRAME}",
    r"(result\.json|preview\.mp4|report\.html)",
)
_CLIP = (
    r"\d{5,}(_\d+)?/meta\.json",
    rf"\d{{5,}}(_\d+)?/(frames|visible_masks|amodal_masks|amodal_rgb|depth)/{_FRAME}",
)
_NETWORK = r"[\w.-]+\.(safetensors|bin|pkl|pt|onnx|data|json|txt|model)"

LAYOUTS = {
    RESULT_FILE: _COMPLETE,
    TRACK_FILE: (f"visible_masks/{_FRAME}", r"track\.json"),
    SYNTH_FILE: (*_CLIP, *(rf"\.clips/{name}" for name in _CLIP), r"(\d{5,}\.tar|synth\.json)"),
    TRAIN_FILE: (
        rf"checkpoints/\d+/{_NETWORK}",
        r"tensorboard/**/(events\.out\.tfevents\..+|hparams\.yml)",
        r"samples/\d+\.png",
        rf"(pipeline|vae|videomae)/**/{_NETWORK}",
        r"([\w-]+\.onnx|[\w-]+\.onnx\.data|log\.jsonl|train\.json)",
    ),
    BENCH_FILE: (
        *(f"runs/[^/]+/[^/]+/[^/]+/{name}" for name in (*_COMPLETE, r"(run\.json|\.lock)")),
        r"figures/[^/]+/[^/]+/[^/]+\.json",
        r"study/[^/]+/[^/]+/[^/]+\.mp4",
        r"(bench\.json|table\.md|plot\.png)",
    ),
}
"""The file that a verb writes last → all that it writes, relative to OUT: a regular expression for every part of a
path, `**` for any number of folders."""


def foreign(folder: Path, result: str, tokens: Sequence[str] = ()) -> list[str]:
    """What lies in an OUT folder that the verb that ends with `result` did not write, as names relative to it; of a
    folder that is not ours its own name alone. Links and special files are never ours.

    tokens: of the processes that worked in it (`media.files.token`), whose temporary files are ours.
    """
    return [name for name, _, kind in _entries(folder, result, tokens) if kind == "foreign"]


def remove(folder: Path, result: str, tokens: Sequence[str] = ()) -> None:
    """Remove from a folder what the verb that ends with `result` wrote, the files that say so last. The lock stays.

    Raises OSError where something cannot be removed; the files that say what the folder is are there then.
    """
    last = (folder / result, folder / RUN_FILE)
    for _, path, kind in _entries(folder, result, tokens):
        if kind == "file" and path not in last and path.name != LOCK_FILE:
            path.unlink(missing_ok=True)
        elif kind == "temporary":
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        elif kind == "folder":
            path.rmdir()
    for path in last:
        if path.is_file() and not path.is_symlink():
            path.unlink()


def is_named(name: PurePath, result: str) -> bool:
    """Whether the verb that ends with `result` writes a file of this name, relative to OUT."""
    return _patterns(result)[0].fullmatch(name.as_posix()) is not None


def remove_below(out: Path, name: str, result: str) -> None:
    """Remove the folder `name` of an OUT folder, but for what the verb that ends with `result` did not write there."""
    for _, path, kind in _entries(out / name, result, (), f"{name}/"):
        if kind == "file":
            path.unlink(missing_ok=True)
        elif kind == "folder":
            with suppress(OSError):
                path.rmdir()
    with suppress(OSError):
        (out / name).rmdir()


def links(folder: Path, result: str) -> list[str]:
    """Links under names that the verb that ends with `result` writes to: it would write to what is behind them."""
    files, folders = _patterns(result)
    found = (name for name in foreign(folder, result) if files.fullmatch(name) or folders.fullmatch(name))
    return [name for name in found if (folder / name).is_symlink()]


def _entries(folder: Path, result: str, tokens: Sequence[str], above: str = "") -> Iterator[tuple[str, Path, str]]:
    """(relative name, path, "file", "folder", "temporary" or "foreign") of what is in a folder, and in its folders that
    are ours; a folder comes after what is in it."""
    files, folders = _patterns(result)
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        name, path = above + entry.name, Path(entry.path)
        if not entry.is_symlink() and tokens and is_temporary(entry.name, tokens):
            yield name, path, "temporary"
        elif entry.is_dir(follow_symlinks=False) and folders.fullmatch(name):
            yield from _entries(path, result, tokens, f"{name}/")
            yield name, path, "folder"
        elif entry.is_file(follow_symlinks=False) and files.fullmatch(name):
            yield name, path, "file"
        else:
            yield name, path, "foreign"


@cache
def _patterns(result: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Of all files of a layout, and of the folders that they lie in."""
    files, folders = [], []
    for pattern in (*LAYOUTS[result], r"run\.json", r"\.lock"):
        *above, name = re.split(r"/(?!\])", pattern)  # not the slash of [^/]
        path = ""
        for part in above:
            folders.append(path + ("[^/]+(/[^/]+)*" if part == "**" else part))
            path += "([^/]+/)*" if part == "**" else f"{part}/"
        files.append(path + name)
    return _any_of(files), _any_of(folders)


def _any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
