"""Reading scores.json, and the tables that are printed from it."""

from __future__ import annotations

import pytest

from evoltune.errors import DataError
from evoltune.evaluate.results import load_scores, published, score_table
from evoltune.evaluate.suites import declared_suites


def test_tables_show_the_profile_in_every_row(measured):
    _, scores = measured
    lines = list(score_table({"tiny": scores}))
    assert (
        sum("math/sound@1" in line for line in lines) == 1 and sum("math/gsm8k-strict@1" in line for line in lines) == 1
    )


def test_published_figures_stand_beside_ours_with_their_own_profile(measured):
    _, scores = measured
    lines = "\n".join(score_table({"tiny": {**scores, "suites": {"gsm8k": scores["suites"]["sums"]}}}))
    assert "ToRA-70B" in lines and "84.3%" in lines and "microsoft/ToRA" in lines


def test_damaged_scores_say_what_to_do(tmp_path):
    (tmp_path / "scores.json").write_text("{")
    with pytest.raises(DataError, match=r"scores\.json: not JSON"):
        load_scores(tmp_path)
    (tmp_path / "scores.json").write_text("[]")
    with pytest.raises(DataError, match="no scores in it"):
        load_scores(tmp_path)


def test_published_scores_are_unique_and_name_a_known_suite_and_their_source():
    suites = {suite.name for suite in declared_suites().values()}
    assert len(published()) >= 40
    for score in published():
        assert score.suite in suites and 0 <= score.value <= 1 and score.source and score.profile
    assert len({(p.model, p.suite, p.measure, p.profile, p.source) for p in published()}) == len(published())


def test_of_a_run_the_scores_after_training_count_where_there_are_any(tmp_path):
    for when in ("before", "after"):
        folder = tmp_path / "eval" / when
        folder.mkdir(parents=True)
        (folder / "scores.json").write_text(f'{{"model": "{when}", "suites": {{}}}}')
        assert load_scores(tmp_path)["model"] == when
