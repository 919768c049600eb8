"""Servers that drip, redirect, or answer with too much."""

import time
from urllib.request import Request

import numpy as np
import pytest

from support.hostile_server import head, serving
from unocclude.errors import InputError, UnoccludeError
from unocclude.net import open_url

IMAGE = np.zeros((8, 9, 3), np.uint8)
MASK = b"[[" + b"],[".join([b",".join([b"false"] * 9)] * 8) + b"]]"


def lisa(url, timeout=5.0):
    from unocclude.perception.reason import LisaServer

    return LisaServer(url, timeout)(IMAGE, "the cat")


@pytest.mark.parametrize(
    "parts",
    [[head(), b" "], [b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"], [b"H"], [head(Transfer_Encoding="chunked"), b"1\r\n \r\n"]],
)
def test_a_slow_server_does_not_hold_the_run_up(parts):
    start = time.monotonic()
    with serving(parts, pause=0.02, forever=True) as url, pytest.raises(UnoccludeError) as caught:
        lisa(url, 0.4)
    assert time.monotonic() - start < 5 and "\n" not in str(caught.value)


def test_time_is_up_also_between_reads():
    late = pytest.raises(TimeoutError, match=r"within 0\.2 seconds")
    with serving([head(), b"x" * 10]) as url, late, open_url(Request(url), 0.2) as answer:
        answer.read()
        time.sleep(0.4)


def test_a_redirect_is_not_followed():
    good = b'{"data": ["", {"data": ' + MASK + b'}, "Sure"]}'
    with serving([head(), good]) as elsewhere:
        assert not lisa(elsewhere)[0].any()
        for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"):
            for target in (elsewhere, "file:///etc/passwd", "//127.0.0.1/"):
                refused = pytest.raises(InputError, match="sends on to another address")
                with serving([head(status, Location=target)]) as url, refused:
                    lisa(url)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": ' + b"[" * 200_000,
        b'{"data": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"data": ["", {"data": ' + b"[" * 200 + b"]" * 200 + b'}, ""]}',
        b'{"data": ["", {"data": "text"}, ""]}',
        b'{"data": ["", {"data": {"a": 1}}, ""]}',
        b'{"data": ["", {"data": [["x"]]}, ""]}',
        b'{"data": ["", {"data": [[1e999]]}, ""]}',
        b'{"data": ["", {"data": [[null]]}, ""]}',
        b'{"data": ["", [], ""]}',
        b'{"data": ["", {"data": []}, 3]}',
        b'{"data": {"0": 1}}',
        b'\xff\xfe\x00"',
        b"null",
        b"",
    ],
)
def test_answers_of_another_form_are_one_line(body):
    with serving([head(), body]) as url, pytest.raises(UnoccludeError) as caught:
        lisa(url)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_an_answer_without_end_is_cut_off():
    with serving([head(), b" " * (1 << 20)], forever=True) as url, pytest.raises(UnoccludeError, match="more than"):
        lisa(url, 60)


@pytest.mark.parametrize("answer", [b"\x1b[2J\r\n\r\n", b"HTTP/1.1 999999 \x1b]0;x\x07\r\n\r\n", b"", b"\0" * 99_999])
def test_an_answer_that_is_not_http_is_one_line(answer):
    with serving([answer]) as url, pytest.raises(UnoccludeError) as caught:
        lisa(url)
    assert "\n" not in str(caught.value)
