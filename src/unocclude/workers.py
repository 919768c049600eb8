"""Initialisation of worker processes, which end when their parent dies."""

import multiprocessing
import os
import signal
import threading
from multiprocessing.process import BaseProcess

from unocclude.media import files


def init_worker(token: str) -> None:
    """Initialise a worker: ignore Ctrl-C, which the parent handles, use the parent's token, and exit when it dies.

    token: the parent's `media.files.token`.
    """
    files.set_token(token)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
