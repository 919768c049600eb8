"""Pseudo ground truth: amodal masks from the amodal boxes of a data set (Diffusion-VAS, appendix C, table 8)."""

import json
import tempfile
from pathlib import Path

from unocclude.datasets import open_dataset
from unocclude.datasets.base import Sample
from unocclude.errors import InputError
from unocclude.run import complete
from unocclude.synthesis.world import World

METHOD = "diffusion-vas"


def box_samples(spec: str) -> list[Sample]:
    """Samples of a data set (see `open_dataset`) with amodal boxes; raises InputError if there are none."""
    found = [sample for sample in open_dataset(spec) if sample.has_truth and sample.truth.boxes is not None]
    if not found:
        raise InputError(f"{spec} has no amodal boxes, which pseudo ground truth is made from")
    return found


def pseudo_world(sample: Sample, seed: int, weights: str | None) -> World:
    """A sample with masks and colours predicted by Diffusion-VAS on frames cropped to their amodal boxes.

    Where a box leaves the frame, the network sees what the padded protocol of TAO-Amodal shows there: no mask, and the
    nearest depth. The masks are those inside the frame.

    Raises InputError if the method cannot run.
    """
    corners = sample.truth.amodal_boxes.tolist()
    with tempfile.TemporaryDirectory(prefix="unocclude-") as folder:
        path = Path(folder) / "boxes.json"
        path.write_text(json.dumps(corners))
        result = complete(
            sample.clip, sample.visible, method=METHOD, options={"boxes": str(path)}, seed=seed, weights=weights,
            pictures=False,
        )  # fmt: skip
        whole = list(result.amodal_masks)
        colours = [rgba[..., :3] * mask[..., None] for rgba, mask in zip(result.rgba, whole, strict=True)]
    count = len(sample.clip)
    world = World(
        frames=[sample.clip[i] for i in range(count)],
        visible=[sample.visible[i] for i in range(count)],
        amodal=whole,
        amodal_rgb=colours,
        occluders=[],
        fps=sample.clip.fps,
    )
    world.about.update(kind="pseudo", seed=seed, instance=sample.name, dataset=sample.origin, boxes=corners)
    return world
