"""Policy strings of flow logs, in both namings (policy_semantics.md 19.2; projectcalico/calico goldmane/proto)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.verdicts import Hit
from monitor.policy import naming
from monitor.policy.naming import PolicyString, PolicyStringError


def hit(tier, kind, scoped, action, rule):
    namespace, _, name = scoped.rpartition("/")
    staged = kind.startswith("Staged")
    return Hit(tier=tier, kind=kind, namespace=namespace, name=name, action=action, rule=rule, is_staged=staged)


BY_KIND = [
    ("0|platform|gnp:deny-all|deny|3", hit("platform", "GlobalNetworkPolicy", "deny-all", "deny", 3)),
    ("1|default|knp:shop/web|allow|0", hit("default", "KubernetesNetworkPolicy", "shop/web", "allow", 0)),
    ("2|default|np:shop/web.v2|deny|-1", hit("default", "NetworkPolicy", "shop/web.v2", "deny", -1)),
    ("0|kube-admin|kcnp:guard|pass|1", hit("kube-admin", "ClusterNetworkPolicy", "guard", "pass", 1)),
    ("0|t|snp:shop/next|allow|0", hit("t", "StagedNetworkPolicy", "shop/next", "allow", 0)),
    ("0|t|sgnp:next|allow|0", hit("t", "StagedGlobalNetworkPolicy", "next", "allow", 0)),
    ("4|default|sknp:shop/k|deny|-1", hit("default", "StagedKubernetesNetworkPolicy", "shop/k", "deny", -1)),
    ("1|__PROFILE__|pro:kns.shop|allow|0", hit("__PROFILE__", "Profile", "kns.shop", "allow", 0)),
]
BY_TIER = [
    ("0|platform|platform.deny-all|deny|3", hit("platform", "GlobalNetworkPolicy", "deny-all", "deny", 3)),
    ("1|default|shop/knp.default.web|allow|0", hit("default", "KubernetesNetworkPolicy", "shop/web", "allow", 0)),
    ("2|default|shop/default.web.v2|deny|-1", hit("default", "NetworkPolicy", "shop/web.v2", "deny", -1)),
    ("0|t|shop/t.staged:next|allow|0", hit("t", "StagedNetworkPolicy", "shop/next", "allow", 0)),
    ("0|t|t.staged:next|allow|0", hit("t", "StagedGlobalNetworkPolicy", "next", "allow", 0)),
    (
        "4|default|shop/staged:knp.default.k|deny|-1",
        hit("default", "StagedKubernetesNetworkPolicy", "shop/k", "deny", -1),
    ),
    (
        "0|adminnetworkpolicy|kanp.adminnetworkpolicy.guard|pass|0",
        hit("adminnetworkpolicy", "AdminNetworkPolicy", "guard", "pass", 0),
    ),
    (
        "0|baselineadminnetworkpolicy|kbanp.baselineadminnetworkpolicy.default|deny|0",
        hit("baselineadminnetworkpolicy", "BaselineAdminNetworkPolicy", "default", "deny", 0),
    ),
    ("0|__PROFILE__|__PROFILE__.kns.shop|allow|0", hit("__PROFILE__", "Profile", "kns.shop", "allow", 0)),
]
REFUSED = [
    ("1|t|gnp:x|deny|one", "whole number"),
    ("one|t|gnp:x|deny|1", "whole number"),
    ("1_0|t|gnp:x|deny|1", "whole number"),
    ("1|t|gnp:x|deny", "rule index is missing"),
    ("1|t|gnp:x|deny|1|more", "5 parts"),
    ("1|t|gnp:x@y|deny|1", "name of a policy"),
    ("1|_|snp:shop/x|deny|0", "name of a tier"),
    ("1|@t|gnp:x|deny|0", "name of a tier"),
    ("1|t|gnp:x|drop|0", "allow, deny or pass"),
    ("1||np:shop/x|deny|0", "tier is missing"),
    ("1|t|np:shop/|deny|0", "name of a policy"),
    ("1|t|np:Shop/x|deny|0", "name of a namespace"),
    ("1|t|np:a/b/c|deny|0", "one slash"),
    ("1|t|new:x|deny|0", "unknown kind"),
    ("1|___PROFILE__|pro:kns.x|allow|0", "name of a tier"),
    ("1|__PROFILE__|pro:PSA.x|allow|0", "name of a policy"),
    ("", "5 parts"),
]


@pytest.mark.parametrize(("text", "met"), BY_KIND)
def test_a_hit_is_written_with_its_kind_from_3_32_on_and_read_back(text, met):
    index = int(text.partition("|")[0])

    assert naming.policy_string(index, met, is_named_by_kind=True) == text
    assert naming.parse(text).hit() == met
    assert naming.parse(text).index == index


@pytest.mark.parametrize(("text", "met"), BY_TIER)
def test_a_hit_is_written_with_its_tier_up_to_3_31_and_read_back(text, met):
    index = int(text.partition("|")[0])

    assert naming.policy_string(index, met, is_named_by_kind=False) == text
    assert naming.parse(text).hit() == met


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_is_no_policy_string_is_refused_with_the_part_that_is_wrong(text, reason):
    with pytest.raises(PolicyStringError, match=reason):
        naming.parse(text)


def test_a_name_that_carries_its_tier_as_the_old_api_demands_is_not_written_twice():
    met = hit("platform", "NetworkPolicy", "shop/platform.web", "allow", 0)

    assert naming.policy_string(0, met, is_named_by_kind=False) == "0|platform|shop/platform.web|allow|0"
    assert naming.policy_string(0, met, is_named_by_kind=True) == "0|platform|np:shop/platform.web|allow|0"


def test_the_tier_column_holds_where_an_old_name_disagrees_with_it():
    read = naming.parse("1|tier2|ns2/staged:tier1.policy1|deny|1")

    assert read == PolicyString(
        index=1, tier="tier2", kind="StagedNetworkPolicy", namespace="ns2", name="policy1", action="deny", rule=1
    )


def test_felix_3_31_writes_the_tier_twice_for_admin_policies():
    read = naming.parse("0|adminnetworkpolicy|adminnetworkpolicy.kanp.adminnetworkpolicy.guard|pass|0")

    assert (read.kind, read.name) == ("AdminNetworkPolicy", "guard")


def test_an_old_record_without_rule_index_is_read_and_the_rule_is_unknown():
    read = naming.parse("0|default|shop/default.web|allow")

    assert read.rule is None
    assert read.hit().rule == -2


def test_a_trace_is_numbered_from_nought():
    trace = [met for _, met in BY_KIND[:2]]

    assert naming.trace_strings(trace, is_named_by_kind=True) == (
        "0|platform|gnp:deny-all|deny|3",
        "1|default|knp:shop/web|allow|0",
    )


def test_staged_policies_sort_by_the_prefix_of_their_backend_name_up_to_3_31():
    names = [
        naming.backend_name("StagedNetworkPolicy", "default", "shop", "a"),
        naming.backend_name("KubernetesNetworkPolicy", "default", "shop", "a"),
        naming.backend_name("NetworkPolicy", "default", "shop", "z"),
        naming.backend_name("GlobalNetworkPolicy", "default", "", "a"),
    ]

    assert sorted(names) == ["default.a", "shop/default.z", "shop/knp.default.a", "shop/staged:default.a"]


@given(st.text(alphabet="0123456789|:/.-_@abcnpgsktierPROFILEd staged+", max_size=60))
def test_any_text_is_read_or_refused_and_what_is_read_can_be_written(text):
    try:
        read = naming.parse(text)
    except PolicyStringError:
        return

    by_kind = read.kind not in ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy")
    written = naming.policy_string(read.index, read.hit(), is_named_by_kind=by_kind)

    assert naming.parse(written).hit() == read.hit()
