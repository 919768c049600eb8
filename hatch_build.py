"""The wheel takes the page that `make app` built; it needs no Node, and says so where there is no page."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = Path("src/unocclude/app/page")


class Page(BuildHookInterface):
    """Adds the built page, which Git ignores."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable" and not (Path(self.root) / PAGE / "index.html").is_file():
            self.app.display_warning("the page of `unocclude app` is not built and left out; `make app` builds it")
