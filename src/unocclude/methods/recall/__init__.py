"""`recall`, the default method: finds the hidden part of an object in the frames that show it.

Frames before and after that show the object well are aligned to the frame (`motion.align`). They vote on the silhouette
(`silhouette`), within what occlusion evidence leaves open (`motion.evidence`), and give their pixels (`appearance`).
Two small networks, trained on generated clips, vote as well (`prior`, with the inputs of `prior_inputs`). What no frame
shows is inpainted from the object's own pixels. A single image has no other frames: see `still`.
"""

from unocclude.methods.recall.method import Recall
from unocclude.methods.recall.options import RecallOptions

__all__ = ["Recall", "RecallOptions"]
