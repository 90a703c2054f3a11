"""Serve the dashboard and the run folders to browsers of this machine, and draw it again when results change. No torch.

Nothing is written on request of a browser, and nothing but files below the folder of runs is read. The served page
differs from the file by a script that polls `/version` and reloads the page when another one was drawn.
"""

from __future__ import annotations

import errno
import hashlib
import mimetypes
import os
import re
import shutil
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from softlookup.dashboard import page
from softlookup.dashboard.run_page_data import PAGE
from softlookup.errors import UserError
from softlookup.system import lock

ADDRESS = "127.0.0.1"
# Names of this machine. A page of another site that has its own name resolve to this address sends that name.
HOSTS = ("127.0.0.1", "localhost", "[::1]")
WATCHED = {"plan.json", "timing.json", "state.json", "result.json"}
REST = 10.0  # seconds of rest for each second of drawing and of looking for changes, so that a sweep keeps its cores
LEAST = 0.2
TEXT = {".txt": "text/plain", ".yaml": "text/plain", ".jsonl": "text/plain", ".json": "application/json"}
POLL = """
const version = "%s";
const poll = async () => {
  try {
    const answer = document.hidden ? null : await fetch("/version", { cache: "no-store" });
    if (answer?.ok && (await answer.text()) !== version) { location.reload(); return; }
  } catch { /* the server has stopped; it may start again */ }
  setTimeout(poll, 2000);
};
setTimeout(poll, 2000);
"""


class Dashboard:
    """Hold the drawn dashboard of a folder of runs, and draw it again when results have changed."""

    def __init__(self, runs_dir: Path, path: Path, rest: float = REST) -> None:
        """Draw it into the file `path`. Raises as `page.write` does."""
        self.runs_dir = runs_dir
        self._path = path
        self._rest = rest
        self._lock = threading.Lock()
        self._seen = self.version = ""
        started = time.monotonic()
        self._draw(_digest(runs_dir))
        self._pause(started)

    def current(self) -> str:
        """Return the version of the drawn page, drawn again if results have changed and it has rested long enough.

        A page that cannot be drawn is reported, and the one before stays.
        """
        with self._lock:
            started = time.monotonic()
            if started >= self._next:
                seen = _digest(self.runs_dir)
                if seen != self._seen:
                    try:
                        self._draw(seen)
                    except (UserError, OSError) as error:
                        print(f"the dashboard was not drawn again: {error}", file=sys.stderr)
                        self._seen = seen
                self._pause(started)
            return self.version

    def _draw(self, seen: str) -> None:
        page.write(self.runs_dir, self._path)
        self._seen = self.version = seen

    def _pause(self, started: float) -> None:
        now = time.monotonic()
        self._next = now + self._rest * max(LEAST, now - started)

    def page(self) -> bytes:
        """Return the dashboard as it is served."""
        version = self.current()
        return with_poll(self._path.read_text(encoding="utf-8"), version).encode()


def with_poll(text: str, version: str) -> str:
    """Return a page that reloads itself when `/version` is another one; its policy allows requests to its server."""
    nonce = re.search(r"'nonce-(\w+)'", text)
    top, end, rest = text.rpartition("</body>")
    if nonce is None or not end or "default-src 'none'" not in top:
        raise ValueError("a page without a policy or a body")
    top = top.replace("default-src 'none'", "default-src 'none'; connect-src 'self'", 1)
    return f'{top}<script nonce="{nonce[1]}">{POLL % version}</script>\n{end}{rest}'


def _digest(runs_dir: Path) -> str:
    """Return a digest of names, times and sizes of all results, plans, states and timings, and of which sweeps live."""
    found: list[Any] = []
    for experiment in _inside(runs_dir):
        found.append((experiment.name, lock.holder(Path(experiment.path)) is None))
        for entry in _inside(Path(experiment.path)):
            for one in [entry, *_inside(Path(entry.path))]:
                if one.name in WATCHED:
                    stat = one.stat()
                    found.append((one.path, stat.st_mtime_ns, stat.st_size))
    return hashlib.sha256(repr(sorted(found)).encode()).hexdigest()[:16]


