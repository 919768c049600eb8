"""Options of recall."""

from pydantic import Field

from unocclude.methods.base import MethodOptions


class RecallOptions(MethodOptions):
    references: int = Field(12, ge=2, le=64, description="frames that vote on each frame's silhouette")
    prior: bool = Field(True, description="use the trained shape prior as well")
