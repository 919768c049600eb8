"""IC-Amodal (CVPR 2026), training-free video amodal completion.

An inpainting model completes each frame beside an exemplar, a frame of the same clip that was itself completed together
with a second frame.
"""
