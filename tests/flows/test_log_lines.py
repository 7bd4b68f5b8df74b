"""Kernel LOG lines as they come: every transport, every protocol, cut, quoted and damaged ones."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.flows import FlowRecord
from monitor.flows.log_headers import Reference
from monitor.flows.loglines import Malformed, NotALogLine, parse

BOOT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
READ = datetime(2026, 11, 23, 10, 20, tzinfo=UTC)
REFERENCE = Reference(received_at=READ, booted_at=BOOT)

TCP4 = (
    "calico-packet: IN=cali1a2b3c4d5e6 OUT=eth0 MAC=ee:ee:ee:ee:ee:ee:9a:2f:11:5c:77:01:08:00 SRC=10.244.1.7 "
    "DST=203.0.113.34 LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID=41822 DF PROTO=TCP SPT=48122 DPT=443 WINDOW=64860 "
    "RES=0x00 SYN URGP=0 "
)
TCP6 = (
    "calico-packet: IN=cali1a2b3c4d5e6 OUT=eth0 MAC=ee:ee:ee:ee:ee:ee:9a:2f:11:5c:77:01:86:dd "
    "SRC=fd00:0010:0244:0001:0000:0000:0000:0007 DST=2001:0db8:0000:0000:0000:0000:0000:0080 LEN=80 TC=0 HOPLIMIT=63 "
    "FLOWLBL=381204 PROTO=TCP SPT=40122 DPT=8443 WINDOW=64800 RES=0x00 SYN URGP=0 "
)
UDP = (
    "calico-packet: IN=cali1a2b3c4d5e6 OUT=cali9f8e7d6c5b4 MAC= SRC=10.244.1.7 DST=10.244.1.53 LEN=71 TOS=0x00 "
    "PREC=0x00 TTL=63 ID=50211 DF PROTO=UDP SPT=53412 DPT=53 LEN=51 "
)
ECHO = (
    "calico-packet: IN=eth0 OUT=cali0f9e8d7c6b5 MAC= SRC=10.244.1.7 DST=10.244.2.9 LEN=84 TOS=0x00 PREC=0x00 TTL=62 "
    "ID=3301 DF PROTO=ICMP TYPE=8 CODE=0 ID=17 SEQ=1 MARK=0x4000 "
)
UNREACHABLE = (
    "calico-packet: IN=eth0 OUT=cali0f9e8d7c6b5 MAC= SRC=10.244.1.1 DST=10.244.2.9 LEN=88 TOS=0x00 PREC=0xC0 TTL=62 "
    "ID=7 PROTO=ICMP TYPE=3 CODE=13 [SRC=10.244.2.9 DST=192.0.2.1 LEN=60 TOS=0x00 PREC=0x00 TTL=60 ID=99 DF PROTO=TCP "
    "SPT=33000 DPT=25 WINDOW=64240 RES=0x00 SYN URGP=0 ] "
)
SCTP = (
    "gnp/platform/quarantine: IN= OUT=eth0 SRC=192.0.2.13 DST=198.51.100.5 LEN=52 TOS=0x00 PREC=0x00 TTL=64 ID=0 DF "
    "PROTO=132 "
)
LONG_PREFIX = TCP4.replace("calico-packet: ", "np/restricted/payments-api-ingr")


def record(line, reference=REFERENCE) -> FlowRecord:
    found = parse(line, reference)
    assert isinstance(found, FlowRecord), found
    return found


def at(line, reference=REFERENCE):
    return record(line, reference).at


def test_a_tcp_line_gives_its_five_tuple_interfaces_and_packet():
    found = record(TCP4)

    assert found == FlowRecord(
        at=READ,
        source_address="10.244.1.7",
        destination_address="203.0.113.34",
        protocol="tcp",
        source_port=48122,
        destination_port=443,
        in_interface="cali1a2b3c4d5e6",
        out_interface="eth0",
        prefix="calico-packet",
        packet_id=41822,
    )


def test_ipv6_addresses_are_written_as_elsewhere_and_have_no_packet_id():
    found = record(TCP6)

    assert (found.source_address, found.destination_address) == ("fd00:10:244:1::7", "2001:db8::80")
    assert found.packet_id is None


def test_the_first_id_is_the_packets_and_the_second_the_echos():
    found = record(ECHO)

    assert (found.packet_id, found.protocol, found.icmp_type, found.icmp_code) == (3301, "icmp", 8, 0)


def test_an_echo_over_ipv6_has_no_packet_id_though_it_has_an_id():
    line = TCP6[: TCP6.index("PROTO=")] + "PROTO=ICMPv6 TYPE=128 CODE=0 ID=17 SEQ=1 "

    assert (record(line).protocol, record(line).packet_id) == ("icmp6", None)


def test_the_packet_quoted_in_an_icmp_error_is_not_the_packet():
    found = record(UNREACHABLE)

    assert (found.protocol, found.icmp_type, found.icmp_code) == ("icmp", 3, 13)
    assert (found.destination_address, found.destination_port) == ("10.244.2.9", None)


def test_sctp_is_known_by_its_number_and_has_no_ports():
    found = record(SCTP)

    assert (found.protocol, found.source_port, found.destination_port) == ("sctp", None, None)
    assert (found.in_interface, found.out_interface, found.prefix) == ("", "eth0", "gnp/platform/quarantine")


def test_a_fragment_and_a_damaged_packet_have_no_ports():
    fragment = TCP4[: TCP4.index("DF PROTO")] + "FRAG:185 PROTO=UDP "
    damaged = TCP4[: TCP4.index("SPT")] + "INCOMPLETE [4 bytes] "

    assert (record(fragment).protocol, record(fragment).destination_port) == ("udp", None)
    assert (record(damaged).protocol, record(damaged).destination_port) == ("tcp", None)


@pytest.mark.parametrize(
    ("written", "prefix"),
    [
        ("calico-packet: ", "calico-packet"),
        ("np/restricted/payments-api-ingr", "np/restricted/payments-api-ingr"),
        ("np/default/shop.frontend-all:", "np/default/shop.frontend-all"),
        ("a: b/%t: ", "a: b/%t"),
        ("", ""),
    ],
)
def test_a_prefix_that_lost_its_separator_runs_into_the_fields(written, prefix):
    found = record(TCP4.replace("calico-packet: ", written))

    assert found.prefix == prefix


def test_only_lines_with_an_expected_prefix_count_where_some_are_expected():
    ours = parse(TCP4, REFERENCE, prefixes=("calico-packet",))
    another = parse(TCP4.replace("calico-packet: ", "[UFW BLOCK] "), REFERENCE, prefixes=("calico-packet",))

    assert isinstance(ours, FlowRecord)
    assert another == NotALogLine()


MOMENT = datetime(2026, 11, 23, 10, 15, 42, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Nov 23 10:15:42 node-a kernel: [91234.567890] ", MOMENT),
        ("Nov 23 10:15:42 node-a kernel: ", MOMENT),
        ("<13>Nov 23 10:15:42 node-a kernel: ", MOMENT),
        ("Nov  3 10:15:42 node-a kernel: ", MOMENT.replace(day=3)),
        ("2026-11-23T10:15:47.120331+00:00 node-c kernel: ", MOMENT.replace(second=47, microsecond=120331)),
        ("2026-11-23T11:15:42+0100 node-c kernel: ", MOMENT),
        ("2026-11-23T10:15:42.123456789Z node-c kernel: [ 12.000001] ", MOMENT.replace(microsecond=123456)),
        ("<5>1 2026-11-23T10:15:42Z node-a kernel - - - ", MOMENT),
        ('<5>1 2026-11-23T10:15:42Z node-a kernel - - [x@1 a="b"] ', MOMENT),
        ("5,1042,4542000000,-;", BOOT + timedelta(seconds=4542)),
        ("5,1042,4542000000,-,caller=T12;", BOOT + timedelta(seconds=4542)),
        ("<5>[ 6453.341244] ", BOOT + timedelta(seconds=6453, microseconds=341244)),
        ("[ 6453.341244][T 120] ", BOOT + timedelta(seconds=6453, microseconds=341244)),
        ("<5>", READ),
        ("", READ),
    ],
)
def test_every_transport_gives_the_packet_and_its_time(header, expected):
    found = record(header + TCP4)

    assert found.at == expected
    assert (found.prefix, found.destination_port) == ("calico-packet", 443)


def test_a_journal_entry_gives_its_message_and_time():
    entry = json.dumps({"_TRANSPORT": "kernel", "__REALTIME_TIMESTAMP": "1795428942000000", "MESSAGE": TCP4})

    assert at(entry) == datetime(2026, 11, 23, 10, 15, 42, tzinfo=UTC)
    assert parse(entry.replace('"kernel"', '"syslog"'), REFERENCE) == NotALogLine()


def test_a_stamp_without_a_year_is_the_one_nearest_to_the_reading():
    new_year = Reference(received_at=datetime(2027, 1, 1, 0, 0, 5, tzinfo=UTC))
    early = Reference(received_at=datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC))

    assert at("Dec 31 23:59:58 node-a kernel: " + TCP4, new_year).year == 2026
    assert at("Jan  1 00:00:01 node-a kernel: " + TCP4, early).year == 2027


def test_a_leap_day_without_a_year_is_in_a_leap_year():
    reference = Reference(received_at=datetime(2028, 3, 1, tzinfo=UTC))

    assert at("Feb 29 12:00:00 node-a kernel: " + TCP4, reference) == datetime(2028, 2, 29, 12, tzinfo=UTC)


def test_a_stamp_without_a_zone_is_in_the_nodes_own():
    reference = Reference(received_at=READ, zone=timezone(timedelta(hours=2)))

    assert at("Nov 23 12:15:42 node-a kernel: " + TCP4, reference) == MOMENT


def test_another_program_that_quotes_a_log_line_is_not_the_kernel():
    quoted = parse("Nov 23 10:15:42 node-a audit[12]: seen kernel: " + TCP4, REFERENCE)

    assert quoted == NotALogLine()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[ 6453.341244] " + TCP4, "seconds since boot, and the time of the boot is not known"),
        ("Nov 31 10:15:42 node-a kernel: " + TCP4, "time stamp that is no time"),
        ("Foo 23 10:15:42 node-a kernel: " + TCP4, "time stamp that is no time"),
        (TCP4.replace("DPT=443", "DPT=70000"), "DPT= is no number up to 65535"),
        (TCP4.replace("DPT=443", "DPT=x"), "DPT= is no number up to 65535"),
        (TCP4.replace("10.244.1.7", "10.244.1.777"), "SRC= is no address"),
        (TCP4.replace("10.244.1.7", "fd00::7"), "addresses of two families"),
        (TCP4.replace("PROTO=TCP", "PROTO=TPC"), "PROTO= is no protocol"),
        (TCP4.replace("PROTO=TCP", "PROTO=256"), "PROTO= is no protocol"),
        (TCP4[: TCP4.index("DST")], "no DST="),
        (TCP4[: TCP4.index("PROTO")], "cut off before PROTO="),
        (TCP4[: TCP4.index("43 WINDOW")], "cut off before URGP="),
        (UDP[: UDP.rindex("LEN")], "cut off before LEN="),
        (ECHO[: ECHO.rindex("SEQ")], "cut off before SEQ="),
        ("calico-packet: IN=eth0 OU", "cut off before the fields"),
    ],
)
def test_what_looks_like_a_log_line_and_cannot_be_read_is_malformed(line, reason):
    assert parse(line, Reference(received_at=READ)) == Malformed(reason)


@pytest.mark.parametrize(
    "line", ["", "usb 1-1: new device", "IN=", "a LOGIN=x OUT of order", "audit: type=1400 COMM=IN=OUT"]
)
def test_every_other_line_is_no_log_line(line):
    assert isinstance(parse(line, REFERENCE), NotALogLine)


@pytest.mark.parametrize("whole", [TCP4, TCP6, UDP, ECHO, LONG_PREFIX])
def test_a_line_cut_anywhere_never_reads_as_another_packet(whole):
    for length in range(len(whole)):
        found = parse(whole[:length], REFERENCE)

        assert not isinstance(found, FlowRecord) or found == record(whole)


@given(st.text() | st.binary())
def test_no_line_whatsoever_raises(line):
    parse(line, REFERENCE)


@given(st.data())
def test_no_change_of_a_line_makes_it_raise(data):
    line = bytearray(
        data.draw(st.sampled_from(["[ 1.000000] " + TCP4, "Nov 23 10:15:42 n kernel: " + ECHO, TCP6])).encode()
    )
    for _ in range(data.draw(st.integers(1, 5))):
        line[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))

    parse(bytes(line), REFERENCE)
