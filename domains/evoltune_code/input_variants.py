"""Varied inputs of the same shape: they tell a function apart from another that merely passes the same weak tests.

HumanEval/28 (concatenate) is passed by functions that reverse vowels or drop capitals, because its tests hold only single
lower-case letters; on ["xE 3a", ...] they differ. Invariant: the same calls and seed give the same variants; types and
nesting stay as they are.

    variants([[["x", "y"]]], limit=12, seed="HumanEval/28")
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

SALT = "aE3 i7_5,B"
"""Characters mixed into every longer text: vowels, capitals, a space, a digit, an underscore, a comma."""


def variants(calls: Sequence[Sequence[object]], limit: int, seed: str) -> list[list[object]]:
    """At most `limit` argument lists made from those of the calls; arguments of equal type also change places."""
    rng = random.Random(seed)
    seen = {repr(list(args)) for args in calls}
    found: list[list[object]] = []
    for turn in range(4 * limit if calls else 0):
        args = [_changed(arg, rng) for arg in calls[turn % len(calls)]]
        if len(args) == 2 and type(args[0]) is type(args[1]) and turn % 2:
            args.reverse()
        if repr(args) not in seen:
            seen.add(repr(args))
            found.append(args)
        if len(found) == limit:
            break
    return found


def _changed(value: Any, rng: random.Random) -> Any:
    change = _CHANGES.get(type(value))
    return change(value, rng) if change else value


def _text(value: str, rng: random.Random) -> str:
    if len(value) == 1:  # a list of letters is a text too
        return rng.choice(SALT)
    if rng.random() < 0.25:
        return value
    letters = [*value, *rng.sample(SALT, rng.randint(2, 5))]
    rng.shuffle(letters)
    return "".join(letters)


def _list(value: list[Any], rng: random.Random) -> list[Any]:
    items = [_changed(item, rng) for item in value]
    if items:
        items += [_changed(rng.choice(items), rng) for _ in range(rng.randint(0, 4))]
    if rng.random() < 0.5:
        rng.shuffle(items)
    return items[1:] if len(items) > 2 and rng.random() < 0.25 else items


_CHANGES: dict[type, Callable[[Any, random.Random], Any]] = {
    bool: lambda value, rng: bool(rng.getrandbits(1)),
    int: lambda v, rng: rng.choice((v, v + 1, v + rng.randint(2, 9), max(0, v - 1), v // 2 + 3)),
    float: lambda v, rng: rng.choice((v, v + 1.5, v / 2 + 0.25, v * 1.75)),
    str: _text,
    list: _list,
    tuple: lambda value, rng: tuple(_list(list(value), rng)),
    set: lambda value, rng: set(_list(sorted(value, key=repr), rng)),
    dict: lambda value, rng: {_changed(k, rng): _changed(v, rng) for k, v in value.items()},
}
