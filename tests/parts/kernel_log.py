"""Kernel LOG lines for real packets: a node and its pods as network namespaces, laid out as Calico lays them out.

Each pod is a namespace with `eth0`, whose other end is a `cali…` interface in the node's namespace; the node routes
between them. `log(prefix)` adds a LOG rule where Calico has its own: in the path of forwarded packets, after
established connections were let through, so that one exchange gives one line. The lines are read back from /dev/kmsg,
from where this object began, and only those that name its interfaces: other tests may log at the same time.

Root only, and nothing leaves the machine: no namespace has a way out. Linux logs packets of namespaces other than the
first only with net.netfilter.nf_log_all_netns=1; the first of us sets it and the last one puts it back.
"""

import atexit
import contextlib
import ctypes
import errno
import fcntl
import ipaddress
import itertools
import os
import re
import secrets
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from parts.process import PartFailed, PartMissing, program, until

ALL_NAMESPACES = Path("/proc/sys/net/netfilter/nf_log_all_netns")
BEFORE_US = Path("/run/segmon-nf-log-all-netns")  # what the setting was; there only while one of us runs
LOCK = Path("/run/segmon-kernel-log.lock")
KERNEL = Path("/dev/kmsg")
GATEWAY = {4: "169.254.1.1", 6: "fe80::1"}
CLONE_NEWNET = 0x40000000
REPLY_SECONDS = 0.5  # less than a SYN's first repetition, so that a dropped packet is one packet
Protocol = Literal["tcp", "udp", "icmp"]

_numbers = itertools.count(1)


class KernelLog:
    """`pods` are names and their addresses, of either family; whatever else shall send or receive is one more pod."""

    name = "kernel-log"

    def __init__(self, pods: Mapping[str, Sequence[str]]) -> None:
        self._pods = {pod: tuple(addresses) for pod, addresses in pods.items()}
        self._prefix = f"segmon-{os.getpid()}-{next(_numbers)}"
        self._kernel = -1
        self._heard: list[str] = []
        self.interfaces = {pod: f"cali{secrets.token_hex(5)}" for pod in pods}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Self:
        check_machine()
        atexit.register(self.close)
        try:
            self._kernel = os.open(KERNEL, os.O_RDONLY | os.O_NONBLOCK)
            os.lseek(self._kernel, 0, os.SEEK_END)
            with _alone():
                _sweep()
                self._lay_out()
                _log_all_namespaces()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        atexit.unregister(self.close)
        if self._kernel >= 0:
            os.close(self._kernel)
            self._kernel = -1
        with _alone():
            for name in _namespaces(self._prefix):
                _run("ip", "netns", "del", name)
            _put_setting_back()

    # Rules

    def log(self, prefix: str, *, match: Sequence[str] = (), verdict: str = "") -> None:
        """Log forwarded packets of new connections (those that `match`, in iptables' words), then take the verdict."""
        for table in ("iptables", "ip6tables"):
            rule = [table, "-w", "-A", "FORWARD", *match, "-j"]
            self._on_node(*rule, "LOG", "--log-prefix", prefix, "--log-level", "5")
            if verdict:
                self._on_node(*rule, verdict)

    def no_rules(self) -> None:
        """As at the start: all is forwarded, nothing is logged."""
        for table in ("iptables", "ip6tables"):
            self._on_node(table, "-w", "-F", "FORWARD")
            state = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
            self._on_node(table, "-w", "-A", "FORWARD", *state, "-j", "ACCEPT")

    # Packets

    def send(
        self,
        source: str,
        destination: str,
        protocol: Protocol,
        port: int = 0,
        *,
        source_port: int = 0,
        version: int = 4,
    ) -> bool:
        """One exchange between two pods: a TCP connection, a UDP datagram or an echo request. True: it was answered
        (TCP, ICMP) or arrived (UDP).
        """
        ends = self.address(source, version), self.address(destination, version)
        if protocol == "icmp":
            return self._echo(source, *ends)
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        with (
            self._socket(destination, version, kind) as receiver,
            self._socket(source, version, kind) as sender,
        ):
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            receiver.bind((ends[1], port))
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sender.bind((ends[0], source_port))
            return _connects(sender, receiver) if protocol == "tcp" else _arrives(sender, receiver)

    def address(self, pod: str, version: int = 4) -> str:
        for text in self._pods[pod]:
            if ipaddress.ip_address(text).version == version:
                return text
        raise KeyError(f"{pod} has no IPv{version} address")

    # Lines

    def records(self) -> list[str]:
        """Raw /dev/kmsg records (`level,sequence,microseconds,flags;text`) since the start that are ours."""
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    record = os.read(self._kernel, 8192).decode()
                except OSError as problem:
                    if problem.errno == errno.EPIPE:  # the ring went on before we read: go on where it is
                        continue
                    raise
                if any(interface in record for interface in self.interfaces.values()):
                    self._heard.append(record.splitlines()[0])
        return self._heard.copy()

    def lines(self) -> list[str]:
        """The text of each record: prefix, IN=, OUT=, addresses, ports, as any log collector gets it."""
        return [record.partition(";")[2] for record in self.records()]

    def wait_for(self, count: int) -> list[str]:
        """The lines, once there are so many."""
        until(lambda: len(self.records()) >= count, within=10, what=f"{count} kernel log lines")
        return self.lines()

    # Lay-out

    def _lay_out(self) -> None:
        node = f"{self._prefix}-node"
        _run("ip", "netns", "add", node)
        self._on_node("ip", "link", "set", "lo", "up")
        switches = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.all.rp_filter=0")
        self._on_node("sysctl", "-q", "-w", *switches)
        for pod in self._pods:
            self._join(pod, node)
        self.no_rules()

    def _join(self, pod: str, node: str) -> None:
        space, interface = self._space(pod), self.interfaces[pod]
        inside = ("ip", "-n", space)
        _run("ip", "netns", "add", space)
        _run("ip", "-n", node, "link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", space)
        _run(*inside, "link", "set", "lo", "up")
        _run(*inside, "link", "set", "eth0", "up")
        self._on_node("ip", "link", "set", interface, "up")
        self._on_node("ip", "address", "add", f"{GATEWAY[4]}/32", "dev", interface)
        self._on_node("ip", "address", "add", f"{GATEWAY[6]}/64", "dev", interface, "nodad")
        for text in self._pods[pod]:
            address = ipaddress.ip_address(text)
            whole = f"{address}/{address.max_prefixlen}"
            _run(*inside, "address", "add", whole, "dev", "eth0", *(("nodad",) if address.version == 6 else ()))
            self._on_node("ip", "route", "add", whole, "dev", interface)
        _run(*inside, "route", "add", GATEWAY[4], "dev", "eth0", "scope", "link")
        for version, gateway in GATEWAY.items():
            _run(*inside, f"-{version}", "route", "add", "default", "via", gateway, "dev", "eth0")

    def _on_node(self, *command: str) -> None:
        _run("ip", "netns", "exec", f"{self._prefix}-node", *command)

    def _space(self, pod: str) -> str:
        return f"{self._prefix}-{list(self._pods).index(pod)}"

    def _socket(self, pod: str, version: int, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
        """A socket belongs to the namespace in which it was made, whoever uses it then: so a thread goes there once."""
        family = socket.AF_INET if version == 4 else socket.AF_INET6

        def make() -> socket.socket:
            with Path("/run/netns", self._space(pod)).open() as place:
                if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            return socket.socket(family, kind, protocol)

        with ThreadPoolExecutor(max_workers=1) as visitor:
            made = visitor.submit(make).result()
        made.settimeout(REPLY_SECONDS)
        return made

    def _echo(self, source: str, sender: str, receiver: str) -> bool:
        version = ipaddress.ip_address(receiver).version
        number = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}[version]
        request, reply = {4: (8, 0), 6: (128, 129)}[version]
        with self._socket(source, version, socket.SOCK_RAW, number) as raw:
            raw.bind((sender, 0))
            identity = secrets.randbelow(2**16)
            raw.sendto(_echo_request(request, identity), (receiver, 0))
            with contextlib.suppress(TimeoutError):
                while answer := raw.recv(1500):
                    message = answer[20:] if version == 4 else answer
                    if (message[0], struct.unpack(">H", message[4:6])[0]) == (reply, identity):
                        return True
        return False


