"""calico-decision-trace: enforced and pending traces per reporter, and who connects to whom."""

import json
from collections.abc import Iterator
from pathlib import Path

from oracles.clusters import (
    ANY_SOURCE_PORT,
    connection,
    engine_of,
    facts_of,
    is_allowed,
    keyed,
    missing_namespaces,
    traced,
)
from oracles.outcomes import Case, each, only

from models import facts
from models.verdicts import Verdict
from monitor.cluster.normalise import Door, with_defaults

FLOW = {"src", "dst", "protocol", "dport", "sport", "reporter", "action", "enforced", "pending", "note", "why"}
CONNECTIVITY = {"src", "dst", "protocol", "dport", "sport", "allowed", "why", "note"}


def cases(folder: Path) -> Iterator[Case]:
    data = json.loads((folder / "decision_traces.json").read_text())
    yield from each(data["scenarios"], check)


def pod(workload: dict) -> facts.Pod:
    return facts.Pod(
        name=workload["name"],
        namespace=workload["namespace"],
        labels=workload["labels"],
        node=workload["node"],
        service_account=workload["service_account"] or "",
        addresses=tuple(workload["ips"]),
        phase="Running",
    )


def check(case: Case, scenario: dict) -> None:
    found = facts_of(map(with_defaults, [*scenario["tiers"], *scenario["policies"]]), Door.CRD)
    pods = {workload["name"]: pod(workload) for workload in scenario["workloads"]}
    found |= keyed(pods.values())
    found |= missing_namespaces(found)
    engine = engine_of(found)

    def judged(flow: dict):
        source, destination = pods[flow["src"]], pods[flow["dst"]]
        packet = connection(
            source.addresses[0],
            destination.addresses[0],
            flow["protocol"],
            source_port=flow.get("sport", ANY_SOURCE_PORT),
            destination_port=flow.get("dport"),
        )
        return engine.judge(
            packet,
            source=f"pod:{source.namespace}/{source.name}",
            destination=f"pod:{destination.namespace}/{destination.name}",
        )

    for flow in scenario.get("flows", []):
        only(flow, FLOW, "a flow")
        verdict, is_source = judged(flow), flow["reporter"] == "src"
        enforced: Verdict = verdict.egress if is_source else verdict.ingress
        pending: Verdict = verdict.egress_pending if is_source else verdict.ingress_pending
        what = f"{flow['src']}->{flow['dst']} {flow['reporter']}"
        case.same(f"{what} action", flow["action"], enforced.decision.value)
        case.same(f"{what} enforced", tuple(flow["enforced"]), traced(enforced))
        case.same(f"{what} pending", tuple(flow["pending"]), traced(pending))
    for probe in scenario.get("connectivity", []):
        only(probe, CONNECTIVITY, "a probe")
        case.same(f"{probe['src']}->{probe['dst']}", probe["allowed"], is_allowed(judged(probe).decision))
