"""Worked solutions of word problems as programs over the numbers of the problem."""

import os
from fractions import Fraction
from pathlib import Path

import pytest

from evoltune_math.benchmarks import BENCHMARKS
from evoltune_math.worked_solutions import evaluate, number_slots, program_of, worked_answer

DATA = Path(os.environ.get("EVOLTUNE_DATA", "no such folder"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="EVOLTUNE_DATA names no folder of suites")


@needs_data
def test_worked_solutions_of_gsm8k_become_programs_that_give_their_reference():
    tasks = list(BENCHMARKS["gsm8k"].load(DATA / BENCHMARKS["gsm8k"].file))
    programs = [(program_of(t.fields["solution"], number_slots(t.instruction)), t) for t in tasks]
    right = sum(
        p is not None and evaluate(p, number_slots(t.instruction)) == Fraction(t.reference) for p, t in programs
    )
    assert right / len(tasks) >= 0.9


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("eight bags of twenty-nine pens for $1,200.50", (8, 29, Fraction("1200.5"))),
        ("one third of a dozen, twice", (12, 2)),
        ("3/4 of 16", (Fraction(3, 4), 16)),
        ("forty five", (45,)),
        ("5/0 and 7.", (7,)),
        ("", ()),
    ],
)
def test_numbers_become_slots_in_their_order(text, slots):
    assert number_slots(text) == slots


def test_a_program_is_the_answer_as_a_function_of_the_slots():
    slots = (Fraction(8), Fraction(6), Fraction(25))
    program = program_of("8*6=<<8*6=48>>48\n25% of it: <<48*25%=12>>12\n48-12=<<48-12=36>>36\n#### 36", slots)
    assert evaluate(program, slots) == 36
    assert evaluate(program, (Fraction(4), Fraction(5), Fraction(50))) == 10
    assert evaluate(program, (Fraction(4), Fraction(5))) is None


@pytest.mark.parametrize(
    "solution",
    [
        "",
        "no equation",
        "<<8*=48>>",
        "<<(8=8>>",
        "<<8/0=4>>",
        "<<8*7=48>>",
        "<<__import__('os')=8>>",
        "<<9**9**9=1>>",
        "<<2+2=4>>",
    ],
)
def test_a_solution_that_does_not_compute_over_the_slots_is_no_program(solution):
    assert program_of(solution, (Fraction(8), Fraction(6))) is None


def test_plain_equations_on_lines_of_their_own_are_read_too():
    program = program_of("8 * 6 = 48\n48 + 5 = 53\n#### 53", (Fraction(8), Fraction(6), Fraction(5)))
    assert evaluate(program, (Fraction(2), Fraction(3), Fraction(4))) == 10


@pytest.mark.parametrize(
    "text",
    ["9" * 100_000, "<<" * 50_000, "(" * 50_000 + "=1", "one " * 30_000, "<<" + "(" * 150 + "8" + ")" * 150 + "=8>>"],
)
def test_long_and_hostile_texts_are_no_programs_and_have_no_answer(text):
    assert program_of(text, (Fraction(8),)) is None
    assert worked_answer([text]) in (None, Fraction(8))
