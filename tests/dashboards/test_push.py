"""Pushing the boards into a server that answers as Grafana does, and everything it may answer instead."""

import json
import ssl
import subprocess
import sys
from collections import Counter

import pytest
from hatchling.builders.wheel import WheelBuilder
from parts.process import CHECKOUT, free_port
from scenes.grafana_server import TOKEN, GrafanaServer

from dashboards.boards import all as boards
from dashboards.instance import Address, Instance, RefusedError, UnreachableError
from dashboards.push import holds, marker, packaged, push
from models.errors import CannotEvaluateError, UserError

UIDS = sorted(boards.documents())
FOLDER, BOARD, SAVE = "/api/folders", "/api/dashboards/uid", "/api/dashboards/db"
PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>a message</body></html>"


@pytest.fixture
def grafana():
    with GrafanaServer() as server:
        yield server


def instance(url, **more):
    return Instance(Address(url=url, token=more.pop("token", TOKEN), timeout_seconds=more.pop("timeout", 5.0), **more))


def pushed(grafana, **more):
    return {each.uid: each.action for each in push(instance(grafana.url, **more), packaged())}


def saves(grafana):
    return [body["dashboard"]["uid"] for path, body in grafana.sent if path == SAVE]


def test_the_boards_of_the_package_are_those_that_are_built():
    assert {each["uid"]: each for each in packaged()} == boards.documents()


def test_an_empty_grafana_gets_the_folder_and_every_board(grafana):
    done = pushed(grafana)

    assert done == dict.fromkeys(UIDS, "created")
    assert grafana.folders == {"segmon": "segmon"}
    assert {uid: held["board"] for uid, held in grafana.boards.items()} == boards.documents()
    assert {held["folder"] for held in grafana.boards.values()} == {"segmon"}


def test_nothing_is_sent_when_all_is_equal(grafana):
    pushed(grafana)
    grafana.sent.clear()

    assert pushed(grafana) == dict.fromkeys(UIDS, "unchanged")
    assert grafana.sent == []


def test_only_the_board_that_differs_is_sent(grafana):
    pushed(grafana)
    grafana.sent.clear()
    grafana.edit("segmon-traffic", title="Mine")

    done = pushed(grafana)

    assert Counter(done.values()) == {"unchanged": 4, "updated": 1}
    assert saves(grafana) == ["segmon-traffic"]
    assert grafana.boards["segmon-traffic"]["board"]["title"] == "segmon: Traffic"


def test_a_board_in_another_folder_comes_back(grafana):
    pushed(grafana)
    grafana.folders["else"] = "else"
    grafana.boards["segmon-domain"]["folder"] = "else"

    assert pushed(grafana)["segmon-domain"] == "updated"
    assert grafana.boards["segmon-domain"]["folder"] == "segmon"


def test_a_grafana_that_rewrites_what_it_reads_is_not_sent_the_same_again(grafana):
    pushed(grafana)
    grafana.sent.clear()
    grafana.rewrites_what_it_reads = True

    assert set(pushed(grafana).values()) == {"unchanged"}

    grafana.edit("segmon-health", title="Mine")
    assert pushed(grafana)["segmon-health"] == "updated"


def test_a_grafana_that_keeps_no_messages_is_asked_by_content(grafana):
    grafana.keeps_messages = False
    pushed(grafana)
    grafana.edit("segmon-health", title="Mine")

    assert Counter(pushed(grafana).values()) == {"unchanged": 4, "updated": 1}


def test_boards_that_grafana_has_from_files_are_left_alone(grafana):
    for board in packaged():
        grafana.provision(board | {"title": "from a file"})

    assert pushed(grafana) == dict.fromkeys(UIDS, "provisioned")
    assert grafana.sent == []


def test_a_board_that_turns_out_to_be_provisioned_is_left_alone(grafana):
    grafana.folders["segmon"] = "segmon"
    grafana.fail("POST /api/dashboards/db", 400, {"message": "Cannot save provisioned dashboard"})

    assert set(pushed(grafana).values()) == {"provisioned"}


def test_what_somebody_saves_meanwhile_is_not_overwritten(grafana):
    pushed(grafana)
    grafana.edit("segmon-changes", title="Mine")
    there = instance(grafana.url)
    held = there.board("segmon-changes")
    grafana.edit("segmon-changes", title="Mine again")

    with pytest.raises(RefusedError, match=r"412.*changed by someone else(.|\n)*fix: somebody saved it meanwhile"):
        there.save(boards.documents()["segmon-changes"] | {"version": held.version}, folder_uid="segmon", message="")
    assert grafana.boards["segmon-changes"]["board"]["title"] == "Mine again"


