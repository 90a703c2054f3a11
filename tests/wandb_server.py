"""A minimal W&B server on loopback for wandb-core, and wrappers of W&B's commands that read a run's files.

A run's history is a list of lines; a line sent to an existing offset replaces it. The server reports its number of
lines, and wandb-core appends after them: a step that is sent twice is stored twice.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KEY = "0" * 40


class Run:
    """Hold the server's data of one run."""

    def __init__(self) -> None:
        self.about: dict = {}  # sent by the client: groupName, config, tags, ...
        self.files: dict[str, dict[int, str]] = {}  # file name → its lines by offset
        self.uploads: dict[str, bytes] = {}
        self.exit_code: int | None = None

    @property
    def history(self) -> list[dict]:
        lines = self.files.get("wandb-history.jsonl", {})
        return [json.loads(lines[offset]) for offset in sorted(lines)]

    @property
    def config(self) -> dict:
        return {key: entry["value"] for key, entry in json.loads(self.about.get("config", "{}")).items()}

    @property
    def summary(self) -> dict:
        return json.loads(self.files.get("wandb-summary.json", {}).get(0, "{}"))

    @property
    def points(self) -> list[dict]:
        return [_measured(line) for line in self.history]

    @property
    def steps(self) -> list[int]:
        return [line["_step"] for line in self.history]


class Server(ThreadingHTTPServer):
    """Serve until `answers` is cleared; afterwards accept connections and never answer."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.runs: dict[str, Run] = {}
        self.answers = threading.Event()
        self.answers.set()
        self.lines = 0  # number of received history lines
        self.views: list[dict] = []  # saved workspaces and reports

    def handle_error(self, *_: object) -> None:
        """Ignore errors: the tests kill clients while they send."""

    @property
    def environment(self) -> dict[str, str]:
        return {"WANDB_BASE_URL": f"http://127.0.0.1:{self.server_port}", "WANDB_API_KEY": KEY}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.answers.wait()
        if self.path == "/graphql":
            asked = json.loads(body)
            name = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
            assert name
            self._say({"data": self._answer(name[1], asked.get("variables") or {})})
        else:
            self._stream(self.path.split("/")[-2], json.loads(body))
            self._say({})

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.answers.wait()
        _, _, run, name = self.path.split("/", 3)
        self.server.runs[run].uploads[name] = body
        self._say({})

    def _answer(self, operation: str, given: dict) -> dict:
        name = given.get("name") or given.get("run") or ""
        if operation == "UpsertBucket":
            inserted = name not in self.server.runs
            run = self.server.runs.setdefault(name, Run())
            run.about |= {key: value for key, value in given.items() if value is not None}
            project = {"id": "p", "name": given["project"], "entity": {"id": "e", "name": "us"}}
            bucket = {
                "id": name, "name": name, "displayName": name, "description": None, "config": "{}", "sweepName": None,
                "project": project, "historyLineCount": len(run.history),
            }  # fmt: skip
            return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}
        if operation == "CreateRunFiles":
            host = self.server.environment["WANDB_BASE_URL"]
            files = [{"name": file, "uploadUrl": f"{host}/upload/{name}/{file}"} for file in given["files"]]
            return {"createRunFiles": {"runID": name, "uploadHeaders": [], "files": files}}
        if operation == "RunResumeStatus":
            return {"model": {"id": "p", "name": given["project"], "entity": {"id": "e", "name": "us"},
                              "bucket": self._resumable(name)}}  # fmt: skip
        return self._answer_report(operation, given)

    def _answer_report(self, operation: str, given: dict) -> dict:
        """Answer what wandb-workspaces asks for."""
        if operation in ("Viewer", "GetDefaultEntity"):
            return {"viewer": {"id": "u", "entity": "us", "username": "us", "email": "us@example.com", "flags": "{}",
                               "teams": {"edges": []}}}  # fmt: skip
        if operation == "GetProjects":
            return {"models": {"edges": [], "pageInfo": {"endCursor": None, "hasNextPage": False}}}
        if operation in ("UpsertView2", "upsertView"):
            self.server.views.append(given)
            place = {"id": "p", "name": given["projectName"], "entityName": given["entityName"]}
            view = {"id": f"view{len(self.server.views)}", "type": given["type"], "name": given["name"],
                    "displayName": given["displayName"], "description": given["description"], "project": place,
                    "spec": given["spec"], "updatedAt": None}  # fmt: skip
            return {"upsertView": {"view": view, "inserted": True}}
        if operation == "ProjectInternalId":
            return {"project": {"id": "p", "internalId": "17"}}
        return {}

    def _resumable(self, name: str) -> dict | None:
        run = self.server.runs.get(name)
        if run is None:
            return None
        tail = json.dumps([json.dumps(line) for line in run.history[-1:]])
        return {
            "id": name, "name": name, "summaryMetrics": json.dumps(run.summary), "displayName": name,
            "logLineCount": 0, "historyLineCount": len(run.history), "eventsLineCount": 0, "historyTail": tail,
            "eventsTail": "[]", "config": run.about.get("config", "{}"), "tags": run.about.get("tags", []),
            "wandbConfig": json.dumps({"t": {}}),  # present once a run has started
        }  # fmt: skip

    def _stream(self, name: str, sent: dict) -> None:
        run = self.server.runs[name]
        for file, chunk in sent.get("files", {}).items():
            lines = run.files.setdefault(file, {})
            for i, line in enumerate(chunk["content"]):
                lines[chunk["offset"] + i] = line
            self.server.lines += len(chunk["content"]) if file == "wandb-history.jsonl" else 0
        if sent.get("complete"):
            run.exit_code = sent.get("exitcode")

    def _say(self, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server until the block ends; its `environment` directs wandb to it."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.answers.set()
        server.shutdown()
        server.server_close()
        thread.join()


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a user without a W&B account or W&B settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    return {**kept, "HOME": str(home), "OMP_NUM_THREADS": "1", **more}


def sync(server: Server, home: Path, *arguments: str | Path) -> str:
    """Run `wandb sync`; return its output. Raises CalledProcessError if it fails."""
    command = [Path(sys.executable).with_name("wandb"), "sync", *arguments]
    environment = clean_environment(home, **server.environment)
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=True, timeout=90)
    return done.stdout + done.stderr


def inspected(folder: Path) -> list[dict]:
    """Return every record of the only mirror in a run folder, read with `wandb leet inspect`."""
    (run,) = folder.glob("wandb/*run-*-*")
    command = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json", run]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_kind(records: list[dict], kind: str) -> list[dict]:
    return [record[kind] for record in records if record["type"] == kind]


def points_of(records: list[dict]) -> list[dict]:
    return [_measured(point["item"]) for point in of_kind(records, "history")]


def summary_of(records: list[dict]) -> dict:
    return _measured({k: v for update in of_kind(records, "summary") for k, v in update["update"].items()})


def _measured(point: dict) -> dict:
    """Remove timestamps and wandb's own fields."""
    return {name: value for name, value in point.items() if not name.startswith(("_timestamp", "_runtime", "_wandb"))}
