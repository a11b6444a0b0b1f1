"""Worse twins of answers."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from evoltune.arena.planted import KINDS, PLEAS, planted_pairs, twin
from evoltune.evaluate.suites import Suite
from evoltune.record import Task


@given(st.text(max_size=400), st.sampled_from(KINDS), st.integers(0, 9))
def test_a_twin_differs_in_the_way_of_its_kind_and_is_the_same_each_time(text, kind, seed):
    made = twin(kind, text, random.Random(seed))
    assert made == twin(kind, text, random.Random(seed))
    if made is None:
        return
    assert made != text
    if kind == "truncated":
        assert text.startswith(made) and len(made.split()) == len(text.split()) // 2
    elif kind == "pleading":
        half = twin("truncated", text, random.Random(seed))
        assert half is not None and made.startswith(half) and made.removeprefix(half).strip() in PLEAS
    elif kind == "verbose":
        assert made.startswith(text) and len(made.split()) >= 2 * len(text.split())
    else:
        same = [a == b for a, b in zip(text.split(), made.split(), strict=True)]
        assert same.count(False) == 1


def test_the_last_number_becomes_another_one():
    assert twin("wrong number", "It costs 5 euros.", random.Random(0)) not in (None, "It costs 5 euros.")
    for text in ("It costs nothing.", "Version 3.11 of x2", "No. 1,000"):
        assert twin("wrong number", text, random.Random(0)) is None
    for seed in range(200):
        assert twin("wrong number", "It is 4.", random.Random(seed)) != "It is 4."


def test_pairs_are_drawn_over_problems_and_systems():
    suite = Suite(
        name="s", domain="general", tasks=tuple(Task(instruction=f"{i}?", name=f"s/{i}") for i in range(20)), sha256="", licence=""
    )  # fmt: skip
    answers = {
        name: {f"s/{i}": " ".join([name, *map(str, range(i + 20))]) for i in range(20)} for name in ("one", "two")
    }
    pairs = list(planted_pairs(suite, answers, each=8, seed=1))
    assert [sum(p.kind == kind for p in pairs) for kind in KINDS] == [8] * len(KINDS)
    assert pairs == list(planted_pairs(suite, answers, each=8, seed=1))
    truncated = [p for p in pairs if p.kind == "truncated"]
    assert len({p.task.name for p in truncated}) == 8 and len({p.better.split()[0] for p in truncated}) == 2
    assert not list(planted_pairs(suite, answers, each=0, seed=1))
    more = [p for p in planted_pairs(suite, answers, each=30, seed=1) if p.kind == "truncated"]
    assert more[:8] == truncated and len({p.better for p in more}) == len(more) == 30
    assert len({p.task.name for p in more[:20]}) == 20 and [p.number for p in more] == [0] * 20 + [1] * 10
