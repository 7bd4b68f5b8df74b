"""A trace in the words of Calico's flow logs: policy strings, written and read, in both namings.

Trusts: nothing that is read; what Calico itself would not read is refused.
3.32 and later   `<index>|<tier>|<kind>:[<namespace>/]<name>|<action>|<rule index>`
3.31 and earlier `<index>|<tier>|[<namespace>/]<tier>.<name>|<action>|<rule index>`, Kubernetes policies as
`<namespace>/knp.default.<name>`, `staged:` in front of the name (in front of `knp.` or, in older text, of the tier).
Source: policy_semantics.md 19.2 (projectcalico/calico goldmane/proto/methods.go on master and at v3.31.7).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from models.facts import Kind
from models.verdicts import Hit
from monitor.policy.model import PROFILE_KIND, PROFILE_TIER

SHORT_KINDS: Final[dict[str, str]] = {
    Kind.NETWORK_POLICY.value: "np",
    Kind.GLOBAL_NETWORK_POLICY.value: "gnp",
    Kind.STAGED_NETWORK_POLICY.value: "snp",
    Kind.STAGED_GLOBAL_NETWORK_POLICY.value: "sgnp",
    Kind.STAGED_KUBERNETES_NETWORK_POLICY.value: "sknp",
    Kind.KUBERNETES_NETWORK_POLICY.value: "knp",
    Kind.CLUSTER_NETWORK_POLICY.value: "kcnp",
    Kind.ADMIN_NETWORK_POLICY.value: "kanp",
    Kind.BASELINE_ADMIN_NETWORK_POLICY.value: "kbanp",
    PROFILE_KIND: "pro",
}
"""Kind -> the short word of policy strings and of %k in log prefixes. kanp and kbanp end with 3.31."""

STAGED_KINDS: Final = frozenset(
    {
        Kind.STAGED_NETWORK_POLICY.value,
        Kind.STAGED_GLOBAL_NETWORK_POLICY.value,
        Kind.STAGED_KUBERNETES_NETWORK_POLICY.value,
    }
)
END_OF_TIER: Final = -1
ACTIONS: Final = frozenset({"allow", "deny", "pass"})

_ENDED_KINDS = frozenset({Kind.ADMIN_NETWORK_POLICY.value, Kind.BASELINE_ADMIN_NETWORK_POLICY.value})
_KINDS = {short: kind for kind, short in SHORT_KINDS.items() if kind not in _ENDED_KINDS}
_TIE_KINDS = {Kind.CLUSTER_NETWORK_POLICY: "KubernetesClusterNetworkPolicy"}
_STAGED = "staged:"
_KUBERNETES = "knp.default."
_ADMIN = {"kanp.": Kind.ADMIN_NETWORK_POLICY.value, "kbanp.": Kind.BASELINE_ADMIN_NETWORK_POLICY.value}
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")
_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_NAMESPACE = re.compile(_LABEL)
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


class PolicyStringError(ValueError):
    """The text is no policy string; the message says which part is wrong."""


class PolicyString(Struct, frozen=True, kw_only=True):
    """One entry of a flow log's policy list. `rule` is None where an older record leaves it out."""

    index: int
    tier: str
    kind: str
    namespace: str = ""
    name: str
    action: str
    rule: int | None

    @property
    def is_staged(self) -> bool:
        return self.kind in STAGED_KINDS

    @property
    def is_end_of_tier(self) -> bool:
        return self.rule == END_OF_TIER

    def hit(self) -> Hit:
        """The same as an entry of our own traces. A rule that the record leaves out is Calico's "unknown", -2."""
        return Hit(
            tier=self.tier,
            kind=self.kind,
            namespace=self.namespace,
            name=self.name,
            action=self.action,
            rule=-2 if self.rule is None else self.rule,
            is_staged=self.is_staged,
        )


def trace_strings(trace: Iterable[Hit], *, is_named_by_kind: bool) -> tuple[str, ...]:
    """A trace as Calico's flow logs write it; `Dialect.is_named_by_kind` chooses the naming."""
    return tuple(policy_string(index, hit, is_named_by_kind=is_named_by_kind) for index, hit in enumerate(trace))


def policy_string(index: int, hit: Hit, *, is_named_by_kind: bool) -> str:
    named = _by_kind(hit) if is_named_by_kind else _by_tier(hit)
    return f"{index}|{hit.tier}|{named}|{hit.action}|{hit.rule}"


def tie(kind: Kind, tier: str, namespace: str, name: str, *, is_named_by_kind: bool) -> str:
    """What breaks ties of order (7.6): name/namespace/kind from 3.32 on, the backend's name before."""
    if is_named_by_kind:
        return f"{name}/{namespace}/{_TIE_KINDS.get(kind, kind.value)}"
    return backend_name(kind.value, tier, namespace, name)


def backend_name(hit_kind: str, tier: str, namespace: str, name: str) -> str:
    """The name of a policy in Felix's model up to 3.31, which breaks ties of order there (7.6)."""
    plain = _without_tier(tier, name)
    scope = f"{namespace}/" if namespace else ""
    staged = _STAGED if hit_kind in STAGED_KINDS else ""
    for prefix, kind in _ADMIN.items():
        if hit_kind == kind:
            return f"{prefix}{tier}.{name}"
    if hit_kind in (Kind.KUBERNETES_NETWORK_POLICY.value, Kind.STAGED_KUBERNETES_NETWORK_POLICY.value):
        return f"{scope}{staged}{_KUBERNETES}{name}"
    return f"{scope}{staged}{tier}.{plain}"


