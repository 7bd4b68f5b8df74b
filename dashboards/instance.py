"""A running Grafana, as far as a push needs it: the one place where grafana-api is used.

Law 1: uids only (folderUid, never ids: newer Grafanas have no such routes).
Law 2: whatever goes wrong is said in words, with what mends it.
Law 3: no redirect is followed, since a redirected POST arrives as a GET.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from grafana_api.grafana_api import GrafanaException
from grafana_api.grafana_face import GrafanaFace
from msgspec import Struct
from requests import exceptions

from models.errors import CannotEvaluateError, UserError

NOT_FOUND, CONFLICT, PRECONDITION = 404, 409, 412
MISSING = re.compile(r"(folder|dashboard).*not found", re.IGNORECASE)
"""Grafana's words for a thing that is not there; an address that is no route of it answers "Not found" alone."""

FIXES = {
    400: "see what Grafana says; a board of another release may need a newer Grafana (10.4 or later)",
    401: "make a service account's token in Grafana (Administration, Service accounts) and put it into the token file",
    403: "give the token's service account the role Editor, or Admin of the folder",
    NOT_FOUND: "is this the address of Grafana, with its sub-path if it has one? (--url https://host/grafana)",
    CONFLICT: "rename or remove what has the name already, then push again",
    PRECONDITION: "somebody saved it meanwhile, or another board has its title: look, then push again",
    429: "wait, then push again",
}
LATER = "see Grafana's own log; push again when it is well"


class RefusedError(UserError):
    """Grafana answered, and not with what was asked for. `status`: of its answer."""

    def __init__(self, what: str, status: int, said: str) -> None:
        fix = LATER if status >= 500 else FIXES.get(status, "see what Grafana says")
        super().__init__(f"{what}: Grafana answered {status}: {said}\n       fix: {fix}")
        self.status = status
        self.said = said


class UnreachableError(CannotEvaluateError):
    """No answer of Grafana came."""


class Address(Struct, frozen=True, kw_only=True):
    """Where it is and who asks. `ca_file`: None = the authorities that this machine trusts."""

    url: str
    token: str
    ca_file: Path | None = None
    timeout_seconds: float = 10.0


class Held(Struct, frozen=True, kw_only=True):
    """A board as the instance holds it."""

    board: dict[str, Any]
    folder_uid: str
    version: int
    is_provisioned: bool


