"""`unocclude evaluate`: compare a result with the ground truth."""

import warnings
from pathlib import Path
from typing import Annotated

import typer

from unocclude.cli import options as shared
from unocclude.cli.echo import echo, escape


def run(
    pred: Annotated[
        Path,
        typer.Argument(
            metavar="PRED",
            help="The OUT folder of a finished run; or a folder of another tool, with amodal_masks/ and, for "
            "appearance, rgba/, or with the masks alone.",
            show_default=False,
        ),
    ],
    gt: Annotated[
        Path,
        typer.Argument(
            metavar="GT",
            help="A folder with visible_masks/, amodal_masks/ and, for appearance, amodal_rgb/.",
            show_default=False,
        ),
    ],
    metrics: Annotated[
        str,
        typer.Option("--metrics", metavar="A,B,...", help=shared.METRICS_HELP),
    ] = "",
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write all metrics, for the clip and per frame, to this file."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE.png", help="Plot the metrics over time; needs matplotlib."),
    ] = None,
    debug: shared.Debug = False,
) -> None:
    """Compare a result with the ground truth and print a table of metrics."""
    from unocclude import evaluation

    if plot is not None:
        evaluation.check_plotting(plot)
    for file in (json_file, plot):
        if file is not None:
            shared.check_file(file)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)  # also where the same was said before in this process
        figures = evaluation.evaluate(pred, gt, shared.names(metrics))
    for warning in told:
        if warning.category is UserWarning:
            echo(escape(f"warning: {warning.message}"), err=True)
    echo(evaluation.table(figures))
    if json_file is not None:
        evaluation.write_json(json_file, figures)
    if plot is not None:
        evaluation.write_plot(plot, figures)
