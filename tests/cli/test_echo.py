"""Nothing that comes from a file or a server steers the terminal, or fails to be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unocclude.cli import main
from unocclude.cli.echo import echo, escape
from unocclude.cli.progress import show_progress

EVIL = "a\x1b]0;owned\x07\x1b[2J\x9b31m\r\u202eb\udcff\u2028"


def test_what_shows_nothing_is_written_out():
    shown = escape(EVIL)
    assert shown.isprintable() and shown.isascii()
    assert shown == "a\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\r\\u202eb\\udcff\\u2028"
    assert escape("één 猫　é😀") == "één 猫　é😀" and escape("a\nb") == "a\\nb" and escape("a\nb", lines=True) == "a\nb"


def test_echo(capsys):
    echo(EVIL + "\nsecond")
    echo(Path("x\ny\x1b"), err=True)
    out, err = capsys.readouterr()
    assert "\x1b" not in out and out.endswith("\nsecond\n") and err == "x\\ny\\x1b\n"


@pytest.mark.parametrize("verb", ["complete", "track", "export", "evaluate", "study"])
def test_messages(verb, capsys, tmp_path):
    for name in (f"{tmp_path}/{EVIL}", f"--{EVIL}"):
        assert main([verb, name]) == 2
        out, err = capsys.readouterr()
        assert "\x1b" not in out + err and "\x9b" not in err and err.count("\n") == 1
        (out + err).encode()


def test_progress_in_a_pipe(capsys):
    with show_progress(False) as progress:
        progress(EVIL, 0, 1)
        progress(EVIL, 1, 1)
    assert "\x1b" not in (said := capsys.readouterr().err) and said.startswith("a\\x1b]0;")


@pytest.mark.skipif(os.name == "nt", reason="names of bytes")
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_names_that_are_no_text(tmp_path, encoding):
    folder = os.fsencode(tmp_path) + b"/weights-\xff\x1b[2J-\xe7\x8c\xab"
    Path(os.fsdecode(folder)).mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "unocclude.cli", "weights", "path"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding, "UNOCCLUDE_WEIGHTS": os.fsdecode(folder)},
    )
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout and b"weights-\\udcff\\x1b[2J-" in done.stdout
    missing = subprocess.run(
        [sys.executable, "-m", "unocclude.cli", "complete", folder + b"/x.mp4", "--debug"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert missing.returncode == 2 and b"\x1b" not in missing.stderr


def test_a_report_of_a_name_that_is_no_text(tmp_path):
    from jinja2 import Environment

    from unocclude.report import report

    title = report.title("clip-\udcff<b>.mp4")
    page = Environment(autoescape=True).from_string("{{ title }}").render(title=title)
    assert page.encode(errors="backslashreplace") == b"clip-\\udcff&lt;b&gt;.mp4"
