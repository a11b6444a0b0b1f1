"""Judging studies against a real loopback server that judges by a rule; the ranking page; agreement with people."""

from __future__ import annotations

import json

import pytest
import yaml

from evoltune.arena.agreement import read_votes, tie_discounted
from evoltune.arena.code_runs import code_status
from evoltune.arena.judge import judge_prompt, judge_study, read_reply
from evoltune.arena.ranking_page import CRITERIA, write_page
from evoltune.arena.standings import report
from evoltune.arena.study import collect_answers, load_study, suite_of
from evoltune.errors import BudgetError, DataError, RecipeError


def study_file(folder, url, *, answers=None, **more):
    """Four problems (difficulty 1, 4, 7, 10; two skills); each system's answers are numbers, which the judge reads."""
    rows = [
        {"idx": i, "Skill": ["Math", "Writing"][i % 2], "Difficulty": 1 + 3 * i, "Instruction": f"Question {i} {{a}}?"} for i in range(4)
    ]  # fmt: skip
    (folder / "wizardlm").mkdir(exist_ok=True)
    write(folder / "wizardlm" / "WizardLM_testset.jsonl", rows)
    systems = []
    for name, values in (answers or {"ours": [8, 8, 3, 5], "theirs": [4, 8, 6, 2]}).items():
        path = write(
            folder / f"{name}.jsonl",
            [{"id": f"wizardlm/{i}", "text": f"My answer is {v}"} for i, v in enumerate(values)],
        )
        systems.append({"name": name, "answers": str(path)})
    judge = {"kind": "http", "model": "judge", "endpoints": [{"url": url}], "max_retries": 0}
    tree = {"suite": "general/wizardlm", "data": str(folder), "systems": systems, "judge": judge, **more}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EVOLTUNE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("protocol", ["scores", "preference", "ranks"])
def test_a_fair_judge_gives_wins_ties_and_losses_in_every_protocol(tmp_path, protocol, openai_server):
    server = openai_server(judge="fair")
    result = judge_study(
        load_study(study_file(tmp_path, f"{server.url}/v1", protocol=protocol)), tmp_path / "out"
    )
    pair = result["pairs"][0]
    assert (pair["win"], pair["tie"], pair["lose"], pair["consistent"]) == (2, 1, 1, 1.0)
    assert {k: (v["win"], v["tie"], v["lose"]) for k, v in pair["by_difficulty"].items()} == {
        "easy": (1, 1, 0), "middle": (0, 0, 1), "hard": (1, 0, 0),
    }  # fmt: skip
    assert result["judgements"] == 8 and result["unreadable"] == 0
    if protocol == "scores":
        assert pair["share"]["value"] == pytest.approx(24 / 20)
        assert pair["radar"]["Math"]["value"] == pytest.approx(11 / 10)
    assert any("ours - theirs" in line for line in report(result))


def test_a_judge_who_loves_the_first_answer_gives_only_ties(tmp_path, openai_server):
    server = openai_server(judge="first")
    result = judge_study(load_study(study_file(tmp_path, f"{server.url}/v1")), tmp_path / "out")
    pair = result["pairs"][0]
    assert (pair["win"], pair["tie"], pair["lose"], pair["consistent"]) == (0, 4, 0, 0.0)


def test_nonsense_is_asked_again_and_then_counted_and_nothing_is_lost(tmp_path, openai_server):
    server = openai_server(judge="nonsense")
    result = judge_study(load_study(study_file(tmp_path, f"{server.url}/v1")), tmp_path / "out")
    assert server.stats()["ok"] == 8 * 3
    assert (
        result["unreadable"] == 8 and result["pairs"][0]["not_counted"] == 4 and result["pairs"][0]["n"] == 0
    )
    lines = (tmp_path / "out" / "judgements.jsonl").read_text().splitlines()
    assert len(lines) == 8 and all(json.loads(line)["text"].startswith("Both are lovely") for line in lines)


