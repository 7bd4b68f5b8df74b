"""Addresses are read as Python's ipaddress reads them; the short way for plain IPv4 accepts no more and no less."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.policy import addresses

octets = st.one_of(st.integers(0, 300).map(str), st.sampled_from(["", "00", "01", "1 ", " 1", "٣", "1e", "-1", "+1"]))
dotted = st.lists(octets, min_size=3, max_size=5).map(".".join)


@given(st.one_of(dotted, st.text(max_size=12), st.ip_addresses().map(str)))
@example("255.255.255.255")
@example("::ffff:1.2.3.4")
@example("fe80::1%eth0")
def test_an_address_is_what_ipaddress_takes_it_for(text):
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 address"):
            addresses.address(text)
        return
    assert addresses.address(text) == int(parsed) + (addresses.V6 if parsed.version == 6 else 0)
