"""Complete several objects of one clip: each is marked by a box in one frame, tracked, and completed.

    python examples/several_objects.py demo/input/clip.mp4 out 47:277,63,478,245 0:10,20,110,220

A box is FRAME:X0,Y0,X1,Y1 in pixels, ends exclusive. Every object gets a folder in OUT.
"""

import sys
from pathlib import Path

import unocclude

video, out, *boxes = sys.argv[1:]
clip = unocclude.open(video)

for number, text in enumerate(boxes, start=1):
    frame, box = text.split(":")
    track = unocclude.track(clip, box=tuple(int(value) for value in box.split(",")), frame=int(frame))
    result = unocclude.complete(clip, track, out=Path(out) / f"object_{number}")
    areas = [mask.sum() for mask in result.amodal_masks]
    print(f"{result.folder}: {sum(areas) / len(areas):.0f} pixels on average")
