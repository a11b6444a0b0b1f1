"""Comparisons of tests, by type: an object that claims to equal everything equals nothing.

Plain values and the standard containers are compared element by element. Where an object's own methods decide, they are
also asked about values that must not be equal, drawn at random, before an answer of "equal" is believed.

Invariant: for a program whose objects answer the same question alike, `compare` and `operate` give what the interpreter's
own operators give.
"""

import _random
import datetime
import decimal
import fractions
import operator
import pathlib
import random
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
OPERATE: dict[str, Callable[[Any, Any], Any]] = {"-": operator.sub, "/": operator.truediv}
ATOMS: set[type] = {
    type(None), bool, int, float, complex, str, bytes, bytearray, range, type(...), type(NotImplemented), type,
    decimal.Decimal, datetime.timedelta, datetime.date, types.FunctionType, types.BuiltinFunctionType, types.ModuleType,
    type(pathlib.Path()), type(pathlib.PurePath()), object,
}  # fmt: skip
SEQUENCES: tuple[Any, ...] = (list, tuple, deque)
MAPPINGS: tuple[Any, ...] = (dict, OrderedDict, defaultdict, Counter)
SETS: tuple[Any, ...] = (set, frozenset, type({}.keys()), type({}.items()))
NUMBERS = (int, float, complex, decimal.Decimal, fractions.Fraction)
DECOYS = 4
ASKED = 32
MAX_DEPTH = 300
_draw = random.Random()
named_classes: set[type] = set()
"""Classes of the program that the tests name; the runner fills it."""
trusted: list[type] = []
"""Types of the tests' own helpers (approximations, matchers)."""


def draw_anew(key: bytes) -> None:
    """Decoys that no other job has: this module is the same in all forks of a zygote. The key is a job's secret."""
    _random.Random.seed(
        _draw, int.from_bytes(key, "big")
    )  # without the Python function over it, which touches ten pages


class _Lie(TypeError):
    """An object that answers a question about itself both ways."""


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether only the interpreter's own code runs when this value is compared."""
    kind = type(value)
    if kind in ATOMS or is_array(value):
        return True
    if depth > MAX_DEPTH:
        return False
    if isinstance(value, tuple) and _inherits_eq(kind):
        return all(is_plain(v, depth + 1) for v in tuple.__iter__(value))
    if kind in SEQUENCES or kind in SETS:
        return all(is_plain(v, depth + 1) for v in value)
    if kind in MAPPINGS:
        return all(is_plain(k, depth + 1) and is_plain(v, depth + 1) for k, v in dict.items(value))
    return False


_TUPLE_EQ: Any = tuple.__eq__


def _inherits_eq(kind: type) -> bool:
    """Whether a subclass of tuple (a named one) compares as tuples do."""
    return next(base.__dict__["__eq__"] for base in kind.__mro__ if "__eq__" in base.__dict__) is _TUPLE_EQ


def is_array(value: Any) -> bool:
    """A scalar or an array of numpy whose elements are no Python objects."""
    return type(value) in _arrays and value.dtype.kind != "O"


_arrays: set[type] = set()
"""numpy's own types, once it is loaded."""


def learn_arrays(numpy: Any) -> None:
    """numpy's types, taken before the program runs."""
    _arrays.add(numpy.ndarray)
    _arrays.update(numpy.sctypeDict.values())


def real_array(value: Any) -> Any:
    """The value as numpy's functions may see it: without methods of the program's own."""
    kind = type(value)
    if is_plain(value) or not (hasattr(kind, "__array_function__") or hasattr(kind, "__array_ufunc__")):
        return value
    array: Any = next((k for k in _arrays if k.__name__ == "ndarray"), None)
    if array is not None and isinstance(value, array):
        return array.view(value, array)
    if kind.__module__.startswith(("numpy", "pandas")):
        return value
    raise _Lie(f"an object of the program's class {kind.__name__!r} takes over numpy's functions")


def compare(symbol: str, left: Any, right: Any) -> Any:
    """What `left symbol right` gives, in a test."""
    if symbol in ("in", "not in"):
        found = _contains(right, left)
        return found if symbol == "in" else not found
    if symbol == "==":
        return equal(left, right)
    if symbol == "!=":
        differs = left != right
        return differs if is_plain(left) and is_plain(right) else _believed_difference(left, right, differs)
    result = COMPARE[symbol](left, right)
    if is_plain(left) and is_plain(right):
        return result
    return _believed_order(symbol, left, right, result)


