"""Whether a folder holds a transformer of CogVideoX-Amodal."""

from pathlib import Path

from unocclude.errors import InputError
from unocclude.networks.configuration import read_json

TRANSFORMER = "CogVideoXTransformer3DModel"


def check_transformer(folder: Path) -> None:
    """Raise InputError if a checkpoint's transformer is not one of CogVideoX that also sees a clip and its masks."""
    part = folder / "transformer"
    config = read_json(part / "config.json")
    if (found := config.get("_class_name")) != TRANSFORMER:
        raise InputError(f"{part} is a {found}, CogVideoX-Amodal needs a {TRANSFORMER}; train it with recipe cogvideox")
    channels, own = config.get("in_channels"), int(config.get("out_channels") or 0)
    if channels != 3 * own:
        raise InputError(
            f"{part} has {channels} input channels, CogVideoX-Amodal has {3 * own}; train it with recipe cogvideox"
        )
