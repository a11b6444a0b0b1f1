"""Values as tagged JSON: all that crosses between a test runner and a solution process.

Invariant: `decode` builds plain builtin (and a few standard library) values, whatever it is given: no class of the
other side, no code, no pickle. JSON lists, strings, numbers, true, false and null stand for themselves; every JSON
object is a tag with one key:

    encode((1, {2})) == {"t": [1, {"s": [2]}]}
"""

import math
from collections import deque, namedtuple
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any

PLAIN = frozenset({type(None), bool, int, float, str})
_NUMBERS = frozenset({int, float})
PACKED = 1000
"""Numbers in a list from which on they travel as bytes: as JSON a million take a second on either side, so a tenth of that."""
_LONG = 1 << 63
_BIG = 1 << 13_000  # json refuses to read integers of more than 4300 digits
MAX_DEPTH = 200


class UnencodableError(TypeError):
    """A value that has no plain form."""


def _refuse(value: object) -> Any:
    raise UnencodableError(f"a value of type {type(value).__name__} is not plain data")


Other = Callable[[Any], Any]
"""Gives the form of a value that is not plain."""


def encode(value: Any, other: Other = _refuse, depth: int = 0) -> Any:
    """The JSON form of a value. `other` gives the form of what is not plain (default: UnencodableError); where it has a true
    attribute `exact`, a subclass of a plain type is not plain, else it counts as its base."""
    kind = type(value)
    if kind is int:
        return value if -_BIG < value < _BIG else {"i": hex(value)}
    if kind in PLAIN:
        return value
    if depth > MAX_DEPTH:
        raise UnencodableError(f"nested deeper than {MAX_DEPTH}")
    if kind is list:
        return _items(value, other, depth)
    if kind is tuple:
        return {"t": _items(value, other, depth)}
    if kind is dict:
        return {"d": [_items(pair, other, depth) for pair in value.items()]}
    if encoder := _ENCODERS.get(kind):
        return encoder(value, other, depth)
    if getattr(other, "exact", False):
        return other(value)
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return {"N": [list(map(str, kind._fields)), encode((*tuple.__iter__(value),), other, depth + 1)]}
    for base, convert in _BASES:
        if isinstance(value, base):
            return encode(convert(value), other, depth)
    return other(value)


def _items(values: Any, other: Other, depth: int) -> Any:
    kinds = {*map(type, values)}
    if kinds <= PLAIN:
        integers = values if kinds == {int} else [v for v in values if type(v) is int]
        if len(values) > PACKED and kinds <= _NUMBERS and (packed := _pack(values, integers)):
            return packed
        if not integers or (min(integers) > -_BIG and max(integers) < _BIG):
            return list(values)
    return [encode(v, other, depth + 1) for v in values]


def _pack(values: Any, integers: Any) -> Any:
    """Many numbers as bytes: which are integers, these, the floats. None where an integer needs more than 64 bits."""
    from array import array  # late, both: every fork would hold their mappings
    from binascii import b2a_base64

    if integers and (min(integers) < -_LONG or max(integers) >= _LONG):
        return None
    mixed = 0 < len(integers) < len(values)
    parts = (
        bytes([type(v) is int for v in values]) if mixed else b"",
        array("q", integers),
        array("d", [v for v in values if type(v) is float] if mixed else () if integers else values),
    )
    return {"A": [b2a_base64(part, newline=False).decode() for part in parts]}


def _unpack(texts: list[str]) -> list[int | float]:
    from array import array
    from binascii import a2b_base64

    kinds, longs, doubles = map(a2b_base64, texts)
    integers, floats = array("q", longs).tolist(), array("d", doubles).tolist()
    if not kinds:
        return [*integers, *floats]
    if kinds.count(1) != len(integers) or len(kinds) != len(integers) + len(floats):
        raise ValueError("packed numbers that do not fit together")
    next_integer, next_float = iter(integers).__next__, iter(floats).__next__
    return [next_integer() if kind == 1 else next_float() for kind in kinds]


def _tagged(tag: str) -> Callable[[Any, Other, int], Any]:
    return lambda value, other, depth: {tag: _items(value, other, depth)}


