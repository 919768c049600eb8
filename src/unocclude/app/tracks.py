"""Tracked masks of the project's objects, in files of their own."""

import json
from dataclasses import dataclass
from pathlib import Path

from unocclude.completion import doubtful_spans
from unocclude.masks import MaskTrack
from unocclude.media.files import write_bytes

SCHEMA = 1


@dataclass(frozen=True)
class StoredTrack:
    """Tracked masks. cues: `project.cues_key` of the cues that they were tracked from. version: of the masks."""

    track: MaskTrack
    cues: str
    version: str

    @property
    def doubtful(self) -> list[tuple[int, int]]:
        """The ranges of frames whose masks are doubtful, end exclusive."""
        confidence = self.track.confidence
        frames = [] if confidence is None else [{"confidence": float(value)} for value in confidence]
        return [(span.start, span.stop) for span in doubtful_spans(frames)]


def write_track(file: Path, track: MaskTrack, cues: str) -> None:
    content = {
        "schema": SCHEMA,
        "cues": cues,
        "origin": track.origin,
        "size": [track.height, track.width],
        "confidence": None if track.confidence is None else [float(value) for value in track.confidence],
        "counts": [track.rle(i)["counts"].decode("ascii") for i in range(len(track))],
    }
    write_bytes(file, json.dumps(content).encode())


def read_track(file: Path) -> StoredTrack | None:
    """The masks of a file that `write_track` wrote; None if it is missing or damaged, and is to be made again."""
    try:
        content = json.loads(file.read_bytes())
        if content["schema"] != SCHEMA:
            return None
        height, width = content["size"]
        counts = [text.encode("ascii") for text in content["counts"]]
        track = MaskTrack(counts, height, width, content["origin"], content["confidence"])
        return StoredTrack(track, str(content["cues"]), track.fingerprint)
    except Exception:
        return None
