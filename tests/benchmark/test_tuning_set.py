"""The tuning set: cells, composites and their truth, and the table by cell."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from support.development_data import DATA, needs_development_data

FOLDER = Path(__file__).parents[2] / "benchmarks" / "tuning_set"


@pytest.fixture
def tuning_set(monkeypatch):
    """The scripts' modules, which import each other by their own names."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import composites
    import matrix
    import measure
    import sources
    import tables

    yield SimpleNamespace(composites=composites, matrix=matrix, measure=measure, sources=sources, tables=tables)
    for name in {path.stem for path in FOLDER.glob("*.py")} & set(sys.modules):
        del sys.modules[name]


def test_every_level_occurs_in_its_share(tuning_set):
    matrix = tuning_set.matrix
    for half in matrix.HALVES:
        cells = matrix.draw(half, 66, 1)
        assert cells == matrix.draw(half, 66, 1)
        assert sum(cell.hidden == "nothing hidden" for cell in cells) == 22
        for axis, levels in matrix.AXES.items():
            found = [getattr(cell, axis) for cell in cells]
            assert min(found.count(level) for level in levels) >= 5, axis
        assert not any(cell.occluder == "fixed" and cell.camera == "still" for cell in cells)


def test_the_halves_share_no_clip(tuning_set):
    sources = tuning_set.sources
    for group in (sources.OBJECTS, sources.PASSERS):
        tune, report = ({stretch.clip for stretch in group[half]} for half in ("tune", "report"))
        assert not tune & report
    assert not {clip for clip, _ in sources.BACKDROPS["tune"]} & {clip for clip, _ in sources.BACKDROPS["report"]}


@needs_development_data
def test_composites_are_what_their_cells_say(tuning_set):
    composites, matrix = tuning_set.composites, tuning_set.matrix
    cells = matrix.draw("report", 66, 1)
    kinds = set()
    for number in (0, 1, 2, 5, 9):
        cell, made = cells[number], composites.composite(DATA / "real", cells[number], number)
        again = composites.composite(DATA / "real", cells[number], number)
        assert np.array_equal(made.frames, again.frames) and np.array_equal(made.given, again.given)
        assert not (made.visible & ~made.amodal).any()
        assert (made.rates.max() > 0.1) == (cell.hidden == "hidden")
        assert np.array_equal(made.given, made.visible) == (cell.masks == "exact")
        # where the object is visible the occluder has changed nothing but by compression
        seen = made.visible & (np.abs(made.frames.astype(int) - made.whole).max(-1) < 60)
        assert seen.sum() > 0.97 * made.visible.sum()
        kinds.add(cell.hidden)
    assert kinds == set(matrix.HIDDEN)


def test_loose_pieces(tuning_set):
    measure = tuning_set.measure
    mask, visible = np.zeros((2, 20, 20), bool)
    mask[2:6, 2:6], mask[10:12, 10:12], mask[15:17, 2:5] = True, True, True
    visible[2:4, 2:4] = True
    assert measure.loose_pieces(mask, visible) == 2
    assert measure.loose_pieces(visible, visible) == 0
    assert measure.loose_pieces(mask, np.zeros_like(mask)) == 0


def test_table_has_means_by_cell_and_none_where_undefined(tuning_set):
    tables = tuning_set.tables

    def clip(occluder, value, hidden="hidden"):
        figures = dict.fromkeys(("miou", "miou_occ", "false_area", "temporal_stability", "loose"), value)
        figures["miou_occ"] = value if hidden == "hidden" else None
        cell = {"half": "tune", "hidden": hidden, "occluder": occluder, "shape": "pole", "travel": "moving"}
        return cell, {method: dict(figures) for method in tables.METHODS}

    clips = [clip("standing", 0.2), clip("standing", 0.4), clip("moving", 0.9), clip("moving", 0.5, "nothing hidden")]
    members = dict(tables.cells(clips))
    assert (
        len(members["all"]) == 4 and len(members["occluder: standing"]) == 2 and len(members["occluder: moving"]) == 1
    )
    assert tables.mean(members["occluder: standing"], "recall", "miou_occ") == pytest.approx(0.3)
    assert np.isnan(tables.mean(members["hidden: nothing hidden"], "recall", "miou_occ"))
    text = tables.by_cell(clips)
    assert (
        "| occluder: standing | 2 | .300 .300 .300 .300 |" in text
        and "| hidden: nothing hidden | 1 | - - - - |" in text
    )
