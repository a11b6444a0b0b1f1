"""Every recipe of the domain 'code' goes from its seeds on the hub to the report, on stand-ins; the quick ones in `make test`."""

from __future__ import annotations

from pathlib import Path

import pytest
from extras import needs
from rehearsals import assert_green, recipes_of

needs("deepspeed", "datasets")


@pytest.mark.parametrize("name", recipes_of("code"))
def test_a_recipe_rehearses_from_start_to_report(name: str, tmp_path: Path, record_property) -> None:
    assert_green(name, tmp_path, record_property)


@pytest.mark.slow
def test_a_recipe_rehearses_on_two_nodes_that_share_no_folder(tmp_path: Path, record_property) -> None:
    assert_green("code/wizardcoder-starcoder-1b", tmp_path, record_property, nodes=2)
