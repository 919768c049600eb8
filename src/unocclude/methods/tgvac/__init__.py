"""TGVAC: text-guided video amodal completion on Stable Diffusion with a motion module."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unocclude.methods.tgvac.pipeline import TGVACOutput, TGVACPipeline

__all__ = ["TGVACOutput", "TGVACPipeline"]


def __getattr__(name: str) -> Any:
    """The pipeline when asked for: it loads torch and diffusers, which listing the methods must not."""
    if name in __all__:
        from unocclude.methods.tgvac import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
