"""Values that a test does not expect, drawn at random: an object that gives the same answer about these tells nothing.

draw_anew(key); other_than(5)      # [ 12, -301, 6, 870 ], never 5
"""

import _random
import datetime
import decimal
import random
from typing import Any

from evoltune.sandbox.same_process.plain_values import SEQUENCES, is_array, is_plain

FEW = 4
draw = random.Random()


def draw_anew(key: bytes) -> None:
    """Decoys that no other job has: this module is the same in all forks of a zygote. The key is a job's secret."""
    _random.Random.seed(
        draw, int.from_bytes(key, "big")
    )  # without the Python function over it, which touches ten pages


def other_than(value: Any, n: int = FEW, far: bool = False) -> list[Any]:
    """Values of the same type that do not equal this one, near it or also `far` from it; none where there is no rule."""
    if not is_plain(value) or is_array(value):
        return []
    drawn = (_far(value) if far else another(value) for _ in range(n))
    return [d for d in drawn if type(d) is not type(value) or d != value]


def _far(value: Any) -> Any:
    kind = type(value)
    if kind in (int, float):
        return value + kind(draw.randrange(-(10 ** draw.randrange(1, 10)), 10 ** draw.randrange(1, 10)))
    if kind is str:
        return "".join(_sign() for _ in range(draw.randrange(1, 40)))
    return another(value)


def _sign() -> str:
    """A character that hardly any text holds (arrows, mathematics, shapes)."""
    return chr(draw.randrange(0x2190, 0x2800))


def another(value: Any) -> Any:
    """A value of the same type; an `object()` where there is no rule."""
    kind = type(value)
    if kind is bool:
        return not value
    if kind is int:
        return value + draw.choice((-1, 1)) * draw.randrange(1, 1000)
    if kind in (float, complex, decimal.Decimal, datetime.timedelta):
        return value + kind(draw.randrange(1, 1000))
    if kind in (datetime.date, datetime.datetime):
        return value.replace(draw.randrange(1, 9999), draw.randrange(1, 13), draw.randrange(1, 29))
    if is_array(value) and value.dtype.kind in "iufc":
        return value + value.dtype.type(draw.randrange(1, 100))
    if kind is str:
        return value[draw.randrange(2) :] + _sign()
    if kind in (bytes, bytearray):
        return value + kind([draw.randrange(128, 256)])
    if id(kind) in SEQUENCES:
        items = [*value]
        if items and draw.random() < 0.7:
            i = draw.randrange(len(items))
            items[i] = another(items[i])
        else:
            items.append(draw.randrange(1000))
        return kind(items)
    if kind is dict:
        return {**value, draw.randrange(10**6, 10**7): 0}
    if kind in (set, frozenset):
        return kind({*value, draw.randrange(10**6, 10**7)})
    return object()
