"""Every recipe of the domain 'general' goes from its seeds on the hub to the report, on stand-ins; the quick ones in `make test`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rehearsals import assert_green, recipes_of

pytest.importorskip("deepspeed")
pytest.importorskip("datasets")


@pytest.mark.parametrize("name", recipes_of("general"))
def test_a_recipe_rehearses_from_start_to_report(name: str, tmp_path: Path, record_property) -> None:
    assert_green(name, tmp_path, record_property)
    (judged,) = tmp_path.rglob("judge/wizardlm/study.json")
    assert json.loads(judged.read_text())["judgements"] >= 6
