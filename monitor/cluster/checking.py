"""What `segmon doctor` says of an API server: reachable, which version, what may be read, where Calico's kinds are.

Law: nothing here raises for a fault of the cluster; each one is a line with its fix.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

from models.errors import UserError
from models.facts import API_KINDS, Kind
from monitor.cluster.discovery import Discovered, Unclear, answer, discover
from monitor.cluster.resources import CALICO, CALICO_STORED, Resource
from monitor.cluster.transport import Access, Api, ApiFailedError

APPLY = "kubectl apply -f deploy/rbac.yaml"
VERBS = ("list", "watch")
TIERED = ("tier.networkpolicies", "tier.globalnetworkpolicies")
"""What Calico's aggregated server asks for before it shows the policies of a tier; it leaves others out in silence."""


class Check(Struct, frozen=True, kw_only=True):
    """One line. `fix` is empty where all is well."""

    what: str
    state: Literal["well", "wrong", "unknown"]
    found: str
    fix: str = ""


async def permissions(kubeconfig: Path | None, context: str = "") -> list[Check]:
    """Every check of the API server, in the order in which a person would go through them."""
    try:
        async with Api(Access(kubeconfig, context)) as api:
            return await _checks(api)
    except UserError as error:
        found, _, fix = str(error).partition("\n")
        return [Check(what="API server", state="wrong", found=found, fix=fix.strip().removeprefix("fix: ") or found)]


async def _checks(api: Api) -> list[Check]:
    try:
        version = await api.get("/version")
        found = await discover(api)
    except ApiFailedError as error:
        fix = "check the address and that the server runs; log in again if it refuses the credentials"
        return [Check(what="API server", state="wrong", found=f"{api.url}: {error}", fix=fix)]
    checks = [Check(what="API server", state="well", found=f"{api.url}, Kubernetes {version.get('gitVersion', '?')}")]
    checks.append(_calico(found))
    checks += [await _may_read(api, kind, found) for kind in sorted(API_KINDS)]
    if (CALICO, "v3") in found.plurals:
        checks += [await _may_see_tiers(api, resource) for resource in TIERED]
    return checks


def _calico(found: Discovered) -> Check:
    what = "Calico API group"
    for group in (CALICO, CALICO_STORED):
        if reason := found.unreliable.get(group):
            fix = "see `kubectl get apiservice v3.projectcalico.org` and the pods of calico-apiserver"
            return Check(what=what, state="unknown", found=f"{group}: {reason}", fix=fix)
    resource = answer(Kind.GLOBAL_NETWORK_POLICY, found)
    if isinstance(resource, Resource):
        return Check(what=what, state="well", found=resource.api_version)
    return Check(
        what=what,
        state="wrong",
        found="none is served: only Kubernetes' own policies can be judged",
        fix="check that this is a cluster with Calico, and that its CRDs are installed",
    )


async def _may_read(api: Api, kind: Kind, found: Discovered) -> Check:
    what = f"read {kind.value}"
    match answer(kind, found):
        case Unclear(reason=reason):
            return Check(what=what, state="unknown", found=reason, fix="run `segmon doctor` again; see above")
        case Resource() as resource:
            return await _may(api, what, resource.group, resource.plural)
        case _:
            return Check(what=what, state="well", found="not served by this cluster")


async def _may_see_tiers(api: Api, plural: str) -> Check:
    return await _may(api, f"see every tier's {plural.removeprefix('tier.')}", CALICO, plural)


async def _may(api: Api, what: str, group: str, plural: str) -> Check:
    name = f"{plural}.{group}" if group else plural
    try:
        refused = [verb for verb in VERBS if not await api.review({"group": group, "resource": plural, "verb": verb})]
    except ApiFailedError as error:
        return Check(what=what, state="unknown", found=str(error), fix="run `segmon doctor` again")
    if refused:
        return Check(what=what, state="wrong", found=f"may not {' or '.join(refused)} {name}", fix=APPLY)
    return Check(what=what, state="well", found=f"may {' and '.join(VERBS)} {name}")
