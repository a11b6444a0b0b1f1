"""Results that come from the order of a set, or from the hash of a text, change when the program runs in another order; others stay."""

import pytest

from evoltune_code.set_order import in_other_order

WORDS = ["a", *"abcdefghijkl"]
"""Two arbitrary orders of twelve agree once in 479 million runs; of two, every other time."""


def results(source):
    found = []
    for program in (source, in_other_order(source)):
        space = {}
        exec(program, space)
        found.append(space["f"](WORDS))
    return found


@pytest.mark.parametrize(
    "body",
    [
        "return list(set(w))",
        "return [x for x in {y for y in w}]",
        "return ''.join(frozenset(w) | {'q', 'r'})",
        "return next(iter(set(w).union('xyz')))",
        "s = set(w)\n    return [s.pop() for _ in range(3)]",
        "return hash(w[0]) % 1000",
    ],
)
def test_what_comes_from_an_order_changes(body):
    first, again = results(f"def f(w):\n    {body}\n")
    assert first != again


@pytest.mark.parametrize(
    "source",
    [
        "def f(w):\n    return sorted(set(w) & {'a', 'b'}), len(set(w)), {*w}, 'a' in set(w), str({1})",
        "'''A text.'''\nfrom __future__ import annotations\ndef f(w):\n    s = frozenset(w)\n    return isinstance(s, frozenset), s == {*w}",
        "def f(w):\n    seen = set()\n    return [x for x in w if not (x in seen or seen.add(x))]",
        "def f(w):\n    s = set(w)\n    s |= {'k'}\n    s -= {'a'}\n    return s, type(s) == set, isinstance(s, set)",
        "def f(w):\n    return set.union(*map(set, w)), set() or 1, hash('a') == hash('a')",
    ],
)
def test_what_does_not_come_from_an_order_stays(source):
    first, again = results(source)
    assert first == again


@pytest.mark.parametrize("source", ["def f(w):\n    return sorted(w)\n", "def f(:", "", "x = {'a': 1}"])
def test_a_program_without_sets_needs_no_second_run(source):
    assert in_other_order(source) == ""
