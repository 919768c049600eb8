"""The command line. Each command has its own file and is registered here. A failure prints one line to stderr."""

import errno
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from unocclude.cli import app as page
from unocclude.cli import (
    batch,
    bench,
    complete,
    compose,
    evaluate,
    export,
    layers,
    methods,
    study,
    synth,
    track,
    train,
    weights,
)
from unocclude.cli.echo import echo, escape, escape_unencodable
from unocclude.errors import UnoccludeError
from unocclude.version import __version__

INTERRUPTED = 130
_BAD_PATH = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)

app = typer.Typer(
    name="unocclude",
    help="Complete occluded objects: the amodal mask and RGBA of an object in every frame of a clip.",
    # plain help text: fast, because rich is not loaded, and readable in a pipe
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("complete")(complete.run)
app.command("batch")(batch.run)
app.command("track")(track.run)
app.command("layers")(layers.run)
app.command("compose")(compose.run)
app.command("app")(page.run)
app.command("evaluate")(evaluate.run)
app.command("export")(export.run)
app.command("methods")(methods.run)
app.command("bench")(bench.run)
app.command("study")(study.run)
app.command("synth")(synth.run)
app.command("train")(train.run)
app.add_typer(weights.app, name="weights")


def _version(asked: bool) -> None:
    if asked:
        echo(f"unocclude {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line with `args` (default: `sys.argv`) and return the exit code.

    0: done, 1: the run failed, 2: bad usage or bad input, 130: interrupted.
    """
    if args is None:  # this is the main program of the process
        signal.signal(signal.SIGTERM, _terminated)
    args = list(sys.argv[1:] if args is None else args)
    escape_unencodable()
    for library in ("TRANSFORMERS", "DIFFUSERS"):
        os.environ.setdefault(f"{library}_VERBOSITY", "error")  # no warnings about a missing torchvision
    if args[:1] != ["weights"]:  # no bars for small files
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        code = typer.main.get_command(app).main(args, prog_name="unocclude", standalone_mode=False)
        if code == INTERRUPTED:  # newer versions of Typer report Ctrl-C this way
            raise KeyboardInterrupt
        sys.stdout.flush()
        return int(code or 0)
    except (KeyboardInterrupt, typer.Abort):
        resumable = args[:1] in (["complete"], ["track"], ["layers"], ["synth"], ["train"])
        return _fail("interrupted" + "; finished frames are kept, continue with --resume" * resumable, INTERRUPTED)
    except BrokenPipeError:
        # the reader of our output is gone; stay silent and make sure that nothing is flushed to it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if "--debug" in args:
            echo(traceback.format_exc(), err=True)
        if isinstance(error, UnoccludeError):
            return _fail(str(error), error.exit_code)
        if isinstance(error, OSError) and error.filename is not None:  # never from writing to OUT
            return _fail(f"{error.filename}: {error.strerror}", 2 if error.errno in _BAD_PATH else 1)
        if hasattr(error, "format_message"):  # Typer's own: unknown option, missing argument, bad number, ...
            return _fail(_usage(error), 2)
        where = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        return _fail(f"{type(error).__name__}: {str(error).strip()}{where}; add --debug for the traceback", 1)


def _terminated(*_: object) -> None:
    """Exit as on Ctrl-C, so that incomplete files are removed."""
    raise KeyboardInterrupt


def _usage(error: Exception) -> str:
    message = error.format_message().rstrip(". ")  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    return f"{message}; see `{context.command_path if context else 'unocclude'} --help`"


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"error: {escape(' '.join(message.split()))}\n")
    return code
