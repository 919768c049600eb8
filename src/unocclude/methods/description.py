"""The description of the object for methods that are guided by one and got none."""

import logging

import numpy as np

from unocclude import weights as checkpoints
from unocclude.methods.network_inputs import WHITE
from unocclude.perception import caption
from unocclude.scene import Scene

LOGGER = logging.getLogger(__name__)


def describe_object(scene: Scene, description: str, method: str, device: str = "auto") -> str:
    """The description that the user gave or, if there is none, BLIP-2's caption of the object.

    The caption is of the visible object on white in the frame that shows most of it. Without BLIP-2's weights the
    result is empty, and a warning says so once. method: its name, for the warning.
    """
    if description:
        return description
    if not checkpoints.is_present(caption.DEFAULT):
        LOGGER.warning(
            "%s has no description of the object and works without one; set description=..., or fetch %s to caption it",
            method, caption.DEFAULT,
        )  # fmt: skip
        return ""
    i = int(np.argmax(scene.track.areas))
    x0, y0, x1, y1 = (int(side) for side in scene.track.boxes[i])
    picture = np.where(scene.track[i][..., None], scene.clip[i], WHITE).astype(np.uint8)
    return caption.Captioner(device=device)(picture[y0:y1, x0:x1])
