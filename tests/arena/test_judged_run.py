"""Judging as a part of a run: its own answers, one store for all suites, and what a kill may cost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from evoltune.arena.judged_run import judge_run
from evoltune.errors import BudgetError, DataError, RecipeError
from evoltune.recipe import load_recipe
from evoltune.report.pages import write_report
from evoltune.run.run import Run

KEY = "k"
CONCURRENCY = 4
SKILLS = ("Math", "Writing", "Code")


@pytest.fixture
def evaluated(tmp_path, write):
    """evaluated(url, problems=4, **judge): the recipe file and folder of a run whose answers were generated and scored."""

    def make(url, *, problems=4, labels=("after", "before"), **judge):
        rows = [
            {"idx": i, "Skill": SKILLS[i % 3], "Difficulty": 1 + 3 * (i % 4), "Instruction": f"Question {i}?"} for i in range(problems)
        ]  # fmt: skip
        (tmp_path / "wizardlm").mkdir(exist_ok=True)
        write(tmp_path / "wizardlm" / "WizardLM_testset.jsonl", rows)
        folder = tmp_path / "run"
        for label in labels:
            place = folder / "eval" / label
            place.mkdir(parents=True, exist_ok=True)
            worth = {"after": 7, "before": 3}[label]
            texts = [
                {"problem": f"wizardlm/{i}", "sample": s, "settings": KEY, "text": f"After a while of thinking it over, as one should, this is worth {worth + i % 2}"}
                for i in range(problems)
                for s in range(2)
            ]  # fmt: skip
            write(place / "wizardlm.jsonl", [{**texts[0], "settings": "older", "text": "old"}, *texts])
            entry = {
                "suite": "general/wizardlm", "settings_key": KEY, "statuses": {"unverifiable": problems}, "measures": {}, "n": problems,
            }  # fmt: skip
            (place / "scores.json").write_text(json.dumps({"suites": {"wizardlm": entry}, "environment": {}}))
        teacher = {
            "kind": "http",
            "model": "judge",
            "endpoints": [{"url": url}],
            "max_retries": 0,
            "concurrency": CONCURRENCY,
        }
        tree = {
            "domain": "general", "name": "x",
            "eval": {"suites": ["wizardlm"], "data": str(tmp_path), "judge": {"teacher": teacher | judge.pop("teacher", {}), **judge}},
        }  # fmt: skip
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(tree))
        folder.joinpath("recipe.yaml").write_text(yaml.safe_dump(tree))
        return tmp_path / "recipe.yaml", folder

    return make


def test_the_answers_before_and_after_are_compared_and_shown(openai_server, evaluated, tmp_path, write):
    server = openai_server(judge="fair")
    theirs = [{"id": f"wizardlm/{i}", "text": "It is worth 9"} for i in range(4)]
    baselines = [{"name": "theirs", "answers": str(write(tmp_path / "theirs.jsonl", theirs))}]
    recipe, folder = evaluated(f"{server.url}/v1", planted=2, repeats=2, baselines=baselines)
    (result,) = judge_run(load_recipe(recipe), folder)
    assert [(p["a"], p["b"], p["win"], p["lose"]) for p in result["pairs"]] == [
        ("after", "before", 4, 0), ("after", "theirs", 0, 4),
    ]  # fmt: skip
    assert json.loads((folder / "eval/judge/wizardlm/study.json").read_text()) == json.loads(json.dumps(result))
    assert (folder / "eval/judge/store.sqlite").is_file()
    page = write_report(folder).read_text()
    assert "Open answers before a judge" in page and "after against theirs" in page and "By skill" in page
    asked = server.stats()["ok"]
    judge_run(load_recipe(recipe), folder)
    assert server.stats()["ok"] == asked  # nothing is paid twice


def test_a_judge_that_cannot_tell_is_warned_of_on_the_page(openai_server, evaluated):
    server = openai_server(judge="first")
    recipe, folder = evaluated(f"{server.url}/v1", planted=4, repeats=0)
    (result,) = judge_run(load_recipe(recipe), folder)
    assert result["trust"]["position"]["bias"] == 1.0 and len(result["trust"]["warnings"]) == 2
    page = write_report(folder).read_text()
    assert page.count("Do not trust this judge too far") == 2


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        ({"name": "before", "answers": "x.jsonl"}, "names must be unique: after, before, before"),
        ({"name": "theirs"}, "'theirs' needs exactly one of checkpoint, endpoint, answers"),
    ],
)
def test_a_baseline_takes_no_place_of_the_runs_own_models_and_has_answers(openai_server, evaluated, baseline, said):
    server = openai_server(judge="fair")
    recipe, folder = evaluated(f"{server.url}/v1", baselines=[baseline])
    with pytest.raises(RecipeError, match=f"eval.judge.baselines: {said}"):
        judge_run(load_recipe(recipe), folder)
    assert not server.stats().get("ok")


def test_without_a_judge_nothing_is_asked(openai_server, evaluated):
    server = openai_server(judge="fair")
    recipe, folder = evaluated(f"{server.url}/v1")
    assert judge_run(load_recipe(recipe, ["eval.judge=null"]), folder) == []
    assert not (folder / "eval/judge").exists() and not server.stats().get("ok")


def test_what_cannot_be_compared_is_said_before_anything_starts(openai_server, evaluated):
    server = openai_server(judge="fair")
    recipe, folder = evaluated(f"{server.url}/v1", labels=("after",))
    with pytest.raises(DataError, match=r"eval\.judge: general/wizardlm: only after has answers: set eval\.baseline"):
        judge_run(load_recipe(recipe), folder)
    for override, message in (
        ("eval.baseline=false", "eval.judge: nothing to compare the trained model with"),
        ("eval.judge.suites=[vicuna]", "eval.judge.suites: 'vicuna' is not one of eval.suites: wizardlm"),
        (
            "eval.judge.teacher.endpoints=[{url: 'http://127.0.0.1:9/v1'}]",
            "eval.judge.teacher.endpoints: nothing answers at",
        ),
        ("eval.judge.teacher.kind=web", "eval.judge.teacher.*'web' is no engine"),
    ):
        with pytest.raises(RecipeError, match=message):
            Run(recipe=load_recipe(recipe, [override]), folder=folder).check(("eval",))


def test_a_budget_counts_all_calls_and_what_was_judged_is_kept(openai_server, evaluated):
    server = openai_server(judge="fair")
    recipe, folder = evaluated(f"{server.url}/v1", planted=0, repeats=0)
    with pytest.raises(BudgetError):
        judge_run(load_recipe(recipe, ["eval.judge.teacher.budget={calls: 3}"]), folder)
    assert server.stats()["ok"] == 3
    judge_run(load_recipe(recipe), folder)
    assert server.stats()["ok"] == 8


JUDGE = """
import sys
from pathlib import Path
from evoltune.arena.judged_run import judge_run
from evoltune.recipe import load_recipe
judge_run(load_recipe(sys.argv[1]), Path(sys.argv[2]))
"""


def test_killed_in_the_middle_it_pays_again_only_for_what_was_in_flight(openai_server, evaluated, tmp_path):
    server = openai_server(judge="fair", latency_s=0.05)
    recipe, folder = evaluated(f"{server.url}/v1", problems=24, planted=4, repeats=4)
    command = [sys.executable, "-c", JUDGE, str(recipe), str(folder)]
    kills = 0
    for after in (8, 24, 40):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
        deadline = time.monotonic() + 120
        while process.poll() is None and server.stats().get("ok", 0) < after and time.monotonic() < deadline:
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 2
    assert subprocess.run(command, capture_output=True, text=True, check=False).returncode == 0
    lines = Path(folder / "eval/judge/wizardlm/judgements.jsonl").read_text().splitlines()
    judgements = [json.loads(line) for line in lines]
    assert len(judgements) == 24 * 2 + 4 + 4 * 4 * 2
    needed = sum(judgement["replies"] for judgement in judgements)
    assert needed <= server.stats()["ok"] <= needed + kills * CONCURRENCY
