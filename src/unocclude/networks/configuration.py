"""The configurations beside a checkpoint's weights. They come from elsewhere: what they say is checked."""

import json
from pathlib import Path
from typing import Any

from unocclude.errors import InputError
from unocclude.names import is_inside

MAX_BYTES = 64 << 20
"""Bytes of a configuration; the largest that are published, tokenizers, have some 30 million."""
CONFIGURATIONS = (
    *("config.json", "generation_config.json", "model_index.json", "preprocessor_config.json"),
    *("processor_config.json", "scheduler_config.json", "tokenizer_config.json", "adapter_config.json"),
)
"""Those that can name code."""


def read_json(path: Path) -> dict[str, Any]:
    """A configuration file; raises InputError where it is none."""
    try:
        _check_size(path)
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no configuration that can be read; fetch the checkpoint again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is no configuration: it holds a {type(content).__name__}")
    return content


def shards(index: Path) -> list[str]:
    """The files beside an index that it names; raises InputError where it names anything else."""
    names = read_json(index).get("weight_map", {})
    names = list(names.values()) if isinstance(names, dict) else [None]
    for name in names:
        if not is_inside(name, depth=1):
            raise InputError(f"{index} names {name!r}, which is no file beside it; fetch the checkpoint again")
    return sorted(set(names))


def check_configurations(folder: Path) -> None:
    """Raise InputError where a configuration in `folder` is too large or none, names shards elsewhere, or asks for code
    from a hub."""
    for path in sorted(folder.glob("*.json")):
        if ".index." in path.name:
            shards(path)
        elif path.name in CONFIGURATIONS:
            _refuse_code(path, read_json(path))
        else:
            _check_size(path)


def _refuse_code(path: Path, content: Any) -> None:
    """transformers takes the code of attention from the hub where the configuration names a repository there."""
    left = [content]
    while left:
        value = left.pop()
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(inner, dict | list):
                left.append(inner)
            if str(key).lstrip("_").startswith("attn_implementation") and "/" in str(inner):
                raise InputError(f"{path} asks for code from a hub ({key}: {inner}); take that line out")


def _check_size(path: Path) -> None:
    if (size := path.stat().st_size) > MAX_BYTES:
        raise InputError(f"{path} has {size} bytes, too many for a configuration; fetch the checkpoint again")
