"""unocclude: complete occluded objects in videos and images.
clip = unocclude.open("clip.mp4")
track = unocclude.track(clip, box=(120, 80, 300, 260), frame=0)
result = unocclude.complete(clip, track, out="out/")
result.rgba[7]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unocclude.version import __version__

if TYPE_CHECKING:
    from unocclude.clip import Clip, open
    from unocclude.completion import Completion
    from unocclude.errors import InputError, UnoccludeError
    from unocclude.evaluation import evaluate
    from unocclude.exporting import export
    from unocclude.layers.result import Layers
    from unocclude.layers.run import layers
    from unocclude.mask_files import read_masks
    from unocclude.masks import MaskTrack
    from unocclude.perception.locate import track
    from unocclude.perception.prompt import Prompt
    from unocclude.run import complete, stream
    from unocclude.scene import Scene

# Imported on first access, so that `import unocclude` loads neither torch, OpenCV nor PyAV.
_WHERE = {
    "Clip": "clip",
    "open": "clip",
    "complete": "run",
    "Completion": "completion",
    "InputError": "errors",
    "UnoccludeError": "errors",
    "evaluate": "evaluation",
    "export": "exporting",
    "Layers": "layers.result",
    "layers": "layers.run",
    "MaskTrack": "masks",
    "read_masks": "mask_files",
    "track": "perception.locate",
    "Prompt": "perception.prompt",
    "Scene": "scene",
    "stream": "run",
}
__all__ = [
    "Clip",
    "Completion",
    "InputError",
    "Layers",
    "MaskTrack",
    "Prompt",
    "Scene",
    "UnoccludeError",
    "__version__",
    "complete",
    "evaluate",
    "export",
    "layers",
    "open",
    "read_masks",
    "stream",
    "track",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'unocclude' has no attribute {name!r}")
    value = getattr(import_module(f"unocclude.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_WHERE]
