"""Calls for worker processes, which import them from here."""

import os
import signal
import time
from pathlib import Path

from unocclude.errors import InputError
from unocclude.executor.cores import threads


def double(number):
    return 2 * number


def fail(number):
    if number == 3:
        raise InputError("three is\nnot allowed")
    if number == 4:
        raise KeyError("four")
    if number == 5:
        raise Odd(1, 2)
    return number


class Odd(Exception):
    """Cannot be unpickled."""

    def __init__(self, a, b):
        super().__init__("odd")


def unpicklable(number):
    return lambda: number


class DiesFirst:
    """Kills its process the first `times` times that it is called with `number`; notes all calls in a folder."""

    def __init__(self, folder, number, times, how=signal.SIGKILL):
        self.folder, self.number, self.times, self.how = Path(folder), number, times, how

    def __call__(self, number):
        (self.folder / f"{number}-{time.monotonic_ns()}").touch()
        if number == self.number and len(list(self.folder.glob(f"{number}-*"))) <= self.times:
            os.kill(os.getpid(), self.how)
            time.sleep(60)
        return number


class Keeps:
    """Returns the numbers that its copy in this worker has seen."""

    def __init__(self):
        self.seen = []

    def __call__(self, number):
        time.sleep(0.02)
        self.seen.append(number)
        return os.getpid(), list(self.seen)


def limits(_):
    import cv2
    import torch

    return threads(), cv2.getNumThreads(), torch.get_num_threads()


def wait_for(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)
