"""SAM 2 on video: masks of several objects in all frames, from cues in any frame."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from unocclude import weights as checkpoints
from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.masks import MaskTrack, encode
from unocclude.networks import device_for
from unocclude.perception.prepare import normalised, resized
from unocclude.perception.prompt import Cue, start_frame
from unocclude.perception.sam import Sam2
from unocclude.perception.text_prompt import SAM2
from unocclude.types import FrameProgress, MaskProgress

ORIGIN = "sam2"


class Sam2Video:
    """SAM 2 (Ravi et al. 2024) with its memory of recent and prompted frames.

    weights: the checkpoint's id, or a folder that holds any Sam2VideoModel of transformers. Raises InputError if it
    is missing.
    """

    def __init__(self, weights: str | Path = SAM2, device: str = "auto"):
        self.weights = weights
        folder = checkpoints.resolve_checkpoint(weights, SAM2)
        self.device = device_for("SAM 2", device, transformers=True, extra="diffusion")
        from transformers import Sam2VideoModel

        from unocclude.networks.loading import load_pretrained

        self.model = load_pretrained(Sam2VideoModel, folder, "SAM 2 video model").to(self.device)

    def __call__(
        self,
        clip: Clip,
        objects: Sequence[Mapping[int, Cue]],
        progress: FrameProgress | None = None,
        found: MaskProgress | None = None,
    ) -> list[MaskTrack]:
        """Visible masks of each object in all frames, with a confidence for each.

        objects: for each object one or more cues by frame number. A mask or a box defines the object in its frame.
        Points correct the mask that the network predicts from memory, and the frames halfway back to the cue before;
        where there are only points, the first ones define the object. Frames are processed forward from there, then
        backward; each is decoded on demand, and states outside the memory's range are freed. `progress(done, total)` is
        called after each frame, `found` with its masks. The confidence is the network's own estimate: the
        probability that the object is visible times the expected IoU, or the probability that it is hidden.

        Raises InputError for an object that no cue defines, or a frame not in the clip.
        """
        for cues in objects:
            start_frame(cues)
            if wrong := [i for i in cues if not 0 <= i < len(clip)]:
                raise InputError(f"frame {wrong[0]} does not exist; the clip has frames 0 to {len(clip) - 1}")
        followers = self._followers(clip, [self._plain(clip, cues) for cues in objects])
        done: set[int] = set()
        start = min((follower.start for follower in followers), default=0)
        last = max((follower.start for follower in followers), default=0)
        for order in (range(start, len(clip)), range(last, -1, -1)):
            for i in order if followers else ():
                for k, follower in enumerate(followers):
                    follower.step(i, backward=order.step < 0)
                    if found and (counts := follower.counts[i]) is not None:
                        found(k, i, counts)
                if all(follower.counts[i] is not None for follower in followers):
                    done.add(i)
                if progress:
                    progress(len(done), len(clip))
        return [follower.track() for follower in followers]

    def _plain(self, clip: Clip, cues: Mapping[int, Cue]) -> dict[int, Cue]:
        """The cues as the video network takes them: a mask that has a box or points too is segmented on its own."""
        mixed = {i: cue for i, cue in cues.items() if cue.mask is not None and (len(cue.boxes) or len(cue.points))}
        if not mixed:
            return dict(cues)
        image = Sam2(self.weights, self.device)
        return {**cues, **{i: Cue(mask=image(clip[i], [cue])[0][0] | _dots(cue)) for i, cue in mixed.items()}}

    def _followers(self, clip: Clip, objects: Sequence[Mapping[int, Cue]]) -> "list[_Follower]":
        import torch

        with torch.inference_mode():
            followers = [_Follower(self.model, self.device, clip, cues) for cues in objects]
            for follower in followers[1:]:  # run the image encoder, by far the slowest part, once per frame
                follower.session.cache = followers[0].session.cache
            for follower in followers:
                follower.process_cues()
        return followers


def _dots(cue: Cue) -> np.ndarray:
    """The pixels of the points on the object, (H, W) bool, so that no mask is empty."""
    assert cue.mask is not None
    dots = np.zeros(cue.mask.shape, bool)
    for x, y in cue.inside:
        dots[int(y), int(x)] = True
    return dots


class _Frames:
    """The clip as network inputs, (3, side, side) float32 each, decoded on access."""

    def __init__(self, clip: Clip, side: int):
        self.clip, self.side = clip, side

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, i: int) -> Any:
        import torch

        return torch.from_numpy(normalised(resized(self.clip[i], (self.side, self.side))))


class _Follower:
    """Tracks one object. Objects do not influence each other, so each has its own session."""

    def __init__(self, model: Any, device: str, clip: Clip, cues: Mapping[int, Cue]):
        import torch
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        self.model, self.clip, self.cues = model, clip, cues
        self.side = int(model.config.image_size)
        self.start = start_frame(cues)
        self.reach = max(model.config.num_maskmem, model.config.max_object_pointers_in_encoder)
        self.counts: list[bytes | None] = [None] * len(clip)
        self.confidence = np.zeros(len(clip), np.float32)
        self.session = Sam2VideoInferenceSession(
            video_height=clip.height,
            video_width=clip.width,
            inference_device=device,
            inference_state_device=device,
            dtype=torch.float32,
        )
        self.session.processed_frames = _Frames(clip, self.side)  # type: ignore[assignment]
        self.session.obj_id_to_idx(0)

    def process_cues(self) -> None:
        """Process the frames whose cues define the object; they stay in memory for the whole clip."""
        for i in sorted(self.cues):
            if not self._corrects(i):
                self._keep(i, *self._run(i, self.cues[i]))
                self._forget(i)

    def _corrects(self, i: int) -> bool:
        cue = self.cues[i]
        return i != self.start and not cue.hidden and not len(cue.boxes) and cue.mask is None

    def step(self, i: int, backward: bool) -> None:
        """Segment frame i, unless that is not yet possible in this direction.

        Where a cue corrects the prediction, the frames from the middle between it and the cue before are segmented
        again.
        """
        import torch

        if (i < self.start) != backward or (i in self.cues and not self._corrects(i)):
            return
        with torch.inference_mode():
            found = self._run(i, None, backward)
            if i in self.cues:
                found = self._run(i, self.cues[i])
                self._remember(i)
            self._keep(i, *found)
            if i in self.cues:
                self._return(i, backward)
        self._forget(i)

    def _return(self, i: int, backward: bool) -> None:
        """Segment again, in the other direction, the frames that lie nearer to cue i than to the one before."""
        by = 1 if backward else -1
        before = next(k for k in range(i + by, self.start + by, by) if k in self.cues)
        for k in range(i + by, i + by * ((abs(i - before) + 1) // 2), by):
            self._keep(k, *self._run(k, None, not backward))
            self._forget(k, i)

    def _keep(self, i: int, logits: Any, score: float) -> None:
        import torch

        frame = (self.clip.height, self.clip.width)
        given = self.cues[i].mask if i in self.cues else None
        if given is None:
            wide = torch.nn.functional.interpolate(logits.float(), frame, mode="bilinear", align_corners=False)
            given = wide[0, 0].cpu().numpy() > 0
        self.counts[i] = encode(given)
        self.confidence[i] = score

    def track(self) -> MaskTrack:
        """The masks of all frames."""
        counts = [count for count in self.counts if count is not None]
        return MaskTrack(counts, self.clip.height, self.clip.width, ORIGIN, confidence=self.confidence)

    def _run(self, i: int, cue: Cue | None, backward: bool = False) -> tuple[Any, float]:
        """The mask of frame i as logits, (1, 1, h, w), and its confidence."""
        if cue is not None:
            self._add_cue(i, cue)
        with _overlaps(self.model) as overlaps:
            out = self.model(self.session, frame_idx=i, reverse=backward)
        visible = float(out.object_score_logits.float().sigmoid())
        if cue is not None and (cue.hidden or cue.mask is not None):
            return out.pred_masks, 1.0
        return out.pred_masks, visible * overlaps[-1] if visible > 0.5 else 1 - visible

    def _add_cue(self, i: int, cue: Cue) -> None:
        """Add a cue to the session; the network takes a box as two points with labels 2 and 3."""
        import torch

        self.session.obj_with_new_inputs = [0]
        if cue.hidden or cue.mask is not None:
            given = np.zeros((self.clip.height, self.clip.width)) if cue.mask is None else cue.mask
            mask = torch.from_numpy(np.asarray(given) != 0).float()[None, None]
            square = torch.nn.functional.interpolate(mask, (self.side,) * 2, mode="bilinear", antialias=True)
            self.session.add_mask_inputs(0, i, (square >= 0.5).float())
            return
        box = cue.bounds
        corners = [] if box is None else [box[:2], box[2:]]
        points = np.array([*corners, *cue.points], np.float32)
        scale = np.array([self.side / self.clip.width, self.side / self.clip.height], np.float32)
        labels = ([2, 3] if corners else []) + cue.signs
        self.session.add_point_inputs(
            0,
            i,
            {
                "point_coords": torch.from_numpy(points * scale)[None, None],
                "point_labels": torch.tensor([[labels]], dtype=torch.int32),
            },
        )

    def _remember(self, i: int) -> None:
        """Treat a corrected frame as prompted, so that it stays in memory (paper, section 4)."""
        outputs = self.session.output_dict_per_obj[0]
        outputs["cond_frame_outputs"][i] = outputs["non_cond_frame_outputs"].pop(i)

    def _forget(self, *near: int) -> None:
        """Free states outside the memory's range of these frames and of `start`, which the backward pass needs."""
        outputs = self.session.output_dict_per_obj[0]
        for kept in outputs.values():
            for frame in kept.values():
                frame.pop("high_res_masks", None)  # large, and used only once
        tracked = outputs["non_cond_frame_outputs"]
        for frame in [k for k in tracked if min(abs(k - i) for i in (*near, self.start)) > self.reach]:
            del tracked[frame]


@contextmanager
def _overlaps(model: Any) -> Iterator[list[float]]:
    """Collect the IoU that the mask decoder expects of its best mask, which the video model leaves out."""
    found: list[float] = []
    hook = model.mask_decoder.register_forward_hook(lambda _, __, out: found.append(float(out[1].float().max())))
    try:
        yield found
    finally:
        hook.remove()
