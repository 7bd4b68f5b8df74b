"""Calico's and other projects' own expectations: one test per folder of SEGMON_ORACLES.

Where there are no oracles the tests are skipped by name; `make oracles` prints the matrix of all cases.
"""

import os

import pytest
from oracles.run import LOADERS, place, run


@pytest.mark.parametrize("folder", LOADERS)
def test_every_case_of_the_folder_agrees(folder):
    if not (place() / folder).is_dir():
        if os.environ.get("SEGMON_REQUIRE_ALL") == "1":
            pytest.fail(f"part missing: oracles ({place() / folder})", pytrace=False)
        pytest.skip(f"part missing: oracles ({place() / folder}; set SEGMON_ORACLES)")

    result = run(folder)

    assert {case.id: case.reason for case in result.failed} == {}
    assert result.passed