def test_a_sub_path_is_part_of_the_address():
    with GrafanaServer(sub_path="/grafana") as grafana:
        done = list(push(instance(f"{grafana.url}/"), packaged()))

        assert {each.action for each in done} == {"created"}
        assert done[0].url == f"{grafana.url}/d/segmon-changes/segmon-changes"
        with pytest.raises(UserError, match="is this the address of Grafana, with its sub-path"):
            pushed(type("Wrong", (), {"url": grafana.url.removesuffix("/grafana")}))


# What a Grafana may answer instead


@pytest.mark.parametrize(
    ("route", "status", "said", "told"),
    [
        ("GET /api/folders", 401, {"message": "Invalid API key"}, r"401: Invalid API key\n.*service account's token"),
        ("GET /api/folders", 401, {"message": "Expired API key"}, r"401: Expired API key\n.*fix: make"),
        ("POST /api/folders", 403, {"message": "Access denied"}, r"folder 'segmon'.*403: Access denied\n.*role Editor"),
        (
            "POST /api/dashboards/db",
            403,
            {"message": "You'll need permission"},
            r"board segmon-changes.*403.*\n.*Editor",
        ),
        ("GET /api/folders", 404, {"message": "Not found"}, r"404: Not found\n.*address of Grafana"),
        (
            "POST /api/folders",
            409,
            {"message": "a folder with the same name already exists"},
            r"409.*\n.*rename or remove",
        ),
        ("POST /api/folders", 412, {"message": "changed by someone else"}, r"412.*\n.*push again"),
        (
            "POST /api/dashboards/db",
            412,
            {"message": "A dashboard with the same name", "status": "name-exists"},
            r"412",
        ),
        (
            "POST /api/dashboards/db",
            400,
            {"message": "Dashboard title cannot be empty"},
            r"400: Dashboard title.*\n.*fix",
        ),
        ("GET /api/dashboards/uid", 429, {"message": "Rate limit"}, r"429.*\n.*wait"),
        ("GET /api/folders", 500, {"message": "database is locked"}, r"500: database is locked\n.*Grafana's own log"),
        ("POST /api/dashboards/db", 503, {}, r"503: \(nothing\)\n.*push again when it is well"),
        ("GET /api/folders", 418, {"message": "a\nteapot"}, r"418: a teapot\n.*see what Grafana says"),
    ],
)
def test_a_refusal_is_told_with_its_place_and_its_fix(grafana, route, status, said, told):
    grafana.fail(route, status, said)

    with pytest.raises(RefusedError, match=told):
        pushed(grafana)


@pytest.mark.parametrize("status", [200, 403, 404])
@pytest.mark.parametrize("page", [PAGE, PAGE.replace("message", "word"), ""])
def test_a_page_instead_of_an_answer_is_told_as_such(grafana, status, page):
    grafana.fail("GET /api/", status, page, kind="text/html")

    with pytest.raises(UserError, match=r"not Grafana's API \(a login page, a proxy\?\)\n.*fix: give the address"):
        pushed(grafana)


def test_a_page_of_a_proxy_that_cannot_reach_grafana(grafana):
    grafana.fail("GET /api/", 502, "<html>Bad Gateway</html>", kind="text/html")

    with pytest.raises(RefusedError, match=r"502: \(a page\)\n.*push again when it is well"):
        pushed(grafana)


@pytest.mark.parametrize("answer", [[], {"dashboard": None}, {"meta": {}}, "text", 7, None])
def test_json_that_is_no_answer_of_grafana_is_told_as_such(grafana, answer):
    grafana.folders["segmon"] = "segmon"
    grafana.fail("GET /api/dashboards", 200, json.dumps(answer))

    with pytest.raises(UserError, match="not Grafana's API"):
        pushed(grafana)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(grafana, status):
    grafana.fail("GET /api/", status, "", kind="text/html", Location="https://127.0.0.1/grafana/login")

    with pytest.raises(UserError, match=r"redirects\n.*give the address it redirects to"):
        pushed(grafana)


def test_no_answer_in_time(grafana):
    grafana.fail("GET /api/folders", 0, "")

    with pytest.raises(UnreachableError, match=r"no answer in time\n.*is Grafana well"):
        pushed(grafana, timeout=0.3)


