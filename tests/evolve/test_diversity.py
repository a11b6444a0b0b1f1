"""Diversity by round: what the effective number means, that rounds are comparable, and that a fall is said."""

import pytest
from towns import THINGS

from evoltune.curate.diversity import effective_number
from evoltune.evolve.diversity import diversity_by_round, note_diversity
from evoltune.record import Record, Task
from evoltune.run.store import Step, Store
from evoltune.text.vectors import vectors

WORDS = [f"{a} {b}" for a in THINGS for b in ("alpha beta", "gamma delta", "epsilon zeta", "eta theta", "iota kappa")]


def record(round, number, text):
    return Record(domain="towns", task=Task(instruction=text, name=f"{round}-{number}"), round=round)


def different(round, count):
    return [record(round, i, f"{WORDS[i % len(WORDS)]} {i * 7919} {i * 104729}") for i in range(count)]


def alike(round, count):
    return [record(round, i, f"Describe the old castle of the town in detail, number {i % 3}") for i in range(count)]


def by_round(records):
    return [(record.id, record.round, record.task.instruction) for record in records]


def test_the_effective_number_is_one_for_copies_and_the_count_for_strangers():
    assert effective_number(vectors(["the same words"] * 30)) == pytest.approx(1.0)
    assert effective_number(vectors(["one", "two", "three", "four"])) == pytest.approx(4.0, abs=0.1)
    assert effective_number(vectors([])) == 0.0


def test_rounds_are_measured_on_samples_of_one_size_whatever_the_order():
    rows = [*different(0, 200), *different(1, 50), *alike(2, 60), *different(3, 5)]
    table = diversity_by_round(by_round(rows))
    assert [(r["round"], r["prompts"], r["sample"]) for r in table] == [(0, 200, 50), (1, 50, 50), (2, 60, 50)]
    assert table[2]["effective"] < 6 < table[1]["effective"]
    assert abs(table[0]["effective"] - table[1]["effective"]) < 0.2 * table[0]["effective"]
    assert diversity_by_round(by_round(reversed(rows))) == table


@pytest.mark.parametrize(("later", "is_said"), [(alike, True), (different, False)])
def test_a_fall_is_said_and_noted(tmp_path, capsys, later, is_said):
    step = Step(name="evolve", version="1", upto=1)
    with Store.open(tmp_path) as store:
        store.decide(step, [*different(0, 40), *later(1, 40)])
        note_diversity(store, step)
        assert [row["round"] for row in store.noted("diversity")] == [0, 1]
    assert ("round 1 is less diverse than round 0" in capsys.readouterr().err) is is_said


def test_few_rows_are_not_measured():
    assert diversity_by_round(by_round(different(0, 10))) == []
