"""The commands of evaluation: what they print, the old forms that still work, and misuse."""

from __future__ import annotations

import json

import pytest

from evoltune.cli import main, present_words


def test_rescore_prints_a_panel_as_a_table_and_as_json(measured, tmp_path, suite_file, capsys):
    texts = measured[0] / "sums.jsonl"
    command = ["rescore", str(texts), "--suite", f"math:{suite_file}", "--profiles", "sound,gsm8k-flexible"]
    assert main([*command, "--out", str(tmp_path / "panel")]) == 0
    assert "math/gsm8k-flexible@1" in capsys.readouterr().out
    assert main([*command, "--out", str(tmp_path / "panel"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figures"]["math/sound@1"]["n"] == 10


def test_build_draws_a_balanced_set_and_refuses_to_overwrite(tmp_path, capsys):
    rows = [{"instruction": f"q{i}", "difficulty": 1 + i % 2, "skill": "s"} for i in range(10)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["suites", "build", str(tmp_path / "rows.jsonl"), "--size", "4", "--out", str(tmp_path / "set.jsonl")]
    assert main(command) == 0
    assert capsys.readouterr().out.strip().endswith("by difficulty 1: 2, 2: 2")
    assert main(command) == 2 and "exists: choose another name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("eval suites ls --json", "suites ls --json"),
        ("eval suites build r.jsonl size=9 seed=1 --out o.jsonl", "suites build r.jsonl --size=9 --seed=1 --out o.jsonl"),
        ("eval profiles lock f.json", "profiles --lock f.json"),
        ("eval compare a b", "compare a b"),
        ("eval judge page s.yaml", "judge s.yaml --page"),
        ("eval --suite gsm8k --rescore f.jsonl --k 1", "rescore --suite gsm8k f.jsonl --k 1"),
        ("report a b", "compare a b --page"),
        ("report a b c", "compare a b c --page"),
    ],
)  # fmt: skip
def test_the_forms_of_version_0_1_still_work_and_warn(old, new, capsys):
    assert present_words(old.split()) == new.split()
    warning = capsys.readouterr().err
    assert f"is now `evoltune {new}`" in warning and warning.count("\n") == 1


@pytest.mark.parametrize("words", ["eval smoke/math eval.limit=3", "eval --model m --suite s", "report a --json"])
def test_present_forms_are_left_as_they_are(words, capsys):
    assert present_words(words.split()) == words.split() and not capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("eval", "evoltune eval: name a recipe"),
        ("eval --model m", "needs --suite"),
        ("eval smoke/math --model m --suite gsm8k", "takes no positional 'smoke/math'"),
        ("rescore f.jsonl", "exactly one --suite"),
        ("rescore no-such.jsonl --suite math/gradeschool-heldout", "no-such.jsonl: no such file"),
        ("rescore f --suite math/gradeschool-heldout --k 0", "--k: '0' must be"),
        ("compare a b", "a: no scores.json there"),
        ("judge no-such.yaml", "no-such.yaml: cannot be read"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    line = capsys.readouterr().err
    assert message in line and line.count("\n") == 1 and not any(tmp_path.glob("runs*"))