def test_an_unreadable_first_reply_costs_one_more_call(tmp_path, openai_server):
    server = openai_server(judge="shy")
    result = judge_study(load_study(study_file(tmp_path, f"{server.url}/v1")), tmp_path / "out")
    assert result["asked_again"] == 8 and result["unreadable"] == 0 and result["pairs"][0]["win"] == 2


def test_three_systems_are_compared_pair_by_pair_or_with_a_reference(tmp_path, openai_server):
    answers = {"a": [9, 9, 9, 9], "b": [5, 5, 5, 5], "c": [1, 1, 1, 1]}
    server = openai_server(judge="fair")
    every = judge_study(
        load_study(study_file(tmp_path, f"{server.url}/v1", answers=answers)), tmp_path / "all"
    )
    against = judge_study(
        load_study(study_file(tmp_path, f"{server.url}/v1", answers=answers, reference="b")), tmp_path / "ref"
    )
    assert [(p["a"], p["b"], p["win"]) for p in every["pairs"]] == [
        ("a", "b", 4),
        ("a", "c", 4),
        ("b", "c", 4),
    ]
    assert [(p["a"], p["b"], p["win"], p["lose"]) for p in against["pairs"]] == [
        ("a", "b", 4, 0),
        ("c", "b", 0, 4),
    ]


def test_judged_comparisons_are_not_paid_twice_and_a_budget_stops_in_one_line(tmp_path, openai_server):
    server = openai_server(judge="fair")
    path = study_file(tmp_path, f"{server.url}/v1")
    tree = yaml.safe_load(path.read_text())
    tree["judge"]["budget"] = {"calls": 3}
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises(BudgetError):
        judge_study(load_study(path), tmp_path / "out")
    assert server.stats()["ok"] == 3
    tree["judge"].pop("budget")
    path.write_text(yaml.safe_dump(tree))
    result = judge_study(load_study(path), tmp_path / "out")
    assert server.stats()["ok"] == 8 and result["pairs"][0]["win"] == 2


@pytest.mark.parametrize(
    ("protocol", "text", "values"),
    [
        ("scores", "7 8\nBecause", (7.0, 8.0)),
        ("scores", "Scores: 7/10 and 8.5/10", (7.0, 8.5)),
        ("scores", "11 8", None),
        ("scores", "7", None),
        ("scores", "", None),
        ("scores", "A is good.\nB too.\nBoth.\n7 8", None),
        ("preference", "Well.\nA", (1.0, 0.0)),
        ("preference", "A\nI changed my mind: **B**", (0.0, 1.0)),
        ("preference", "Either A or B", None),
        ("preference", "tie.", (0.5, 0.5)),
        ("ranks", "1 2 2", (-1.0, -2.0, -2.0)),
        ("ranks", "1 2 6", None),
    ],
)
def test_replies_are_read_or_refused_and_never_guessed(protocol, text, values):
    assert read_reply(protocol, text, 3 if protocol == "ranks" else 2) == values


def test_slots_in_a_question_or_an_answer_are_text(tmp_path):
    study = load_study(study_file(tmp_path, "http://127.0.0.1:9/v1"))
    suite = suite_of(study)
    answers = {
        "ours": {t.name: "see {b}" for t in suite.tasks},
        "theirs": {t.name: "secret" for t in suite.tasks},
    }
    prompt = judge_prompt(study, suite.tasks[0], ("ours", "theirs"), answers)
    assert "Question 0 {a}?" in prompt and "see {b}" in prompt and prompt.count("secret") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"systems": []}, "length >= 2"),
        ({"systems": [{"name": "a", "answers": "x"}, {"name": "a", "answers": "y"}]}, "names must be unique"),
        ({"systems": [{"name": "a", "answers": "x"}, {"name": "b"}]}, "'b' needs exactly one of checkpoint, endpoint, answers"),
        ({"protocol": "vibes"}, "Invalid enum value 'vibes'"),
        ({"reference": "who"}, "'who' is no system"),
        ({"sistems": 1}, "unknown field `sistems`"),
    ],
)  # fmt: skip
def test_a_wrong_study_is_one_line(tmp_path, change, message):
    path = study_file(tmp_path, "http://127.0.0.1:9/v1", **change)
    with pytest.raises(RecipeError, match=message) as caught:
        load_study(path)
    assert "\n" not in str(caught.value)


