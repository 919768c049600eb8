"""Readers of published data sets. `open_dataset` returns their samples, which are read lazily."""

import inspect
from collections import Counter
from importlib import import_module
from pathlib import Path

from unocclude.datasets.base import Sample, Truth
from unocclude.errors import InputError

READERS = {
    "gt": "gt",
    "davis": "davis",
    "youtube-vos": "youtube_vos",
    "sail-vos": "sail_vos",
    "tao-amodal": "tao_amodal",
    "movi": "movi",
    "kubric": "kubric",
    "fishbowl": "fishbowl",
    "lasot": "lasot",
    "cocoa": "cocoa",
    "kins": "kins",
    "pix2gestalt": "pix2gestalt",
    "tabe-51": "tabe51",
    "open-world": "open_world",
}
"""Kind → module. Its docstring describes the folder layout, and its function `read(root, ...)` reads it."""

__all__ = ["READERS", "Sample", "Truth", "open_dataset", "root_of"]


def open_dataset(spec: str | Path, limit: int | None = None) -> list[Sample]:
    """Open a data set and return its samples; frames and masks are read later.

    spec: `[KIND:]PATH[?OPTION=VALUE&...]`, with KIND one of `READERS` (default "gt") and the options of its `read`.
    limit: maximum number of samples. Raises InputError for an unknown kind or option, for missing files, and if there
    are no samples.
    """
    kind, path, options = _parse(str(spec))
    read = import_module(f"unocclude.datasets.{READERS[kind]}").read
    known = [name for name in inspect.signature(read).parameters if name != "root"]
    for name in options:
        if name not in known:
            raise InputError(f"{kind} has no option {name}; it has {', '.join(known) or 'none'}")
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; check the path")
    samples = read(path, **options)
    if not samples:
        raise InputError(f"{path} holds no sample of {kind}")
    name, count = Counter(sample.name for sample in samples).most_common(1)[0]
    if count > 1:  # one would overwrite the other's results
        raise InputError(f"{path} holds {count} samples called {name}; rename or remove all but one")
    samples = samples[:limit]
    for sample in samples:
        sample.origin = str(spec)
    return samples


def root_of(spec: str) -> Path:
    """The file or folder in a `spec` of `open_dataset`; raises the same InputError."""
    return _parse(spec)[1]


def _parse(spec: str) -> tuple[str, Path, dict[str, str]]:
    kind, colon, rest = spec.partition(":")
    if not colon or kind not in READERS:
        if colon and not Path(spec.partition("?")[0]).exists() and kind.replace("-", "").isalnum():
            raise InputError(f"unknown kind of data {kind}; choose one of {', '.join(READERS)}")
        kind, rest = "gt", spec
    path, _, query = rest.partition("?")
    pairs = [part.partition("=") for part in query.split("&") if part]
    if wrong := next((part[0] for part in pairs if not part[1]), None):
        raise InputError(f"{spec}: {wrong} has no value; write ?OPTION=VALUE")
    return kind, Path(path).absolute(), {name: value for name, _, value in pairs}
