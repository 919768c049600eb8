"""The files that each command writes to its OUT folder. No other files are ever removed from it."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePath

from unocclude.media.files import is_temporary

RESULT_FILE = "result.json"
"""The file that `complete` writes last."""
TRACK_FILE = "track.json"
"""The file that `track` writes last."""
SYNTH_FILE = "synth.json"
"""The file that `synth` writes last."""
LAYERS_FILE = "layers.json"
"""The file that `layers` writes last."""
TRAIN_FILE = "train.json"
"""The file that `train` writes last."""
BENCH_FILE = "bench.json"
"""The file that `bench` writes last."""
RUN_FILE = "run.json"
"""Exists while a run is unfinished. Contains its arguments: only a run with the same arguments can resume it."""
LOCK_FILE = ".lock"
"""Exists while a process is working in the folder. A file left by a killed process is not locked and has no effect."""

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
_SCENE = r"\d{5,}/(metadata\.json|(rgba|segmentation)_(\d+_)?\d{5,}\.png)"
_NETWORK = r"[\w.-]+\.(safetensors|bin|pkl|pt|onnx|data|json|txt|model)"

LAYOUTS = {
    RESULT_FILE: _COMPLETE,
    LAYERS_FILE: (
        *(rf"objects/\d+/{name}" for name in (*_COMPLETE, r"(run\.json|\.lock)")),
        f"background/(rgb|edges|provenance)/{_FRAME}",
        r"(layers\.json|preview\.mp4|report\.html)",
    ),
    TRACK_FILE: (f"visible_masks/{_FRAME}", rf"objects/\d+/visible_masks/{_FRAME}", r"track\.json"),
    SYNTH_FILE: (*_CLIP, _SCENE, *(rf"\.clips/{name}" for name in _CLIP), r"(\d{5,}\.tar|synth\.json)"),
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
"""The file that a command writes last → patterns of all files that it writes, relative to OUT.

Each part of a path is a regular expression; `**` stands for any number of folders."""


def foreign(folder: Path, result: str, tokens: Sequence[str] = ()) -> list[str]:
    """Names of files in an OUT folder that the command with the last file `result` did not write.

    For a foreign folder, only its own name is listed. Links and special files are always foreign. tokens: the tokens
    (`media.files.token`) of processes that worked in the folder; their temporary files are not foreign.
    """
    return [name for name, _, kind in _entries(folder, result, tokens) if kind == "foreign"]


def remove(folder: Path, result: str, tokens: Sequence[str] = ()) -> None:
    """Remove the files that the command with the last file `result` wrote, except the lock.

    `result` and run.json are removed last, so that they still exist if removal fails with OSError.
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
    """Whether the command with the last file `result` writes a file of this name, relative to OUT."""
    return _patterns(result)[0].fullmatch(name.as_posix()) is not None


def remove_below(out: Path, name: str, result: str) -> None:
    """Remove the sub-folder `name` of an OUT folder, except files that the command did not write."""
    for _, path, kind in _entries(out / name, result, (), f"{name}/"):
        if kind == "file":
            path.unlink(missing_ok=True)
        elif kind == "folder":
            with suppress(OSError):
                path.rmdir()
    with suppress(OSError):
        (out / name).rmdir()


def links(folder: Path, result: str) -> list[str]:
    """Links in an OUT folder whose names the command with the last file `result` writes to."""
    files, folders = _patterns(result)
    found = (name for name in foreign(folder, result) if files.fullmatch(name) or folders.fullmatch(name))
    return [name for name in found if (folder / name).is_symlink()]


def _entries(folder: Path, result: str, tokens: Sequence[str], above: str = "") -> Iterator[tuple[str, Path, str]]:
    """Yield (relative name, path, kind) of the entries of a folder, recursively; a folder comes after its entries.

    kind: "file", "folder", "temporary" or "foreign". Foreign folders are not entered.
    """
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
    """Regular expressions of all files of a layout and of their folders."""
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
