"""Loads the published networks whose weights are present, each on first use."""

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from unocclude.methods.open_world.perception import PerceptionNetworks
from unocclude.weights import is_present

WHERE: dict[str, tuple[tuple[str, ...], str, dict[str, Any]]] = {
    "tags": (("ram-plus",), "unocclude.perception.tagger:Tagger", {"threshold": 0.6}),
    "ground": (("grounding-dino-tiny",), "unocclude.perception.grounding_dino:GroundingDino", {}),
    "segment": (("sam-vit-huge",), "unocclude.perception.sam:Sam", {}),
    "choose": (("clip-vit-base-patch32",), "unocclude.perception.clip_classifier:ClipClassifier", {}),
    "order": (("instaorder-od", "depth-anything-v2-large"), "unocclude.perception.order:best", {}),
}
"""For each network: alternative checkpoints, the class, and its settings in the published code. Without InstaOrder the
order comes from depth."""


@lru_cache(maxsize=len(WHERE))
def _network(question: str, device: str) -> Any:
    _, where, settings = WHERE[question]
    module, name = where.split(":")
    return getattr(import_module(module), name)(device=device, **settings)


def load_published(device: str) -> PerceptionNetworks:
    """The networks of Open-World Amodal Appearance Completion whose weights are present."""

    def tags(image: np.ndarray) -> list[str]:
        return list(_network("tags", device)(image))

    def ground(image: np.ndarray, caption: str) -> tuple[np.ndarray, list[str], np.ndarray]:
        boxes, phrases, scores = _network("ground", device)(image, caption)
        return boxes, phrases, scores

    def segment(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        from unocclude.perception.sam import Cue

        masks, _ = _network("segment", device)(image, [Cue(boxes=[tuple(box.tolist())]) for box in boxes])
        return np.asarray(masks)

    def choose(image: np.ndarray, mask: np.ndarray, names: list[str]) -> str:
        chances = _network("choose", device)(np.where(mask[..., None], image, 0).astype(np.uint8), names)
        return names[int(np.argmax(chances))]

    def order(image: np.ndarray, masks: Sequence[np.ndarray], query: int) -> np.ndarray:
        return np.asarray(_network("order", device)(image, masks, query))

    def available(question: str) -> bool:
        return any(map(is_present, WHERE[question][0]))

    return PerceptionNetworks(
        tags=tags if available("tags") else None,
        ground=ground if available("ground") else None,
        segment=segment if available("segment") else None,
        choose=choose if available("choose") else None,
        order=order if available("order") else None,
    )
