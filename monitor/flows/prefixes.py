"""Which policies can have written a LOG line: the prefix against FelixConfiguration's logPrefix (18.2).

Law: a prefix that the kernel's tools cut off stands for every policy whose text begins with it; one that more than one
policy fits is ambiguous, and all are named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from models.facts import FelixConfiguration
from models.verdicts import LogHit
from monitor.policy.naming import SHORT_KINDS
from monitor.state.history import View

DEFAULT = "calico-packet"
CUT_AT = 29  # characters that iptables keeps of prefix and ": "
_SPECIFIER = re.compile(r"%[tknp]")


def template(view: View) -> str:
    """The setting then: that of `default`, as nodes' own ones are rare and not told apart by a line."""
    written = [fact for fact in view.of_type(FelixConfiguration) if fact.log_prefix is not None]
    chosen = next((fact for fact in written if fact.name == "default"), None)
    return chosen.log_prefix or DEFAULT if chosen else DEFAULT


def names_a_policy(written: str) -> bool:
    return bool(_SPECIFIER.search(written))


def rendered(written: str, hit: LogHit) -> str:
    """The prefix that this Log rule writes, uncut."""
    values = {
        "%t": hit.tier,
        "%k": SHORT_KINDS.get(hit.kind, hit.kind),
        "%n": hit.name,
        "%p": f"{hit.namespace}/{hit.name}" if hit.namespace else hit.name,
    }
    return _SPECIFIER.sub(lambda found: values[found[0]], written)


def named(prefix: str, written: str, hits: Iterable[LogHit]) -> tuple[str, ...]:
    """The policies among these that fit the prefix, in the order met; several = ambiguous."""
    found: dict[str, None] = {}
    for hit in hits:
        whole = rendered(written, hit)
        is_cut = len(whole) + len(": ") > CUT_AT and len(prefix) >= CUT_AT - len(": ")
        if prefix == whole or (is_cut and whole.startswith(prefix)):
            found[f"{hit.kind} {hit.namespace + '/' if hit.namespace else ''}{hit.name}"] = None
    return tuple(found)
