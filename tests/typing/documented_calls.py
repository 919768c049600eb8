"""The calls that the documentation shows, and wrong ones. `make lint` runs mypy on this file; nothing here is run."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np
import torch
from PIL import Image

import unocclude


def clips(frames: np.ndarray, video: torch.Tensor, pictures: list[Image.Image]) -> None:
    clip = unocclude.open("clip.mp4")
    assert_type(clip, unocclude.Clip)
    assert_type(clip[0], np.ndarray)
    assert_type(clip[2:8], unocclude.Clip)
    assert_type(len(clip), int)
    assert_type(list(clip), list[np.ndarray])
    for given in (Path("frames"), frames, list(frames), (frame for frame in frames), video, pictures, pictures[0]):
        unocclude.open(given)
    unocclude.Clip.from_frames(frames, fps=30, shots=[range(10)])


def tracks(clip: unocclude.Clip, frames: np.ndarray, mask: np.ndarray) -> None:
    track = unocclude.track(clip, box=(120, 80, 300, 260), frame=0)
    assert_type(track, unocclude.MaskTrack)
    assert_type(track[0], np.ndarray)
    assert_type(track[2:8], unocclude.MaskTrack)
    assert_type(track.confidence, np.ndarray | None)
    unocclude.track(clip, box=[(120, 80, 300, 260), (1.5, 2, 3, 4)])
    unocclude.track(clip, point=[(375, 150), (380, 160)], not_point=(10, 10), frame=47)
    unocclude.track(clip, box=np.array([120, 80, 300, 260]), device="cpu", progress=lambda done, total: None)
    unocclude.track(clip, mask=mask)
    unocclude.track(clip, text="the dancer")
    unocclude.track(frames, unocclude.Prompt().box(120, 80, 300, 260).point(400, 90, frame=12, positive=False))
    unocclude.track(clip, unocclude.Prompt().mask(mask, frame=3).hidden(frame=9))
    assert_type(unocclude.read_masks("masks/", object_id=2), unocclude.MaskTrack)
    unocclude.read_masks(Path("masks.json"))


def results(clip: unocclude.Clip, track: unocclude.MaskTrack, frames: np.ndarray, masks: np.ndarray) -> None:
    result = unocclude.complete(clip, track, out="out/")
    assert_type(result, unocclude.Completion)
    assert_type(result.amodal_masks[7], np.ndarray)
    assert_type(result.rgba[7], np.ndarray)
    assert_type(result.provenance[7], np.ndarray)
    assert_type(result.frames, list[dict[str, Any]])
    assert_type(result.hypotheses, list[unocclude.Completion])
    unocclude.complete(frames, masks)
    unocclude.complete(list(frames), list(masks), occluders=masks[0], pad=0.3)
    unocclude.complete((frame for frame in frames), (mask for mask in masks))
    unocclude.complete(torch.from_numpy(frames), torch.from_numpy(masks))
    unocclude.complete([Image.fromarray(frame) for frame in frames], unocclude.Prompt().box(1, 2, 3, 4))
    unocclude.complete(
        clip, track, method="recall", options={"prior": False}, seed=1, hypotheses=4, device="cpu", weights=Path("w"),
        out=Path("out"), resume=True, progress=lambda stage, done, total: None,
    )  # fmt: skip
    for frame in unocclude.stream(clip, track):
        assert_type(frame.index, int)
        assert_type(frame.rgba, np.ndarray)
    print(unocclude.evaluate(result, "demo/input")["miou"])
    unocclude.evaluate("out/", Path("gt/"), metrics=["boundary_f"])
    assert_type(unocclude.export("out/", "layer.mov"), list[Path])
    unocclude.export(result, Path("layer.webm"), overwrite=True)


def wrong(clip: unocclude.Clip, track: unocclude.MaskTrack) -> None:
    """Each of these is an error, which mypy would miss if it took the arguments for Any (`warn_unused_ignores`)."""
    unocclude.open(3)  # type: ignore[arg-type]
    unocclude.complete(3, track)  # type: ignore[arg-type]
    unocclude.complete(clip, track, sede=1)  # type: ignore[call-arg]
    unocclude.complete(clip, track, seed="1")  # type: ignore[arg-type]
    unocclude.track(clip, box=120)  # type: ignore[arg-type]
    unocclude.track(clip, box=(120, 80, 300, 260), frame="0")  # type: ignore[arg-type]
    unocclude.Prompt().point(400)  # type: ignore[call-arg]
    unocclude.stream(clip)  # type: ignore[call-arg]
    unocclude.evaluate(track, "gt/")  # type: ignore[arg-type]