def test_a_system_that_left_problems_out_is_named(tmp_path):
    study = load_study(
        study_file(tmp_path, "http://127.0.0.1:9/v1", answers={"a": [1, 2, 3, 4], "b": [1, 2]})
    )
    with pytest.raises(DataError, match="'b' has no answer to 2 of 4 problems"):
        collect_answers(study, suite_of(study), tmp_path / "out")


# ---- people


def test_agreement_is_tie_discounted_and_the_disagreements_are_described(tmp_path, openai_server):
    assert [
        tie_discounted("a", "a"),
        tie_discounted("", "a"),
        tie_discounted("a", "b"),
        tie_discounted("", ""),
    ] == [
        1.0,
        0.5,
        0.0,
        1.0,
    ]
    votes = [("0", "ours", "x"), ("1", "tie", "x"), ("2", "ours", "x"), ("3", "tie", "x"), ("3", "ours", "y")]
    rows = [
        {"problem": f"wizardlm/{p}", "a": "ours", "b": "theirs", "vote": v, "annotator": w}
        for p, v, w in votes
    ]
    human = write(tmp_path / "votes.jsonl", rows)
    server = openai_server(judge="fair")
    result = judge_study(
        load_study(study_file(tmp_path, f"{server.url}/v1", human=str(human))), tmp_path / "out"
    )
    found = result["human"]
    assert found["matched"] == 5 and found["judge_human"]["value"] == pytest.approx((1 + 1 + 0 + 0.5 + 1) / 5)
    assert found["human_human"]["value"] == 0.5 and found["disagreements"] == 2
    assert found["by_skill"] == {"Math": 1, "Writing": 1} and found["code_of_the_chosen"] == {"no code": 2}


def test_a_bad_vote_names_its_row(tmp_path):
    path = write(tmp_path / "v.jsonl", [{"problem": "p", "a": "x", "b": "y", "vote": "z"}])
    with pytest.raises(DataError, match=r"v\.jsonl:1: vote 'z': allowed: a, b, tie, x, y"):
        read_votes(path)


def test_whether_an_answers_code_runs_is_found_in_the_sandbox():
    texts = ["```python\nx = 1 + 1\n```", "```python\n1 / 0\n```", "words", "```py\nimport nothing_here\n```"]
    assert list(code_status(texts)) == ["runs", "fails", "no code", "fails"]


def test_the_ranking_page_is_blind_escapes_answers_and_its_votes_open_with_the_key(tmp_path):
    answers = {"system-one": [1, 2, 3, 4], "system-two": [5, 6, 7, 8]}
    study = load_study(study_file(tmp_path, "http://127.0.0.1:9/v1", answers=answers))
    rows = [{"id": f"wizardlm/{i}", "text": "<script>alert(1)</script>"} for i in range(4)]
    write(tmp_path / "system-one.jsonl", rows)
    page, key = write_page(study, tmp_path / "out")
    text = page.read_text()
    assert "system-one" not in text and "system-two" not in text and "<script>alert" not in text
    assert text.count('type="radio"') == 4 * 2 * len(CRITERIA) * 5 and "http" not in text.replace(
        "http-equiv", ""
    )
    opened = json.loads(key.read_text())
    assert len({tuple(order) for order in opened["order"].values()}) > 1  # the letters change meaning
    problem, (a, b) = next(iter(opened["order"].items()))
    votes = {
        "page": opened["page"],
        "annotator": "ann",
        "votes": [
            {"problem": problem, "ranks": {"A": {"accuracy": 1}, "B": {"accuracy": 3, "knowledge": 1}}}
        ],
    }
    path = tmp_path / "votes.json"
    path.write_text(json.dumps(votes))
    vote = read_votes(path, key)[0]
    assert vote.winner == a and vote.pair == {a, b} and vote.annotator == "ann"
    path.write_text(json.dumps({**votes, "page": "other"}))
    with pytest.raises(DataError, match="another page"):
        read_votes(path, key)
