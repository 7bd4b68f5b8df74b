"""A small server that answers as Grafana's HTTP API does, failures included: folders and boards by uid, in memory.

Written from Grafana's documentation of the folder, dashboard and version APIs; a Grafana itself cannot be had here.
`fail(…)` puts an answer in the way of the next requests of a route.
"""

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Answer = tuple[int, str, str, dict[str, str]]
"""Status, text, content type, more headers."""

TOKEN = "glsa_0123456789"
NEVER = 0
NOT_FOUND = {"folders": "folder not found", "dashboards": "Dashboard not found"}


class GrafanaServer:
    """`with GrafanaServer() as grafana`: `.url`, `.boards`, `.folders`, `.sent` (what was posted, in order)."""

    def __init__(self, *, sub_path: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.boards: dict[str, dict[str, Any]] = {}
        self.folders: dict[str, str] = {}
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.rewrites_what_it_reads = False
        self.keeps_messages = True
        self._failures: dict[str, Answer] = {}
        self._sub_path = sub_path
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"grafana": self}))
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}{sub_path}"
        self.released = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def fail(self, route: str, status: int, said: Any, *, kind: str = "application/json", **headers: str) -> None:
        """Answer so on requests whose line begins with `route` ("POST /api/folders"); status 0 = never answer."""
        text = said if isinstance(said, str) else json.dumps(said)
        self._failures[route] = (status, text, kind, {name.replace("_", "-"): value for name, value in headers.items()})

    def edit(self, uid: str, **changes: Any) -> None:
        """As a person in the browser."""
        held = self.boards[uid]
        held["board"] |= changes
        held["version"] += 1
        held["message"] = "tried something"

    def provision(self, board: dict[str, Any]) -> None:
        """As if it had been read from a file."""
        self.boards[board["uid"]] = {"board": board, "version": 1, "folder": "f", "provisioned": True, "message": ""}

    # What the routes do

    def get(self, parts: list[str]) -> tuple[int, Any]:
        match parts:
            case ["folders", uid] if uid in self.folders:
                return 200, {"uid": uid, "title": self.folders[uid], "id": 7}
            case ["dashboards", "uid", uid] if uid in self.boards:
                return 200, self._shown(self.boards[uid])
            case ["dashboards", "uid", uid, "versions"] if uid in self.boards and self.keeps_messages:
                return 200, {"versions": [{"version": 1, "message": self.boards[uid]["message"]}], "continueToken": ""}
            case [("folders" | "dashboards") as kind, *_]:
                return 404, {"message": NOT_FOUND[kind]}
        return 404, {"message": "Not found"}

    def _shown(self, held: dict[str, Any]) -> dict[str, Any]:
        board = held["board"] | {"id": 41, "version": held["version"], "iteration": 1}
        if self.rewrites_what_it_reads:
            board |= {"schemaVersion": 42, "annotations": {"list": []}}
        return {
            "dashboard": board,
            "meta": {"folderUid": held["folder"], "provisioned": held.get("provisioned", False)},
        }

    def post(self, parts: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        match parts:
            case ["folders"]:
                self.folders[body["uid"]] = body["title"]
                return 200, {"uid": body["uid"], "title": body["title"], "id": 7}
            case ["dashboards", "db"]:
                return self._save(body)
        return 404, {"message": "Not found"}

    def _save(self, body: dict[str, Any]) -> tuple[int, Any]:
        board = body["dashboard"]
        held = self.boards.get(board["uid"])
        if held and held.get("provisioned"):
            return 400, {"message": "Cannot save provisioned dashboard"}
        if body["folderUid"] not in self.folders:
            return 400, {"message": "folder not found"}
        if held and board.get("version") != held["version"] and not body["overwrite"]:
            message = "The dashboard has been changed by someone else"
            return 412, {"message": message, "status": "version-mismatch"}
        version = held["version"] + 1 if held else 1
        kept = {name: value for name, value in board.items() if name not in {"id", "version"}}
        self.boards[board["uid"]] = {
            "board": kept,
            "version": version,
            "folder": body["folderUid"],
            "message": body["message"],
        }
        path = f"{self._sub_path}/d/{board['uid']}/{board['uid']}"
        return 200, {"status": "success", "uid": board["uid"], "id": 41, "version": version, "url": path}

    def answer(self, command: str, path: str, token: str | None, body: dict[str, Any]) -> Answer:
        """What a request gets; None = nothing, ever."""
        line = f"{command} {path.removeprefix(self._sub_path)}"
        for route, failure in self._failures.items():
            if line.startswith(route):
                return failure
        if token != f"Bearer {TOKEN}":
            return _json(401, {"message": "Invalid API key"})
        root, asked = f"{self._sub_path}/api/", path.partition("?")[0]
        if not asked.startswith(root):
            return _json(404, {"message": "Not found"})
        parts = asked.removeprefix(root).split("/")
        return _json(*(self.post(parts, body) if command == "POST" else self.get(parts)))


def _json(status: int, answer: Any) -> Answer:
    return status, json.dumps(answer), "application/json", {}


class _Handler(BaseHTTPRequestHandler):
    grafana: GrafanaServer

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.grafana.sent.append((self.path, body))
        self._answer(body)

    def _answer(self, body: dict[str, Any]) -> None:
        token = self.headers["Authorization"]
        status, text, kind, headers = self.grafana.answer(self.command, self.path, token, body)
        if status == NEVER:
            self.grafana.released.wait(30)
            return
        data = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
