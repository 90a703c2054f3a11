"""python src/dashboard.py serve=true: what is served, to whom, and when the page is drawn again."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import fake_runs
import pytest

import dashboard as verb
from softlookup.dashboard import run_page, serve
from softlookup.dashboard.serve import Dashboard, Server
from softlookup.errors import UserError

RUN = "bottleneck/additive-reverse-s2"
PROGRAM = Path(__file__).parents[1] / "src" / "dashboard.py"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve fake runs; the dashboard names its runs and their states, and is drawn without the charts."""

    def write(runs_dir: Path, path: Path) -> Path:
        rows = serve.page.read(runs_dir)
        run_page.write_missing(rows)
        body = "".join(f"<p>{row.id} {row.status}</p>" for row in rows.itertuples())
        path.write_text(run_page.html.document("t", body, [], ""))
        return path

    monkeypatch.setattr(serve.page, "write", write)
    runs_dir = fake_runs.make(tmp_path / "runs", tasks=("reverse",), variants=("additive",), seeds=3)
    with Server(Dashboard(runs_dir, runs_dir / "dashboard.html", rest=0), 0) as started:
        thread = threading.Thread(target=started.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield started
        started.shutdown()
        thread.join()


def _ask(server: Server, path: str, method: str = "GET", host: str = "localhost:8000") -> tuple[int, str, dict]:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=20)
    connection.request(method, path, headers={"Host": host})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), dict(answer.getheaders())
    connection.close()
    return found


def test_it_answers_this_machine_alone_and_reads_nothing_outside_its_runs(server: Server, tmp_path: Path) -> None:
    assert server.server_address[0] == "127.0.0.1"
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "runs" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "runs" / ".lock").write_text("secret")
    (tmp_path / "runs" / "own.html").write_text("<script></script>")
    assert _ask(server, f"/{RUN}/result.json")[0] == 200
    for host in ("evil.example", "127.0.0.1.evil.example:8000", ""):
        assert _ask(server, "/", host=host)[0] == 403
    for host in ("127.0.0.1:9000", "[::1]:8000", "localhost"):
        assert _ask(server, "/version", host=host)[0] == 200
    outside = ("/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "//../secret.txt", "/link.txt", "/.lock")
    for path in (*outside, str(tmp_path / "secret.txt"), f"/{tmp_path}/secret.txt", "/bottleneck", "/a%00b", "/none"):
        status, text, _ = _ask(server, path)
        assert (status, "secret" in text) == (404, False), path
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert _ask(server, "/", method)[0] == 501
    status, text, headers = _ask(server, f"/{RUN}/result.json", "HEAD")
    assert (status, text) == (200, "")
    assert int(headers["Content-Length"]) == (tmp_path / "runs" / RUN / "result.json").stat().st_size
    assert _ask(server, "/own.html")[2]["Content-Type"] == "application/octet-stream"  # could run scripts
    run = _ask(server, f"/{RUN}/run.html")[2]
    assert (run["Content-Type"], run["X-Content-Type-Options"]) == ("text/html; charset=utf-8", "nosniff")


def test_only_the_served_page_may_ask_its_server(server: Server, tmp_path: Path) -> None:
    served = _ask(server, "/")[1]
    written = (tmp_path / "runs" / "dashboard.html").read_text()
    policies = [re.search(r'Policy" content="([^"]*)"', text)[1] for text in (served, written)]  # type: ignore[index]
    assert ["connect-src 'self'" in policy for policy in policies] == [True, False]
    assert ["fetch(" in text for text in (served, written)] == [True, False]
    nonce = re.search(r"'nonce-(\w+)'", served)
    assert nonce is not None
    assert served.count(f'<script nonce="{nonce[1]}">') == 2
    with pytest.raises(ValueError, match="without a policy"):
        serve.with_poll("<body></body>", "1")


def test_it_draws_again_when_a_state_changes_and_not_before(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = _ask(server, "/version")[1]
    drawn = (tmp_path / "runs" / "dashboard.html").stat().st_mtime_ns
    (tmp_path / "runs" / RUN / "log.txt").write_text("no result")
    assert _ask(server, "/version")[1] == first
    assert (tmp_path / "runs" / "dashboard.html").stat().st_mtime_ns == drawn
    for state in ("queued", "failed"):
        (tmp_path / "runs" / RUN / "state.json").write_text(json.dumps({"state": state}))
        assert f"{Path(RUN).name} {state}" in _ask(server, "/")[1]
    second = _ask(server, "/version")[1]
    assert second != first
    (tmp_path / "runs" / "bottleneck" / "plan.json").write_text("{")
    assert _ask(server, "/version")[1] == second  # the page before stays
    assert "bottleneck/plan.json cannot be read" in capsys.readouterr().err


def test_a_page_rests_ten_times_as_long_as_it_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, drawn = [0.0], []

    def write(*_: object) -> None:
        drawn.append(clock[0])
        clock[0] += 3.0

    monkeypatch.setattr(serve.page, "write", write)
    monkeypatch.setattr(serve.time, "monotonic", lambda: clock[0])
    (tmp_path / "e" / "r").mkdir(parents=True)
    held = Dashboard(tmp_path, tmp_path / "dashboard.html")
    for size, moment in enumerate((4.0, 32.9, 33.0, 34.0, 66.1)):
        clock[0] = moment
        (tmp_path / "e" / "r" / "state.json").write_text("x" * size)
        held.current()
    assert drawn == [0.0, 33.0, 66.1]


def test_the_command_serves_until_ctrl_c_and_names_mistakes(tmp_path: Path) -> None:
    fake_runs.make(tmp_path, tasks=("reverse",), seeds=2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port={port} is in use, perhaps by another dashboard; give .*port=8000"):
            verb.main([f"runs_dir={tmp_path}", "serve=true", f"port={port}"])
    for wrong, words in {"port=80": "no effect without serve=true", "serve=yes": "true or false"}.items():
        with pytest.raises(UserError, match=words):
            verb.main([wrong])
    for wrong in ("port=0", "port=70000"):
        with pytest.raises(UserError, match="from 1 to 65,535"):
            verb.main(["serve=true", wrong])
    with pytest.raises(UserError, match="leave picture out"):
        verb.main(["serve=true", "picture=x.png"])
    command = [sys.executable, str(PROGRAM), f"runs_dir={tmp_path}", "serve=true", f"port={port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == f"dashboard  http://127.0.0.1:{port}/  (Ctrl-C stops it)\n"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/")
        assert b"poll" in connection.getresponse().read()
        os.kill(program.pid, signal.SIGINT)
        _, errors = program.communicate(timeout=20)
    assert (program.returncode, errors) == (0, "")