def _believed_difference(left: Any, right: Any, differs: Any) -> Any:
    """`left != right`; that two values do not differ is believed where they are believed to be equal."""
    if is_array(differs) or differs:
        return differs
    return not equal(left, right)


def equal(left: Any, right: Any, depth: int = 0) -> Any:
    """What `left == right` gives."""
    if left is right and type(left) in ATOMS:
        return left == right
    if type(left) in trusted or type(right) in trusted:  # the helper is asked, never the program's object
        return left == right if type(left) in trusted else right == left
    if is_plain(left) and is_plain(right):
        return left == right
    if depth > MAX_DEPTH:
        raise RecursionError("maximum recursion depth exceeded in comparison")
    for kinds in (SEQUENCES, MAPPINGS):
        if type(left) in kinds and type(right) in kinds:
            return _equal_containers(left, right, depth)
    if type(left) in SETS and type(right) in SETS:
        return left == right and not any(_equals_anything(v) for v in (*left, *right) if not is_plain(v))
    return _believed(left, right)


def _equal_containers(left: Any, right: Any, depth: int) -> Any:
    """Containers of which at least one holds an object with methods of its own."""
    if isinstance(left, dict):
        if type(left) is OrderedDict and type(right) is OrderedDict:
            return _equal_containers([*left.items()], [*right.items()], depth)
        if type(left) is Counter and type(right) is Counter:
            left, right = {k: v for k, v in left.items() if v}, {k: v for k, v in right.items() if v}
        if not all(map(is_plain, (*left, *right))):
            return left == right and not any(map(_equals_anything, (*left, *right, *left.values(), *right.values())))
        return left.keys() == right.keys() and all(_same(left[k], right[k], depth) for k in left)
    if type(left) is not type(right) or len(left) != len(right):
        return False
    return all(_same(a, b, depth) for a, b in zip(left, right, strict=True))


def _same(a: Any, b: Any, depth: int) -> bool:
    return a is b or bool(equal(a, b, depth + 1))


