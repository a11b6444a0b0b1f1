"""Studies: what is refused, and systems without answers."""

from __future__ import annotations

import pytest

from evoltune.arena.study import collect_answers, load_study, suite_of
from evoltune.errors import DataError, RecipeError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"systems": []}, "length >= 2"),
        ({"systems": [{"name": "a", "answers": "x"}, {"name": "a", "answers": "y"}]}, "names must be unique"),
        ({"systems": [{"name": "a", "answers": "x"}, {"name": "b"}]}, "'b' needs exactly one of checkpoint, endpoint, answers"),
        ({"protocol": "vibes"}, "study.yaml:\\d+: protocol: 'vibes': allowed: criteria, grades, preference, ranks, scores"),
        ({"protocol": "score"}, "did you mean 'scores'"),
        ({"reference": "who"}, "reference: 'who' is no system"),
        ({"ours": "who"}, "ours: 'who' is no system"),
        ({"sistems": 1}, "unknown key 'sistems': did you mean 'systems'"),
        ({"judge": {"kind": "web"}}, "judge.kind: 'web' is no engine: allowed: .*replay"),
    ],
)  # fmt: skip
def test_a_wrong_study_is_one_line(change, message, study_file):
    path = study_file(**change)
    with pytest.raises(RecipeError, match=message) as caught:
        load_study(path)
    assert "\n" not in str(caught.value)


def test_a_system_without_an_answer_to_a_problem_is_named(tmp_path, study_file):
    study = load_study(study_file(answers={"a": [1, 2, 3, 4], "b": [1, 2]}))
    with pytest.raises(DataError, match="'b' has no answer to 2 of 4 problems"):
        collect_answers(study, suite_of(study), tmp_path / "out")