def _connects(sender: socket.socket, receiver: socket.socket) -> bool:
    receiver.listen(1)
    try:
        sender.connect(receiver.getsockname())
    except OSError:  # dropped: time-out; rejected: refused or unreachable
        return False
    reset = struct.pack("ii", 1, 0)  # leave no TIME_WAIT: the next test may want the same ports
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    return True


def _arrives(sender: socket.socket, receiver: socket.socket) -> bool:
    sender.sendto(b"segmon", receiver.getsockname())
    try:
        return receiver.recv(100) == b"segmon"
    except TimeoutError:
        return False


def _echo_request(kind: int, identity: int) -> bytes:
    """RFC 792's checksum (the kernel writes ICMPv6's own over it)."""
    plain = struct.pack(">BBHHH", kind, 0, 0, identity, 1)
    total = sum(struct.unpack(">4H", plain))
    folded = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">BBHHH", kind, 0, ~folded & 0xFFFF, identity, 1)


def check_machine() -> None:
    if os.geteuid() != 0:
        raise PartMissing(KernelLog.name, "network namespaces need root")
    for name in ("ip", "iptables", "ip6tables", "sysctl"):
        program(KernelLog.name, name)
    for file in (KERNEL, ALL_NAMESPACES):
        if not file.exists():
            raise PartMissing(KernelLog.name, f"no {file} on this machine (a container without the kernel's log?)")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _namespaces(prefix: str) -> list[str]:
    spaces = Path("/run/netns")
    return sorted(path.name for path in spaces.glob(f"{prefix}-*")) if spaces.exists() else []


def _sweep() -> None:
    """Remove namespaces whose process is gone: only a SIGKILL of it leaves them."""
    for name in _namespaces("segmon"):
        owner = re.match(r"segmon-(\d+)-", name)
        if owner and not Path("/proc", owner[1]).exists():
            _run("ip", "netns", "del", name)


def _log_all_namespaces() -> None:
    if not BEFORE_US.exists():
        BEFORE_US.write_text(ALL_NAMESPACES.read_text())
    ALL_NAMESPACES.write_text("1")


def _put_setting_back() -> None:
    if not _namespaces("segmon") and BEFORE_US.exists():
        ALL_NAMESPACES.write_text(BEFORE_US.read_text())
        BEFORE_US.unlink()


def _run(name: str, *arguments: str) -> None:
    done = subprocess.run([program(KernelLog.name, name), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PartFailed(f"{name} {' '.join(arguments)}: {done.stderr.strip()}")
