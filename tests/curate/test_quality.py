"""Quality of rows: verdict, difficulty, length and a judge's grade."""

from evoltune.curate.quality import quality
from evoltune.record import Answer, Record, Task, Verdict


def record(text, *, answer="x" * 100, status="pass", **evidence):
    answers = (Answer(text=answer, model="seed", verdict=Verdict(status=status)),)
    return Record(domain="toy", task=Task(instruction=text), answers=answers, evidence=evidence)


def test_quality_prefers_verified_rows_of_usual_length():
    rows = [record("a"), record("b", status="fail"), record("c", answer="x"), *(record(f"d{i}") for i in range(5))]
    good, failed, short, *_ = quality(rows)
    assert good > failed and good > short and all(0 <= q <= 1 for q in quality(rows))


def test_difficulty_and_a_judges_grade_are_worth_two_tenths_each_and_half_of_it_where_unknown():
    unknown, hard, graded, poor = quality(
        [record("a"), record("b", difficulty=("10",)), record("c", judge=("Grade: 9/10",)), record("d", quality=("1",))]
    )
    assert round(hard - unknown, 6) == 0.1 and round(graded - unknown, 6) == 0.08
    assert round(poor - unknown, 6) == -0.08
