"""Skeleton overlap: the same problem in other words, with other names, with other numbers.

False positives are hits of GSM8K's train questions, each with its reference, on GSM8K's test. They are other problems of the
same authors, so that a hit counts as false, although a few pairs are really alike (11 share a 10-gram).
"""

import functools
import gzip
import json
import os
import random
import re
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.domain import Context
from evoltune.record import Answer, Record, Task
from evoltune_math import overlap
from evoltune_math.benchmarks import BENCHMARKS
from evoltune_math.overlap import build, hits, index_of, skeleton
from evoltune_math.seeds import seeds
from evoltune_math.worked_solutions import worked_answer

DATA = Path(os.environ.get("EVOLTUNE_DATA", "no such folder"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="EVOLTUNE_DATA names no folder of suites")
CONTEXT = Context(run=lambda job: pytest.fail("overlap runs no program"), policy={})
SUITE = [
    Task(
        instruction="Maria bakes 12 trays of 24 rolls for the market. She sells 200 rolls and packs the rest into bags of 8. How many bags does she pack?",
        reference="11",
        fields={"solution": "12*24=<<12*24=288>>288 rolls\n288-200=<<288-200=88>>88\n88/8=<<88/8=11>>11\n#### 11"},
        name="rolls",
    ),
    Task(
        instruction="A tram carries 45 passengers. At the harbour 17 get off and twice that number get on. How many passengers are there now?",
        reference="62",
        fields={"solution": "17*2=<<17*2=34>>34\n45-17+34=<<45-17+34=62>>62\n#### 62"},
        name="tram",
    ),
    Task(instruction="Find the greatest common divisor of 84 and 126.", reference="42", name="gcd"),
]


def row(text, reference=None, answer=None):
    answers = (Answer(text=answer, model="m"),) if answer else ()
    return Record(domain="math", task=Task(instruction=text, reference=reference), answers=answers)


@functools.cache
def load(suite):
    return list(BENCHMARKS[suite].load(DATA / BENCHMARKS[suite].file))


def test_other_names_and_words_with_the_same_numbers_are_found():
    text = "For a market stall, Kofi prepares 12 trays holding 24 rolls each. After selling 200 of the rolls, he fills bags of 8 with the remaining ones. How many bags are filled?"
    assert skeleton(row(text, "11"), SUITE, CONTEXT) == ["rolls"]
    assert skeleton(row(text), SUITE, CONTEXT) == ["rolls"]


def test_the_same_text_with_new_numbers_is_found():
    text = (
        SUITE[0]
        .instruction.replace("12", "9")
        .replace("24", "30")
        .replace("200", "150")
        .replace("8?", "6?")
        .replace("Maria", "Kofi")
    )
    assert hits(build(SUITE), text, None) == [(0, "new numbers")]


def test_new_words_and_new_numbers_are_found_by_the_answer_as_a_function_of_the_numbers():
    text = "Kofi makes 9 trays of 30 rolls to sell at the market. When 150 rolls are sold, the rest goes into bags of 6. How many bags are needed?"
    assert hits(build(SUITE), text, Fraction(20)) == [(0, "same function")]
    assert hits(build(SUITE), text, Fraction(21)) == []
    assert skeleton(row(text, answer="270 - 150 = 120\n120 / 6 = 20\n#### 20"), SUITE, CONTEXT) == ["rolls"]


@pytest.mark.parametrize(
    "text",
    [
        "Lena plants 12 rows of 24 tulips and 200 daffodils in 8 gardens. How many flowers is that?",
        "How many passengers use the harbour ferry if each of its 45 trips carries 17?",
        "What is 84 plus 126?",
        "Write a poem about 12 bags of rolls.",
        "",
    ],
)
def test_other_problems_are_left_alone(text):
    assert skeleton(row(text, "42" if "84" in text else None), SUITE, CONTEXT) == []


def test_every_problem_gives_itself_away():
    index = build(SUITE)
    assert [hits(index, t.instruction, worked_answer([t.reference]))[0][0] for t in SUITE[:2]] == [0, 1]


def test_a_suite_is_indexed_once_also_when_it_comes_as_a_copy(monkeypatch):
    built = []
    monkeypatch.setattr(overlap, "build", lambda tasks: built.append(len(tasks)) or build(tasks))
    tasks = [Task(instruction=f"Add {n} and {n + 7} to the pile of old stones.", name=str(n)) for n in range(5)]
    assert index_of(tasks) is index_of(tasks) is index_of(list(tasks))
    assert built == [5]
    other = [*tasks[:4], Task(instruction="Another problem about 3 large boats.", name="9")]
    assert index_of(other).names[-1] == "9" and built == [5, 5]


def test_our_seeds_are_no_skeletons_of_the_held_out_suite():
    benchmark = BENCHMARKS["gradeschool-heldout"]
    tasks = list(benchmark.load(Path(benchmark.file)))
    index = build(tasks)
    found = [s.task.name for s in seeds() if hits(index, s.task.instruction, worked_answer([s.task.reference]))]
    assert len(found) <= 3, found  # two small numbers and a common verb can agree by chance


@needs_data
def test_rephrased_gsm8k_is_found_at_one_percent_false_positives():
    tasks = load("gsm8k")
    with gzip.open(DATA / "decontamination/rephrased_gsm8k_test.jsonl.gz", "rt", encoding="utf-8") as lines:
        rephrased = [json.loads(line)["text"] for line in lines]
    rows = [row(text) for text in rephrased[::6]]
    named = [tasks[i].name for i in range(0, len(tasks), 6)]
    found = sum(name in skeleton(r, tasks, CONTEXT) for r, name in zip(rows, named, strict=True))
    assert found / len(rows) >= 0.94
    train = [row(t.instruction, t.reference) for t in load("gsm8k-train")[::12]]
    false = sum(bool(skeleton(r, tasks, CONTEXT)) for r in train)
    assert false / len(train) <= 0.015  # of a sample; the next test has the whole set
    unanswered = [row(overlap.ANSWER.sub("", text)) for text in rephrased[::12]]
    named = [tasks[i].name for i in range(0, len(tasks), 12)]
    found = sum(name in skeleton(r, tasks, CONTEXT) for r, name in zip(unanswered, named, strict=True))
    assert found / len(unanswered) >= 0.80


@needs_data
@pytest.mark.slow
def test_the_whole_of_rephrased_gsm8k_is_found_with_few_false_positives():
    tasks = load("gsm8k")
    with gzip.open(DATA / "decontamination/rephrased_gsm8k_test.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [row(json.loads(line)["text"]) for line in lines]
    found = sum(task.name in skeleton(r, tasks, CONTEXT) for r, task in zip(rows, tasks, strict=True))
    train = [row(t.instruction, t.reference) for t in load("gsm8k-train")]
    false = sum(bool(skeleton(r, tasks, CONTEXT)) for r in train)
    print(f"rephrased {found}/{len(rows)}, train questions {false}/{len(train)}")
    assert found / len(rows) >= 0.95 and false / len(train) <= 0.01


@needs_data
def test_gsm8k_with_new_numbers_is_found():
    tasks, rng = load("gsm8k"), random.Random(0)
    index, found, tried = index_of(tasks), 0, range(0, len(tasks), 8)
    for number in tried:
        changed = re.sub(r"\d+", lambda m: str(int(m[0]) + rng.randint(1, 9)), tasks[number].instruction)
        found += number in [n for n, _ in hits(index, changed, None)]
    assert found / len(tried) >= 0.93


def test_long_and_hostile_texts_have_no_hits():
    for text in (
        "9" * 100_000,
        "<<" * 50_000,
        "(" * 50_000 + "=1",
        "one " * 30_000,
        "<<" + "(" * 150 + "8" + ")" * 150 + "=8>>",
    ):
        assert hits(build(SUITE), text, None) == []


@given(st.text(max_size=200), st.text(max_size=50))
def test_no_row_can_crash_it_and_the_result_is_always_the_same(text, answer):
    record = row(text, answer=answer or None)
    assert skeleton(record, SUITE, CONTEXT) == skeleton(record, list(SUITE), CONTEXT)
