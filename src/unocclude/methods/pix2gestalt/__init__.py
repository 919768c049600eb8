"""pix2gestalt (Ozguroglu et al. 2024): amodal completion of single images by image-conditioned Stable Diffusion.

A baseline of TGVAC.
"""
