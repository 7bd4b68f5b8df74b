"""Small views for the page's tests."""

from datetime import UTC, datetime, timedelta

from monitor.web.views import ClusterView, DomainRow, FindingRow, StatusView, Talk

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def make_cluster(*, cells=None, findings=(), talk=None):
    row = DomainRow(id="namespace/a", level="namespace", name="a", owner="", workloads=1, cells=cells or {})
    return ClusterView(
        name="harbour",
        controls=tuple(cells or {}),
        domains=(row,),
        findings=findings,
        transitions=(),
        inputs=(),
        sources=(),
        talk=talk or Talk(),
        counted_until=AT,
        compliant_share=None,
        not_evaluated_share=None,
    )


def make_view(*clusters, problems=()):
    return StatusView(at=AT, version="0", clusters=clusters, problems=problems)


def make_finding(**changes):
    values = {
        "id": "1",
        "severity": "high",
        "domain": "namespace/a",
        "control": "c",
        "subject": "a/Deployment/x",
        "sentence": "s",
        "steps": (),
        "fix": "",
        "opened_at": AT - timedelta(minutes=5),
    }
    return FindingRow(**(values | changes))
