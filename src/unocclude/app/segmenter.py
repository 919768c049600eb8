"""The mask of one frame from clicks, at once: the clip and the mask network stay in memory."""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from unocclude.clip import Clip
from unocclude.errors import UnoccludeError
from unocclude.perception.locate import has_sam2
from unocclude.perception.prompt import Cue, start_frame
from unocclude.perception.segment import REACH, Segmentation, segment

if TYPE_CHECKING:
    from unocclude.perception.sam2_video import Sam2Video


class Segmenter:
    """Segments an object in single frames of a clip. Threads may share it; one call runs at a time."""

    def __init__(self, clip: Clip):
        self._clip = clip
        self._lock = threading.Lock()
        self._shots_known = threading.Event()
        self._sam2: Sam2Video | None = None
        threading.Thread(target=self._warm, daemon=True).start()

    def _warm(self) -> None:
        """Load the network, then look for cuts, which reads the whole clip."""
        middle = (self._clip.width / 2, self._clip.height / 2)
        try:
            self(0, {0: Cue(points=[middle])}, None)
            self._clip.shots  # noqa: B018 - it is kept
        except UnoccludeError:  # a broken frame; who asks for it is told
            return
        self._shots_known.set()

    def __call__(self, frame: int, cues: Mapping[int, Cue], tracked: np.ndarray | None) -> Segmentation:
        """The object's visible mask in a frame that has a cue.

        cues: all of the object's. tracked: its mask there by an earlier track, which a cue corrects as in `track`.
        Raises InputError as `segment` does.
        """
        cue = cues[frame]
        guess = None
        if tracked is not None and cue.bounds is None and not cue.hidden:
            others = {i: other for i, other in cues.items() if i != frame}
            if any(other.defines for other in others.values()) and start_frame(cues) != frame:
                guess = tracked
        with self._lock:
            if guess is None and has_sam2() and cue.defines:
                return self._by_sam2(frame, cue)
            if self._shots_known.is_set():
                return segment(self._clip, frame, cue, guess)
            # cuts are not known yet; those around this frame are soon found
            first = max(0, frame - REACH)
            return segment(self._clip[first : frame + REACH + 1], frame - first, cue, guess)

    def _by_sam2(self, frame: int, cue: Cue) -> Segmentation:
        if self._sam2 is None:
            from unocclude.perception.sam2_video import Sam2Video

            self._sam2 = Sam2Video()
        track = self._sam2(self._clip[frame : frame + 1], [{0: cue}])[0]
        return Segmentation(track[0], 1.0 if track.confidence is None else float(track.confidence[0]))
