"""A real program as a child of this one: started, watched until it answers, stopped, killed, and never left behind.

Decides how every part runs: its own folder under the system's temporary folder (removed at the end), its own process
group (so that helpers of a program go with it), and a parent-death signal (so that it dies with us, even when we are
killed). What a SIGKILL of ours leaves is only a folder; the next part that starts on this machine removes it, because
the folder's name carries our process id.

All children are born from one thread: Linux sends the parent-death signal when the *thread* that forked ends, and
a test's event loop ends its worker threads with itself.
"""

import atexit
import contextlib
import fcntl
import functools
import itertools
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")

CHECKOUT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.05

_births = ThreadPoolExecutor(max_workers=1, thread_name_prefix="births-of-parts")
_numbers = itertools.count(1)
_running: list["Part"] = []
_ports: set[int] = set()


class PartMissing(Exception):  # noqa: N818 - a state of the machine, not an error of the program
    """A part that this machine cannot provide; the message names the part and what would provide it."""

    def __init__(self, part: str, fix: str) -> None:
        super().__init__(f"{part}: {fix}")
        self.part = part
        self.fix = fix


class PartFailed(Exception):  # noqa: N818 - as PartMissing
    """A part that is there but did not come up; the message ends with what it logged last."""


def built(name: str) -> Path:
    """Where tools/parts/ put what it built or fetched."""
    return Path(os.environ.get("SEGMON_PARTS", CHECKOUT / "build" / "parts")) / name


