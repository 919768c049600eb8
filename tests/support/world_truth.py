"""What the truth of every generated world states."""

import numpy as np


def check_truth(world):
    for i in range(len(world)):
        frame, amodal, visible, rgb = world.frames[i], world.amodal[i], world.visible[i], world.amodal_rgb[i]
        assert frame.dtype == rgb.dtype == np.uint8 and amodal.dtype == visible.dtype == bool
        assert frame.shape == rgb.shape == (*amodal.shape, 3) and visible.shape == amodal.shape
        assert not (visible & ~amodal).any()
        assert np.array_equal(rgb[visible], frame[visible])
        assert not rgb[~amodal].any()
        assert np.array_equal(visible, amodal & (world.occluders[i] < 128).all(0))
