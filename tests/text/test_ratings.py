"""One reading of "how hard, from 1 to 10" for evolution, curation, the report and the judge."""

import pytest

from evoltune.text.ratings import median_rating, numbers_in, read_rating


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("7", 7),
        ("7/10", 7),
        ("7 / 10", 7),
        ("3 out of 10", 3),
        ("Score: 10.", 10),
        ("**8**", 8),
        ("I would say 3", 3),
        ("7.5", 7.5),
        ("7.5/10", 7.5),
        ("11", None),
        ("10.5", None),
        ("0", None),
        ("0.5", None),
        ("1.2.3", None),
        ("On a scale of 1 to 10, I would say 4.", 4),
        ("Difficulty (1-10): 6", 6),
        ("From 1–10: 3", 3),
        ("There are 5 steps; I rate this task as a 9.", 9),
        ("3 facts, so the rating is **7**/10", 7),
        ("Rating: 6. It takes 2 hours", 6),
        ("hard", None),
        ("", None),
    ],
)
def test_a_rating_is_read_from_any_spelling_and_never_guessed(reply, number):
    assert read_rating(reply) == number


def test_the_median_ignores_replies_without_a_rating():
    assert median_rating(["hard", "9", "2/10", "7.5"]) == 7.5
    assert median_rating(["2", "8"]) == 8
    assert median_rating(["hard", "11"]) is None
    assert median_rating([]) is None


def test_the_scale_is_not_one_of_the_numbers():
    assert numbers_in("Scores: 7/10 and 8.5/10") == [7.0, 8.5]
