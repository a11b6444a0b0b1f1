"""Choices by the judge: candidates are compared with one reference, and what nothing judged chooses nothing."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
import yaml

from evoltune import pipeline
from evoltune.arena.choosing import choice_score, points_against
from evoltune.errors import BudgetError, DataError, RecipeError
from evoltune.evaluate import ablation
from evoltune.recipe import load_recipe
from evoltune.run.run import Run
from evoltune.run.store import Store

KEY = "k"
WORTH = {"first": [5, 5, 5, 5], "better": [7, 7, 5, 3], "worse": [1, 1, 1, 9]}


@pytest.fixture
def candidates(tmp_path, write):
    """candidates(url, **judge): the recipe file and folder of answers, each worth a number, to four open questions."""

    def make(url, **judge):
        suite = write(tmp_path / "dev.jsonl", [{"id": str(i), "instruction": f"Why {i}?"} for i in range(4)])
        for name, worth in WORTH.items():
            (tmp_path / name).mkdir(exist_ok=True)
            texts = [
                {"problem": str(i), "sample": 0, "settings": KEY, "text": f"Worth {w}"} for i, w in enumerate(worth)
            ]
            write(tmp_path / name / "dev.jsonl", texts)
            (tmp_path / name / "scores.json").write_text(json.dumps(scores()))
        teacher = {"kind": "http", "model": "judge", "endpoints": [{"url": url}], "max_retries": 0} | judge.pop("teacher", {})  # fmt: skip
        tree = {
            "domain": "general", "name": "x", "evolve": {"rounds": 2, "stop_on": str(suite)},
            "eval": {"suites": [str(suite)], "judge": {"teacher": teacher, "planted": 0, **judge}},
        }  # fmt: skip
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(tree))
        return tmp_path / "recipe.yaml"

    return make


def scores(**measures):
    entry = {"settings_key": KEY, "measures": measures, "n": 4, "not_judged": "no verifier"}
    return {"suites": {"dev": entry}}


def chosen(recipe, folder, name, found=None, reference="first"):
    return choice_score(recipe, found or scores(), folder / name, folder / reference, folder / "judged")


@pytest.mark.parametrize("protocol", ["scores", "preference", "grades"])
def test_the_win_rate_against_the_reference_chooses_and_nothing_is_paid_twice(openai_server, candidates, tmp_path, protocol):  # fmt: skip
    server = openai_server(judge="fair")
    recipe = load_recipe(candidates(f"{server.url}/v1", protocol=protocol))
    assert chosen(recipe, tmp_path, "first") == 0.5 and not server.stats().get("ok")  # the reference itself
    assert chosen(recipe, tmp_path, "better") > 0.5 > chosen(recipe, tmp_path, "worse")
    asked = server.stats()["ok"]
    assert chosen(recipe, tmp_path, "better") > 0.5 and server.stats()["ok"] == asked


def test_a_choice_that_is_killed_while_the_judge_replies_is_the_same_and_pays_only_what_was_in_flight_again(openai_server, candidates, tmp_path):  # fmt: skip
    server = openai_server(judge="fair", latency_s=0.1)
    recipe = load_recipe(candidates(f"{server.url}/v1", teacher={"concurrency": 2}))
    child = os.fork()
    if child == 0:
        try:
            chosen(recipe, tmp_path, "better")
        finally:
            os._exit(0)
    while server.stats().get("ok", 0) < 3:
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert chosen(recipe, tmp_path, "better") == 0.625
    paid = server.stats()
    assert paid["duplicates"] <= 2 and paid["ok"] - paid["duplicates"] == 8


def test_points_are_of_each_problem_and_a_judge_of_one_place_ties_all(openai_server, candidates, tmp_path):
    recipe = load_recipe(candidates(f"{openai_server(judge='fair').url}/v1"))
    found = points_against(recipe, recipe.eval.suites[0], tmp_path / "better", tmp_path / "first", tmp_path / "judged")
    assert found == {"0": 1.0, "1": 1.0, "2": 0.5, "3": 0.0}
    biased = load_recipe(candidates(f"{openai_server(judge='first').url}/v1", teacher={"model": "other"}))
    assert chosen(biased, tmp_path, "better") == 0.5


def test_the_judge_of_a_choice_is_measured_by_twins_of_the_reference_that_all_candidates_share(openai_server, candidates, tmp_path, capsys):  # fmt: skip
    server = openai_server(judge="longer:1")
    recipe = load_recipe(candidates(f"{server.url}/v1", planted=4))
    assert chosen(recipe, tmp_path, "better") == 0.5
    assert "100.0% of the judgements go for the longer answer" in capsys.readouterr().err
    assert server.stats()["ok"] == 8 + 16  # two orders of four questions; of four wrong numbers and four with filler
    chosen(recipe, tmp_path, "worse")
    assert server.stats()["ok"] == 16 + 16


def test_a_suite_that_the_verifier_judged_is_not_the_judges_unless_named(openai_server, candidates, tmp_path):
    server = openai_server(judge="fair")
    verified = scores(**{"pass@1": {"value": 0.25}})
    assert chosen(load_recipe(candidates(f"{server.url}/v1")), tmp_path, "better", verified) == 0.25
    assert not server.stats().get("ok")
    named = load_recipe(candidates(f"{server.url}/v1", suites=["dev"]))
    assert chosen(named, tmp_path, "better", verified) == 0.625


def test_what_nothing_judged_chooses_nothing(openai_server, candidates, tmp_path):
    path = candidates(f"{openai_server(judge='nonsense').url}/v1", tries=1)
    with pytest.raises(DataError, match="none of the judge's replies could be read"):
        chosen(load_recipe(path), tmp_path, "better")
    with pytest.raises(RecipeError, match="dev suite 'dev': no verifier: it cannot choose"):
        chosen(load_recipe(path, ["eval.judge=null"]), tmp_path, "better")
    with pytest.raises(DataError, match="gone: restore them"):
        chosen(load_recipe(path), tmp_path, "better", reference="away")


def test_one_budget_counts_all_choices(openai_server, candidates, tmp_path):
    server = openai_server(judge="fair")
    path = candidates(f"{server.url}/v1", teacher={"budget": {"calls": 10}})
    assert chosen(load_recipe(path), tmp_path, "better") > 0.5  # 8 calls
    with pytest.raises(BudgetError):
        chosen(load_recipe(path), tmp_path, "worse")
    assert server.stats()["ok"] == 10
    chosen(load_recipe(path, ["eval.judge.teacher.budget.calls=99"]), tmp_path, "worse")
    assert server.stats()["ok"] == 16


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["eval.judge=null"], "evolve.stop_on: no verifier can judge answers to .*dev.jsonl', so it cannot choose"),
        ([], "eval.judge.teacher.endpoints: nothing answers at"),
    ],
)
def test_an_open_suite_without_a_judge_is_refused_before_anything_starts(candidates, tmp_path, more, said):
    path = candidates("http://127.0.0.1:9/v1")
    with pytest.raises(RecipeError, match=said):
        Run(recipe=load_recipe(path, ["eval.suites=[]", *more]), folder=tmp_path / "run").check(("evolve",))
    work = Run(recipe=load_recipe(path, more), folder=tmp_path / "run")
    with pytest.raises((DataError, RecipeError), match="nothing to score by" if more else said):
        ablation.check_scored(work)


def test_a_dev_suite_that_is_verified_needs_no_judge(candidates, tmp_path, write):
    write(tmp_path / "checked.jsonl", [{"id": "1", "instruction": "Name the moons of Mars in at most 5 words."}])
    chosen_by = [f"evolve.stop_on={tmp_path / 'checked.jsonl'}", "eval.suites=[]"]
    Run(recipe=load_recipe(candidates("http://127.0.0.1:9/v1"), chosen_by), folder=tmp_path / "run").check(("evolve",))


def test_an_ablation_scores_variants_by_the_judge_and_leaves_out_what_nothing_judged(openai_server, candidates, tmp_path):  # fmt: skip
    path = candidates(f"{openai_server(judge='fair').url}/v1")
    run = tmp_path / "run"
    names = {"10 rows": "first", "20 rows": "better"}
    trainings = [ablation.Training(axis="quantity", variant=v, seed=42, rows=()) for v in names]
    for training, name in zip(trainings, names.values(), strict=True):
        place = training.folder(run) / "eval" / "after"
        place.parent.mkdir(parents=True)
        (tmp_path / name).rename(place)
        (training.folder(run) / "checkpoint").mkdir()
        manifest = {"steps": 1, "data": {"tokens": 10, "kept": 1}}
        (training.folder(run) / "checkpoint" / "manifest.json").write_text(json.dumps(manifest))

    def results(recipe):
        work = Run(recipe=recipe, folder=run)
        solved = {t.folder(run): ablation._solved(work, t, trainings[0]) for t in trainings}
        return [ablation._mean_over_seeds(work, [t], trainings[0], solved) for t in trainings]

    first, second = results(load_recipe(path))
    assert (first["suites"]["dev"]["value"], second["suites"]["dev"]["value"]) == (0.5, 0.625)
    assert "dev, won against 10 rows" in "\n".join(ablation.report([first, second]))
    without = results(load_recipe(path, ["eval.judge=null"]))
    assert [entry["suites"] for entry in without] == [{}, {}]
    assert "dev: not judged" in "\n".join(ablation.report(without))


@pytest.mark.slow
def test_rounds_and_checkpoints_are_chosen_by_the_judge_in_a_whole_run(openai_server, tiny_base, tmp_path, write):
    teacher, judge = openai_server(), openai_server(judge="longer:1")
    dev = write(tmp_path / "dev.jsonl", [{"id": str(i), "instruction": f"Why is harbour {i} deep?"} for i in range(3)])
    sections = {
        "domain": "general", "name": "x", "seeds": {"limit": 6},
        "teacher": {"kind": "http", "model": "m", "endpoints": [{"url": teacher.url}]},
        "evolve": {"rounds": 2, "equal_check": False, "stop_on": str(dev)},
        "verify": {"keep": ["pass", "fail", "unverifiable"], "workers": 1, "sandbox": {"require": "L0"}},
        "train": {
            "model_name_or_path": str(tiny_base), "template": "alpaca", "max_length": 512, "max_steps": 2, "precision": "fp32",
            "learning_rate": 1e-2, "save_steps": 1, "checkpoint_select": "generations", "dev_suite": str(dev),
            "excess_length": "truncate",
        },
        "eval": {
            "max_new_tokens": 8, "suites": [],
            "judge": {"teacher": {"kind": "http", "model": "j", "endpoints": [{"url": f"{judge.url}/v1"}]}},
        },
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(sections))
    recipe = load_recipe(tmp_path / "recipe.yaml")
    pipeline.run(recipe, tmp_path / "run", ("evolve", "verify", "build", "train"))
    with Store.read(tmp_path / "run") as store:
        notes = dict(store.sql("SELECT key, value FROM meta WHERE key LIKE 'evol_stop:%'"))
    first, second = (float(notes[key]) for key in sorted(k for k in notes if k.endswith((":1", ":2"))))
    assert first == 0.5 and 0 <= second <= 1 and int(notes["evol_stop:best"]) == 1 + (second > 0.5)
    for place in ("rounds/1/checkpoint", "rounds/2/checkpoint", "checkpoint"):
        table = json.loads((tmp_path / "run" / place / "selection.json").read_text())["table"]
        assert [row["step"] for row in table] == [1, 2] and table[-1]["score"] == 0.5
    asked = judge.stats()["ok"]
    pipeline.run(recipe, tmp_path / "run", ("evolve", "verify", "build", "train"))
    assert judge.stats()["ok"] == asked
