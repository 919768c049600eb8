"""`unocclude weights`: list, download, locate and verify published checkpoints."""

import json
import sys
from typing import Annotated, Any

import typer

from unocclude.cli.echo import echo

Ids = Annotated[
    list[str],
    typer.Argument(metavar="ID...", help="Checkpoint ids; `unocclude weights list` prints them.", show_default=False),
]
Debug = Annotated[bool, typer.Option("--debug", help="Print the traceback on failure.")]

UNKNOWN_HASHES = "unknown; none is pinned and nothing was fetched"

app = typer.Typer(
    help="List, download, locate and verify published checkpoints.", rich_markup_mode=None, no_args_is_help=True
)


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead.")] = False,
    debug: Debug = False,
) -> None:
    """List all checkpoints with their purpose, source and licence, and whether they are installed."""
    from unocclude.weights import CHECKPOINTS

    rows = [describe(id) for id in CHECKPOINTS]
    echo(json.dumps(rows, indent=1) if as_json else "\n\n".join(map(as_text, rows)))


@app.command("fetch")
def fetch(
    ids: Ids,
    revision: Annotated[
        str | None,
        typer.Option(
            "--revision", metavar="REV", help="A commit, branch or tag (default: the pinned commit, or the newest)."
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Download files again even if they are present.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing unless something fails.")] = False,
    debug: Debug = False,
) -> None:
    """Download checkpoints; interrupted downloads are continued.

    Environment variables: HF_ENDPOINT selects a mirror of the hub, HF_TOKEN gives access to gated checkpoints, and
    HF_HUB_OFFLINE disables network access.
    """
    from unocclude.errors import InputError
    from unocclude.weights import get_checkpoint, hub

    for id in ids:
        get_checkpoint(id)
    if revision is not None and len(ids) > 1:
        raise InputError("--revision is only for a single checkpoint; give one ID")

    def tell(line: str) -> None:
        if not quiet:
            echo(line, err=True)

    for id in ids:
        folder = hub.fetch(id, tell, revision=revision, again=again, bars=sys.stderr.isatty() and not quiet)
        if not quiet:
            echo(folder)


@app.command("path")
def path(
    id: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="A checkpoint id; without it, print the folder of all checkpoints."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Print the folder of a checkpoint; exit code 2 if it is not installed."""
    from unocclude.weights import get_checkpoint, home, resolve_checkpoint

    echo(home() if id is None else resolve_checkpoint(get_checkpoint(id).id))


@app.command("verify")
def verify(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID...", help="Checkpoint ids (default: all that are installed).", show_default=False),
    ] = None,
    debug: Debug = False,
) -> None:
    """Verify checkpoints: compare the files with their pinned hashes, or with those recorded when they were fetched."""
    from unocclude.errors import UnoccludeError
    from unocclude.weights import CHECKPOINTS, get_checkpoint, home, hub

    asked = [get_checkpoint(id).id for id in ids or ()] or [id for id in CHECKPOINTS if (home() / id).is_dir()]
    if not asked:
        echo(f"no checkpoints in {home()}")
    damaged = [id for id in asked if not hub.verify(id, echo)]
    if damaged:
        raise UnoccludeError(f"incomplete or damaged: {', '.join(damaged)}; see above")


def describe(id: str) -> dict[str, Any]:
    """Describe a checkpoint as JSON, without network access."""
    from unocclude.weights import UNKNOWN, get_checkpoint, home
    from unocclude.weights.record import hash_status, read_record

    checkpoint, folder = get_checkpoint(id), home() / id
    fetched = read_record(folder)
    parts = []
    for part in checkpoint.parts:
        took = fetched.get(part.source, {})
        files = took.get("files", {})
        gated = took.get("gated", part.gated)
        parts.append(
            {
                "folder": part.name,
                "optional": part.optional,
                "source": part.source,
                "mirrors": list(part.mirrors),
                "fetched_from": took.get("repository"),
                "revision": took.get("revision", UNKNOWN),
                "licence": took["licence"] if took.get("licence", UNKNOWN) != UNKNOWN else part.licence,
                "gated": UNKNOWN if gated is None else gated,
                "pinned_revision": part.revision,
                "files": len(files) or UNKNOWN,
                "hashes": {
                    name: hash_status(part.pin(name), files.get(name, {})) for name in {**dict(part.sha256), **files}
                },
                "bytes": sum(file["bytes"] for file in files.values()) if files else UNKNOWN,
                "here": not part.missing(folder),
            }
        )
    return {"id": id, "purpose": checkpoint.purpose, "folder": str(folder), "parts": parts}


def as_text(row: dict[str, Any]) -> str:
    """Format one checkpoint as plain text."""
    lines = [f"{row['id']}: {row['purpose']}"]
    for part in row["parts"]:
        into = f" into {part['folder']}/" if part["folder"] else ""
        size = f"{part['bytes'] / 1e6:,.1f} MB" if isinstance(part["bytes"], int) else part["bytes"]
        gated = {True: "yes", False: "no"}.get(part["gated"], part["gated"])
        lines.append(f"  from: {part['source']}{into}" + " (optional)" * part["optional"])
        lines += [f"  mirror: {mirror}" for mirror in part["mirrors"]]
        lines.append(
            f"  licence: {part['licence']}; gated: {gated}; size: {size}; revision: {part['revision'][:12]}; "
            f"here: {'yes' if part['here'] else 'no'}"
        )
        lines += [f"  pinned at: {part['pinned_revision'][:12]}"] * bool(part["pinned_revision"])
        known = [f"{name} {how}" for name, how in part["hashes"].items()]
        lines.append(f"  hashes: {', '.join(known) or UNKNOWN_HASHES}")
    return "\n".join(lines)
