"""Every recipe of the domain 'math' goes from its seeds on the hub to the report, on stand-ins; the quick ones in `make test`."""

from __future__ import annotations

from pathlib import Path

import pytest
from extras import needs
from rehearsals import assert_green, recipes_of

needs("deepspeed", "datasets")


@pytest.mark.parametrize("name", recipes_of("math"))
def test_a_recipe_rehearses_from_start_to_report(name: str, tmp_path: Path, record_property) -> None:
    assert_green(name, tmp_path, record_property)
