"""SAM 2 on video: masks of several objects in all frames, from cues in any frame."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unocclude import weights as checkpoints
from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.masks import MaskTrack, encode
from unocclude.networks import device_for
from unocclude.perception.prepare import normalised, resized
from unocclude.perception.prompt import Cue
from unocclude.perception.text_prompt import SAM2
from unocclude.types import FrameProgress

ORIGIN = "sam2"


class Sam2Video:
    """SAM 2 (Ravi et al. 2024) with its memory of recent and prompted frames.

    weights: the checkpoint's id, or a folder that holds any Sam2VideoModel of transformers. Raises InputError if it
    is missing.
    """

    def __init__(self, weights: str | Path = SAM2, device: str = "auto"):
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
    ) -> list[MaskTrack]:
        """Visible masks of each object in all frames.

        objects: for each object one or more cues by frame number. A mask or a box defines the object in its frame.
        Points after the first cue correct the mask that the network predicts from memory. Frames are processed forward
        from the first cue, then backward from it; each is decoded on demand, and states outside the memory's range
        are freed. `progress(done, total)` is called after each frame.

        Raises InputError for an object without cues, a mask combined with other cues, or a frame not in the clip.
        """
        for cues in objects:
            if not cues:
                raise InputError("an object needs a cue in at least one frame")
            if any(cue.mask is not None and (len(cue.boxes) or len(cue.points)) for cue in cues.values()):
                raise InputError("SAM 2 takes a mask alone in a frame of a video; leave out its box and points")
            if wrong := [i for i in cues if not 0 <= i < len(clip)]:
                raise InputError(f"frame {wrong[0]} does not exist; the clip has frames 0 to {len(clip) - 1}")
        followers = self._followers(clip, objects)
        done: set[int] = set()
        start = min((follower.start for follower in followers), default=0)
        last = max((follower.start for follower in followers), default=0)
        for order in (range(start, len(clip)), range(last, -1, -1)):
            for i in order if followers else ():
                for follower in followers:
                    follower.step(i, backward=order.step < 0)
                if all(follower.counts[i] is not None for follower in followers):
                    done.add(i)
                if progress:
                    progress(len(done), len(clip))
        return [MaskTrack(f.counts, clip.height, clip.width, ORIGIN) for f in followers]  # type: ignore[arg-type]

    def _followers(self, clip: Clip, objects: Sequence[Mapping[int, Cue]]) -> "list[_Follower]":
        import torch

        with torch.inference_mode():
            followers = [_Follower(self.model, self.device, clip, cues) for cues in objects]
            for follower in followers[1:]:  # run the image encoder, by far the slowest part, once per frame
                follower.session.cache = followers[0].session.cache
            for follower in followers:
                follower.process_cues()
        return followers


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
        self.start = min(cues)
        self.reach = max(model.config.num_maskmem, model.config.max_object_pointers_in_encoder)
        self.counts: list[bytes | None] = [None] * len(clip)
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
            if i == self.start or not self._corrects(i):
                self._run(i, self.cues[i])

    def _corrects(self, i: int) -> bool:
        cue = self.cues[i]
        return i != self.start and not len(cue.boxes) and cue.mask is None

    def step(self, i: int, backward: bool) -> None:
        """Segment frame i, unless that is done or not yet possible in this direction."""
        import torch

        if self.counts[i] is not None or (i < self.start) != backward:
            return
        with torch.inference_mode():
            logits = self._run(i, None, backward)
            if i in self.cues and self._corrects(i):
                logits = self._run(i, self.cues[i])
                self._remember(i)
            frame = (self.clip.height, self.clip.width)
            wide = torch.nn.functional.interpolate(logits.float(), frame, mode="bilinear", align_corners=False)
        self.counts[i] = encode(wide[0, 0].cpu().numpy() > 0)
        self._forget(i)

    def _run(self, i: int, cue: Cue | None, backward: bool = False) -> Any:
        if cue is not None:
            self._add_cue(i, cue)
        return self.model(self.session, frame_idx=i, reverse=backward).pred_masks

    def _add_cue(self, i: int, cue: Cue) -> None:
        """Add a cue to the session; the network takes a box as two points with labels 2 and 3."""
        import torch

        self.session.obj_with_new_inputs = [0]
        if cue.mask is not None:
            mask = torch.from_numpy(np.asarray(cue.mask) != 0).float()[None, None]
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

    def _forget(self, i: int) -> None:
        """Free states outside the memory's range. Those around `start` are kept for the backward pass."""
        outputs = self.session.output_dict_per_obj[0]
        for kept in outputs.values():
            for frame in kept.values():
                frame.pop("high_res_masks", None)  # large, and used only once
        tracked = outputs["non_cond_frame_outputs"]
        for frame in [k for k in tracked if min(abs(k - i), abs(k - self.start)) > self.reach]:
            del tracked[frame]
