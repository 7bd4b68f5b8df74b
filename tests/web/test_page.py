import re

from web.made_views import make_cluster, make_finding, make_view

from monitor.web import page, views
from monitor.web.views import Cell, Talk


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


def read(html):
    """As it is read: without tags, blanks as one."""
    return " ".join(re.sub(r"<[^>]*>", "", html).split())


def test_what_is_waived_or_last_known_stands_apart_from_how_long_it_is_open():
    findings = (make_finding(waiver="W-1", is_last_known=True), make_finding(waiver="W-1"))

    assert "~ waived ? last known for 5 min" in read(page.render(make_view(make_cluster(findings=findings))))
    assert "~ waived for 5 min" in read(page.render(make_view(make_cluster(findings=findings))))


def test_each_sign_of_the_crossing_has_an_entry_of_its_own_in_the_legend():
    html = page.render(make_view(make_cluster()))
    unknown = page.render(make_view(make_cluster(talk=Talk(unknown="nobody vouched"))))

    entries = [read(entry) for entry in re.findall(r"<li>.*?</li>", html)]
    assert entries[-2:] == ["? cannot tell", "· neither allowed nor seen"]
    assert "? not seen, not known" in [read(entry) for entry in re.findall(r"<li>.*?</li>", unknown)]
