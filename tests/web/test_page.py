from datetime import UTC, datetime, timedelta

from monitor.web import page, views
from monitor.web.views import Cell, ClusterView, DomainRow, FindingRow, StatusView

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def make_cluster(*, cells=None, findings=()):
    row = DomainRow(id="namespace/a", level="namespace", name="a", owner="", workloads=1, cells=cells or {})
    return ClusterView(
        name="harbour",
        controls=tuple(cells or {}),
        domains=(row,),
        findings=findings,
        transitions=(),
        inputs=(),
        sources=(),
        paths=(),
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


def test_an_empty_cluster_is_nothing_to_evaluate_and_not_compliant():
    assert views.headline(make_cluster()) == ("error", "nothing to evaluate")


def test_one_control_not_evaluated_keeps_a_cluster_from_being_compliant():
    cells = {"a": Cell(outcome="pass"), "b": Cell(outcome="error")}

    assert views.headline(make_cluster(cells=cells)) == ("error", "not evaluated in part")


def test_every_outcome_has_its_own_glyph_and_word():
    assert len(set(views.GLYPHS.values())) == len(views.GLYPHS)
    assert set(views.GLYPHS) == set(views.WORDS)


def test_what_a_cluster_contains_is_escaped():
    finding = make_finding(subject='"><script>alert(1)</script>', sentence="<b>&", steps=("</ol><img src=x>",))

    html = page.render(make_view(make_cluster(findings=(finding,))))

    assert "<script>alert" not in html
    assert "<img" not in html
    assert "&lt;b&gt;&amp;" in html


def test_a_problem_of_the_monitor_is_told_on_the_page():
    html = page.render(make_view(problems=("the database is away since 12:00",)))

    assert "the database is away since 12:00" in html
    assert "nothing is evaluated" in html


def test_an_age_is_told_in_the_unit_a_person_would_use():
    assert [views.age(s) for s in (None, 41, 200, 8040, 600_000)] == ["never", "41 s", "3 min", "2 h 14 min", "6 d"]