def _inside(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder; none if it is no folder, or cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


class _Handler(BaseHTTPRequestHandler):
    """Answer GET and HEAD: `/version`, the dashboard, and files below the folder of runs."""

    timeout = 30
    server: Server
    server_version, sys_version = "softlookup", ""

    def do_GET(self) -> None:
        host = re.sub(r":\d+$", "", self.headers.get("Host", ""))
        if host not in HOSTS:
            return self._text(HTTPStatus.FORBIDDEN, f"this server answers to {', '.join(HOSTS)}\n")
        path = unquote(urlsplit(self.path).path)
        if path == "/version":
            return self._text(HTTPStatus.OK, self.server.dashboard.current())
        if path in ("/", "/dashboard.html"):
            return self._answer("text/html; charset=utf-8", self.server.dashboard.page())
        file = _file_at(self.server.dashboard.runs_dir, path)
        if file is None:
            return self._text(HTTPStatus.NOT_FOUND, "no such file below the folder of runs\n")
        return self._send_file(file)

    do_HEAD = do_GET  # noqa: N815 - a name of http.server

    def _text(self, status: HTTPStatus, text: str) -> None:
        self._answer("text/plain; charset=utf-8", text.encode(), status)

    def _answer(self, kind: str, content: bytes, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._head(kind, len(content), status)
        if self.command == "GET":
            self.wfile.write(content)

    def _send_file(self, path: Path) -> None:
        with path.open("rb") as file:
            self._head(_kind(path), os.fstat(file.fileno()).st_size)
            if self.command == "GET":
                shutil.copyfileobj(file, self.wfile)

    def _head(self, kind: str, size: int, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        sandboxed = "" if kind.startswith("text/html") else "default-src 'none'; sandbox; "
        headers = {
            "Content-Type": kind,
            "Content-Length": str(size),
            "Cache-Control": "no-store",
            "Content-Security-Policy": f"{sandboxed}frame-ancestors 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing: an open page asks every two seconds."""


def _file_at(root: Path, path: str) -> Path | None:
    """Return the file below `root` at a path of a URL; None for anything outside, hidden, or no regular file."""
    parts = path.split("/")
    if "\0" in path or any(part.startswith(".") for part in parts):
        return None
    try:
        found = root.joinpath(*parts[1:]).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        return None
    return found if found.is_relative_to(root.resolve()) and found.is_file() else None


def _kind(path: Path) -> str:
    """Return the content type of a file. Only pages that this program wrote are HTML: another one could run scripts."""
    if path.name == PAGE:
        return "text/html; charset=utf-8"
    if path.suffix in TEXT:
        return f"{TEXT[path.suffix]}; charset=utf-8"
    guess = mimetypes.guess_type(path.name)[0] or ""
    return guess if guess.startswith("image/") else "application/octet-stream"


class Server(ThreadingHTTPServer):
    """Serve a dashboard on this machine's own address alone."""

    daemon_threads = True

    def __init__(self, dashboard: Dashboard, port: int) -> None:
        """Raises UserError if the port cannot be used."""
        self.dashboard = dashboard
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            what = "in use, perhaps by another dashboard" if error.errno == errno.EADDRINUSE else "not allowed"
            other = 8001 if port == 8000 else 8000
            raise UserError(f"port={port} is {what}; give another one, as in port={other}") from error

    def handle_error(self, *_: object) -> None:
        """Report an error of the program in one line; a browser that closes its connection is none."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            print(f"{type(error).__name__}: {error}", file=sys.stderr)


def serve(runs_dir: Path, path: Path, port: int) -> None:
    """Serve the dashboard of `runs_dir`, which is written to `path`, until Ctrl-C. Raises UserError for a port that
    cannot be used, and as `page.write` does."""
    with Server(Dashboard(runs_dir, path), port) as server:
        print(f"dashboard  http://{ADDRESS}:{port}/  (Ctrl-C stops it)")
        print(f"from another machine:  ssh -L {port}:{ADDRESS}:{port} THIS_MACHINE, then the same address there")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
