"""`open-world`: Open-World Amodal Appearance Completion (Ao et al., CVPR 2025), frame by frame, training-free.

`crop` selects what the inpainting model sees; `perception` tells the object's name, its occluders and its mask in the
result; `iteration` is the loop; `pipeline` inpaints; `blend` pastes the visible part over the result. The published
behaviour and our repaired one are one class each in `rules`; Progressive (Xu et al., CVPR 2024), which the method
builds on, is a third.
"""

from unocclude.methods.open_world.method import OpenWorld
from unocclude.methods.open_world.options import OpenWorldOptions

__all__ = ["OpenWorld", "OpenWorldOptions"]
