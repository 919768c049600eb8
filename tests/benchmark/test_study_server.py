"""The study's server answers its own page alone; its log and its benchmark's folder may hold anything."""

import http.client
import json
import shutil
import threading

import pytest

from unocclude.benchmark.choices import append, read_choices
from unocclude.benchmark.serve import make_server
from unocclude.benchmark.study import Study
from unocclude.cli import main
from unocclude.errors import InputError, UnoccludeError


@pytest.fixture
def server(done):
    (done / "study.jsonl").unlink(missing_ok=True)
    server = make_server(Study(done))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(server, path, method="GET", *, token=True, body=b"", **headers):
    """Status, headers and content."""
    port = server.server_port
    said = {"Host": f"127.0.0.1:{port}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path + f"&token={server.token}" * token, skip_host=True)
    for name, value in said.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def test_without_its_token_nothing_is_shown(server, done):
    assert server.address.startswith(f"http://127.0.0.1:{server.server_port}/?token={server.token}")
    assert len(server.token) > 40
    origin = {"Origin": f"http://127.0.0.1:{server.server_port}"}
    for path in (
        "/?a=b",
        "/video?trial=0&slot=0",
        "/elsewhere?a=b",
        f"/?token={server.token[:-1]}",
        "/?token=%c3%a9%ff",
    ):
        assert ask(server, path, token=False)[0] == 403
    assert ask(server, "/choose?trial=0&slot=0", "POST", token=False, **origin)[0] == 403
    assert not (done / "study.jsonl").exists()
    assert ask(server, "/?person=ann")[0] == 200


def test_it_answers_to_its_own_name_alone(server):
    port = server.server_port
    for host in (f"localhost:{port}", f"[::1]:{port}", f"127.0.0.1:{port}"):
        assert ask(server, "/?a=b", Host=host)[0] == 200
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1",
        "localhost:1",
        "",
        None,
        f"127.0.0.1:{port}.evil",
    ):
        assert ask(server, "/?a=b", Host=host)[0] == 403


def test_choices_come_from_its_own_page(server, done):
    own, choose = f"http://127.0.0.1:{server.server_port}", "/choose?person=ann&trial=0&slot=0"
    for headers in ({}, {"Origin": "null"}, {"Origin": "http://evil.example"}, {"Referer": "http://evil.example/x"},
                    {"Origin": own.replace("http:", "https:")}, {"Origin": own + "0"},
                    {"Origin": "http://evil.example", "Referer": own}):  # fmt: skip
        assert ask(server, choose, "POST", **headers)[0] == 403
    assert not (done / "study.jsonl").exists()
    for headers in ({"Origin": own}, {"Referer": f"{own}/?a=b"}):
        assert ask(server, choose, "POST", **headers)[0] == 303
    for method in ("PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"):
        assert ask(server, choose, method, Origin=own)[0] == 501


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/?person=" + "n" * 101, 400),
        ("/?person=a%0Ab", 400),
        ("/?person=a%1b[2J", 400),
        ("/?trial=-1", 400),
        ("/?trial=99999999", 400),
        ("/?trial=%D9%A3", 400),
        ("/video?trial=0&slot=../../../../bench.json", 400),
        ("/video?trial=0&slot=-1", 400),
        ("/video?trial=0&slot=", 400),
        ("/video?trial=0&slot=modal", 400),
        ("/?" + "x" * 3000, 414),
        ("/?" + "&".join(f"a{k}=1" for k in range(20)), 400),
        ("/../../etc/passwd?a=b", 404),
    ],
)
def test_strange_requests_are_refused(server, path, status):
    assert ask(server, path)[0] == status


def test_nothing_large_is_taken(server):
    own = f"http://127.0.0.1:{server.server_port}"
    for headers in ({"Content_Length": "99999"}, {"Transfer_Encoding": "chunked"}):
        assert ask(server, "/choose?person=ann&trial=0&slot=0", "POST", Origin=own, **headers)[0] == 413
    assert ask(server, "/choose?person=ann&trial=0&slot=0", "POST", Origin=own, Content_Length="-1")[0] == 400


def test_pages_cannot_be_framed_kept_or_scripted(server):
    status, headers, page = ask(server, "/?person=%3Cscript%3E&trial=999")
    assert status == 200 and b"<script>" not in page and b"&lt;script&gt;" in page
    assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert nonce and f'<style nonce="{nonce}">'.encode() in page
    assert f"script-src 'nonce-{nonce}'" in policy and page.count(b"<script") == page.count(
        f'<script nonce="{nonce}'.encode()
    )
    for path in ("/?person=" + "n" * 101, "/elsewhere?a=b"):
        assert ask(server, path)[1]["X-Content-Type-Options"] == "nosniff"


def choice(**changes):
    line = {"person": "ann", "data": "d", "clip": "c", "half": "easy", "chosen": "modal", **changes}
    return json.dumps(line).encode()


BROKEN = [
    *(choice(**{name: value}) for name, value in (("person", 3), ("person", "n" * 101), ("half", "all"))),
    *(choice(**{name: value}) for name, value in (("chosen", "other"), ("chosen", ["modal"]), ("clip", None))),
    *(b"{", b"null", b"[]", b"3", b"\xff\xfe", b"\x1b[2J", choice()[:-5], b"[" * 60_000, b"x" * 200_000),
]


