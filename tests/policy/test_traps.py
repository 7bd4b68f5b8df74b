"""The traps of policy_semantics.md section 22, one by one: what is surprising and true of Calico."""

import pytest
from policy.small_clusters import (
    OUTSIDE,
    Asked,
    account,
    global_policy,
    host,
    keyed,
    kubernetes_policy,
    namespace,
    network_set,
    packet,
    pod,
    policy,
    rule,
)

from models.facts import (
    AdminPeer,
    AdminPolicy,
    AdminRule,
    ClusterInformation,
    EndpointPort,
    EndpointSlice,
    HTTPMatch,
    IPBlock,
    KubernetesNetworkPolicy,
    KubernetesPeer,
    KubernetesRule,
    LabelRequirement,
    LabelSelector,
    NamedPort,
    ServiceAccountMatch,
    ServiceMatch,
    Tier,
)
from models.verdicts import Direction
from monitor.policy.engine import Engine

WEB, DB = "10.0.0.1", "10.0.0.2"
SHOP = (
    namespace("shop", team="retail"),
    account("shop/default"),
    pod("shop/web", WEB, "fd00::1", ports=(NamedPort(name="http", protocol="TCP", port=8080),)),
    pod("shop/db", DB),
)
FRONT = (namespace("front"), account("front/default"), pod("front/client", "10.0.1.1"))
ALLOW = (rule("Allow"),)
NO_ACCOUNTS = ServiceAccountMatch(names=(), selector="")


def test_a_tier_that_selects_only_for_egress_adds_nothing_to_ingress():
    asked = Asked(*SHOP, Tier(name="early", order=1.0), global_policy("out", tier="early", egress=[]))

    assert asked.ingress(OUTSIDE, "shop/web") == ("0|__PROFILE__|pro:kns.shop|allow|0",)


def test_a_tier_with_only_staged_policies_passes_and_says_nothing():
    asked = Asked(*SHOP, global_policy("next", staged=True, ingress=[]))

    assert asked.ingress(OUTSIDE, "shop/web") == ("0|__PROFILE__|pro:kns.shop|allow|0",)
    assert asked.pending(OUTSIDE, "shop/web") == ("0|default|sgnp:next|deny|-1",)


def test_pass_off_the_last_tier_leads_to_the_profile_and_so_allows():
    asked = Asked(*SHOP, global_policy("p", ingress=[rule("Pass")]))

    assert asked.ingress(OUTSIDE, "shop/web") == ("0|default|gnp:p|pass|0", "1|__PROFILE__|pro:kns.shop|allow|0")


def test_all_means_known_addresses_and_no_selector_means_any():
    known = global_policy("known", ingress=[rule("Allow", source={"selector": "all()"})])

    assert Asked(*SHOP, known).allows(OUTSIDE, "shop/web") == "deny"
    assert Asked(*SHOP, known).allows("shop/db", "shop/web") == "allow"
    assert Asked(*SHOP, global_policy("any", ingress=ALLOW)).allows(OUTSIDE, "shop/web") == "allow"


def test_not_selector_accepts_strangers_and_a_negated_selector_does_not():
    excluding = global_policy("p", ingress=[rule("Allow", source={"not_selector": "app == 'db'"})])
    negated = global_policy("p", ingress=[rule("Allow", source={"selector": "!(app == 'db')"})])

    assert Asked(*SHOP, excluding).allows(OUTSIDE, "shop/web") == "allow"
    assert Asked(*SHOP, excluding).allows("shop/db", "shop/web") == "deny"
    assert Asked(*SHOP, negated).allows(OUTSIDE, "shop/web") == "deny"


def test_with_a_positive_selector_one_matching_owner_suffices_for_a_not_selector():
    both = {"selector": "has(app) || has(zone)", "not_selector": "app == 'db'"}
    around = network_set("around", "10.0.0.0/24", zone="a")

    assert (
        Asked(*SHOP, global_policy("p", ingress=[rule("Allow", source=both)])).allows("shop/db", "shop/web") == "deny"
    )
    assert (
        Asked(*SHOP, around, global_policy("p", ingress=[rule("Allow", source=both)])).allows("shop/db", "shop/web")
        == "allow"
    )


