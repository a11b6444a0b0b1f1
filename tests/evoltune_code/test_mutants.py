"""Mutants of programs."""

import ast

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
    assert set(first) == {"arithmetic", "comparison", "condition", "constant", "logic", "loop", "omission", "return"}


def test_docstrings_annotations_and_texts_of_errors_are_left_alone():
    for mutant in mutants(SOURCE, limit=100):
        assert ("Adds up areas." in mutant.source and "what is " in mutant.source) or mutant.kind == "omission"


def test_a_source_that_does_not_parse_has_no_mutants():
    assert mutants("def f(:") == []


def test_a_stub_takes_the_place_of_the_function():
    for stub in stubs("f"):
        space = {}
        exec("def f(x):\n    return x * 2\n\n" + stub, space)
        assert space["f"](21) != 42


def test_most_seeds_give_enough_mutants_for_a_score():
    counts = [len(mutants(record.task.reference or "", limit=16)) for record in seeds()]
    assert sum(count >= 10 for count in counts) >= 0.9 * len(counts)
