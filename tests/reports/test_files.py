"""The files of a report: same record, same bytes; what a cluster contains stays content; every file is vouched for."""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import unicodedata

import pytest
from reports.made_reports import MADE, read, scope
from reports.test_reports import POLICY, WAIVER, declared, told
from sqlalchemy import select, update
from store.conftest import store as store  # noqa: PLC0414 - the fixture, on both databases
from store.recordings import at, control, failing, posture, recording, revision, seen, subject

from models.compliance import Domain, Outcome
from models.errors import CannotEvaluateError, UserError
from models.facts import FactKey, Kind
from models.tables import chain
from monitor.reports import checking, files, making
from monitor.reports.gathering import Making
from monitor.reports.making import Order
from monitor.store import Store

TABLES = sorted([*(f"{name}.csv" for name in files.COLUMNS), "report.html", "report.json"])


def made(store, out, wanted=None, made=MADE):
    return making.make(store, Order(scope=wanted or scope(), out=out), made).place


# The same bytes


def test_the_same_period_gives_the_same_bytes_whatever_came_after(store, written):
    told(store)
    first = written(store, scope(0, 60))
    store.record(recording(7, failing(), vouched=(seen(200),), seconds=200))

    assert written(store, scope(0, 60)) == first


def test_only_the_stated_time_and_release_differ_when_made_again(store, written):
    told(store)
    first, later = written(store), written(store, made=Making(at=at(9000), release="0.2.0"))
    differing = {name for name in first if first[name] != later[name]}
    changed = [name for name, value in first.report.items() if value != later.report[name]]
    said = [first.html.replace(time, "…") for time in ("2026-11-24 13:23:20 UTC by segmon 0.1.0",)]

    assert differing == {"report.html", "report.json", "manifest.json"}
    assert changed == ["made_at", "release"]
    assert said[0] != later.html


def test_both_databases_give_the_same_bytes(database, tmp_path, written):
    found = []
    for url in (database, f"sqlite:///{tmp_path}/segmon.db"):
        store = Store.open(url)
        store.upgrade()
        found.append(written(full(store)))
        store.close()

    assert found[0] == found[1]


def full(store):
    """Something in every list, with names whose order depends on who sorts them."""
    names = (
        "shop/Deployment/web",
        "shop/Deployment/Web",
        "shop/Deployment/w-eb",
        "shop/Deployment/é",
        "shop/Deployment/_",
    )
    all_fail = posture(control(Outcome.FAIL, *(subject(Outcome.FAIL, name=name) for name in names)))
    domains = [Domain(id=f"namespace/{name}", level="namespace", name=name) for name in ("a-b", "ab", "a.c", "B")]
    others = [
        posture(control(Outcome.FAIL, subject(Outcome.FAIL, name=f"{domain.name}/x")), domain=domain)
        for domain in domains
    ]
    known = declared(WAIVER)
    known["revisions"] += (revision(b"x", step=2, key=POLICY),)
    store.record(recording(1, all_fail, *others, vouched=(seen(0),), seconds=5, **known))
    store.record(
        recording(2, failing(waiver="W"), *others[1:], gone=("namespace/a-b",), vouched=(seen(50),), seconds=50)
    )
    store.record(recording(3, vouched=(seen(100),), seconds=100))
    return store


def test_another_process_with_another_hash_seed_gives_the_same_bytes(tmp_path):
    url = f"sqlite:///{tmp_path}/segmon.db"
    store = Store.open(url)
    store.upgrade()
    full(store).close()
    script = (
        "import sys\nfrom datetime import datetime\nfrom pathlib import Path\n"
        "from monitor.reports import making\nfrom monitor.reports.gathering import Making, silent\n"
        "from monitor.store import Store\nfrom monitor.store.periods import Scope\n"
        "url, folder, *times = sys.argv[1:]\nbegin, end, now = map(datetime.fromisoformat, times)\n"
        "Path(folder).mkdir()\n"
        "making.into(Path(folder), Store.open(url), Scope(cluster='h', domain='', from_at=begin, to_at=end),\n"
        "            Making(at=now, release='0.1.0'), silent)\n"
    )
    folders = [tmp_path / seed for seed in ("1", "2", "77")]
    for folder in folders:
        times = [at(second).isoformat() for second in (0, 100, 5000)]
        environment = {**os.environ, "PYTHONHASHSEED": folder.name}
        subprocess.run([sys.executable, "-c", script, url, str(folder), *times], check=True, env=environment)

    assert read(folders[0]) == read(folders[1]) == read(folders[2])


def test_html_csv_and_json_say_the_same(store, written):
    found = written(full(store))
    rows = found.rows("results")

    assert [(row["domain"], row["control"], row["result"]) for row in rows] == [
        (domain["id"], each["control"], each["result"])
        for domain in found.domains.values()
        for each in domain["controls"]
    ]
    assert [row["id"] for row in found.rows("findings")] == [finding["id"] for finding in found.findings]
    assert sum(float(row["not_met_seconds"]) for row in rows) == found.report["seconds"]["not met"]
    assert len(found.rows("statuses")) == sum(
        len(each["spans"]) for domain in found.domains.values() for each in domain["controls"]
    )
    assert found.report["sentence"] in found.html
    assert hashlib.sha256(found["report.json"]).hexdigest() in found.html


