"""Places survive a restart; a damaged file is an error with its fix, not a silent start from the beginning."""

import pytest

from monitor.collect.places import PlacesError, PlacesFile
from monitor.collect.sources import Place

PLACE = Place(generation="g1", position=40, length=50)


def test_a_place_survives_a_restart(tmp_path):
    PlacesFile(tmp_path / "places.json").delivered("file:a", PLACE)
    again = PlacesFile(tmp_path / "places.json")

    assert (again.of("file:a"), again.of("file:b")) == (PLACE, None)


def test_a_damaged_file_names_itself_and_the_fix(tmp_path):
    (tmp_path / "places.json").write_text('{"file:a": {"generation"')

    with pytest.raises(PlacesError, match=r"places\.json is damaged.*remove it"):
        PlacesFile(tmp_path / "places.json")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(PlacesError, match=r"cannot write checkpoint .*collect\.checkpoint"):
        PlacesFile(tmp_path / "absent" / "places.json").delivered("file:a", PLACE)