def test_namespaced_rules_reach_their_own_namespace_by_selector_but_anywhere_by_net():
    by_selector = policy("shop/p", ingress=[rule("Allow", source={"selector": "all()"})])
    by_net = policy("shop/p", ingress=[rule("Allow", source={"nets": ("10.0.1.0/24",)})])

    assert Asked(*SHOP, *FRONT, by_selector).allows("front/client", "shop/web") == "deny"
    assert Asked(*SHOP, *FRONT, by_net).allows("front/client", "shop/web") == "allow"


@pytest.mark.parametrize("selector", ["env != 'prod'", "env not in {'prod'}"])
def test_a_missing_label_is_unequal(selector):
    asked = Asked(*SHOP, global_policy("p", selector, ingress=[]))

    assert asked.allows(OUTSIDE, "shop/web") == "deny"


def test_empty_types_reach_felix_as_both_directions():
    asked = Asked(*SHOP, global_policy("p", ingress=ALLOW, types=()))

    assert asked.allows(OUTSIDE, "shop/web") == "allow"
    assert asked.allows("shop/web", OUTSIDE) == "deny"


def test_kubernetes_policies_stand_at_order_1000_amid_calico_ones():
    open_all = kubernetes_policy("shop/open", ingress=(KubernetesRule(),))
    before = global_policy("shut", ingress=[rule("Deny")], order=999.0)
    after = global_policy("shut", ingress=[rule("Deny")], order=1001.0)

    assert Asked(*SHOP, open_all, before).ingress(OUTSIDE, "shop/web") == ("0|default|gnp:shut|deny|0",)
    assert Asked(*SHOP, open_all, after).ingress(OUTSIDE, "shop/web") == ("0|default|knp:shop/open|allow|0",)


def test_equal_orders_are_told_apart_by_name_from_3_32_and_by_backend_name_before():
    named_b = global_policy("b", ingress=[rule("Deny")], order=1.0)
    named_a = policy("shop/a", ingress=ALLOW, order=1.0)
    old = ClusterInformation(name="default", calico_version="v3.31.2")

    assert Asked(*SHOP, named_b, named_a).allows(OUTSIDE, "shop/web") == "allow"
    assert Asked(*SHOP, named_b, named_a, old).allows(OUTSIDE, "shop/web") == "deny"


def test_an_admin_rule_that_calico_cannot_read_denies_everything():
    unreadable = AdminPolicy(
        policy_kind="ClusterNetworkPolicy",
        name="guard",
        tier="Admin",
        subject=AdminPeer(namespaces=LabelSelector()),
        ingress=(AdminRule(action="Pass", peers=(AdminPeer(unsupported="nodes"),)),),
    )
    harmless = AdminPolicy(
        policy_kind="ClusterNetworkPolicy",
        name="guard",
        tier="Admin",
        subject=AdminPeer(namespaces=LabelSelector()),
        ingress=(AdminRule(action="Accept", peers=(AdminPeer(unsupported="nodes"),)),),
    )

    assert Asked(*SHOP, unreadable).ingress(OUTSIDE, "shop/web") == ("0|kube-admin|kcnp:guard|deny|0",)
    assert Asked(*SHOP, harmless).allows(OUTSIDE, "shop/web") == "allow"


def test_admin_kinds_of_another_version_are_inert():
    old_kind = AdminPolicy(
        policy_kind="AdminNetworkPolicy",
        name="guard",
        subject=AdminPeer(namespaces=LabelSelector()),
        ingress=(AdminRule(action="Deny", peers=(AdminPeer(namespaces=LabelSelector()),)),),
    )
    old = ClusterInformation(name="default", calico_version="v3.30.1")

    assert Asked(*SHOP, old_kind).allows("shop/db", "shop/web") == "allow"
    assert Asked(*SHOP, old_kind, old).allows("shop/db", "shop/web") == "deny"


@pytest.mark.parametrize("field", ["nets", "not_nets"])
def test_nets_of_one_family_void_the_rule_for_the_other(field):
    asked = Asked(*SHOP, global_policy("p", ingress=[rule("Allow", source={field: ("192.0.2.0/24",)})]))
    over_ipv6 = packet("2001:db8::9", "fd00::1")

    assert asked.engine.judge(over_ipv6, source=None, destination="pod:shop/web").decision.value == "deny"


