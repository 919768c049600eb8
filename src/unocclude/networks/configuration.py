"""Read and check the configuration files of a checkpoint. They are untrusted."""

from pathlib import Path
from typing import Any

from unocclude.errors import InputError
from unocclude.media import jsonfile
from unocclude.names import is_inside

MAX_BYTES = 64 << 20
"""Maximum size of a configuration; the largest published ones, tokenizers, have about 30 MB."""
CONFIGURATIONS = (
    *("config.json", "generation_config.json", "model_index.json", "preprocessor_config.json"),
    *("processor_config.json", "scheduler_config.json", "tokenizer_config.json", "adapter_config.json"),
)
"""Configuration files that can refer to code."""


def read_json(path: Path) -> dict[str, Any]:
    """Read a configuration file; raises InputError if it is not a JSON object."""
    try:
        content = jsonfile.read_json(path, MAX_BYTES, finite=False)
    except InputError as error:
        raise InputError(f"{path} is no configuration, or damaged; fetch the checkpoint again") from error
    if not isinstance(content, dict):
        raise InputError(
            f"{path} is no configuration: it is a {type(content).__name__}, not an object; fetch the checkpoint again"
        )
    return content


def shards(index: Path) -> list[str]:
    """The file names in an index of shards; raises InputError if one is not a file next to the index."""
    names = read_json(index).get("weight_map", {})
    names = list(names.values()) if isinstance(names, dict) else [None]
    for name in names:
        if not is_inside(name, depth=1):
            raise InputError(f"{index} names {name!r}, which is no file beside it; fetch the checkpoint again")
    return sorted(set(names))


def check_configurations(folder: Path) -> None:
    """Raise InputError if a configuration in `folder` is invalid or too large, names shards outside the folder, or asks
    for code from a hub."""
    for path in sorted(folder.glob("*.json")):
        if ".index." in path.name:
            shards(path)
        elif path.name in CONFIGURATIONS:
            _refuse_code(path, read_json(path))
        else:
            _check_size(path)


def _refuse_code(path: Path, content: Any) -> None:
    """Refuse an attention implementation that is a repository: transformers would download and run its code."""
    left = [content]
    while left:
        value = left.pop()
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(inner, dict | list):
                left.append(inner)
            if str(key).lstrip("_").startswith("attn_implementation") and "/" in str(inner):
                raise InputError(f"{path} asks for code from a hub ({key}: {inner}); remove that line")


def _check_size(path: Path) -> None:
    if (size := path.stat().st_size) > MAX_BYTES:
        raise InputError(f"{path} has {size} bytes, too many for a configuration; fetch the checkpoint again")
