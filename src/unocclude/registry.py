"""Methods, metrics and data sets by name: ours, and those of other installed packages.

Another package adds one by an entry point in its own pyproject.toml (docs/extending.md). Ours are entry points as well,
but they are looked up in a table in the code. That needs no scan of the installed packages, and it works where the
installed metadata are missing or out of date: in a source tree on PYTHONPATH, or an editable install made before
pyproject.toml changed. A test keeps the table and pyproject.toml equal.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any

from unocclude.errors import InputError

LOGGER = logging.getLogger(__name__)
DISTRIBUTION = "unocclude"
"""The name of this package's own distribution, whose entry points are not looked at."""


@dataclass(frozen=True)
class Registry:
    """Names of one kind of thing and where each is implemented; nothing is imported before it is asked for.

    group: the entry point group. kind: the thing in one word, for messages. table: ours, name → "module:attribute". A
    name in the table cannot be taken by another package.
    """

    group: str
    kind: str
    table: dict[str, str] = field(default_factory=dict)

    def __contains__(self, name: object) -> bool:
        return name in self.table or name in self._others

    def __iter__(self) -> Iterator[str]:
        """The names: ours in the order of the table, then those of other packages by alphabet."""
        yield from self.table
        yield from sorted(name for name in self._others if name not in self.table)

    def check(self, name: str) -> None:
        """Raise InputError, listing the known names, unless there is something of this name."""
        if name not in self:
            raise InputError(f"unknown {self.kind} {name!r}; known {self.kind}s: {', '.join(self)}")

    def provider(self, name: str) -> str:
        """The installed package that a name comes from; "" for ours."""
        return "" if name in self.table else self._others[name][1]

    def load(self, name: str) -> Any:
        """Import what a name stands for.

        Raises InputError if it is unknown, or if another package's cannot be imported. What goes wrong in importing
        ours is raised as it is.
        """
        if name in self.table:
            return EntryPoint(name, self.table[name], self.group).load()
        self.check(name)
        try:
            return self._others[name][0].load()
        except Exception as error:  # whatever a module that is not ours does when it is imported
            raise self.broken(name, f"{type(error).__name__}: {error}") from error

    def broken(self, name: str, reason: str) -> InputError:
        """The error to raise for something registered that cannot be used, in one line."""
        package = self.provider(name)
        origin = f" of the package {package}" if package else ""
        return InputError(f"{self.kind} {name}{origin} cannot be used: {' '.join(reason.split())}")

    @property
    def _others(self) -> Mapping[str, tuple[EntryPoint, str]]:
        return _entry_points().get(self.group, {})


@lru_cache(maxsize=1)
def _entry_points() -> dict[str, dict[str, tuple[EntryPoint, str]]]:
    """Entry points of other installed packages: group → name → entry point and its package. Read once a process."""
    groups: dict[str, dict[str, tuple[EntryPoint, str]]] = {}
    seen = {DISTRIBUTION}
    for distribution in distributions():
        name, entries = _read(distribution)
        if name in seen:  # the first on the path counts, as for imports
            continue
        seen.add(name)
        for entry in entries:
            if not entry.group.startswith(f"{DISTRIBUTION}."):
                continue
            earlier = groups.setdefault(entry.group, {}).setdefault(entry.name, (entry, name))
            if earlier[1] != name:
                LOGGER.warning(
                    "%s of %s is taken from the package %s, not from %s", entry.name, entry.group, earlier[1], name
                )
    return groups


def _read(distribution: Distribution) -> tuple[str, list[EntryPoint]]:
    """A package's name and entry points; those of a package with damaged metadata are left out with a warning."""
    name = "a package without a name"
    try:
        name = str(distribution.metadata["Name"] or name)
        return name, list(distribution.entry_points)
    except Exception as error:
        LOGGER.warning("%s has damaged entry points, which are left out: %s", name, error)
        return name, []
