"""`serve`: show studies in a browser on this machine while they run. Nothing is written."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from protocol.errors import BeatRandomError, Fault, InputError
from protocol.plain_text import visible
from protocol.record.layout import StudyFolder
from runners.terminal.console import console

HERE: Final = "127.0.0.1"
PAGES_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy of all pages but the report: no script, and nothing is fetched."""
LARGEST_REPORT: Final = 2**28


class Server(ThreadingHTTPServer):
    """Web server that is bound to this machine and shows some studies."""

    daemon_threads = True

    def __init__(self, folders: Sequence[StudyFolder], port: int) -> None:
        self.folders = tuple(folders)
        try:
            super().__init__((HERE, port), Handler)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            found = "taken by another program" if taken else error.strerror or str(error)
            raise InputError(
                Fault("--port", f"a free port of {HERE}", f"{port}: {found}", "choose another, or 0 for any")
            ) from None

    @property
    def address(self) -> str:
        """Return the URL of the first page."""
        return f"http://{HERE}:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    """Handler of GET and HEAD requests that name this machine as their host."""

    server: Server
    server_version, sys_version = "beatrandom", ""
    timeout = 30

    def do_GET(self) -> None:
        """Send a page, the report, or an error."""
        port = self.server.server_port
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0] not in {
            f"{HERE}:{port}",
            f"localhost:{port}",
        }:  # refuses DNS rebinding: another name that points here
            self._answer(403, "only 127.0.0.1 and localhost are answered", "text/plain")
            return
        try:
            self._route(self.path.partition("?")[0])
        except (BeatRandomError, OSError, ValueError) as error:
            self._answer(500, f"{error}", "text/plain")

    def do_HEAD(self) -> None:
        """Send the same head without a body."""
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002  # the base class gives both
        """Refuse other methods and malformed requests, without repeating them."""
        unknown = code == HTTPStatus.NOT_IMPLEMENTED
        self._answer(405 if unknown else code, "only GET and HEAD are answered" if unknown else "refused", "text/plain")

    def _route(self, path: str) -> None:
        from runners.verbs.running.live import index, study_page  # slow to import; the address is printed first

        match = re.fullmatch(r"/study/([0-9]{1,6})/(report\.html)?", path)
        if path == "/":
            self._answer(200, index(self.server.folders))
        elif match and int(match[1]) < len(self.server.folders):
            folder = self.server.folders[int(match[1])]
            if not match[2]:
                self._answer(200, study_page(folder))
            else:
                self._report(folder)
        else:
            self._answer(404, "no such page", "text/plain")

    def _report(self, folder: StudyFolder) -> None:
        """Send the report in a sandbox: of its scripts only ours runs, and it can read no other page."""
        from analysis.report import POLICY  # slow to import

        try:
            report = folder.read(folder.report, LARGEST_REPORT).decode("utf-8", errors="replace")
        except FileNotFoundError:
            self._answer(404, "no report has been written yet", "text/plain")
            return
        policy = f"{POLICY}; frame-ancestors 'none'; sandbox allow-scripts allow-downloads"
        self._answer(200, report, policy=policy)

    def _answer(self, code: int, body: str, kind: str = "text/html", policy: str = PAGES_POLICY) -> None:
        data = visible(body).encode(errors="replace")
        self.send_response(code)
        for name, value in {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(data)),
            "Cache-Control": "no-store",
            "Content-Security-Policy": policy,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            **({"Allow": "GET, HEAD"} if code == HTTPStatus.METHOD_NOT_ALLOWED else {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: pages refresh themselves and would fill the terminal."""


def studies(folders: Sequence[Path] | None) -> list[StudyFolder]:
    """Return the given study folders, or those in the current folder.

    Raises:
        InputError: a folder is no study folder, or there is none.
    """
    paths = list(folders or ()) or sorted(p.parent for p in (*Path().glob("study.json"), *Path().glob("*/study.json")))
    if not paths:
        raise InputError(Fault("FOLDER", "study folders", "none given, and none in the current folder", "name them"))
    faults: list[Fault] = []
    for folder in paths:
        try:
            StudyFolder(folder).read_plan()
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    return [StudyFolder(folder) for folder in paths]


def serve(folders: Sequence[Path] | None, port: int) -> None:
    """See `beatrandom serve --help`."""
    with Server(studies(folders), port) as server:
        console.print(f"{server.address}: {len(server.folders)} studies; press Ctrl-C to end", markup=False)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.print("ended; runs continue")