def test_a_broken_log_is_read_as_far_as_it_goes(done, capsys):
    log = done / "study.jsonl"
    log.write_bytes(b"\n".join([choice(), *BROKEN, choice(person="bob", chosen="convex")]) + b"\n\n" + choice()[:20])
    study = Study(done)
    assert study.results()["all"] == {"modal": 0.5, "convex": 0.5} and study.skipped >= len(BROKEN) + 1
    study.record("cay", 0, 0)
    assert log.read_bytes().count(choice()[:20] + b"\n{") == 1
    assert len(read_choices(log, study.methods)[0]) == 3
    assert main(["study", str(done), "--results"]) == 0
    assert "lines that are not choices of this study" in capsys.readouterr().err
    log.unlink()


def test_a_log_that_leads_elsewhere_is_not_written(tmp_path):
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "log").symlink_to(tmp_path / "victim")
    (tmp_path / "folder").mkdir()
    for name in ("log", "folder"):
        with pytest.raises(UnoccludeError, match="cannot be written"):
            append(tmp_path / name, {"a": 1})
    assert (tmp_path / "victim").read_bytes() == b"mine"


def test_names_of_a_benchmark_stay_in_its_folder(done, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(done, out)
    state = json.loads((out / "bench.json").read_text())
    asked = state["asked"]
    (data, clips), methods = next(iter(asked["data"].items())), asked["methods"]
    for change in (
        {"asked": {**asked, "methods": {"../../x": {}, **methods}}},
        {"asked": {**asked, "methods": {"a/b": {}, **methods}}},
        {"asked": {**asked, "data": {data: ["../x", *clips]}}},
        {"asked": {**asked, "data": {"/etc": clips}}},
        {"asked": {**asked, "data": {data: "x"}}},
        {"asked": {**asked, "data": {data: [3]}}},
        {"asked": {**asked, "methods": ["modal", "convex"]}},
        {"origins": {data: 3}},
        {"origins": {}},
        {"asked": []},
    ):
        (out / "bench.json").write_text(json.dumps({**state, **change}))
        with pytest.raises(InputError):
            Study(out)
    for content in (b"", b"[]", b"\xff", b"[" * 100_000):
        (out / "bench.json").write_bytes(content)
        with pytest.raises(InputError):
            Study(out)
    (out / "bench.json").write_text(json.dumps(state))
    file = next((out / "figures").rglob("modal.json"))
    for content in ("", "[]", '{"frames": 3}', '{"frames": [{"occlusion_rate": "x"}]}', "[" * 100_000):
        file.write_text(content)
        with pytest.raises(InputError, match="figures"):
            Study(out)


def test_videos_are_written_in_the_folder_alone(done, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(done, out, ignore=shutil.ignore_patterns("study"))
    (tmp_path / "elsewhere").mkdir()
    (out / "study").symlink_to(tmp_path / "elsewhere")
    study = Study(out)
    with pytest.raises(InputError, match="remove that link"):
        study.video(study.trials("ann")[0], "input")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_it_asks_for_a_name_before_anything_is_shown(server):
    status, _, page = ask(server, "/?a=b")
    assert status == 200 and b'name="person"' in page and b"<video" not in page
    own = f"http://127.0.0.1:{server.server_port}"
    for path, method in (("/video?trial=0&slot=0", "GET"), ("/choose?trial=0&slot=0", "POST")):
        assert ask(server, path, method, Origin=own)[0] == 400
        assert ask(server, path + "&person=%20", method, Origin=own)[0] == 400
    assert b"<video" in ask(server, "/?person=ann")[2]


def test_videos_are_of_one_size_and_length_where_the_hidden_part_is_not_known(tmp_path):
    """SAIL-VOS has masks alone, TAO-Amodal boxes alone on a larger canvas; the object is outlined in the input."""
    import cv2
    import numpy as np

    from support import data_layouts
    from unocclude.benchmark.study import MARK

    entries = [f"sail={data_layouts.sail_vos(tmp_path / 'sail')}", f"tao={data_layouts.tao_amodal(tmp_path / 'tao')}"]
    assert main(["bench", *entries, "-o", str(tmp_path / "out"), "--methods", "modal,convex", "--quiet"]) == 0
    study = Study(tmp_path / "out")
    trials = study.trials("ann")
    assert {trial.data for trial in trials} == {"sail", "tao"}
    for trial in trials:
        shapes, red = set(), []
        for what in ("input", "truth", "modal", "convex"):
            video = cv2.VideoCapture(str(study.video(trial, what)))
            frames = []
            while (read := video.read())[0]:
                frames.append(read[1])
            shapes.add((len(frames), *frames[0].shape))
            red.append(sum(int((np.abs(frame.astype(int) - MARK[::-1]).max(-1) < 60).sum()) for frame in frames))
        assert len(shapes) == 1, shapes
        assert red[0] > 20 and red[1] > 20 and red[2] == 0
