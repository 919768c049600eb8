"""A generated scene in the layout of a Kubric export (`unocclude.datasets.kubric`), with amodal masks and RGB."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unocclude.errors import UnoccludeError
from unocclude.media.files import write_bytes
from unocclude.media.images import write_png
from unocclude.synthesis.world import World

PROTOCOLS = {"kubric-static": True, "kubric-dynamic": False}
"""Protocol → whether the objects stand still while the camera moves. The paper names its two sets and does not describe
them; this is our reading."""
MOST = 254
"""Maximum number of instances in an 8-bit label map."""


def write_scene(worlds: Sequence[World], folder: Path) -> None:
    """Write the worlds of one scene, one for each of its objects, as instances 0, 1 ... of a Kubric export.

    SCENE/rgba_00000.png, segmentation_00000.png (K + 1 where instance K is visible), segmentation_K_00000.png (instance
    K alone), rgba_K_00000.png (its appearance alone) and metadata.json.
    """
    if len(worlds) > MOST:
        raise UnoccludeError(f"a scene has {len(worlds)} objects, more than a label map holds")
    folder.mkdir(parents=True, exist_ok=True)
    first = worlds[0]
    for t, frame in enumerate(first.frames):
        labels = np.zeros(frame.shape[:2], np.uint8)
        for k, world in enumerate(worlds):
            labels[world.visible[t]] = k + 1
            alone = world.amodal[t]
            write_png(folder / f"segmentation_{k}_{t:05d}.png", alone.astype(np.uint8) * np.uint8(k + 1))
            alpha = alone.astype(np.uint8) * np.uint8(255)
            write_png(folder / f"rgba_{k}_{t:05d}.png", np.dstack([world.amodal_rgb[t], alpha]))
        write_png(folder / f"rgba_{t:05d}.png", frame)
        write_png(folder / f"segmentation_{t:05d}.png", labels)
    height, width = first.frames[0].shape[:2]
    about = {
        "metadata": {"num_frames": len(first), "resolution": [width, height], "frame_rate": first.fps},
        "instances": [{"category": world.about.get("class", "object")} for world in worlds],
    }
    write_bytes(folder / "metadata.json", (json.dumps(about, indent=1) + "\n").encode())
