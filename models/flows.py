"""Flow records on their way from a log source to a window.

A batch states where in its source it lies, so that a line sent twice is counted once (architecture.md section 5).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct


class FlowRecord(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One observation, as far as its source tells. None or "" = the record does not say."""

    at: datetime  # the record's own time, UTC
    source_address: str = ""
    destination_address: str = ""
    protocol: str = ""  # tcp, udp, icmp, icmp6, sctp, or the number as text
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    in_interface: str = ""
    out_interface: str = ""
    prefix: str = ""  # of a LOG line, without its ": "
    packet_id: int | None = None  # IPv4 ID: lines of one packet share it
    action: Literal["", "allow", "deny"] = ""  # "" = a LOG line has no verdict (18.3)
    count: int = 1
    position: int = 0  # behind this record in its source; at or below the recorded place it was counted before


class FlowBatch(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Records of one source. `[start, end)` are positions in it: bytes of a file, or sequence numbers of /dev/kmsg.

    A batch without records is the source's heartbeat.
    """

    cluster: str
    node: str
    source: str  # e.g. file:/var/log/kern.log@node-a, kmsg@node-a
    generation: str  # inode and fingerprint, or boot id
    start: int
    end: int
    predecessor: str = ""  # generation before this one, in its first batch
    predecessor_end: int = 0  # length last seen of it
    records: tuple[FlowRecord, ...] = ()
    unparsed: int = 0  # lines that look like LOG lines and could not be read
    lost: int = 0  # records the source itself says it lost (kmsg overrun)
    is_end: bool = False  # `--once`: the source ends here