def test_icmp_by_name_is_ipv4_only_and_by_number_it_is_not():
    over_ipv6 = packet("2001:db8::9", "fd00::1", "icmp", icmp_type=8, icmp_code=0)
    by_name = Asked(*SHOP, global_policy("p", ingress=[rule("Allow", "ICMP")]))
    by_number = Asked(*SHOP, global_policy("p", ingress=[rule("Allow", 1)]))

    assert by_name.engine.judge(over_ipv6, source=None, destination="pod:shop/web").decision.value == "deny"
    assert by_number.engine.judge(over_ipv6, source=None, destination="pod:shop/web").decision.value == "allow"


def test_a_named_port_is_that_of_the_endpoint_and_of_its_protocol():
    asked = Asked(*SHOP, global_policy("p", ingress=[rule("Allow", destination={"ports": ("http",)})]))

    assert asked.allows(OUTSIDE, "shop/web", "tcp/8080") == "allow"
    assert asked.allows(OUTSIDE, "shop/web", "udp/8080") == "deny"
    assert asked.allows(OUTSIDE, "shop/web", "tcp/80") == "deny"
    assert asked.allows(OUTSIDE, "shop/db", "tcp/8080") == "deny"


def test_an_ip_block_matches_pods():
    block = KubernetesPeer(ip_block=IPBlock(cidr="10.0.1.0/24"))
    asked = Asked(*SHOP, *FRONT, kubernetes_policy("shop/p", ingress=(KubernetesRule(peers=(block,)),)))

    assert asked.allows("front/client", "shop/web") == "allow"


def test_services_are_their_backends_and_never_their_cluster_address():
    backends = EndpointSlice(
        namespace="shop", name="db-1", service="db", addresses=(DB,), ports=(EndpointPort(port=5432),)
    )
    to_service = {"services": ServiceMatch(name="db", namespace="shop")}
    asked = Asked(*SHOP, *FRONT, backends, policy("front/p", egress=[rule("Allow", destination=to_service)]))

    assert asked.allows("front/client", "shop/db", "tcp/5432") == "allow"
    assert asked.allows("front/client", "shop/db", "tcp/80") == "deny"
    assert asked.allows("front/client", "10.96.0.7", "tcp/5432") == "deny"


def test_a_service_without_namespace_matches_nothing():
    backends = EndpointSlice(
        namespace="shop", name="db-1", service="db", addresses=(DB,), ports=(EndpointPort(port=5432),)
    )
    asked = Asked(
        *SHOP, backends, policy("shop/p", egress=[rule("Allow", destination={"services": ServiceMatch(name="db")})])
    )

    assert asked.allows("shop/web", "shop/db", "tcp/5432") == "deny"


def test_a_host_endpoint_without_policy_denies_and_an_automatic_one_allows():
    named = Asked(host("h", "192.0.2.1"))
    automatic = Asked(host("h", "192.0.2.1", interface="*", profiles=("projectcalico-default-allow",)))

    assert named.judge(OUTSIDE, "h").ingress.trace == ()
    assert named.allows(OUTSIDE, "h") == "deny"
    assert automatic.ingress(OUTSIDE, "h") == ("0|__PROFILE__|pro:projectcalico-default-allow|allow|0",)


def test_pods_on_the_hosts_network_are_no_endpoints_and_no_peers():
    twin = pod("shop/agent", "192.0.2.7", host_network=True)
    asked = Asked(*SHOP, twin, global_policy("p", ingress=[rule("Allow", source={"selector": "app == 'agent'"})]))

    assert "pod:shop/agent" not in asked.engine.endpoints
    assert asked.allows("192.0.2.7", "shop/web") == "deny"


def test_finished_pods_have_no_address_and_terminating_ones_do():
    done = pod("shop/job", "10.0.0.8", is_finished=True)
    leaving = pod("shop/old", "10.0.0.9", is_terminating=True)
    engine = Asked(*SHOP, done, leaving).engine

    assert engine.endpoints_at("10.0.0.8") == ()
    assert [each.id for each in engine.endpoints_at("10.0.0.9")] == ["pod:shop/old"]


