"""The short form of `make soak`."""

import pytest

from tests.bench.soak import soak
from tests.chaos.conftest import Arena


@pytest.fixture
def append_only() -> bool:
    """Redis is not touched here."""
    return False


@pytest.mark.timeout(240)
async def test_load_with_killed_workers_leaves_nothing_behind(arena: Arena) -> None:
    result = await soak(arena, duration_s=45, kill_every_s=12)
    assert result.problems() == [], result.describe()
    assert result.kills
    assert result.left