# What a cluster may contain

HOSTILE = (
    '=cmd|"/C calc"!A1',
    "+1+1",
    "-2",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; DROP TABLE report; --",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe",
    "a\u2066b\u200fc\u0007",
    'line\nbreak, comma; "quote"',
    "x" * 253,
    "]]>--><!--",
)  # fmt: skip


@pytest.fixture
def hostile(store, written):
    results = [
        posture(control(Outcome.FAIL, subject(Outcome.FAIL, name=f"{name}#s", sentence=name), reason=name),
                domain=Domain(id=f"namespace/{name}", level="namespace", name=name, owner=name, environment=name))
        for name in HOSTILE
    ]  # fmt: skip
    changed = tuple(
        revision(b"x", step=number, key=FactKey("h", Kind.NETWORK_POLICY, "shop", name))
        for number, name in enumerate(HOSTILE)
    )
    store.record(recording(1, *results, revisions=changed, vouched=(seen(20),), seconds=20))
    store.record(recording(2, vouched=(seen(100),), seconds=100))
    return written(store)


def test_csv_keeps_every_name_whole_and_starts_no_formula(hostile):
    subjects = {row["subject"] for row in hostile.rows("findings")}
    owners = {row["owner"] for row in hostile.rows("findings")}
    cells = [cell for name in files.COLUMNS for row in hostile.rows(name) for cell in row.values()]

    assert {f"{name}#s".lstrip("'") for name in HOSTILE} == {name.lstrip("'") for name in subjects}
    assert {f"'{name}" for name in HOSTILE if name[0] in "=+-@\t\r\n"} <= owners
    assert not [cell for cell in cells if cell[:1] in {"=", "+", "-", "@", "\t", "\r", "\n"}]


def test_every_csv_row_has_as_many_cells_as_columns(hostile):
    for name, columns in files.COLUMNS.items():
        rows = list(csv.reader(io.StringIO(hostile[f"{name}.csv"].decode(), newline="")))

        assert tuple(rows[0]) == columns
        assert {len(row) for row in rows} == {len(columns)}


def test_json_keeps_every_name_as_it_is(hostile):
    assert {finding["subject"] for finding in hostile.findings} == {f"{name}#s" for name in HOSTILE}


def test_html_holds_no_markup_and_no_direction_mark_of_a_cluster(hostile):
    page = hostile.html

    assert not [mark for mark in ("<script", "<img", "onerror=alert(1)>", "<!--", "49{%") if mark in page]
    assert not [char for char in page if unicodedata.category(char) in {"Cc", "Cf"} and char != "\n"]
    assert "\\x202egnp.exe" in page
    assert "&lt;/script&gt;" in page


async def test_a_hostile_page_runs_nothing_and_asks_for_nothing(hostile, chromium, tmp_path):
    place = tmp_path / "hostile.html"
    place.write_bytes(hostile["report.html"])
    async with chromium.page() as page:
        await page.open(place.as_uri())
        texts = await page.evaluate("document.body.innerText")

        assert page.errors == []
        assert page.requests == [place.as_uri()]
        assert "</script><script>alert(1)</script>" in texts
        assert await page.evaluate("document.querySelectorAll('main script, main img').length") == 0


async def test_the_first_page_fits_one_sheet_and_no_table_is_wider_than_the_paper(hostile, chromium, tmp_path):
    place = tmp_path / "report.html"
    place.write_bytes(hostile["report.html"])
    async with chromium.page() as page:
        await page.open(place.as_uri())
        await page.print_pdf(tmp_path / "report.pdf")
        await page.paper(width_millimetres=210 - 2 * 13)
        height = await page.evaluate("document.querySelector('.first').getBoundingClientRect().height")
        wide = await page.evaluate(
            "[...document.querySelectorAll('table')].filter(each => each.scrollWidth > innerWidth)"
            ".map(each => each.parentElement.ariaLabel)"
        )

    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert height < (297 - 13 - 15) / 25.4 * 96
    assert wide == []


BROKEN = """(() => {
  const found = [];
  for (const cell of document.querySelectorAll("td, th")) {
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let node; (node = texts.nextNode()); ) {
      for (const word of node.data.matchAll(/[a-z]+/gi)) {
        const range = document.createRange();
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        if (range.getClientRects().length > 1) found.push(word[0]);
      }
    }
  }
  return found;
})()"""
"""Words in tables of which a part stands on another line."""

NAMES = ("namespace/analytics", "tenant/customer-relations", "workload/payments/Deployment/transactions-settlement")