class Instance:
    """Asks and tells. Blocking, each call at most as long as the time-out."""

    def __init__(self, address: Address) -> None:
        self._url = address.url
        self._grafana = _face(address)

    def url_of(self, path: str) -> str:
        """The address of a page of it; Grafana's own paths hold its sub-path already."""
        parts = urlsplit(self._url)
        sub = parts.path.rstrip("/")
        return f"{parts.scheme}://{parts.netloc}{path if sub and path.startswith(f'{sub}/') else sub + path}"

    def has_folder(self, uid: str) -> bool:
        return self._found(f"folder {uid}", lambda: self._grafana.folder.get_folder(uid)) is not None

    def create_folder(self, uid: str, title: str) -> None:
        self._asked(f"folder {title!r}", lambda: self._grafana.folder.create_folder(title, uid))

    def board(self, uid: str) -> Held | None:
        """None where there is no such board."""
        what = f"board {uid}"
        found = self._found(what, lambda: self._grafana.dashboard.get_dashboard(uid))
        if found is None:
            return None
        board, about = (found.get(name) if isinstance(found, dict) else None for name in ("dashboard", "meta"))
        if not isinstance(board, dict) or not isinstance(about, dict):
            raise self._no_grafana(what)
        return Held(
            board=board,
            folder_uid=about.get("folderUid") or "",
            version=int(board.get("version") or 0),
            is_provisioned=bool(about.get("provisioned")),
        )

    def last_message(self, uid: str) -> str:
        """What was said at the last save of a board; "" where that is not kept."""
        found = self._found(
            f"versions of {uid}", lambda: self._grafana.api.GET(f"/dashboards/uid/{uid}/versions?limit=1")
        )
        listed = found.get("versions") if isinstance(found, dict) else found  # a list of its own before Grafana 12
        last = listed[0] if isinstance(listed, list) and listed else None
        return str(last.get("message") or "") if isinstance(last, dict) else ""

    def save(self, board: dict[str, Any], *, folder_uid: str, message: str) -> str:
        """The path of the saved board. `board["version"]` is what it was read at: a save in between is refused."""
        whole = {"dashboard": board, "folderUid": folder_uid, "message": message, "overwrite": False}
        what = f"board {board['uid']}"
        saved = self._asked(what, lambda: self._grafana.dashboard.update_dashboard(whole))
        if not isinstance(saved, dict) or saved.get("status") != "success":
            raise self._no_grafana(what)
        return str(saved.get("url") or "")

    def _found(self, what: str, call: Callable[[], Any]) -> Any:
        try:
            return self._asked(what, call)
        except RefusedError as refusal:
            if refusal.status == NOT_FOUND and MISSING.search(refusal.said):
                return None
            raise

    def _asked(self, what: str, call: Callable[[], Any]) -> Any:
        """An object, or a list of them: Grafana answers nothing else."""
        try:
            answer = call()
        except GrafanaException as refusal:
            if not isinstance(refusal.response, dict) and refusal.status_code < 500:
                raise self._no_grafana(what) from refusal
            raise RefusedError(what, refusal.status_code, _said(refusal.response)) from refusal
        except exceptions.RequestException as failure:
            raise self._unanswered(what, failure) from failure
        except (ValueError, TypeError) as failure:  # a page instead of JSON; grafana-api stumbles over some of them
            raise self._no_grafana(what) from failure
        if not isinstance(answer, dict | list):
            raise self._no_grafana(what)
        return answer

    def _no_grafana(self, what: str) -> UserError:
        return UserError(
            f"{what}: {self._url} answers with something that is not Grafana's API (a login page, a proxy?)\n"
            "       fix: give the address that reaches Grafana itself (--url), with its sub-path if it has one"
        )

    def _unanswered(self, what: str, failure: exceptions.RequestException) -> UserError:
        match failure:
            case exceptions.JSONDecodeError():
                return self._no_grafana(what)
            case exceptions.TooManyRedirects():
                return UserError(f"{what}: {self._url} redirects\n       fix: give the address it redirects to (--url)")
            case exceptions.SSLError():
                said, fix = "its certificate is not trusted", "give the authority that signed it (--ca-file)"
            case exceptions.Timeout():
                said, fix = "no answer in time", "is it the right address, and is Grafana well?"
            case _:
                said, fix = "it cannot be reached", "is it the right address (--url), and does Grafana run?"
        return UnreachableError(f"{what}: no answer from {self._url}: {said}\n       fix: {fix}")


def _said(response: Any) -> str:
    """Grafana's own words, on one line and not a page long."""
    words = str(response.get("message", "")) if isinstance(response, dict) else "(a page)"
    return " ".join(words.split())[:200] or "(nothing)"


def _face(address: Address) -> GrafanaFace:
    parts = _parts(address.url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    path = parts.path.strip("/")
    face = GrafanaFace(
        auth=address.token,
        host=host,
        port=parts.port,
        url_path_prefix=f"{path}/" if path else "",
        protocol=parts.scheme,
        verify=str(address.ca_file) if address.ca_file else True,
        timeout=address.timeout_seconds,
    )
    face.api.s.max_redirects = 0
    return face


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise UserError(f"{url!r} is no address of a Grafana\n       fix: --url https://grafana.example:3000")
    if parts.username or parts.password:
        raise UserError("the address of Grafana holds a name or password\n       fix: a token in a file (--token-file)")
    return parts
