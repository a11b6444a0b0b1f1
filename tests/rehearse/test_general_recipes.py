"""Every recipe of the domain 'general' goes from its seeds on the hub to the report, on stand-ins; the quick ones in `make test`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from extras import needs
from lima_sources import write_sources
from rehearsals import assert_green, recipes_of

from evoltune.cli import main
from evoltune.recipe import load_recipe

needs("deepspeed", "datasets")


@pytest.mark.parametrize("name", recipes_of("general"))
def test_a_recipe_rehearses_from_start_to_report(name: str, tmp_path: Path, record_property) -> None:
    assert_green(name, tmp_path, record_property)
    judged = list(tmp_path.rglob("judge/*/study.json"))
    assert len(judged) == (load_recipe(name).eval.judge is not None)
    assert all(json.loads(path.read_text())["judgements"] >= 6 for path in judged)


@pytest.mark.slow
def test_lima_goes_from_its_five_sources_over_dialogues_to_the_preference_table(
    tmp_path: Path, record_property
) -> None:
    """A selection with dialogues is trained on, and the second turn of an own suite has its own wins, ties and losses."""
    sources, chosen, suite = (
        write_sources(tmp_path / "sources", wanted=40),
        tmp_path / "chosen.jsonl",
        tmp_path / "own.jsonl",
    )
    quota = ",".join(f"{name}={rows}" for name, rows in sources.quotas.items())
    assert main(["data", "select", *sources.refs, "--quota", quota, "--out", str(chosen)]) == 0
    rows = sorted(map(json.loads, chosen.read_text().splitlines()), key=lambda row: "messages" not in row)
    chosen.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [{"id": f"q{n}", "instruction": f"Name {n} rivers.", "later_turns": [f"And {n} lakes?"]} for n in (2, 3, 4)]
    suite.write_text("".join(json.dumps(row) + "\n" for row in asked))
    overrides = (f"seeds.path={chosen}", f"eval.suites=[general:{suite}]")
    assert_green("general/lima-7b", tmp_path / "run", record_property, *overrides)
    (trained,) = (tmp_path / "run").rglob("dataset/chat/train.jsonl")
    dialogues = [row for row in map(json.loads, trained.read_text().splitlines()) if len(row["messages"]) == 4]
    assert len(dialogues) == sum("messages" in row for row in rows) > 0
    (judged,) = (tmp_path / "run").rglob("judge/own/study.json")
    study = json.loads(judged.read_text())
    assert study["protocol"] == "preference" and {turn: t["n"] for turn, t in study["pairs"][0]["by_turn"].items()} == {
        "1": 3,
        "2": 3,
    }
