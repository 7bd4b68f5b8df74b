"""The kernel itself logs real packets between two pods' namespaces, and we read exactly our lines."""

from pathlib import Path

import pytest
from parts.kernel_log import ALL_NAMESPACES, BEFORE_US

PREFIX = "calico-packet: "


@pytest.fixture
def log(kernel_log):
    with kernel_log({"shop/web": ("10.244.7.5", "fd00:7::5"), "shop/db": ("10.244.7.6", "fd00:7::6")}) as log:
        yield log


def words(line: str) -> dict[str, str]:
    return dict(word.partition("=")[::2] for word in line.split() if "=" in word)


def test_a_tcp_connection_is_one_line_with_its_addresses_ports_and_interfaces(log):
    log.log(PREFIX)
    reached = log.send("shop/web", "shop/db", "tcp", 5432, source_port=40001)
    lines = log.wait_for(1)
    said = words(lines[0])

    assert reached
    assert len(lines) == 1
    assert lines[0].startswith(PREFIX)
    assert (said["SRC"], said["SPT"], said["DST"], said["DPT"]) == ("10.244.7.5", "40001", "10.244.7.6", "5432")
    assert (said["IN"], said["OUT"]) == (log.interfaces["shop/web"], log.interfaces["shop/db"])


@pytest.mark.parametrize("version", [4, 6])
def test_udp_and_icmp_are_logged_in_both_families(log, version):
    log.log(PREFIX)
    reached = log.send("shop/web", "shop/db", "udp", 53, version=version)
    answered = log.send("shop/web", "shop/db", "icmp", version=version)
    protocols = [words(line)["PROTO"] for line in log.wait_for(2)]

    assert (reached, answered) == (True, True)
    assert protocols == ["UDP", "ICMP" if version == 4 else "ICMPv6"]


def test_a_dropped_packet_is_logged_and_does_not_arrive(log):
    log.log(PREFIX, match=["-p", "tcp", "--dport", "5432"], verdict="DROP")
    dropped = log.send("shop/web", "shop/db", "tcp", 5432)
    passed = log.send("shop/web", "shop/db", "tcp", 8080)

    assert (dropped, passed) == (False, True)
    assert len(log.wait_for(1)) == 1


def test_without_a_rule_nothing_is_logged(log):
    log.send("shop/web", "shop/db", "tcp", 5432)
    log.log(PREFIX)
    log.send("shop/web", "shop/db", "tcp", 8080)

    assert [words(line)["DPT"] for line in log.wait_for(1)] == ["8080"]


def test_the_kernel_setting_is_put_back_by_the_last(kernel_log):
    before = BEFORE_US.read_text() if BEFORE_US.exists() else ALL_NAMESPACES.read_text()
    with kernel_log({"a": ["10.244.7.5"]}), kernel_log({"a": ["10.244.7.5"]}):
        during = ALL_NAMESPACES.read_text()

    others = list(Path("/run/netns").glob("segmon-*"))

    assert during.strip() == "1"
    assert ALL_NAMESPACES.read_text() == (during if others else before)
