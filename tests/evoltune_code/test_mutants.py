"""Mutants, and reading a teacher's asserts: no program runs here."""

import ast

import pytest

from evoltune_code.confirmation import _calling, asserts_of, inferred_entry_point
from evoltune_code.mutants import mutants, stubs
from evoltune_code.seeds import seeds
from evoltune_code.syntax import syntax_error

SOURCE = '''
import math

def area(shapes, scale=2):
    """Adds up areas."""
    total = 0.0
    for kind, size in shapes:
        if kind == "square" and size > 0:
            total += size * size
        elif not kind:
            continue
        else:
            raise ValueError("what is " + kind)
    return total * scale
'''


def test_each_mutant_compiles_and_differs_from_the_source_and_from_the_others():
    found = mutants(SOURCE, limit=100)
    texts = [m.source for m in found] + [ast.unparse(ast.parse(SOURCE))]
    assert len(set(texts)) == len(texts) > 15
    assert all(syntax_error(text) is None for text in texts)


def test_mutants_are_the_same_for_the_same_seed_and_others_for_another():
    assert mutants(SOURCE, limit=8) == mutants(SOURCE, limit=8)
    assert mutants(SOURCE, limit=8) != mutants(SOURCE, limit=8, seed=1)
    assert len(mutants(SOURCE, limit=8)) == 8


def test_every_kind_of_fault_is_drawn_before_one_is_drawn_twice():
    kinds = [m.kind for m in mutants(SOURCE, limit=100)]
    first = kinds[: len(set(kinds))]
    assert set(first) == {
        "arithmetic",
        "comparison",
        "condition",
        "constant",
        "logic",
        "loop",
        "omission",
        "return",
    }


def test_docstrings_annotations_and_texts_of_errors_are_left_alone():
    for mutant in mutants(SOURCE, limit=100):
        assert (
            "Adds up areas." in mutant.source and "what is " in mutant.source
        ) or mutant.kind == "omission"


def test_a_source_that_does_not_parse_has_no_mutants():
    assert mutants("def f(:") == []


def test_a_stub_takes_the_place_of_the_function():
    for stub in stubs("def f(x):\n    return x * 2\n", "f"):
        space = {}
        exec(stub.source, space)
        assert space["f"](21) != 42


def test_most_seeds_give_enough_mutants_for_a_score():
    counts = [len(mutants(record.task.reference or "", limit=16)) for record in seeds()]
    assert sum(count >= 10 for count in counts) >= 0.9 * len(counts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("assert f(1) == 2\nassert f(2) == 3", ["assert f(1) == 2", "assert f(2) == 3"]),
        ("Here:\n```python\nassert f(1) == 2\n```\nDone.", ["assert f(1) == 2"]),
        (
            "```\ndef test_f():\n    assert f(1) == 2\n    assert f(0) == 1\n```",
            ["assert f(1) == 2", "assert f(0) == 1"],
        ),
        ("def check(candidate):\n    assert candidate(1) == 2", ["assert candidate(1) == 2"]),
        ("1. assert f(1) == 2\n2. assert f(2) == 3\nassert f(", ["assert f(1) == 2", "assert f(2) == 3"]),
        ("- `assert f([1, 2]) == 3`\n* assert f([]) == 0", ["assert f([1, 2]) == 3", "assert f([]) == 0"]),
        ("Tests:\nassert f([\n    1,\n    2,\n]) == 3\nbroken (", ["assert f([1, 2]) == 3"]),
        ("I cannot write tests.", []),
        ("", []),
        ("print(f(1))", []),
    ],
)
def test_asserts_are_read_one_by_one_from_a_teachers_text(text, expected):
    assert list(asserts_of(text)) == expected


def test_the_function_is_inferred_from_the_calls_in_the_asserts():
    programs = ["def helper(x): return x\ndef solve(x): return helper(x)"]
    assert inferred_entry_point(["assert solve(1) == 1", "assert solve(2) == len('ab')"], programs) == "solve"
    assert inferred_entry_point(["assert other(1)"], programs) == ""


def test_an_assert_that_does_not_call_the_function_or_uses_unknown_names_is_put_aside():
    assert _calling("assert f(1) == 2", "f")
    assert _calling("assert candidate(1) == 2", "f") == "assert f(1) == 2"
    assert _calling("assert all(f(i) == i + 1 for i in range(3))", "f")
    assert not _calling("assert 1 + 1 == 2", "f")
    assert not _calling("assert f(x) == 2", "f")
    assert not _calling("assert np.allclose(f(1), 2)", "f")
