"""The published networks behind `Perception`: those whose weights are here, each loaded when first asked."""

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from unocclude.methods.open_world.perception import Perception
from unocclude.weights import have

WHERE: dict[str, tuple[tuple[str, ...], str, dict[str, Any]]] = {
    "tags": (("ram-plus",), "unocclude.perception.tagger:Tagger", {"threshold": 0.6}),
    "ground": (("grounding-dino-tiny",), "unocclude.perception.grounding_dino:GroundingDino", {}),
    "segment": (("sam-vit-huge",), "unocclude.perception.sam:Sam", {}),
    "choose": (("clip-vit-base-patch32",), "unocclude.perception.clip_classifier:ClipClassifier", {}),
    "order": (("instaorder-od", "depth-anything-v2-large"), "unocclude.perception.order:best", {}),
}
"""For each question its checkpoints, of which one is enough, its class, and how the published code sets it. Without
InstaOrder, depth orders."""


@lru_cache(maxsize=len(WHERE))
def _network(question: str, device: str) -> Any:
    _, where, settings = WHERE[question]
    module, name = where.split(":")
    return getattr(import_module(module), name)(device=device, **settings)


def published(device: str) -> Perception:
    """The networks of Open-World Amodal Appearance Completion, as far as their weights are here."""

    def tags(image: np.ndarray) -> list[str]:
        return list(_network("tags", device)(image))

    def ground(image: np.ndarray, caption: str) -> tuple[np.ndarray, list[str], np.ndarray]:
        boxes, phrases, scores = _network("ground", device)(image, caption)
        return boxes, phrases, scores

    def segment(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        from unocclude.perception.sam import Cue

        masks, _ = _network("segment", device)(image, [Cue(box=tuple(box.tolist())) for box in boxes])
        return np.asarray(masks)

    def choose(image: np.ndarray, mask: np.ndarray, names: list[str]) -> str:
        chances = _network("choose", device)(np.where(mask[..., None], image, 0).astype(np.uint8), names)
        return names[int(np.argmax(chances))]

    def order(image: np.ndarray, masks: Sequence[np.ndarray], query: int) -> np.ndarray:
        return np.asarray(_network("order", device)(image, masks, query))

    def here(question: str) -> bool:
        return any(map(have, WHERE[question][0]))

    return Perception(
        tags=tags if here("tags") else None,
        ground=ground if here("ground") else None,
        segment=segment if here("segment") else None,
        choose=choose if here("choose") else None,
        order=order if here("order") else None,
    )
