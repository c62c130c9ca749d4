"""Fixtures that several test files share."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REAL_DATA = ROOT.parent / "shared" / "data" / "real"


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data, which is not part of the kit."""
    if not REAL_DATA.is_dir():
        pytest.skip("the real data set is not on this machine (../shared/data/real)")
    return REAL_DATA
