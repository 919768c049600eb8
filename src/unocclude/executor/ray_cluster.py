"""A Ray cluster: calls run as tasks, or, where they keep what they load, in actors."""

import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from unocclude.errors import InputError, UnoccludeError
from unocclude.executor import ATTEMPTS, Failure, Outcome, Queues, Resources, WorkerDied, attempt
from unocclude.executor.processes import load, pickled
from unocclude.media import files

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ModuleNotFoundError:
    raise InputError("--ray needs Ray, which is not installed; pip install 'unocclude[cluster]'") from None

A = TypeVar("A")
R = TypeVar("R")

AHEAD = 2
"""Calls that are submitted for each core of the cluster; the others wait in the driver's list."""


def connect(address: str) -> None:
    """Join a Ray cluster by its address or "auto"; "local" starts one on this machine."""
    if ray.is_initialized():
        return
    from unocclude.executor.cores import cores

    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its new default, without a warning
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "ignore_reinit_error": True}
    try:
        if address == "local":
            ray.init(address="local", num_cpus=cores(), include_dashboard=False, **common)
        else:
            ray.init(address=address, **common)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        text = " ".join(str(error).split())[:200]
        raise InputError(f"no Ray cluster answers at {address} ({text}); start one, or use --ray local") from None


def open_helpers() -> "RayCluster":
    """The executor of a call on a cluster that has work for others."""
    return RayCluster(Resources(keeps=True))


@dataclass
class _Running:
    argument: Any
    at: int
    tries: int
    actor: Any = None


class RayCluster:
    """The cluster that this process is connected to. needs: of each call. limit: how many calls run at a time.

    A call whose worker or machine dies runs again, elsewhere.
    """

    def __init__(self, needs: Resources, limit: int | None = None):
        self.needs, self.limit = needs, limit
        total = ray.cluster_resources()
        gpus = needs.gpus if total.get("GPU", 0) >= 1 else 0
        self._options = {"num_cpus": needs.cpus, "num_gpus": gpus, "memory": needs.memory or None}
        wanted = {"CPU": needs.cpus, "GPU": gpus, "memory": needs.memory}
        if missing := [name for name, amount in wanted.items() if amount > total.get(name, 0)]:
            raise InputError(
                f"no machine of the cluster has what a run needs ({missing[0]}: {wanted[missing[0]]:g}, there are "
                f"{total.get(missing[0], 0):g}); add machines"
            )

    @property
    def count(self) -> int:
        """How many calls the cluster can run at a time; machines may come and go."""
        total = ray.cluster_resources()
        fits = [
            total.get(name, 0) / amount
            for name, amount in (
                ("CPU", self._options["num_cpus"]), ("GPU", self._options["num_gpus"]), ("memory", self.needs.memory)
            )
            if amount
        ]  # fmt: skip
        return max(1, min(int(min(fits, default=1)), self.limit or 1 << 20))

    def run(self, call: Callable[[A], R], *queues: Iterable[A]) -> Iterator[Outcome[A, R]]:
        """See `Executor.run`."""
        todo: Queues[A] = Queues(queues)
        code = ray.put((files.token, pickle.dumps(call)))
        running: dict[Any, _Running] = {}
        idle: list[tuple[Any, int]] = []
        started = 0
        try:
            while True:
                room = self.count if self.needs.keeps else self.limit or AHEAD * self.count
                while len(running) < room:
                    actor, at = idle.pop() if idle else (None, started * len(queues) // room % max(1, len(queues)))
                    found = todo.next(at)
                    if found is None:
                        if actor is not None:
                            idle.append((actor, at))
                        break
                    argument, at, tries = found
                    given = pickle.dumps(argument)
                    if not self.needs.keeps:
                        reference = _TASK.options(**self._options, max_retries=0).remote(code, given)
                    else:
                        if actor is None:
                            actor = _ACTOR.options(**self._options).remote(code)
                            started += 1
                        reference = actor.do.remote(given)
                    running[reference] = _Running(argument, at, tries + 1, actor)
                if not running:
                    return
                ready, _ = ray.wait(list(running), timeout=5)
                for reference in ready:
                    was = running.pop(reference)
                    outcome, cause = _result(reference)
                    if outcome is not None:
                        if was.actor is not None:
                            idle.append((was.actor, was.at))
                        yield replace(outcome, argument=was.argument)
                    elif was.tries < ATTEMPTS:
                        todo.again(was.argument, was.tries)
                    else:
                        yield Outcome(was.argument, None, Failure(WorkerDied(cause)))
        finally:
            for reference, was in running.items():
                if was.actor is None:
                    ray.cancel(reference, force=True)
                else:
                    ray.kill(was.actor)
            for actor, _ in idle:
                ray.kill(actor)

    def close(self) -> None:
        pass


def _result(reference: Any) -> tuple[Outcome[Any, Any] | None, str]:
    """The outcome of a call; or None and why its worker died."""
    try:
        return pickle.loads(ray.get(reference)), ""
    except RayTaskError as error:  # not of the call, whose errors are outcomes
        raise UnoccludeError(f"Ray: {' '.join(str(error.cause).split())[:300]}") from error
    except RayError as error:
        return None, f"its worker or machine died ({type(error).__name__}: {' '.join(str(error).split())[:200]})"


def _attempt(code: tuple[str, bytes], argument: bytes) -> bytes:
    return _Actor(code).do(argument)


class _Actor:
    """Keeps a call between arguments."""

    def __init__(self, code: tuple[str, bytes]):
        token, call = code
        files.set_token(token)  # so that what it leaves if it dies is recognised
        self._call = load(call)

    def do(self, argument: bytes) -> bytes:
        return pickled(attempt(self._call, pickle.loads(argument)))


_TASK: Any = ray.remote(_attempt)
_ACTOR: Any = ray.remote(_Actor)
