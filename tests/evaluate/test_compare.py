"""Two evaluations side by side: the paired comparison and the first cause of a difference."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from evoltune.cli import main
from evoltune.errors import DataError
from evoltune.evaluate.compare import compare, differences


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


def test_two_scores_files_are_compared_like_their_folders(measured, tmp_path):
    other = copied(measured[0], tmp_path)
    by_file = compare(measured[0] / "scores.json", other / "scores.json")
    assert by_file == compare(measured[0], other) and by_file["sums"].n == 10


def test_the_command_prints_the_paired_comparison_and_the_first_cause(measured, tmp_path, capsys):
    other = copied(measured[0], tmp_path, lambda s, e: e["settings"].update(temperature=0.7))
    assert main(["compare", str(measured[0]), str(other)]) == 0
    printed = capsys.readouterr().out
    assert "not significant" in printed
    assert "first cause: decoding: sums.settings.temperature: 0.0 -> 0.7" in printed


def test_the_command_says_why_scores_are_not_comparable_and_exits_1(measured, tmp_path, capsys):
    other = copied(measured[0], tmp_path, lambda s, e: e.update(verifier="other"))
    assert main(["compare", str(measured[0]), str(other), "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["paired"] == {} and "different verifiers" in facts["not_compared"]
    assert [cause["cause"] for cause in facts["causes"]] == ["scorer"]


def test_several_are_each_compared_with_the_first_and_open_suites_are_no_zeros(measured, tmp_path, capsys):
    others = []
    for number, edit in enumerate((lambda s, e: None, lambda s, e: e.update(measures={}, not_judged="open"))):
        place = tmp_path / str(number)
        place.mkdir()
        others.append(str(copied(measured[0], place, edit)))
    assert main(["compare", str(measured[0]), *others, "--json"]) == 1
    same, not_judged = json.loads(capsys.readouterr().out)["compared"]
    assert (same["b"], same["paired"]["sums"]["difference"], same["not_compared"]) == (others[0], 0.0, "")
    assert not_judged["paired"] == {} and "sums: no verifier can judge these answers" in not_judged["not_compared"]
    assert main(["compare", str(measured[0]), *others]) == 1
    assert f"{others[0]} against {measured[0]}:" in capsys.readouterr().out