def test_log_rules_are_met_and_decide_nothing():
    asked = Asked(*SHOP, global_policy("p", ingress=[rule("Log"), rule("Deny", "UDP"), rule("Log"), *ALLOW]))
    verdict = asked.judge(OUTSIDE, "shop/web").ingress

    assert [log.rule for log in verdict.logs] == [0, 2]
    assert [hit.rule for hit in verdict.trace] == [3]


def test_a_staged_delete_does_nothing_to_the_pending_trace():
    live = global_policy("p", ingress=[rule("Deny")])
    asked = Asked(*SHOP, live, global_policy("p", staged=True, ingress=[rule("Deny")], staged_action="Delete"))

    assert asked.pending(OUTSIDE, "shop/web") == ("0|default|gnp:p|deny|0",)


def test_a_staged_policy_stands_beside_its_namesake_and_logs_nothing():
    live = policy("shop/p", ingress=[rule("Log"), rule("Pass")], order=1.0)
    staged = policy("shop/p", staged=True, ingress=[rule("Log"), rule("Deny")], order=0.5)
    asked = Asked(*SHOP, live, staged)

    assert asked.pending(OUTSIDE, "shop/web") == ("0|default|snp:shop/p|deny|1",)
    assert asked.judge(OUTSIDE, "shop/web").ingress_pending.logs == ()


def test_a_policy_of_a_tier_that_nobody_made_is_enforced_last_and_ends_in_deny():
    asked = Asked(*SHOP, global_policy("p", tier="nowhere", ingress=[]))

    assert asked.ingress(OUTSIDE, "shop/web") == ("0|nowhere|gnp:p|deny|-1",)


def test_a_missing_namespace_closes_its_pods():
    asked = Asked(pod("shop/web", WEB))

    assert asked.allows(OUTSIDE, "shop/web") == "deny"


def test_a_pod_cannot_pose_as_another_namespace_but_a_network_set_can():
    poser = pod("front/poser", "10.0.1.9", labels={"pcns.team": "retail", "projectcalico.org/namespace": "shop"})
    posing_set = network_set("poser", "203.0.113.0/24", **{"pcns.team": "retail"})
    retail = global_policy(
        "p", "app == 'web'", ingress=[rule("Allow", source={"namespace_selector": "team == 'retail'"})]
    )
    asked = Asked(*SHOP, *FRONT, poser, posing_set, retail)

    assert asked.allows("front/poser", "shop/web") == "deny"
    assert asked.allows("shop/db", "shop/web") == "allow"
    assert asked.allows("203.0.113.7", "shop/web") == "allow"


def test_a_negative_namespace_selector_holds_for_host_endpoints_too():
    asked = Asked(
        *SHOP,
        host("h", "192.0.2.1", profiles=("projectcalico-default-allow",)),
        global_policy("p", "!has(x)", namespace_selector="team != 'retail'", ingress=[]),
    )

    assert asked.allows(OUTSIDE, "h") == "deny"
    assert asked.allows(OUTSIDE, "shop/web") == "allow"


def test_service_accounts_are_matched_by_name_and_by_their_labels():
    robot = (account("front/robot", role="machine"), pod("front/robot", "10.0.1.8", account="robot"))
    by_label = {"service_accounts": ServiceAccountMatch(selector="role == 'machine'"), "namespace_selector": "all()"}
    asked = Asked(*SHOP, *FRONT, *robot, policy("shop/p", ingress=[rule("Allow", source=by_label)]))

    assert asked.allows("front/robot", "shop/web") == "allow"
    assert asked.allows("front/client", "shop/web") == "deny"


def test_what_http_matches_cannot_be_known_from_here():
    asked = Asked(*SHOP, global_policy("p", ingress=[rule("Allow", http=HTTPMatch(methods=("GET",)))]))
    verdict = asked.judge(OUTSIDE, "shop/web").ingress

    assert verdict.decision.value == "unknown"
    assert "HTTP" in verdict.unknown_because[0]


def test_a_missing_port_matters_only_where_a_rule_asks_for_it():
    asked = Asked(
        *SHOP, policy("shop/p", ingress=[rule("Allow", "TCP", destination={"ports": (80,)}), rule("Deny", "UDP")])
    )

    assert asked.allows(OUTSIDE, "shop/web", "tcp") == "unknown"
    assert asked.allows(OUTSIDE, "shop/web", "udp") == "deny"


