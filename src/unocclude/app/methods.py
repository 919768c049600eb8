"""The methods as the page shows them.

Run as a program, this prints them: that imports torch, which the server need not.
"""

import json
import subprocess
import sys
from functools import lru_cache
from typing import Any

from unocclude.errors import UnoccludeError


@lru_cache(maxsize=1)
def described() -> list[dict[str, Any]]:
    """For each method what `views.MethodView` holds; the first call takes seconds."""
    done = subprocess.run([sys.executable, "-m", __name__], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise UnoccludeError("the methods cannot be listed; run `unocclude methods` to see why")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _describe() -> list[dict[str, Any]]:
    from unocclude.methods import loadable_methods

    return [
        {
            "name": name,
            "summary": cls.summary,
            "missing": cls.missing(None),
            "samples": cls.samples,
            "takes_weights": cls.takes_weights,
            "options": cls.Options.model_json_schema(),
        }
        for name, cls in loadable_methods().items()
    ]


if __name__ == "__main__":
    print(json.dumps(_describe()))
