"""`beatrandom serve`: the pages of a study that is under way, asked for over HTTP."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from analysis.report.interactive import SCRIPT
from protocol.errors import InputError
from protocol.record.layout import StudyFolder
from protocol.spec.run_id import RunId
from runners.verbs.running.serve import Server, studies
from tests.support.front_door import beatrandom
from tests.support.study_builder import build_study, rewrite

FAILURE = {
    "event": "failure",
    "round": 2,
    "kind": "RuntimeError",
    "message": "out of <memory>\nline 2\n3\n4\n5\nsixth line",
    "details": "",
    "time": "",
}


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    folder = build_study(tmp_path / "study")
    rewrite(folder.run(RunId("small", "last", 1)).events, lambda events: events.__setitem__(slice(-2, None), [FAILURE]))
    folder.run(RunId("small", "last", 0)).events.unlink()
    return folder


@pytest.fixture
def server(folder: StudyFolder) -> Iterator[Server]:
    with Server(studies([folder.path]), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server: Server, path: str, host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def test_pages_of_a_study_under_way(server: Server, folder: StudyFolder) -> None:
    code, body = get(server, "/")
    assert code == 200
    assert 'href="/study/0/">small-study</a>: 4 done, 1 failed, 1 missing' in body
    code, body = get(server, "/study/0/")
    assert code == 200
    assert "4 of 6 runs done" in body
    assert 'http-equiv="refresh"' in body
    assert "out of &lt;memory&gt;\nline 2" in body
    assert "sixth line" not in body
    assert "Interim accuracy by labels bought, small" in body
    assert "(2)" in body
    row = body[body.index('<th scope="row">last</th>', body.index("Interim accuracy")) :].split("</tr>")[0]
    assert row.count("(1)") == 2  # the failed run's two whole rounds
    assert get(server, "/study/0/report.html")[0] == 404
    folder.report.write_text("<p>the report</p>")
    assert get(server, "/study/0/report.html") == (200, "<p>the report</p>")
    assert 'href="report.html"' in get(server, "/study/0/")[1]


def test_a_finished_study_does_not_refresh(tmp_path: Path, server: Server, folder: StudyFolder) -> None:
    build_study(tmp_path / "whole")
    server.folders = (StudyFolder(tmp_path / "whole"),)
    assert "refresh" not in get(server, "/study/0/")[1]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "localhost:1"])
def test_foreign_names_are_refused(server: Server, host: str) -> None:
    code, body = get(server, "/", host)
    assert code == 403
    assert "small-study" not in body
    assert get(server, "/", f"localhost:{server.server_port}")[0] == 200


@pytest.mark.parametrize(
    "path", ["/study/1/", "/study/0/../../study.json", "/study/0/study.json", "/study.json", "/study/0"]
)
def test_nothing_else_is_there(server: Server, path: str) -> None:
    assert get(server, path)[0] == 404


def test_this_machine_only_and_a_taken_port_is_said(server: Server, folder: StudyFolder, tmp_path: Path) -> None:
    assert server.server_address[0] == "127.0.0.1"
    said = beatrandom("serve", "study", "--port", str(server.server_port), cwd=tmp_path, check=2).stderr
    assert "taken by another program" in said


def test_what_is_no_study_is_answered_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError) as caught:
        studies([tmp_path / "a", tmp_path / "b"])
    assert len(caught.value.faults) == 2
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="none given"):
        studies([])


def ask(server: Server, verb: str, path: str, *hosts: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.putrequest(verb, path, skip_host=True)
    for host in hosts or (f"127.0.0.1:{server.server_port}",):
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.headers.items()), body


def test_a_report_comes_in_a_sandbox_and_runs_no_script_but_ours(server: Server, folder: StudyFolder) -> None:
    folder.report.write_text("<script>alert(1)</script>\u202e", encoding="utf-8")
    code, headers, body = ask(server, "GET", "/study/0/report.html")
    assert (code, headers["X-Content-Type-Options"], headers["X-Frame-Options"]) == (200, "nosniff", "DENY")
    policy = headers["Content-Security-Policy"]
    script = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    assert {f"script-src 'sha256-{script}'", "default-src 'none'"} <= set(policy.split("; "))
    assert policy.endswith("sandbox allow-scripts allow-downloads")
    assert "script-src 'unsafe-inline'" not in policy
    assert "\u202e" not in body.decode()
    assert "script-src" not in ask(server, "GET", "/")[1]["Content-Security-Policy"]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_report_is_not_served(kind: str, server: Server, folder: StudyFolder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("kept elsewhere")
    if kind == "link":
        folder.report.symlink_to(tmp_path / "secret")
    elif kind == "pipe":
        os.mkfifo(folder.report)
    else:
        folder.report.mkdir()
    code, _, body = ask(server, "GET", "/study/0/report.html")
    assert code == 500
    assert b"kept elsewhere" not in body
    assert b"report.html" not in ask(server, "GET", "/study/0/")[2]


@pytest.mark.parametrize("path", ["/study/0/../0/study.json", "/study/0/report.html/", "/study/٠/", "//etc/passwd"])
def test_no_other_file_is_served(path: str, server: Server) -> None:
    assert ask(server, "GET", quote(path))[0] == 404


def test_only_get_and_head_are_answered(server: Server) -> None:
    code, headers, body = ask(server, "HEAD", "/")
    assert (code, body) == (200, b"")
    assert int(headers["Content-Length"]) > 100
    for verb in ("POST", "PUT", "DELETE", "OPTIONS", "<script>"):
        code, headers, body = ask(server, verb, "/")
        assert (code, headers["Allow"], headers["Content-Type"]) == (405, "GET, HEAD", "text/plain; charset=utf-8")
        assert b"script" not in body


def test_two_hosts_are_refused(server: Server) -> None:
    here = f"127.0.0.1:{server.server_port}"
    assert ask(server, "GET", "/", here, "evil.example")[0] == ask(server, "GET", "/", "evil.example", here)[0] == 403
