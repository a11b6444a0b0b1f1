"""Wins, ties and losses over both orders, by difficulty and skill."""

from __future__ import annotations

import pytest

from evoltune.arena.judge import judge_study
from evoltune.arena.standings import report
from evoltune.arena.study import load_study


@pytest.mark.parametrize("protocol", ["scores", "preference", "ranks"])
def test_a_fair_judge_gives_wins_ties_and_losses_in_every_protocol(tmp_path, protocol, openai_server, study_file):
    server = openai_server(judge="fair")
    result = judge_study(load_study(study_file(f"{server.url}/v1", protocol=protocol)), tmp_path / "out")
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


def test_a_judge_that_always_prefers_the_first_answer_gives_only_ties(tmp_path, openai_server, study_file):
    server = openai_server(judge="first")
    result = judge_study(load_study(study_file(f"{server.url}/v1")), tmp_path / "out")
    pair = result["pairs"][0]
    assert (pair["win"], pair["tie"], pair["lose"], pair["consistent"]) == (0, 4, 0, 0.0)


def test_three_systems_are_compared_pair_by_pair_or_with_a_reference(tmp_path, openai_server, study_file):
    answers = {"a": [9, 9, 9, 9], "b": [5, 5, 5, 5], "c": [1, 1, 1, 1]}
    server = openai_server(judge="fair")
    every = judge_study(load_study(study_file(f"{server.url}/v1", answers=answers)), tmp_path / "all")
    against = judge_study(load_study(study_file(f"{server.url}/v1", answers=answers, reference="b")), tmp_path / "ref")
    assert [(p["a"], p["b"], p["win"]) for p in every["pairs"]] == [("a", "b", 4), ("a", "c", 4), ("b", "c", 4)]
    assert [(p["a"], p["b"], p["win"], p["lose"]) for p in against["pairs"]] == [("a", "b", 4, 0), ("c", "b", 0, 4)]
