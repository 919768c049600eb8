"""A tiny random checkpoint for every method that takes one, and options with which it takes seconds."""

from support import tiny_cogvideox, tiny_diffusion_vas, tiny_flux_fill, tiny_inpainting, tiny_tgvac
from support.tiny_pix2gestalt import write_checkpoint as write_pix2gestalt

SMALL = {
    "diffusion-vas": {"steps": 1, "pixels": 4096},
    "tgvac": {"steps": 1},
    "cogvideox-amodal": {"steps": 1},
    "ic-amodal": {"steps": 1, "cell": 32, "text_tokens": 8},
    "ic-amodal-plus": {"steps": 1, "cell": 32, "text_tokens": 8},
    "pix2gestalt": {"steps": 2},
    "open-world": {"steps": 1, "size": 64},
}


def write_all(folder):
    """Method → its checkpoint, in `folder`."""
    for part, seed in (("amodal-segmentation", 1), ("content-completion", 2)):
        tiny_diffusion_vas.write_checkpoint(folder / "diffusion-vas" / part, seed)
    tiny_tgvac.write_checkpoint(folder / "tgvac")
    tiny_cogvideox.write_checkpoint(folder / "cogvideox-amodal", False, channels=12)
    tiny_flux_fill.write_flux_fill(folder / "ic-amodal")
    tiny_inpainting.write_inpainting(folder / "open-world")
    write_pix2gestalt(folder / "pix2gestalt")
    return {path.name: path for path in folder.iterdir()} | {"ic-amodal-plus": folder / "ic-amodal"}


def settings(method, label=""):
    """`--set` of SMALL; with a label, as `bench` takes them."""
    prefix = f"{label}." if label else ""
    return [part for key, value in SMALL[method].items() for part in ("--set", f"{prefix}{key}={value}")]
