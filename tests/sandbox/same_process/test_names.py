"""The names that tests see: theirs, then the program's."""

import math

from evoltune.sandbox.same_process.names import TestSpace


def first():
    return 1


def other():
    return 2


def test_functions_classes_and_modules_are_those_from_before_the_tests_and_values_as_they_are_now():
    program = {"g": first, "Kind": int, "m": math, "n": 1, "__builtins__": math}
    space = TestSpace(program, frozenset(program))
    program |= {"g": other, "Kind": str, "m": None, "n": 2}
    assert dict(space) == {"g": first, "Kind": int, "m": math}
    assert space["n"] == 2 and not space.written


def test_a_value_that_tests_give_a_name_of_the_program_is_the_programs_too():
    program = {"g": first, "n": 1, "own": 1}
    space = TestSpace(program, frozenset({"g", "n"}))
    space["n"], space["g"], space["own"] = 3, other, 4
    assert program == {"g": other, "n": 3, "own": 1} and space.written == {"n"}
    assert dict(space) == {"g": other, "own": 4} and space["n"] == 3
