"""Several objects of a clip as layers: their order, the clean plate, and composing.

`unocclude.layers(...)` is the function of `layers/run.py`, also after this package was imported.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unocclude.layers.result import Layers


class _Package(ModuleType):
    """A package that can be called: importing a part of it would otherwise hide the function of the same name."""

    def __call__(self, *args: Any, **more: Any) -> "Layers":
        from unocclude.layers.run import layers

        return layers(*args, **more)


sys.modules[__name__].__class__ = _Package
