"""Workers for all tests of a file that verify under the same settings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evoltune.cluster.engine import pools_kept


@pytest.fixture(autouse=True, scope="module")
def shared_workers() -> Iterator[None]:
    """Starting them takes longer than what a test has them judge."""
    with pools_kept():
        yield
