"""The blinded page for people, and its votes."""

from __future__ import annotations

import json

import pytest

from evoltune.arena.agreement import read_votes
from evoltune.arena.judge import judge_study
from evoltune.arena.ranking_page import CRITERIA, write_page
from evoltune.arena.study import load_study
from evoltune.errors import DataError


def test_the_ranking_page_is_blind_escapes_answers_and_its_votes_open_with_the_key(tmp_path, study_file, write):
    answers = {"system-one": [1, 2, 3, 4], "system-two": [5, 6, 7, 8]}
    study = load_study(study_file(answers=answers))
    rows = [{"id": f"wizardlm/{i}", "text": "<script>alert(1)</script>"} for i in range(4)]
    write(tmp_path / "system-one.jsonl", rows)
    page, key = write_page(study, tmp_path / "out")
    text = page.read_text()
    assert "system-one" not in text and "system-two" not in text and "<script>alert" not in text
    assert text.count('type="radio"') == 4 * 2 * len(CRITERIA) * 5 and "http" not in text.replace("http-equiv", "")
    opened = json.loads(key.read_text())
    assert len({tuple(order) for order in opened["order"].values()}) > 1  # the letters change meaning
    problem, (a, b) = next(iter(opened["order"].items()))
    votes = {
        "page": opened["page"],
        "annotator": "ann",
        "votes": [{"problem": problem, "ranks": {"A": {"accuracy": 1}, "B": {"accuracy": 3, "knowledge": 1}}}],
    }
    path = tmp_path / "votes.json"
    path.write_text(json.dumps(votes))
    vote = read_votes(path, key)[0]
    assert vote.winner == a and vote.pair == {a, b} and vote.annotator == "ann"
    path.write_text(json.dumps({**votes, "page": "other"}))
    with pytest.raises(DataError, match="another page"):
        read_votes(path, key)


@pytest.mark.parametrize(
    "more",
    [
        {"ranks": {"Z": {"accuracy": 1}}},
        {"ranks": {"<b>": {"accuracy": 1}}},
        {"ranks": {"A": {"accuracy": 1e9}, "B": {"accuracy": -5}}},
        {"ranks": {"A": {"accuracy": float("nan")}}},
        {"ranks": {"A": {"accuracy": "1"}}},
        {"ranks": {"A": {"beauty": 1}}},
        {"ranks": [1]},
        {},
        {"problem": ["wizardlm/0"]},
    ],
)
def test_a_damaged_vote_is_refused_before_the_judge_is_asked(tmp_path, study_file, more):
    study = study_file(human=str(tmp_path / "votes.json"), key=str(tmp_path / "out" / "ranking.key.json"))
    _, key = write_page(load_study(study), tmp_path / "out")
    page = json.loads(key.read_text())["page"]
    (tmp_path / "votes.json").write_text(json.dumps({"page": page, "votes": [{"problem": "wizardlm/0", **more}]}))
    with pytest.raises(DataError, match=r"votes\.json: vote on "):
        judge_study(load_study(study), tmp_path / "judged")
    assert not (tmp_path / "judged").exists()


def test_votes_on_other_answers_are_for_another_page(tmp_path, study_file):
    pages = set()
    for values in ([1, 2, 3, 4], [1, 2, 3, 5]):
        _, key = write_page(load_study(study_file(answers={"x": values, "y": [1] * 4})), tmp_path / "out")
        pages.add(json.loads(key.read_text())["page"])
    assert len(pages) == 2
