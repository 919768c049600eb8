"""`unocclude app`: the page where objects are clicked, completed and exported."""

import os
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from unocclude.cli import options as shared
from unocclude.cli.echo import echo
from unocclude.errors import InputError


def run(
    input: Annotated[
        Path | None,
        typer.Argument(
            metavar="[INPUT]", help="A video file, a folder of frames, or an image; or drop one on the page."
        ),
    ] = None,
    project: Annotated[
        Path | None,
        typer.Option(
            "--project",
            metavar="DIR",
            help="The folder of the project, which is made or opened again; NAME.unocclude by default.",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="Port of the page; 0 chooses a free one.")
    ] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address of the page.")] = False,
    debug: shared.Debug = False,
) -> None:
    """Open a page on this machine where objects are clicked, completed and exported.

    Everything is kept in the project's folder; its layers/ is the OUT folder of `unocclude layers`.
    """
    try:
        from unocclude.app.server import make_server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("fastapi", "starlette", "uvicorn"):
            raise
        raise InputError(f"the page needs {error.name}; pip install 'unocclude[app]'") from None
    from unocclude.app.project import Project
    from unocclude.app.session import Session

    folder = project or Path(f"{input.resolve().stem if input else 'project'}.unocclude")
    opened = Project(folder, input)
    session = Session(opened)
    try:
        server = make_server(session, port)
        echo(server.address)
        echo(f"project: {opened.folder}    (Ctrl-C to stop)", err=True)
        if not no_browser:
            threading.Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
        server.serve_here()
    except KeyboardInterrupt:
        pass
    finally:
        session.close()
    sys.stdout.flush()
    os._exit(0)  # a thread may still be looking for cuts, in code that cannot be interrupted
