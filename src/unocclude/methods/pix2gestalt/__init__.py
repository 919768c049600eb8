"""pix2gestalt (Ozguroglu et al. 2024): the whole object of an image, by image-conditioned Stable Diffusion; a baseline
of TGVAC."""
