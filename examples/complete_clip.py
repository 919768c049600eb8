"""Complete the object of a clip and read the result.

python examples/complete_clip.py demo/input/clip.mp4 demo/input/visible_masks out
"""

import sys

import unocclude
from unocclude.completion import GENERATED, RECALLED

video, masks, out = sys.argv[1:]
clip = unocclude.open(video)
track = unocclude.read_masks(masks)
result = unocclude.complete(clip, track, out=out)

for i in range(len(clip)):
    whole, visible = result.amodal_masks[i], result.visible_masks[i]
    hidden = 1 - visible.sum() / max(1, whole.sum())
    provenance = result.provenance[i]
    recalled, generated = (provenance == RECALLED).sum(), (provenance == GENERATED).sum()
    print(f"frame {i}: {hidden:.0%} hidden; {recalled} pixels recalled from other frames, {generated} generated")

# the object alone, with transparency, for video editors
unocclude.export(result, f"{out}.webm")
print(f"{out}/report.html and {out}.webm")
