"""IC-Amodal (CVPR 2026): images guide images. An inpainting model completes every frame beside an exemplar of the same
object in the same clip, itself completed together with a second frame; no training."""