def test_nobody_listens():
    with pytest.raises(UnreachableError, match=r"cannot be reached\n.*does Grafana run"):
        instance(f"http://127.0.0.1:{free_port()}").has_folder("segmon")


def test_a_failure_half_way_leaves_what_was_done_and_a_second_push_goes_on(grafana):
    there = instance(grafana.url)
    done = []
    with pytest.raises(RefusedError):
        for each in push(there, packaged()):
            done.append(each.uid)
            if len(done) == 2:
                grafana.fail("POST /api/dashboards/db", 500, {"message": "disk full"})
    grafana._failures.clear()

    assert done == UIDS[:2]
    assert Counter(pushed(grafana).values()) == {"unchanged": 2, "created": 3}


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for 127.0.0.1, and a context of a server that shows it."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=grafana", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run([*made, "-keyout", key, "-out", cert, *subject], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


def test_a_certificate_that_nobody_vouches_for_is_refused_and_its_authority_can_be_named(certificate):
    cert, context = certificate
    with GrafanaServer(tls=context) as grafana:
        with pytest.raises(UnreachableError, match=r"certificate is not trusted\n.*--ca-file"):
            pushed(grafana)

        assert set(pushed(grafana, ca_file=cert).values()) == {"created"}


@pytest.mark.parametrize("url", ["grafana:3000", "ftp://grafana", "http://", "http://host:99999", "", "http://[::1"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(UserError, match=r"is no address of a Grafana\n.*fix: --url"):
        instance(url)


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(UserError, match="token in a file") as refused:
        instance("http://admin:hunter2@grafana:3000")

    assert "hunter2" not in str(refused.value)


def test_equal_is_what_holds_all_of_ours():
    ours = {"a": [1, {"b": None}], "id": None, "version": 3}

    assert holds({"a": [1, {"b": None, "c": 2}], "id": 9, "version": 8, "d": 1}, ours)
    assert not holds({"a": [1, {"b": 0}]}, ours)
    assert not holds({"a": [1]}, ours)
    assert not holds({"a": {"0": 1}}, ours)
    assert not holds({}, ours)
    assert marker(ours) != marker(ours | {"a": []})


# The command


def segmon(*arguments):
    command = [sys.executable, "-m", "monitor.cli.main", "dashboards", "push", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=CHECKOUT)


@pytest.fixture
def token(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    return file


def test_the_command_tells_what_became_of_each_board(grafana, token):
    first = segmon("--url", grafana.url, "--token-file", token, "--output", "json")
    again = segmon("--url", grafana.url, "--token-file", token)

    assert (first.returncode, first.stderr) == (0, "")
    rows = json.loads(first.stdout)
    assert [(row["uid"], row["action"]) for row in rows] == [(uid, "created") for uid in UIDS]
    assert rows[0]["url"] == f"{grafana.url}/d/segmon-changes/segmon-changes"
    assert again.stdout.count("unchanged  segmon-") == 5


def test_the_command_ends_with_the_fix(grafana, token, tmp_path):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "odd").write_text("two words\n")
    (tmp_path / "wrong").write_text("glsa_wrong\n")
    at = ("--url", grafana.url)
    cases = [
        (at, 2, "no token for Grafana"),
        ((*at, "--token-file", tmp_path / "none"), 2, "cannot read the token"),
        ((*at, "--token-file", tmp_path / "empty"), 2, "holds no token"),
        ((*at, "--token-file", tmp_path / "odd"), 2, "holds no token"),
        ((*at, "--token-file", tmp_path / "wrong"), 2, "401: Invalid API key"),
        ((*at, "--token-file", token, "--ca-file", tmp_path / "none"), 2, "--ca-file names"),
        (("--url", f"http://127.0.0.1:{free_port()}", "--token-file", token), 3, "cannot be reached"),
    ]
    for arguments, code, said in cases:
        done = segmon(*arguments)

        assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (code, "", False), arguments
        assert said in done.stderr
        assert TOKEN not in done.stderr


def test_no_answer_is_no_usage_error():
    assert issubclass(UnreachableError, CannotEvaluateError)
    assert (RefusedError.exit_code, UnreachableError.exit_code) == (2, 3)


def test_the_wheel_has_the_boards_and_the_provisioning_files():
    files = {each.distribution_path for each in WheelBuilder(str(CHECKOUT)).recurse_included_files()}

    assert {f"dashboards/grafana/boards/{uid}.json" for uid in UIDS} <= files
    assert {f"dashboards/grafana/provisioning/{kind}/segmon.yaml" for kind in ("dashboards", "datasources")} <= files