def _believed(left: Any, right: Any) -> Any:
    """`left == right` where methods of a class decide. Asked first about values that differ."""
    for own, other in ((left, right), (right, left)):
        if is_plain(own) or type(own) in trusted:
            continue
        if _equals_anything(own):
            return False
        # The real value among many others, each twice and in random order: counting calls or values does not tell which it is.
        decoys = [d for _ in range(ASKED // DECOYS) for d in _decoys(other)]
        asked = [(d, False) for d in decoys] * 2 + [(other, True)] * (2 if decoys else 0)
        _draw.shuffle(asked)
        if any(_truth(own, value) is not real for value, real in asked):
            return False
    return left == right


def _truth(a: Any, b: Any) -> bool:
    try:
        return bool(a == b)
    except Exception:  # noqa: BLE001 - the program's own method
        return False


def _equals_anything(value: Any) -> bool:
    return not is_plain(value) and _truth(value, object())


def _decoys(value: Any, n: int = DECOYS, far: bool = False) -> list[Any]:
    """Values of the same type that do not equal this one, near it or also `far` from it; none where there is no rule."""
    if not is_plain(value) or is_array(value):
        return []
    drawn = (_far(value) if far else _other(value) for _ in range(n))
    return [d for d in drawn if type(d) is not type(value) or d != value]


def _far(value: Any) -> Any:
    kind = type(value)
    if kind in (int, float):
        return value + kind(_draw.randrange(-(10 ** _draw.randrange(1, 10)), 10 ** _draw.randrange(1, 10)))
    if kind is str:
        return "".join(_sign() for _ in range(_draw.randrange(1, 40)))
    return _other(value)


def _sign() -> str:
    """A character that hardly any text holds (arrows, mathematics, shapes)."""
    return chr(_draw.randrange(0x2190, 0x2800))


def _other(value: Any) -> Any:
    kind = type(value)
    if kind is bool:
        return not value
    if kind is int:
        return value + _draw.choice((-1, 1)) * _draw.randrange(1, 1000)
    if kind in (float, complex, decimal.Decimal, datetime.timedelta):
        return value + kind(_draw.randrange(1, 1000))
    if kind is str:
        return value[_draw.randrange(2) :] + _sign()
    if kind in (bytes, bytearray):
        return value + kind([_draw.randrange(128, 256)])
    if kind in SEQUENCES:
        items = [*value]
        if items and _draw.random() < 0.7:
            i = _draw.randrange(len(items))
            items[i] = _other(items[i])
        else:
            items.append(_draw.randrange(1000))
        return kind(items)
    if kind is dict:
        return {**value, _draw.randrange(10**6, 10**7): 0}
    if kind in (set, frozenset):
        return kind({*value, _draw.randrange(10**6, 10**7)})
    return object()


def _contains(container: Any, item: Any) -> Any:
    kind = type(container)
    if is_plain(item) and is_plain(container):
        return item in container
    if kind in SEQUENCES:
        return any(_same(v, item, 0) for v in container)
    if kind in SETS or kind in MAPPINGS:
        return item in container and any(_same(v, item, 0) for v in container)
    found = item in container
    return _believed_member(container, item) if found and not is_plain(container) else found


def _believed_member(container: Any, item: Any) -> bool:
    """That the program's container holds a value is believed where it does not hold every value of that type, near and far, and
    gives each answer twice. A container of its own may be a rule (a range, the even numbers), so some decoys may be in it."""
    decoys = _decoys(item, ASKED, far=True) or [object() for _ in range(DECOYS)]
    asked = [*range(len(decoys) + 1)] * 2
    _draw.shuffle(asked)
    answers: list[set[bool]] = [set() for _ in range(len(decoys) + 1)]
    for i in asked:
        answers[i].add(_holds(container, item if i == len(decoys) else decoys[i]))
    return answers[-1] == {True} and {True, False} not in answers and {False} in answers


def _holds(container: Any, value: Any) -> bool:
    try:
        return bool(value in container)
    except Exception:  # noqa: BLE001 - the program's own method, which may refuse a value
        return False


def _believed_order(symbol: str, left: Any, right: Any, result: Any) -> Any:
    """An order between an object and a number is believed when it does not hold for every number."""
    if not result or isinstance(result, type(NotImplemented)) or is_array(result):
        return result
    for own, number, turn in ((left, right, False), (right, left, True)):
        if is_plain(own) or type(number) not in (int, float):
            continue
        beyond = -(10.0**300) if (symbol[0] == "<") != turn else 10.0**300
        try:
            answer = COMPARE[symbol](beyond, own) if turn else COMPARE[symbol](own, beyond)
        except Exception:  # noqa: BLE001 - the program's own method: it refuses what it has just taken, and is not believed
            answer = type(own) not in named_classes
        if answer:
            return False
        if type(own) not in named_classes and not isinstance(own, NUMBERS):
            raise _Lie(f"an object of the program's class {type(own).__name__!r} is ordered against a number")
    return result


def operate(symbol: str, left: Any, right: Any) -> Any:
    """What `left - right` or `left / right` gives. A difference of 0 is how tolerances are tested, so an object must subtract
    like a number."""
    apply = OPERATE[symbol]
    for own, number, turn in ((left, right, False), (right, left, True)):
        if type(number) not in (int, float) or is_plain(own) or type(own) in named_classes:
            continue
        if not hasattr(type(own), "__array_ufunc__"):
            return _believed_arithmetic(symbol, own, number, turn)
    return apply(left, right)


def _believed_arithmetic(symbol: str, own: Any, number: Any, turn: bool) -> Any:
    apply = OPERATE[symbol]
    other = number + _draw.choice((-1, 1)) * _draw.randrange(3, 1000)
    decoy = apply(other, own) if turn else apply(own, other)
    result = apply(number, own) if turn else apply(own, number)
    if isinstance(result, NUMBERS) and is_plain(result) and is_plain(decoy):
        if decoy == result:
            raise _Lie(f"an object of the program's class {type(own).__name__!r} gives {result!r} for any number")
        return result
    if isinstance(own, NUMBERS) and isinstance(result, NUMBERS):
        return result
    raise _Lie(f"an object of the program's class {type(own).__name__!r} meets a number of the test's")


def is_instance(value: Any, kind: Any) -> bool:
    """`isinstance` by an object's real type, where no class decides that itself."""
    found = isinstance(value, kind)
    kinds = kind if type(kind) is tuple else (kind,)
    if found and all(type(k) is type for k in kinds):
        return issubclass(type(value), kinds) or type(value).__module__ == "unittest.mock"
    return found


def answer(owner: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
    """What a method says about its argument (`x.startswith("abc")`). An object of the program's must not say so of any text."""
    result = getattr(owner, name)(*args, **kwargs)
    if result and not is_plain(owner) and type(owner) not in named_classes and args and is_plain(args[0]):
        for decoy in _decoys(args[0]):
            try:
                if getattr(owner, name)(decoy, *args[1:], **kwargs):
                    return False
            except Exception:  # noqa: BLE001 - the program's own method: it refuses the type that it has just taken
                return False
    return result