def test_a_port_by_a_name_that_nobody_gives_is_no_port_whichever_is_missing():
    def asked(name):
        return Asked(*SHOP, global_policy("p", ingress=[rule("Allow", "TCP", destination={"ports": (name,)})]))

    assert asked("http").allows(OUTSIDE, "shop/web", "tcp") == "unknown"
    assert asked("dns").allows(OUTSIDE, "shop/web", "tcp") == "deny"


def test_two_ways_that_end_alike_are_certain():
    asked = Asked(*SHOP, policy("shop/p", ingress=[rule("Deny", "TCP", destination={"ports": (80,)}), rule("Deny")]))

    assert asked.allows(OUTSIDE, "shop/web", "tcp") == "deny"


def test_a_stranger_shows_what_happens_by_default():
    allowed = global_policy("p", "app == 'web'", ingress=[rule("Allow", source={"nets": ("198.51.100.0/24",)})])
    everybody = global_policy("q", "app == 'db'", ingress=[rule("Allow", source={"nets": ("0.0.0.0/0",)})])
    engine = Asked(*SHOP, allowed, everybody).engine

    assert engine.stranger("pod:shop/web", Direction.INGRESS).decision.value == "deny"
    assert engine.stranger("pod:shop/db", Direction.INGRESS).decision.value == "allow"
    assert engine.stranger("pod:shop/db", Direction.EGRESS).decision.value == "allow"


def test_before_a_stranger_a_rule_may_tell_apart_those_whom_one_policy_selects():
    """By who they are: the same chain, and a rule of it asks for the sender's own labels."""
    only_web = rule("Allow", source={"selector": "app == 'web'"})
    engine = Asked(
        *SHOP, pod("shop/web-2", "10.0.0.3", labels={"app": "web"}), global_policy("p", "all()", egress=[only_web])
    ).engine
    told = {each: engine.stranger(f"pod:shop/{each}", Direction.EGRESS) for each in ("web", "web-2", "db")}

    assert {each: verdict.decision.value for each, verdict in told.items()} == {
        "web": "allow",
        "web-2": "allow",
        "db": "deny",
    }


def test_before_a_stranger_a_rule_may_tell_apart_those_with_the_same_labels():
    """By who else has their address, and by where it lies."""
    shared = (pod("shop/web-2", "10.0.0.3", labels={"app": "web"}), pod("shop/other", "10.0.0.3", labels={"app": "db"}))
    by_owner = global_policy("p", "app == 'web'", egress=[rule("Allow", source={"selector": "app == 'db'"})])
    by_net = global_policy("p", "app == 'web'", egress=[rule("Allow", source={"nets": ("10.0.0.3/32",)})])

    for each in (by_owner, by_net):
        engine = Asked(*SHOP, *shared, each).engine
        told = [engine.stranger(f"pod:shop/{name}", Direction.EGRESS).decision.value for name in ("web", "web-2")]
        assert told == ["deny", "allow"]


def test_a_label_change_names_those_whose_answers_change_and_few_others():
    to_db = policy(
        "front/p", egress=[rule("Allow", destination={"selector": "app == 'db'", "namespace_selector": "all()"})]
    )
    engine = Engine.build(keyed(*SHOP, *FRONT, to_db))

    affected = engine.apply(keyed(pod("shop/db", DB, labels={"app": "cache"})))

    assert affected.endpoints == {"pod:shop/db", "pod:front/client"}


def test_what_changes_nothing_names_nobody():
    engine = Engine.build(keyed(*SHOP, *FRONT))

    assert engine.apply(keyed(*SHOP, *FRONT)).endpoints == frozenset()


def test_a_staged_policy_to_ignore_counts_like_any_that_is_pending():
    """C:libcalico-go/lib/backend/syncersv1/updateprocessors: the only action that is looked at is Delete."""
    staged = policy("shop/p", ingress=[], staged=True, staged_action="Ignore")
    kubernetes = kubernetes_policy("shop/k", staged_action="Ignore")

    for pending in (staged, kubernetes):
        verdict = Asked(*SHOP, pending).judge(OUTSIDE, "shop/web")
        assert (verdict.ingress.decision.value, verdict.ingress_pending.decision.value) == ("allow", "deny")


