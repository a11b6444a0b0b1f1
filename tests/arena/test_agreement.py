"""Agreement of the judge with people."""

from __future__ import annotations

import pytest

from evoltune.arena.agreement import read_votes, tie_discounted
from evoltune.arena.judge import judge_study
from evoltune.arena.standings import report
from evoltune.arena.study import load_study
from evoltune.errors import DataError


def test_agreement_is_tie_discounted_and_the_disagreements_are_described(tmp_path, openai_server, study_file, write):
    assert [tie_discounted("a", "a"), tie_discounted("", "a"), tie_discounted("a", "b"), tie_discounted("", "")] == [
        1.0,
        0.5,
        0.0,
        1.0,
    ]
    votes = [("0", "ours", "x"), ("1", "tie", "x"), ("2", "ours", "x"), ("3", "tie", "x"), ("3", "ours", "y")]
    votes = [("0", "theirs", "x"), *votes]  # of one person the last vote counts
    rows = [{"problem": f"wizardlm/{p}", "a": "ours", "b": "theirs", "vote": v, "annotator": w} for p, v, w in votes]
    human = write(tmp_path / "votes.jsonl", rows)
    server = openai_server(judge="fair")
    result = judge_study(load_study(study_file(f"{server.url}/v1", human=str(human))), tmp_path / "out")
    found = result["human"]
    assert found["matched"] == 5 and found["judge_human"]["value"] == pytest.approx((1 + 1 + 0 + 0.5 + 1) / 5)
    assert found["human_human"]["value"] == 0.5 and found["disagreements"] == 2
    assert found["by_skill"] == {"Math": 1, "Writing": 1} and found["code_of_the_chosen"] == {"no code": 2}


def test_a_bad_vote_names_its_row(tmp_path, write):
    path = write(tmp_path / "v.jsonl", [{"problem": "p", "a": "x", "b": "y", "vote": "z"}])
    with pytest.raises(DataError, match=r"v\.jsonl:1: vote 'z': allowed: a, b, tie, x, y"):
        read_votes(path)
    write(path, [{"problem": "p", "a": "x", "b": "x", "vote": "a"}])
    with pytest.raises(DataError, match=r"v\.jsonl:1: a and b are the same system 'x'"):
        read_votes(path)


def test_votes_are_rows_of_any_file_and_their_problems_may_be_numbers(tmp_path):
    (tmp_path / "v.csv").write_text("problem,a,b,vote\n7,x,y,tie\n")
    (tmp_path / "v.json").write_text('[{"problem": 7, "a": "x", "b": "y", "vote": "tie"}]')
    assert read_votes(tmp_path / "v.csv") == read_votes(tmp_path / "v.json")
    assert [(vote.problem, vote.winner) for vote in read_votes(tmp_path / "v.csv")] == [("7", "")]


def test_votes_on_what_was_not_judged_are_counted_aloud(tmp_path, openai_server, study_file, write):
    rows = [{"problem": p, "a": "ours", "b": "theirs", "vote": "a"} for p in ("wizardlm/0", "other")]
    human = write(tmp_path / "votes.jsonl", rows)
    url = f"{openai_server(judge='fair').url}/v1"
    lines = "\n".join(report(judge_study(load_study(study_file(url, human=str(human))), tmp_path / "out")))
    assert "agreement with 1 votes" in lines and "1 of 2 votes are on no problem" in lines
