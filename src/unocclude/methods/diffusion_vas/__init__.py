"""Diffusion-VAS (Chen et al. 2024): amodal segmentation and content completion on Stable Video Diffusion."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unocclude.methods.diffusion_vas.pipeline import DiffusionVASOutput, DiffusionVASPipeline

__all__ = ["DiffusionVASOutput", "DiffusionVASPipeline"]


def __getattr__(name: str) -> Any:
    """The pipeline when asked for: it loads torch and diffusers, which listing the methods must not."""
    if name in __all__:
        from unocclude.methods.diffusion_vas import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
