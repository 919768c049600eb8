"""`unocclude study`: ask people which method gives the best result."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unocclude.cli import options as shared
from unocclude.cli.echo import echo, escape

if TYPE_CHECKING:  # --help must not load OpenCV
    from unocclude.benchmark.study import Study


def run(
    bench: Annotated[
        Path, typer.Argument(metavar="BENCH", help="The OUT folder of `unocclude bench`.", show_default=False)
    ],
    clips: Annotated[
        int, typer.Option("--clips", metavar="N", min=1, help="Number of clips per person, half easy and half hard.")
    ] = 20,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="Seed of the random choice and order of clips and methods.")
    ] = 0,
    port: Annotated[int, typer.Option("--port", metavar="PORT", help="Port of the page; 0 chooses a free one.")] = 0,
    results: Annotated[bool, typer.Option("--results", help="Print a table of the choices so far and exit.")] = False,
    debug: shared.Debug = False,
) -> None:
    """Serve a preference study on this machine, or print its results.

    Choices are appended to BENCH/study.jsonl. The page asks for a name, and is shown only to those who have the printed
    address with its token.
    """
    from unocclude.benchmark.study import Study

    study = Study(bench, clips, seed)
    if results:
        _report(study)
        return
    from unocclude.benchmark.serve import make_server

    server = make_server(study, port)
    echo(f"{server.address}    (Ctrl-C to stop; choices are written to {escape(study.log)})")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        _report(study)
    finally:
        server.server_close()


def _report(study: "Study") -> None:
    echo(_table(study.results(), study.methods))
    if study.skipped:
        echo(f"{study.log.name}: skipped {study.skipped} lines that are not choices of this study", err=True)


def _table(results: dict[str, dict[str, float]], methods: tuple[str, ...]) -> str:
    if not results:
        return "no choices yet"
    width = max(map(len, methods))
    lines = [" " * width + "".join(f"{half:>8}" for half in results)]
    lines += [f"{m:<{width}}" + "".join(f"{shares[m]:>8.2f}" for shares in results.values()) for m in methods]
    return "\n".join(lines)