def program(part: str, *names: str, folders: Iterable[Path] = ()) -> str:
    """The path of the first of these programs that is there; system folders count even when PATH lacks them."""
    places = [*map(str, folders), *os.get_exec_path(), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    for name in names:
        if found := shutil.which(name, path=os.pathsep.join(places)):
            return found
    raise PartMissing(part, f"no program {' or '.join(names)}; run `make parts`")


def free_port() -> int:
    """A loopback port that stays ours until this process ends: no other test process is given it meanwhile.

    It lies outside the range from which clients get theirs: inside it a client that keeps dialling a stopped server can
    be given the server's port and connect to itself.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(200):
        port = random.SystemRandom().randrange(min(20000, first - 2000), first)
        if port in _ports or not _reserve(port):
            continue
        with socket.socket() as trial, contextlib.suppress(OSError):
            trial.bind(("127.0.0.1", port))
            _ports.add(port)
            return port
    raise PartFailed("no free loopback port below the range that clients use")


def _reserve(port: int) -> bool:
    """Against the other processes: the port's byte of one file, locked. The lock ends with this process."""
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@functools.cache
def _reservations() -> int:
    """Never closed: closing any descriptor of the file would give up every lock on it."""
    return os.open(Path(tempfile.gettempdir()) / f"segmon-ports-{os.geteuid()}", os.O_RDWR | os.O_CREAT, 0o600)


def until(holds: Callable[[], T], *, within: float, what: str) -> T:
    """What `holds()` answers once that is true. `within` counts the waiting in between, not the time `holds` takes."""
    for _ in range(max(1, int(within / POLL_SECONDS))):
        if answer := holds():
            return answer
        time.sleep(POLL_SECONDS)
    raise PartFailed(f"not so after {within:g} s of waiting: {what}")


def port_answers(port: int) -> bool:
    with socket.socket() as trial:
        trial.settimeout(1)
        return trial.connect_ex(("127.0.0.1", port)) == 0


def unprivileged() -> tuple[int, int] | None:
    """Who runs a program that refuses to be root: nobody's ids when we are root, None (ourselves) when we are not."""
    if os.geteuid() != 0:
        return None
    account = pwd.getpwnam("nobody")
    return account.pw_uid, account.pw_gid


def stop_on_sigterm() -> None:
    """Make SIGTERM an orderly end (exit 143): `with` blocks close and what still runs is stopped at exit."""

    def leave(_signal: int, _frame: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, leave)


class Part:
    """A program with a folder. Subclasses say how to prepare it once, how to start it and when it answers."""

    name = "part"
    ready_within = 60.0
    stop_within = 20.0
    stop_signal = signal.SIGTERM
    death_signal = "KILL"  # what the child gets when this process dies

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None

    # What a subclass fills in

    def prepare(self) -> None:
        """Write configuration and data; called once, before the first start."""

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether the started program does its work."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """What the program gets beyond PATH, HOME and TMPDIR (its own folder)."""
        return {}

    def account(self) -> tuple[int, int] | None:
        """User and group id to run as, or None for ours."""
        return None

    # Life

    @property
    def folder(self) -> Path:
        if self._folder is None:
            _sweep()
            prefix = f"segmon-{os.getpid()}-{next(_numbers)}-{self.name}-"
            self._folder = Path(tempfile.mkdtemp(prefix=prefix))
            self.own(self._folder)
        return self._folder

    @property
    def log(self) -> Path:
        """Standard output and error of every start, one after the other."""
        return self.folder / "output.log"

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.name} does not run"
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> Self:
        if self.running:
            return self
        try:
            if self._folder is None:
                self.prepare()
            if self not in _running:
                _running.append(self)
            self._child = self.spawn(self.command(), death_signal=self.death_signal)
            self._wait_for_answer()
        except BaseException:
            self.close()
            raise
        return self

    def stop(self) -> None:
        """End it as its operator would; its data stay for the next start."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL to the whole process group."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop if it runs, then start on the same ports and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it: its sockets stay open and nothing answers."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop it and remove everything it wrote."""
        try:
            self.stop()
        finally:
            if self in _running:
                _running.remove(self)
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # For subclasses

    def own(self, path: Path) -> None:
        """Give a file or folder to the account that the program runs as."""
        if ids := self.account():
            os.chown(path, *ids)

    def run(self, command: Sequence[str]) -> None:
        """Run a preparing command of this part to its end, under its account, in its folder."""
        child = self.spawn(command, death_signal="KILL")
        if child.wait(timeout=120) != 0:
            raise PartFailed(f"{self.name}: `{command[0]}` ended with {child.returncode}\n{self.last_words()}")

    def spawn(self, command: Sequence[str], *, death_signal: str) -> subprocess.Popen[bytes]:
        wrapped = [program(self.name, "setpriv"), "--pdeathsig", death_signal]
        if ids := self.account():
            wrapped += [f"--reuid={ids[0]}", f"--regid={ids[1]}", "--clear-groups"]
        folder = str(self.folder)
        surroundings = {"PATH": os.environ.get("PATH", os.defpath), "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8"}

        def birth() -> subprocess.Popen[bytes]:
            with self.log.open("ab") as output:
                return subprocess.Popen(
                    [*wrapped, "--", *command],
                    cwd=folder,
                    env=surroundings | dict(self.environment()),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

        return _births.submit(birth).result()

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-25:])

    def _wait_for_answer(self) -> None:
        def up() -> bool:
            if not self.running:
                code = self._child.returncode if self._child else None
                raise PartFailed(f"{self.name} ended with {code} while starting\n{self.last_words()}")
            return self.answers()

        try:
            until(up, within=self.ready_within, what=f"{self.name} answers")
        except PartFailed as failure:
            raise PartFailed(f"{failure}\n{self.last_words()}") from None

    def _end(self, number: signal.Signals) -> None:
        child = self._child
        if child is None:
            return
        self._child = None
        _signal_group(child.pid, signal.SIGCONT)
        _signal_group(child.pid, number)
        try:
            child.wait(timeout=self.stop_within)
        except subprocess.TimeoutExpired:
            _signal_group(child.pid, signal.SIGKILL)
            child.wait()
        finally:
            _signal_group(child.pid, signal.SIGKILL)  # helpers that outlived their leader


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _sweep() -> None:
    """Remove folders whose process is gone: only a SIGKILL of it leaves them."""
    for folder in Path(tempfile.gettempdir()).glob("segmon-*-*-*"):
        owner = re.match(r"segmon-(\d+)-\d+-", folder.name)
        if owner and not Path("/proc", owner[1]).exists():
            shutil.rmtree(folder, ignore_errors=True)


@atexit.register
def _close_all() -> None:
    for part in reversed(_running.copy()):
        part.close()
