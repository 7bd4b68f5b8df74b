"""LOG lines that a kernel wrote for packets under Calico's node agent: each parses to the packet that caused it."""

import gzip
import json
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest

from models.flows import FlowRecord
from monitor.flows.log_headers import Reference
from monitor.flows.loglines import parse

LINES = 2824
REFERENCE = Reference(received_at=datetime(2026, 11, 23, tzinfo=UTC), booted_at=datetime(2026, 11, 22, tzinfo=UTC))


@pytest.fixture(scope="module")
def recorded(oracles):
    with gzip.open(oracles / "calico-dataplane" / "recordings.jsonl.gz") as lines:
        recordings = [json.loads(line) for line in lines]
    return [
        (recording, packet, line, is_reply)
        for recording in recordings
        for packet in recording["packets"]
        for field, is_reply in (("log_lines", False), ("log_lines_reply", True))
        for line in packet.get(field, ())
    ]


def test_every_recorded_line_parses_to_its_packet(recorded):
    wrong = [line for _, packet, line, is_reply in recorded if not _is_of(parse(line, REFERENCE), packet, is_reply)]

    assert wrong == []
    assert len(recorded) == LINES


def test_lines_of_one_tracked_packet_share_its_id(recorded):
    for _, packet, line, is_reply in recorded:
        if ":" not in packet["src_ip"] and not is_reply:
            assert parse(line, REFERENCE).packet_id is not None


def _is_of(record, packet, is_reply):
    if not isinstance(record, FlowRecord):
        return False
    ends = (packet["src_ip"], packet.get("sport")), (packet["dst_ip"], packet.get("dport"))
    (source, sport), (destination, dport) = reversed(ends) if is_reply else ends
    if (record.source_address, record.destination_address) != (str(ip_address(source)), str(ip_address(destination))):
        return False
    if record.protocol in {"tcp", "udp"}:
        return (record.protocol, record.source_port, record.destination_port) == (packet["proto"], sport, dport)
    if record.protocol in {"icmp", "icmp6"}:
        icmp = packet["icmp"]
        return is_reply or (record.icmp_type, record.icmp_code) == (icmp["type"], icmp["code"])
    return record.protocol == packet["proto"]
