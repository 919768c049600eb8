"""The command line in processes of their own, which may be killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import unocclude

SOURCE = str(Path(unocclude.__file__).parents[1])
TESTS = str(Path(__file__).parents[1])


def python(*args, **options):
    path = os.pathsep.join([SOURCE, TESTS, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(
        [sys.executable, *map(str, args)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background job ignores Ctrl-C, and so would what it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **options,
    )


# a command line that knows the method `drawing`
RUN = """import sys, unocclude.methods; from support import small_clip
unocclude.methods.METHODS.table["drawing"] = "support.small_clip:Drawing"
sys.exit(small_clip.main(sys.argv[1:]))"""