@pytest.fixture
def usual(store, written):
    """Names as people give them, the longest a cluster of some size has."""
    owners = ("data-platform@example.com", "relationship-management", "")
    outcomes = (Outcome.FAIL, Outcome.PASS, Outcome.FAIL)
    results = [
        posture(
            control(outcome, subject(outcome)),
            domain=Domain(id=level + "/" + name, level=level, name=name, owner=owner),
        )
        for (level, _, name), owner, outcome in zip(
            (each.partition("/") for each in NAMES), owners, outcomes, strict=True
        )
    ]
    store.record(recording(1, *results, vouched=(seen(20),), seconds=20))
    store.record(recording(2, vouched=(seen(4_000),), seconds=4_000))
    return written(store, scope(0, 4_500))


async def test_no_word_in_a_table_is_broken_at_any_usual_width(usual, chromium, tmp_path):
    place = tmp_path / "report.html"
    place.write_bytes(usual["report.html"])
    async with chromium.page() as page:
        broken = {}
        await page.open(place.as_uri())
        for width in (800, 1100, 1920):
            await page.view(width=width)
            broken[width] = await page.evaluate(BROKEN)
        await page.print_pdf(tmp_path / "report.pdf")
        await page.paper(width_millimetres=210 - 2 * 13)
        broken["A4"] = await page.evaluate(BROKEN)

    assert broken == {800: [], 1100: [], 1920: [], "A4": []}


# Written whole, and vouched for


@pytest.fixture
def kept(tmp_path):
    """A record in SQLite: what is asked here does not hang on the database."""
    store = Store.open(f"sqlite:///{tmp_path}/segmon.db")
    store.upgrade()
    yield told(store)
    store.close()


@pytest.fixture
def place(kept, tmp_path):
    """The folder of a report that was entered in that record."""
    return made(kept, tmp_path / "out")


def test_a_report_is_written_whole_listed_and_verified(store, tmp_path):
    told(store)
    place = made(store, tmp_path)
    [row] = store.reports("h")
    checked = checking.check(place)

    assert sorted(checked.manifest.files) == TABLES
    assert (row.id, row.place, row.manifest) == (place.name, str(place), checked.digest)
    assert checking.check_record(store, checked, place) == place.name
    assert store.verify("h").reports == 1


def test_the_manifest_has_the_head_of_the_chain_at_the_end_of_the_period(store, tmp_path):
    told(store)
    place = made(store, tmp_path, scope(0, 25))
    manifest = json.loads((place / "manifest.json").read_text())
    with store.look() as connection:
        rows = connection.execute(select(chain.c.seq, chain.c.hash).where(chain.c.at < at(25))).all()

    assert (manifest["chain"]["seq"], manifest["chain"]["hash"]) == max(rows)


@pytest.mark.parametrize("name", TABLES)
def test_a_changed_byte_in_any_file_is_found(place, name):
    content = bytearray((place / name).read_bytes())
    content[len(content) // 2] ^= 1
    (place / name).write_bytes(bytes(content))

    with pytest.raises(CannotEvaluateError, match=f"{name} is not the file that manifest.json was made for"):
        checking.check(place)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda place: (place / "findings.csv").unlink(), "findings.csv is missing"),
        (lambda place: (place / "more.csv").write_text(""), "more.csv is not in manifest.json"),
        (lambda place: (place / "sub").mkdir(), "sub is not in manifest.json"),
        (lambda place: ((place / "findings.csv").unlink(), (place / "findings.csv").mkdir()), "cannot be read"),
        (lambda place: (place / "manifest.json").write_text("{"), "manifest.json was changed"),
        (lambda place: (place / "manifest.json").write_text('{"files": {}}'), "manifest.json was changed"),
        (lambda place: (place / "manifest.json").write_bytes(b"\xff\xfe"), "manifest.json was changed"),
    ],
)
def test_a_report_that_somebody_changed_does_not_verify(place, change, message):
    change(place)

    with pytest.raises(CannotEvaluateError, match=message):
        checking.check(place)


def test_the_manifest_of_another_report_does_not_verify(kept, place, tmp_path):
    other = made(kept, tmp_path / "out", scope(0, 60))
    (place / "manifest.json").write_bytes((other / "manifest.json").read_bytes())

    with pytest.raises(CannotEvaluateError, match=r"is not the file that manifest\.json was made for"):
        checking.check(place)


def test_files_and_manifest_changed_together_are_found_by_the_record(kept, place):
    (place / "findings.csv").write_text("nothing to see\n")
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["files"]["findings.csv"] = hashlib.sha256(b"nothing to see\n").hexdigest()
    (place / "manifest.json").write_text(json.dumps(manifest))
    checked = checking.check(place)

    with pytest.raises(CannotEvaluateError, match="not the manifest of any report in the record of h"):
        checking.check_record(kept, checked, place)


def test_a_record_that_was_rewritten_since_is_found_by_the_report(kept, place):
    checked = checking.check(place)
    with kept._engine.begin() as connection:
        connection.execute(update(chain).where(chain.c.seq == checked.manifest.chain.seq).values(hash="0" * 64))

    with pytest.raises(CannotEvaluateError, match="the record was rewritten since"):
        checking.check_record(kept, checked, place)


def test_a_folder_without_a_report_says_so(tmp_path):
    told = r"no report in .*manifest\.json: No such file.*\n +fix: name the folder of one report"
    with pytest.raises(UserError, match=told):
        checking.check(tmp_path)