def test_accounts_without_a_name_or_a_selector_do_not_keep_a_rule_within_its_namespace():
    """C:libcalico-go/lib/backend/syncersv1/updateprocessors/rules.go, getEndpointSelector."""
    asked = Asked(*SHOP, *FRONT, policy("shop/p", ingress=[rule("Allow", source={"service_accounts": NO_ACCOUNTS})]))

    assert asked.allows("front/client", "shop/web") == "allow"
    assert asked.allows(OUTSIDE, "shop/web") == "allow"


def test_an_account_name_with_a_quote_spoils_the_whole_match():
    """C:libcalico-go/lib/backend/syncersv1/updateprocessors/rules.go, parseServiceAccounts: it pastes names."""
    spoilt = ServiceAccountMatch(names=("o'brien",), selector="has(nothing)")
    asked = Asked(*SHOP, policy("shop/p", ingress=[rule("Allow", source={"service_accounts": spoilt})]))

    assert asked.allows(OUTSIDE, "shop/web") == "allow"


def test_a_label_that_its_prefix_makes_too_long_takes_all_of_its_namespace_along():
    """C:libcalico-go/lib/validator/v3/validator.go, validateLabels: felix drops what the profile would hand down."""
    spaces = (namespace("short", team="retail", **{"k" * 58: ""}), namespace("long", team="retail", **{"k" * 59: ""}))
    pods = (pod("short/client", "10.0.3.1"), pod("long/client", "10.0.3.2"))
    by_label = rule("Allow", source={"namespace_selector": "team == 'retail'"})
    asked = Asked(*SHOP, *spaces, *pods, policy("shop/p", ingress=[by_label]))

    assert asked.allows("short/client", "shop/web") == "allow"
    assert asked.allows("long/client", "shop/web") == "deny"


def test_an_account_with_a_name_too_long_for_a_label_hands_no_labels_down():
    named = {length: "a" * length for length in (63, 64)}
    pods = tuple(pod(f"shop/c{length}", f"10.0.4.{length}", account=name) for length, name in named.items())
    accounts = tuple(account(f"shop/{name}", role="machine") for name in named.values())
    by_label = rule("Allow", source={"service_accounts": ServiceAccountMatch(selector="role == 'machine'")})
    asked = Asked(*SHOP, *accounts, *pods, policy("shop/p", "app == 'web'", ingress=[by_label]))

    assert asked.allows("shop/c63", "shop/web") == "allow"
    assert asked.allows("shop/c64", "shop/web") == "deny"


def test_all_is_rewritten_as_text_and_so_only_where_it_is_written_without_blanks():
    """C:libcalico-go/lib/backend/syncersv1/updateprocessors/globalnetworkpolicyprocessor.go replaces a string."""
    node = host("n", "192.0.2.1")
    shut = {"ingress": [], "namespace_selector": "!has(team)"}

    assert Asked(node, global_policy("p", "all()", **shut)).engine.selecting("host:n", Direction.INGRESS) == ()
    assert Asked(node, global_policy("p", "all( )", **shut)).engine.selecting("host:n", Direction.INGRESS) != ()


def test_the_staged_kubernetes_kind_takes_label_selectors_that_no_one_checked():
    """C:libcalico-go/lib/backend/k8s/conversion/conversion.go, k8sSelectorToCalico."""
    nothing = LabelSelector(match_expressions=(LabelRequirement(key="tier", operator="In", values=()),))
    unknown = LabelSelector(match_expressions=(LabelRequirement(key="tier", operator="Never", values=("x",)),))
    empty = pod("shop/empty", "10.0.5.1", labels={"tier": ""})

    def is_shut(selector, name):
        fact = KubernetesNetworkPolicy(
            namespace="shop", name="k", policy_types=("Ingress",), pod_selector=selector, staged_action="Set"
        )
        return Asked(*SHOP, empty, fact).judge(OUTSIDE, name).ingress_pending.decision.value == "deny"

    assert (is_shut(nothing, "shop/empty"), is_shut(nothing, "shop/web")) == (True, False)
    assert (is_shut(unknown, "shop/empty"), is_shut(unknown, "shop/web")) == (True, True)
