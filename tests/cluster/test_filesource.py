"""What a folder of manifests says of itself when some of its files cannot be read."""

from __future__ import annotations

import pytest

from models.facts import Kind
from monitor.cluster.filesource import ManifestFiles

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
SETTLED = 1000.0


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "shop.yaml").write_text(NAMESPACE)
    return tmp_path


def reason_of(folder, kind):
    return ManifestFiles(folder, "prod").look(at=SETTLED).unreadable.get(kind)


def test_every_file_that_is_broken_is_named_with_its_line(folder):
    (folder / "a.yaml").write_text("kind: [\n")
    (folder / "b.yaml").write_text("x: y\nkind: {\n")

    first, second = reason_of(folder, Kind.POD).split("; ")

    assert first.startswith(f"{folder}/a.yaml:")
    assert second.startswith(f"{folder}/b.yaml:")


def test_of_many_broken_files_three_are_named_and_the_others_counted(folder):
    for name in "abcde":
        (folder / f"{name}.yaml").write_text("kind: [\n")

    reason = reason_of(folder, Kind.POD)

    assert [name for name in "abcde" if f"/{name}.yaml:" in reason] == ["a", "b", "c"]
    assert reason.endswith("; and 2 more files")


def test_a_file_under_another_name_takes_nothing_away_for_a_moment(folder):
    (folder / "other.yaml").write_text(NAMESPACE.replace("shop", "other"))
    files = ManifestFiles(folder, "prod")
    before = files.look(at=SETTLED).facts

    (folder / "shop.yaml").rename(folder / "moved.yaml")

    assert files.look(at=SETTLED).facts == before


def test_a_file_that_is_removed_takes_its_objects_along(folder):
    (folder / "other.yaml").write_text(NAMESPACE.replace("shop", "other"))
    files = ManifestFiles(folder, "prod")
    files.look(at=SETTLED)

    (folder / "shop.yaml").unlink()

    assert {key.name for key in files.look(at=SETTLED).facts} == {"other"}


def test_a_folder_without_a_broken_file_says_no_reason(folder):
    assert reason_of(folder, Kind.POD) is None
