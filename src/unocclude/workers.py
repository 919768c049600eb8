"""What every worker process does first: it belongs to the run that started it, and dies with it."""

import multiprocessing
import os
import signal
import threading
from multiprocessing.process import BaseProcess

from unocclude.media import files


def init_worker(token: str) -> None:
    """In a worker: Ctrl-C is the parent's business, temporary files are named as the parent's, and there is no life
    without it.

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
