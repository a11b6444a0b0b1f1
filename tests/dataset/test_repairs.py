"""A run whose teacher errs one time in five: failed answers go back, kept rows say so, and the pairs are data of their own."""

import json

import pytest

from evoltune.cli import main
from evoltune.dataset.repairs import repairs_in
from evoltune.domain import load_domain, seeds_of
from evoltune.evolve.tries import REPAIR
from evoltune.pipeline import run
from evoltune.recipe import load_recipe
from evoltune.record import Answer, Record, Task, Verdict
from evoltune.rehearse.teacher import serving_teacher
from evoltune.report.run_data import read_run
from evoltune.report.summary import summary
from evoltune.rows.readers import read_rows
from evoltune.train.plan import _teacher
from evoltune.verification.records import REPAIRS, Repair
from evoltune_math.verification import check

pytest.importorskip("pyarrow", reason="needs evoltune[data]")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(folder, recipe, calls made, reference by instruction)"""
    folder = tmp_path_factory.mktemp("repairs")
    domain = load_domain("math")
    seeds = [s.task for s in seeds_of(domain) if s.task.reference and s.task.reference.isdigit()][::12][:40]
    rows = folder / "seeds.jsonl"
    rows.write_text("".join(json.dumps({"instruction": t.instruction, "reference": t.reference}) + "\n" for t in seeds))
    with serving_teacher(domain) as teacher:
        settings = [f"seeds.path={rows}", f"teacher.endpoints=[{{url: {teacher.url}}}]", "evolve.repair=2"]
        recipe = load_recipe(str(_recipe(folder)), settings)
        run(recipe, folder / "run", ("evolve", "verify", "build"))
        return folder / "run", recipe, teacher.purposes, {t.instruction: t.reference for t in seeds}


def _recipe(folder):
    path = folder / "recipe.yaml"
    path.write_text(json.dumps({
        "domain": "math", "evolve": {"rounds": 0, "answer_seeds": True}, "teacher": {"kind": "http", "model": "m"},
        "verify": {"workers": 1}, "curate": {"validation": 0.0, "near_threshold": 1.0},
    }))  # fmt: skip
    return path


def test_kept_rows_say_how_often_their_answer_was_sent_back(finished):
    folder, _, purposes, _ = finished
    repaired = [row["repaired"] for row in read_rows(folder / "dataset" / "train.parquet")]
    assert set(repaired) >= {0, 1} and purposes["answer"] == 40 >= len(repaired) >= 38
    assert purposes["repair"] >= sum(repaired) > 0


def test_the_plan_bounds_the_calls_and_the_report_counts_repairs(finished):
    folder, recipe, purposes, _ = finished
    assert sum(purposes.values()) <= _teacher(recipe)[0] == 120
    (said,) = [line for line in summary(read_run(folder)) if "sent back" in line]
    assert said.startswith(f"{purposes['repair']} failed answer") and "with the verifier's reason" in said


@pytest.mark.parametrize("form", ["preference", "repairs"])
def test_pairs_are_exported_with_what_failed_and_what_passed(finished, tmp_path, form):
    folder, _, _, references = finished
    out = tmp_path / "pairs.jsonl"
    assert main(["data", "export", str(folder), "--form", form, "--out", str(out)]) == 0
    pairs = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(pairs) == sum(row["repaired"] > 0 for row in read_rows(folder / "dataset" / "train.parquet")) > 0
    for pair in pairs:
        reference = references[pair["prompt"][0]["content"]]
        failed = pair["rejected"][0] if form == "preference" else pair["prompt"][1]
        (passed,) = pair["chosen"] if form == "preference" else pair["completion"]
        assert check(passed["content"], reference).status == "pass" and failed["role"] == passed["role"] == "assistant"
        assert check(failed["content"], reference).status == "fail"
        if form == "repairs":
            assert pair["prompt"][2]["content"] == REPAIR.replace("{reason}", pair["reason"])


def test_only_a_run_has_repairs(tmp_path, capsys):
    assert main(["data", "export", str(tmp_path), "--form", "preference", "--out", str(tmp_path / "x.jsonl")]) == 2
    assert "is no run" in capsys.readouterr().err


@pytest.mark.parametrize("statuses", [("error", "pass"), ("fail", "fail"), ("pass", "pass"), ("unverifiable", "pass")])
def test_a_pair_needs_a_failure_and_a_pass(statuses):
    answers = tuple(Answer(text=s, model="m", verdict=Verdict(status=s)) for s in statuses)
    evidence = {REPAIRS: ("", Repair(of=0, reason="wrong").to_text())}
    assert list(repairs_in(Record(domain="x", task=Task(instruction="x"), answers=answers, evidence=evidence))) == []
