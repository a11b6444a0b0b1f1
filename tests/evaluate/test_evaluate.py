"""The evaluation as a whole: a tiny model on a suite, scores.json, comparison, diff, the command line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from evoltune.cli import main
from evoltune.curate.certificate import build_certificate, write_certificate
from evoltune.errors import CertificateError, DataError, RecipeError
from evoltune.evaluate.compare import compare, differences
from evoltune.evaluate.measure import evaluate, settings_of, training_data
from evoltune.evaluate.suites import load_suite
from evoltune.evaluate.tables import load_scores, score_table
from evoltune.generate.types import ModelSource
from evoltune.recipe import Eval, Recipe, Train, Verification


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EVOLTUNE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def suite_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("suite") / "sums.jsonl"
    rows = [{"id": f"s{i}", "question": f"{i} + {i} = ?", "reference": str(2 * i)} for i in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def recipe(suite_file, **chosen) -> Recipe:
    base = {"suites": (f"math:{suite_file}",), "beside": ("gsm8k-strict",), "max_new_tokens": 12, "limit": 10}
    return Recipe(
        domain="math",
        eval=Eval(**{**base, **chosen}),
        train=Train(template="alpaca"),
        verify=Verification(workers=1),
    )


@pytest.fixture(scope="module")
def measured(tiny_base, suite_file, tmp_path_factory):
    """One evaluation of the tiny model: (folder, scores)."""
    out = tmp_path_factory.mktemp("measured")
    return out, evaluate(recipe(suite_file), str(tiny_base), out, baseline=True)


def test_scores_hold_every_thing_that_they_depend_on(measured):
    folder, scores = measured
    entry = scores["suites"]["sums"]
    assert json.loads((folder / "scores.json").read_text()) == json.loads(json.dumps(scores))
    assert list(entry["measures"]) == ["sound", "gsm8k-strict"] and entry["n"] == 10
    assert {m["profile"] for m in entry["measures"].values()} == {"math/sound@1", "math/gsm8k-strict@1"}
    for key in (
        "sha256",
        "licence",
        "verifier",
        "source_hash",
        "prompts_sha256",
        "settings",
        "truncated",
        "no_answer",
    ):
        assert key in entry
    assert entry["template_proof"]["template"] == "chat" and scores["environment"]["torch"]
    assert len((folder / "sums.jsonl").read_text().splitlines()) == 10


def test_a_second_run_is_bit_identical_and_generates_nothing(measured, tiny_base, suite_file, tmp_path):
    folder, scores = measured
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert evaluate(recipe(suite_file), str(tiny_base), folder, baseline=True) == scores
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    evaluate(recipe(suite_file), str(tiny_base), tmp_path / "again", baseline=True)
    texts = [sorted((f / "sums.jsonl").read_text().splitlines()) for f in (folder, tmp_path / "again")]
    assert texts[0] == texts[1]


def test_tables_show_the_profile_in_every_row(measured):
    _, scores = measured
    lines = list(score_table({"tiny": scores}))
    assert (
        sum("math/sound@1" in line for line in lines) == 1
        and sum("math/gsm8k-strict@1" in line for line in lines) == 1
    )


def test_published_figures_stand_beside_ours_with_their_own_profile(measured):
    _, scores = measured
    lines = "\n".join(score_table({"tiny": {**scores, "suites": {"gsm8k": scores["suites"]["sums"]}}}))
    assert "ToRA-70B" in lines and "84.3%" in lines and "microsoft/ToRA" in lines


# ---- what a model is asked


def test_the_profile_decides_decoding_and_the_recipe_may_choose_over_it(suite_file):
    from evoltune.domain import Profile

    weights = ModelSource(model="m", fingerprint="w")
    profile = Profile(
        version=1, decoding={"n": 4, "temperature": 0.2, "top_p": 0.95, "max_tokens": 99, "stop": ["X"]}
    )
    plain = settings_of(Recipe(domain="math"), profile, "m", weights, baseline=False)
    assert (plain.n, plain.temperature, plain.top_p, plain.max_new_tokens, plain.stops) == (
        4,
        0.2,
        0.95,
        99,
        ("X",),
    )
    chosen = recipe(suite_file, n=2, temperature=0.8, stops=("Y",), baseline_max_new_tokens=7)
    over = settings_of(chosen, profile, "m", weights, baseline=False)
    assert (over.n, over.temperature, over.max_new_tokens, over.stops, over.template) == (
        2,
        0.8,
        12,
        ("X", "Y"),
        "alpaca",
    )
    base = settings_of(chosen, profile, "m", weights, baseline=True)
    assert (base.template, base.max_new_tokens) == ("chat", 7)
    same = settings_of(recipe(suite_file, baseline_template="same"), profile, "m", weights, baseline=True)
    assert same.template == "alpaca"
    raw = settings_of(chosen, Profile(version=1, prompt="{instruction}"), "m", weights, baseline=True)
    assert (raw.template, raw.prompt, raw.system) == ("raw", "{instruction}", "")


def test_several_greedy_samples_are_refused(suite_file):
    from evoltune.domain import Profile

    with pytest.raises(RecipeError, match="would all be the same"):
        settings_of(recipe(suite_file, n=5), Profile(version=1), "m", ModelSource(model="m"), baseline=False)


# ---- comparison and diff


def copied(folder, tmp_path, change=None, name="b") -> Path:
    other = tmp_path / name
    shutil.copytree(folder, other)
    if change:
        scores = json.loads((other / "scores.json").read_text())
        change(scores, scores["suites"]["sums"])
        (other / "scores.json").write_text(json.dumps(scores))
    return other


def test_a_paired_comparison_reads_the_verdicts(measured, tmp_path):
    folder, scores = measured
    other = copied(folder, tmp_path)
    path, lines = other / "sums.verdicts.jsonl", []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        lines.append(json.dumps({**row, "status": "pass"}))
    path.write_text("\n".join(lines) + "\n")
    found = compare(folder, other)["sums"]
    solved = round(scores["suites"]["sums"]["measures"]["sound"]["value"] * 10)
    assert found.n == 10 and found.only_b == 10 - solved and found.only_a == 0 and found.b == 1.0


@pytest.mark.parametrize("key", ["profile", "sha256", "verifier"])
def test_scores_of_different_profiles_problems_or_scorers_are_not_compared(measured, tmp_path, key):
    other = copied(measured[0], tmp_path, lambda scores, entry: entry.update({key: "other"}))
    with pytest.raises(DataError, match="not comparable"):
        compare(measured[0], other)


@pytest.mark.parametrize(
    ("cause", "change"),
    [
        ("problems", lambda s, e: e.update(sha256="0" * 64)),
        ("model", lambda s, e: s.update(weights="other")),
        ("prompt", lambda s, e: e.update(prompts_sha256="other")),
        ("template", lambda s, e: e["template_proof"].update(prompt_ids_sha256="other")),
        ("decoding", lambda s, e: e["settings"].update(temperature=0.7)),
        ("scorer", lambda s, e: e.update(source_hash="other")),
        ("packages", lambda s, e: s["environment"].update(torch="1.0")),
    ],
)
def test_diff_names_the_planted_cause_first(measured, tmp_path, cause, change):
    def plant(scores, entry):
        change(scores, entry)
        scores["environment"]["sympy"] = "0.1"  # packages differ too, but come last

    found = differences(measured[0], copied(measured[0], tmp_path, plant))
    assert found[0].cause == cause


def test_diff_of_equal_runs_is_empty_and_other_texts_are_named(measured, tmp_path):
    assert differences(measured[0], copied(measured[0], tmp_path)) == []
    other = copied(measured[0], tmp_path, name="c")
    lines = (other / "sums.jsonl").read_text().splitlines()
    row = json.loads(lines[0])
    (other / "sums.jsonl").write_text("\n".join([json.dumps({**row, "text": "other"}), *lines[1:]]) + "\n")
    found = differences(measured[0], other)
    assert [d.cause for d in found] == ["generations"] and "1 texts" in found[0].where


def test_diff_of_runs_names_changed_training_data(measured, tmp_path):
    for name, sha in (("a", "1"), ("b", "2")):
        shutil.copytree(measured[0], tmp_path / name / "eval" / "after")
        (tmp_path / name / "dataset").mkdir()
        (tmp_path / name / "dataset" / "manifest.json").write_text(json.dumps({"rows": 3, "sha256": sha}))
    found = differences(tmp_path / "a", tmp_path / "b")
    assert [(d.cause, d.where) for d in found] == [("training data", "dataset.sha256")]


# ---- the command line


def test_the_commands_print_tables_and_exit_0(measured, tmp_path, suite_file, capsys):
    other = copied(measured[0], tmp_path, lambda s, e: e["settings"].update(temperature=0.7))
    assert main(["diff", str(measured[0]), str(other)]) == 0
    assert "first cause: decoding: sums.settings.temperature: 0.0 -> 0.7" in capsys.readouterr().out
    assert main(["eval", "compare", str(measured[0]), str(measured[0])]) == 0
    assert "not significant" in capsys.readouterr().out
    texts = measured[0] / "sums.jsonl"
    command = [
        "eval",
        "--rescore",
        str(texts),
        "--suite",
        f"math:{suite_file}",
        "--profiles",
        "sound,gsm8k-flexible",
    ]
    assert main([*command, "--out", str(tmp_path / "panel")]) == 0
    assert "math/gsm8k-flexible@1" in capsys.readouterr().out
    assert main([*command, "--out", str(tmp_path / "panel"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figures"]["math/sound@1"]["n"] == 10


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["eval"], "needs a recipe"),
        (["eval", "--model", "m"], "needs --suite"),
        (["eval", "--rescore", "f.jsonl"], "exactly one --suite"),
        (["eval", "suites", "compar"], "did you mean 'compare'"),
        (["eval", "suites", "build"], "eval suites build ROWS"),
        (["eval", "compare", "a"], "needs two runs"),
        (["eval", "judge"], "eval judge STUDY.yaml"),
        (["eval", "judge", "no-such.yaml"], "no-such.yaml: cannot be read"),
        (["diff", "a", "b"], "a: no scores.json there"),
        (
            ["eval", "--rescore", "no-such.jsonl", "--suite", "math/gradeschool-heldout"],
            "no-such.jsonl: no such file",
        ),
        (["eval", "--rescore", "f", "--suite", "math/gradeschool-heldout", "--k", "0"], "--k: '0' must be"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and not any(tmp_path.glob("runs*"))


def test_damaged_scores_say_what_to_do(tmp_path):
    (tmp_path / "scores.json").write_text("{")
    with pytest.raises(DataError, match=r"scores\.json: not JSON"):
        load_scores(tmp_path)
    (tmp_path / "scores.json").write_text("[]")
    with pytest.raises(DataError, match="no scores in it"):
        load_scores(tmp_path)


@pytest.mark.parametrize("proof", ["none", "other suite", "this suite"])
def test_a_checkpoint_of_ours_needs_a_certificate_for_the_suite(proof: str, suite_file, tmp_path):
    suite = load_suite(f"math:{suite_file}")
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "manifest.json").write_text("{}")
    if proof != "none":
        other = replace(suite, name="another", tasks=suite.tasks[:1])
        named = other if proof == "other suite" else suite
        write_certificate(
            checkpoint / "certificate.json", build_certificate({named.name: named}, {}, rows={}, hits=[])
        )
    assert training_data("some-hub/model", [suite], False) == "unknown"
    if proof == "this suite":
        assert training_data(str(checkpoint), [suite], False) == "certified"
        return
    with pytest.raises(CertificateError, match="--allow-uncertified"):
        training_data(str(checkpoint), [suite], False)
    said = training_data(str(checkpoint), [suite], True)
    assert said.startswith("training data ")
    scores = {"suites": {}, "training_data": said}
    assert list(score_table({"mine": scores}))[-1] == f"mine: {said}"
