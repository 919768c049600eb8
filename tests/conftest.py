"""What holds for every test: one thread a process, costly tests first.

xdist gives tests out in order, so a long one that comes last keeps one core busy while the others wait. `HEAVY` lists
those that take longest (`pytest --durations`); only the order depends on it.
"""

import os
import sys
import types

from hypothesis import settings

# the same examples in every run, so that a build never fails on a case that nobody changed; `fuzz/` looks for new ones
settings.register_profile("fixed", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

# before numpy and torch are imported: xdist's processes share the cores already
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")

HEAVY = (
    "training/test_vae.py::test_the_recipe_learns",
    "methods/test_mini_checkpoints.py::test_it_beats",
    "methods/open_world/test_text_to_rgba.py::test_from_words",
    "training/test_shape_prior.py::test_the_recipe_runs",
    "methods/recall/test_rigid_worlds.py",
    "methods/tgvac/test_method.py::test_the_switches",
    "test_outfolder.py::test_every_single_fault",
    "synthesis/test_pseudo.py::test_masks",
    "training/test_flux_fill.py::test_both_learn",
    "test_extending.py",
    "test_packaging.py",
    "test_examples.py",
    "training/",
    "methods/diffusion_vas/test_method.py",
    "methods/ic_amodal/test_method.py",
    "methods/tgvac/test_method.py",
    "methods/open_world/test_method.py",
    "methods/recall/",
    "fuzz/",
)


def pytest_collection_modifyitems(items):
    def weight(item):
        return next((k for k, name in enumerate(HEAVY) if name in item.nodeid), len(HEAVY))

    items.sort(key=weight)  # stable: within a file the order stays, and module fixtures are made once


def pytest_runtest_setup(item):
    # processes that are spawned look it up; some tests run scripts in its place
    sys.modules.setdefault("__main__", types.ModuleType("__main__"))