_ENCODERS: dict[type, Callable[[Any, Other, int], Any]] = {
    set: _tagged("s"),
    frozenset: _tagged("f"),
    deque: _tagged("q"),
    type({}.keys()): _tagged("k"),
    type({}.values()): _tagged("v"),
    type({}.items()): _tagged("m"),
    bytes: lambda value, other, depth: {"b": value.hex()},
    bytearray: lambda value, other, depth: {"a": value.hex()},
    complex: lambda value, other, depth: {"c": [value.real, value.imag]},
    range: lambda value, other, depth: {"r": [value.start, value.stop, value.step]},
    Decimal: lambda value, other, depth: {"D": str(value)},
    Fraction: lambda value, other, depth: {"F": [encode(value.numerator), encode(value.denominator)]},
    datetime: lambda value, other, depth: {"T": value.isoformat()},
    date: lambda value, other, depth: {"U": value.isoformat()},
    time: lambda value, other, depth: {"V": value.isoformat()},
    timedelta: lambda value, other, depth: {"W": [value.days, value.seconds, value.microseconds]},
    type(...): lambda value, other, depth: {"e": 0},
}
# A subclass arrives as its base, taken through the base's own methods.
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, lambda v: int.__add__(v, 0)),
    (float, lambda v: float.__add__(v, 0.0)),
    (str, lambda v: str.__str__(v)),
    (list, lambda v: [*list.__iter__(v)]),
    (tuple, lambda v: (*tuple.__iter__(v),)),
    (dict, lambda v: dict(dict.items(v))),
    (set, lambda v: {*set.__iter__(v)}),
    (frozenset, lambda v: frozenset({*frozenset.__iter__(v)})),
    (bytes, lambda v: bytes.__add__(v, b"")),
)


_named_tuple = lru_cache(maxsize=256)(partial(namedtuple, "NamedTuple"))
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "i": lambda text: int(text, 16),
    "t": tuple,
    "d": lambda pairs: {k: v for k, v in pairs},
    "s": set,
    "f": frozenset,
    "q": deque,
    "k": lambda items: dict.fromkeys(items).keys(),
    "v": lambda items: dict(enumerate(items)).values(),
    "m": lambda items: dict(items).items(),
    "b": bytes.fromhex,
    "a": bytearray.fromhex,
    "c": lambda pair: complex(*pair),
    "r": lambda three: range(*three),
    "D": Decimal,
    "F": lambda pair: Fraction(*pair),
    "T": datetime.fromisoformat,
    "U": date.fromisoformat,
    "V": time.fromisoformat,
    "W": lambda three: timedelta(*three),
    "e": lambda _: ...,
    "A": _unpack,
    "N": lambda pair: _named_tuple(tuple(pair[0]))(*pair[1]),
}


def untag(tagged: dict[str, Any]) -> Any:
    """The value of one tag whose content is decoded already; `json.loads(..., object_hook=untag)` decodes a whole text."""
    if len(tagged) != 1:
        raise ValueError(f"not a tagged value: {sorted(tagged)}")
    ((tag, content),) = tagged.items()
    if tag not in _DECODERS:
        raise ValueError(f"unknown tag {tag!r}: allowed: {''.join(sorted(_DECODERS))}")
    return _DECODERS[tag](content)


def decode(value: Any) -> Any:
    """The value behind `encode`'s form. Raises ValueError or TypeError on what is not such a form."""
    if isinstance(value, list):
        return [decode(v) for v in value]
    if isinstance(value, dict):
        return untag({k: decode(v) for k, v in value.items()})
    return value


def same(got: Any, expected: Any, atol: float = 0.0) -> bool:
    """Deep equality of plain values: containers by type, numbers by value (floats within atol + 1e-9 relative when
    atol > 0), nan equal to nan."""
    if isinstance(expected, list | tuple):
        if type(got) is type(expected) and got == expected:
            return True  # decided in C: a list of a million numbers takes 20 ms, not a second
        alike = isinstance(got, list if isinstance(expected, list) else tuple) and len(got) == len(expected)
        return alike and all(same(g, e, atol) for g, e in zip(got, expected, strict=True))
    if isinstance(expected, dict):
        alike = isinstance(got, dict) and got.keys() == expected.keys()
        return alike and all(same(got[k], v, atol) for k, v in expected.items())
    if isinstance(expected, float) or (isinstance(got, float) and isinstance(expected, int)):
        return isinstance(got, int | float) and _close(got, expected, atol)
    return bool(got == expected)


def _close(got: float, expected: float, atol: float) -> bool:
    if got == expected:
        return True
    try:
        both_nan = math.isnan(got) and math.isnan(expected)
        return both_nan or (atol > 0 and math.isclose(got, expected, rel_tol=1e-9, abs_tol=atol))
    except OverflowError:  # an int beyond the range of floats
        return False
