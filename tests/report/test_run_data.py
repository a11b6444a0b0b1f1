"""What is read from a run directory for its page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evoltune.errors import DataError
from evoltune.report import run_data as module
from evoltune.report.pages import write_report
from evoltune.report.run_data import RunData, diversity_map, read_run, word_diff
from evoltune.report.summary import summary

pytest.importorskip("jinja2", reason="needs evoltune[report]")
pytest.importorskip("vl_convert", reason="needs evoltune[report]")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="give the directory of a run"):
        write_report(tmp_path)


def test_a_word_diff_tells_both_texts():
    diff = word_diff("a b c d", "a x c d e")
    assert " ".join(t for kind, t in diff if kind != "new") == "a b c d"
    assert " ".join(t for kind, t in diff if kind != "gone") == "a x c d e"


def test_difficulty_is_counted_by_round_and_level_and_rated_by_its_mean(small):
    run = read_run(small)
    kept = [r for r in run.rows if r["outcome"] == "kept"]
    evolved = sum(r["round"] for r in kept)
    assert run.difficulty == [
        {"round": 0, "level": "simple", "rows": len(kept) - evolved},
        {"round": 1, "level": "very complex", "rows": evolved},
    ]
    assert run.ratings == [
        {"round": 0, "mean": 3.0, "rated": len(kept) - evolved},
        {"round": 1, "mean": 8.0, "rated": evolved},
    ]


def test_kept_rows_are_counted_by_kind_of_reasoning(small):
    run = read_run(small)
    counts = {entry["reasoning"]: entry["rows"] for entry in run.reasoning}
    assert counts.keys() == {"critical", "lateral", "not named"} and counts["not named"] == 10  # the seeds
    assert sum(counts.values()) == sum(row["outcome"] == "kept" for row in run.rows)


def test_the_examples_show_one_row_of_each_fate(small):
    run = read_run(small)
    fates = {r["outcome"] for r in run.rows if r["parents"]}
    assert fates == {"kept", "evolve: no information gain", "verify: fail"}
    shown = [e["row"]["outcome"] for e in run.examples]
    assert shown[0] == "kept" and set(shown) == fates and shown.count("kept") == len(shown) - 2 == 6


def test_the_summary_says_what_was_made_lost_and_reached(small):
    run = read_run(small)
    evolved = [r for r in run.rows if r["parents"]]
    kept = sum(r["outcome"] == "kept" for r in evolved)
    lost = [sum(r["outcome"] == fate for r in evolved) for fate in ("evolve: no information gain", "verify: fail")]
    rows, losses, verdicts, difficulty, operators, scores, cost = summary(run)
    assert difficulty == "Mean difficulty of the kept rows, 1 to 10: 3.0 for seeds, 8.0 for round 1."
    assert "How hard the rows are was not measured." in summary(replace(run, ratings=()))
    assert rows == (
        f"From 10 seeds 30 rows were evolved, of which {kept} ({kept / 30:.0%}) are in the dataset; with 10 seeds it has {kept + 10} rows."
    )
    assert losses.startswith(f"{sum(lost)} rows were lost: ")
    passed = [r["verdict"] == "pass" for r in run.rows if r["outcome"] == "kept"]
    assert verdicts.startswith(f"The verifier passed the answers of {sum(passed)} of the {len(passed)} kept rows, ")
    assert "Nothing has been trained yet." in summary(replace(run, loss=()))
    assert "The checkpoint has not been evaluated yet." in summary(replace(run, scores=()))
    flat = [{"round": 0, "mean": 5.0, "rated": 9}, {"round": 1, "mean": 4.9, "rated": 9}]
    assert "5.0 for seeds, 4.9 for round 1; evolution made them no harder." in "\n".join(
        summary(replace(run, ratings=flat))
    )
    spread = [{"round": r, "prompts": 9, "effective": e, "sample": 60} for r, e in ((0, 55.71), (1, 40.2), (2, 17.28))]
    varied = "Variety: a sample of 60 prompts is worth 56 unlike ones in round 0 and 17 in round 2."
    assert varied in summary(replace(run, spread=spread))
    assert f"{lost[0]} in evolve (no information gain)" in losses and f"{lost[1]} in verify (fail)" in losses
    share = {o["operator"]: o["kept"] / o["drawn"] for o in run.operators if o["operator"] != "seed"}
    assert (
        f"cheapest rows are those of the operator {max(share, key=share.get)}: " in operators
        and "without a call" in operators
    )
    assert scores == (
        "gradeschool-heldout, lenient: 60.0% solved (95% 55.0% to 65.0%, n = 200), 10.0% before training."
    )
    assert cost == "The teacher was called 1 time: 12 tokens, 0.25 dollars."


def judged(**more):
    pair = {
        "a": "after",
        "b": "before",
        "win": 0,
        "tie": 0,
        "lose": 0,
        "not_counted": 6,
        "decided_by_checks": 0,
        "p": 0.5,
    } | more
    study = {
        "suite": "own",
        "judge": "j",
        "judgements": 24,
        "unreadable": 21,
        "pairs": [pair],
        "trust": {"warnings": []},
    }
    return RunData(name="x", recipe_text="", judged=[study])


def test_the_summary_names_what_could_not_be_judged_the_cheapest_operator_and_the_check(small):
    assert "no result, since 21 of 24 of its replies could not be read" in "".join(summary(judged()))
    counted = summary(judged(win=2, lose=1, not_counted=3))
    assert "2 won, 0 tied, 1 lost, as j judged (p = 0.5, McNemar); 3 not counted" in "".join(counted)
    checked = "".join(summary(judged(win=2, tie=1, not_counted=0, decided_by_checks=2)))
    assert "2 won, 1 tied, 0 lost; checks decided 2 of these, j 1 (p = 0.5, McNemar)." in checked
    operators = [
        {"operator": name, "drawn": 10, "accepted": 9, "verified": 9, "kept": kept}
        for name, kept in (("a", 8), ("b", 2), ("c", 0), ("seed", 9))
    ]
    tokens = [{"operator": "a", "tokens": 8000}, {"operator": "b", "tokens": 500}]
    score = {
        "label": "after",
        "suite": "own",
        "measure": "pass@1",
        "n": 6,
        "unjudged": 5,
        "value": 0.1,
        "low": 0,
        "high": 0.5,
    }
    settings = {"name": "r", "domain": "d", "train": {"model_name_or_path": "base"}, "teacher": {"model": "t"}}
    proof = {"suites": {"own": {}}, "hits": [{}], "unchecked": []}
    run = RunData(
        name="x",
        recipe_text="",
        operators=operators,
        yields=tokens,
        scores=[score],
        settings=settings,
        certificate=proof,
    )
    said = "\n".join(summary(run))
    assert "those of the operator b: 2 of 10 kept, 250 tokens for each. Nothing was kept of c." in said
    assert "Nothing could judge 5 answers, counted as not solved." in said
    assert (
        "checked against own: 1 row that gave a problem away was left out." in said
        and "domain d: base, fine-tuned" in said
    )


def test_evolved_rows_are_counted_by_where_they_ended(small):
    run = read_run(small)
    assert {f["fate"] for f in run.fates} == {"kept", "lost in evolve", "lost in verify"}
    kept = sum(f["rows"] for f in run.fates if f["fate"] == "kept")
    assert kept == sum(r["outcome"] == "kept" and bool(r["parents"]) for r in run.rows)


def test_a_run_that_evolves_nothing_is_not_said_to_train_on_evolved_rows():
    settings = {"name": "r", "domain": "d", "train": {"model_name_or_path": "base"}, "teacher": {"model": "t"}}
    row = {"parents": (), "outcome": "kept", "verdict": "not judged"}
    said = summary(RunData(name="x", recipe_text="", settings=settings, rows=[row]))
    assert said[0].endswith("on the seeds as they are.") and not any("How hard" in sentence for sentence in said)
    evolved = RunData(name="x", recipe_text="", settings=settings, rows=[row, row | {"parents": ("a",)}])
    assert summary(evolved)[0].endswith("on seeds and what functions made of them.")
    said = summary(
        replace(evolved, spent={"evolve": {"calls": 1, "prompt_tokens": 2, "completion_tokens": 3, "usd": 0.0}})
    )
    assert said[0].endswith("on rows that the teacher t evolves.") and "How hard the rows are was not measured." in said


def test_a_run_that_has_only_begun_has_a_short_summary(tmp_path):
    (tmp_path / "recipe.yaml").write_text("domain: math\n")
    assert summary(read_run(tmp_path)) == []


def test_the_environment_is_the_one_that_the_scores_were_measured_in(small, tmp_path):
    assert read_run(small).environment == {"torch": "2.10.0"}
    (tmp_path / "recipe.yaml").write_text("domain: math\n")
    assert read_run(tmp_path).environment == {}


pytest.importorskip("numpy")


def rows(*texts):
    return [{"id": f"{i:05}", "round": i % 2, "text": text} for i, text in enumerate(texts)]


def test_rows_of_like_wording_are_near_each_other():
    texts = [f"bake bread with flour and butter in oven {i}" for i in range(10)]
    texts += [f"watch the comet pass the planet at night {i}" for i in range(10)]
    xs = [point["x"] for point in diversity_map(rows(*texts))]
    low, high = sorted([xs[:10], xs[10:]])
    assert max(low) < min(high)


def test_the_map_does_not_depend_on_the_order_of_rows():
    some = rows(*(f"question {i * 37} about thing {i % 7}" for i in range(50)))
    assert diversity_map(some) == diversity_map(some[::-1])


def test_the_map_shows_the_two_principal_components():
    numpy = pytest.importorskip("numpy")
    rng = numpy.random.default_rng(1)
    for size, width in ((3, 40), (60, 20), (200, 64)):
        points = rng.normal(size=(size, width)) * numpy.linspace(3, 1, width) ** 2
        flat = module._projected(points)
        exact = numpy.linalg.svd(points - points.mean(axis=0), compute_uv=False)[:2]
        assert numpy.allclose(numpy.linalg.norm(flat, axis=0), exact, rtol=1e-3)


def test_few_rows_give_no_map_and_many_are_sampled(monkeypatch):
    assert diversity_map(rows("one", "two")) == []
    monkeypatch.setattr(module, "POINTS", 20)
    assert len(diversity_map(rows(*(f"text {i}" for i in range(25))))) == 20
