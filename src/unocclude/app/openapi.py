"""Print the OpenAPI description, from which the page's types are made: `python -m unocclude.app.openapi`."""

import json

from unocclude.app.server import make_app

if __name__ == "__main__":
    print(json.dumps(make_app(None).openapi(), indent=1))