def _by_kind(hit: Hit) -> str:
    scope = f"{hit.namespace}/" if hit.namespace else ""
    return f"{SHORT_KINDS[hit.kind]}:{scope}{hit.name}"


def _by_tier(hit: Hit) -> str:
    if hit.kind == PROFILE_KIND:
        return f"{PROFILE_TIER}.{hit.name}"
    if hit.kind in (Kind.STAGED_NETWORK_POLICY.value, Kind.STAGED_GLOBAL_NETWORK_POLICY.value):
        scope = f"{hit.namespace}/" if hit.namespace else ""
        return f"{scope}{hit.tier}.{_STAGED}{_without_tier(hit.tier, hit.name)}"
    return backend_name(hit.kind, hit.tier, hit.namespace, hit.name)


def _without_tier(tier: str, name: str) -> str:
    """Up to 3.31 the tier is part of a policy's name, and may be left out in the default tier only (7.7)."""
    return name.removeprefix(f"{tier}.")


# --- reading -----------------------------------------------------------------------------------------------------


def parse(text: str) -> PolicyString:
    """Either naming. PolicyStringError says what is wrong."""
    parts = text.split("|")
    if len(parts) not in (4, 5):
        raise PolicyStringError(f"a policy string has 5 parts between bars, not {len(parts)}: {text!r}")
    index, tier, named, action = parts[0], parts[1], parts[2], parts[3].lower()
    if action not in ACTIONS:
        raise PolicyStringError(f"the action is allow, deny or pass, not {parts[3]!r}: {text!r}")
    kind, namespace, name = _named(tier, named, text)
    if len(parts) == 4 and named.partition(":")[0] in _KINDS:
        raise PolicyStringError(f"the rule index is missing: {text!r}")
    _check_names(tier, namespace, name, text)
    return PolicyString(
        index=_number(index, text),
        tier=tier,
        kind=kind,
        namespace=namespace,
        name=name,
        action=action,
        rule=_number(parts[4], text) if len(parts) == 5 else None,
    )


def _number(written: str, text: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(written) or len(written) > 19:
        raise PolicyStringError(f"not a whole number: {written!r} in {text!r}")
    return int(written)


def _named(tier: str, named: str, text: str) -> tuple[str, str, str]:
    """Kind, namespace and name."""
    short, colon, rest = named.partition(":")
    if colon and short in _KINDS:
        namespace, name = _scoped(rest, text)
        return _KINDS[short], namespace, name
    if colon and not short.endswith("staged"):
        raise PolicyStringError(f"unknown kind of policy {short!r}: {text!r}")
    namespace, name = _scoped(named, text)
    if not namespace:
        return _global_by_tier(tier, name)
    return _namespaced_by_tier(namespace, name)


def _scoped(named: str, text: str) -> tuple[str, str]:
    parts = named.split("/")
    if len(parts) > 2:
        raise PolicyStringError(f"a name has at most one slash: {named!r} in {text!r}")
    return ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])


def _namespaced_by_tier(namespace: str, name: str) -> tuple[str, str, str]:
    if name.startswith(_STAGED + _KUBERNETES):
        staged = Kind.STAGED_KUBERNETES_NETWORK_POLICY.value
        return staged, namespace, name.removeprefix(_STAGED + _KUBERNETES)
    if name.startswith(_KUBERNETES):
        return Kind.KUBERNETES_NETWORK_POLICY.value, namespace, name.removeprefix(_KUBERNETES)
    kind = Kind.STAGED_NETWORK_POLICY if _STAGED in name else Kind.NETWORK_POLICY
    return kind.value, namespace, _after_tier(name)


def _global_by_tier(tier: str, name: str) -> tuple[str, str, str]:
    if name.startswith(f"{PROFILE_TIER}."):
        return PROFILE_KIND, "", name.removeprefix(f"{PROFILE_TIER}.")
    # Felix 3.31 itself puts the tier in front once more: adminnetworkpolicy.kanp.adminnetworkpolicy.x
    plain = name.removeprefix(f"{tier}.")
    for prefix, kind in _ADMIN.items():
        if plain.startswith(f"{prefix}{tier}."):
            return kind, "", plain.removeprefix(f"{prefix}{tier}.")
    kind = Kind.STAGED_GLOBAL_NETWORK_POLICY if _STAGED in name else Kind.GLOBAL_NETWORK_POLICY
    return kind.value, "", _after_tier(name)


def _after_tier(name: str) -> str:
    """`tier.staged:x`, `staged:tier.x` and `tier.x` are x."""
    return name.replace(_STAGED, "", 1).partition(".")[2]


def _check_names(tier: str, namespace: str, name: str, text: str) -> None:
    if not tier:
        raise PolicyStringError(f"the tier is missing: {text!r}")
    if tier != PROFILE_TIER and not _is_name(_NAME, tier, 253):
        raise PolicyStringError(f"not the name of a tier: {tier!r} in {text!r}")
    if namespace and not _is_name(_NAMESPACE, namespace, 63):
        raise PolicyStringError(f"not the name of a namespace: {namespace!r} in {text!r}")
    if not _is_name(_NAME, name, 253):
        raise PolicyStringError(f"not the name of a policy: {name!r} in {text!r}")


def _is_name(form: re.Pattern[str], name: str, longest: int) -> bool:
    """Names in flow logs may be cut to a prefix and so end in a dash."""
    whole = name[:-1] + "a" if len(name) > 1 and name.endswith("-") else name
    return len(name) <= longest and form.fullmatch(whole) is not None
