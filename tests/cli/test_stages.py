"""What is printed before a run and at its end."""

import json

import msgspec

from evoltune.cli.stages import outcome, outcome_lines, preview
from evoltune.recipe import load_recipe, make_recipe
from evoltune.run.run import Run
from evoltune.train.plan import make_plan

SCORES = {"suites": {"gsm8k": {"n": 100, "measures": {"pass@1": {"value": 0.25, "interval": [0.175, 0.343]}}}}}


def test_the_plan_says_for_each_stage_what_it_does_and_where_it_writes(tmp_path):
    recipe = load_recipe(
        "smoke/math", ["seeds.limit=3", "evolve.rounds=2", "evolve.variants=2", "evolve.equal_check=true"]
    )
    lines = preview(Run(recipe=recipe, folder=tmp_path / "run"), ("evolve", "train", "report"))
    assert lines[1] == "evolve: 3 seeds, 12 draws, no teacher is asked"  # these operators edit solutions
    prompted = make_recipe(msgspec.to_builtins(recipe), ["evolve.operators={deepen: 1}"])
    counted = f"at most {make_plan(prompted).calls} calls"
    assert (
        counted in preview(Run(recipe=prompted, folder=tmp_path / "run"), ("evolve",))[1] and "at most 0" not in counted
    )
    assert str(tmp_path / "run" / "checkpoint") in lines[2]
    assert lines[3] == f"report: {tmp_path / 'run' / 'report.html'}"
    assert not (tmp_path / "run").exists()


def test_the_outcome_lists_scores_and_finished_results_only(tmp_path):
    after, dataset, checkpoint = tmp_path / "eval" / "after", tmp_path / "dataset", tmp_path / "checkpoint"
    for folder in (after, dataset, checkpoint):
        folder.mkdir(parents=True)
    (after / "scores.json").write_text(json.dumps(SCORES))
    (dataset / "manifest.json").write_text("{}")  # the checkpoint has none: it is not finished
    assert outcome(tmp_path) == {"after": SCORES, "dataset": str(dataset)}
    assert list(outcome_lines(tmp_path)) == [
        "after  gsm8k pass@1: 25.0% (95% 17.5% to 34.3%, n=100)",
        f"dataset: {dataset}",
    ]


def test_a_folder_without_a_run_has_no_outcome(tmp_path):
    assert outcome(tmp_path / "none") == {} and list(outcome_lines(tmp_path / "none")) == []
