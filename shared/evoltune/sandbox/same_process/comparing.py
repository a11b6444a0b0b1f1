"""Comparisons of tests, by type: an object that claims to equal everything equals nothing.

Plain values and the standard containers are compared element by element. Where an object's own methods decide, they are
also asked about values that must not be equal, drawn at random, before an answer of "equal" is believed.

Invariant: for a program whose objects answer the same question alike, `compare` and `operate` give what the interpreter's
own operators give.
"""

import decimal
import fractions
import operator
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

from evoltune.sandbox.same_process import decoys, plain_values, rewriting
from evoltune.sandbox.same_process.matchers import is_matcher
from evoltune.sandbox.same_process.plain_values import (
    ATOMS,
    BUILT_IN,
    MAPPINGS,
    MAX_DEPTH,
    SEQUENCES,
    SETS,
    computes,
    equals_anything,
    has_own_rule,
    is_array,
    is_built_in,
    is_named,
    is_opaque,
    is_plain,
    pictured,
)  # fmt: skip

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
PLAIN: dict[str, Callable[[Any, Any], Any]] = {
    **COMPARE, "in": lambda item, container: item in container, "not in": lambda item, container: item not in container
}  # fmt: skip
OPERATE: dict[str, Callable[[Any, Any], Any]] = {
    "-": operator.sub, "/": operator.truediv, "+": operator.add, "*": operator.mul, "//": operator.floordiv, "%": operator.mod,
    "**": operator.pow, "@": operator.matmul, "&": operator.and_, "|": operator.or_, "^": operator.xor, "<<": operator.lshift,
    ">>": operator.rshift, "-=": operator.isub, "/=": operator.itruediv,
}  # fmt: skip
_DIFFERENCES = "-^%"
"""By these operators, tests ask whether two values are the same: what is left is nothing."""
DUNDERS = {
    "__eq__": "==",
    "__ne__": "!=",
    "__lt__": "<",
    "__le__": "<=",
    "__gt__": ">",
    "__ge__": ">=",
    "__contains__": "in",
}
STANDARD = {**SEQUENCES, **MAPPINGS, **SETS}
NUMBERS = (int, float, complex, decimal.Decimal, fractions.Fraction)
ASKED = 32
_MATCHED = frozenset({"==", "!=", "in", "not in"})


class _Lie(TypeError):
    """An object that answers a question about itself both ways."""


def real_array(value: Any) -> Any:
    """The value as numpy's functions may see it: without methods of the program's own."""
    value = pictured(value)
    kind = type(value)
    if is_plain(value) or not (hasattr(kind, "__array_function__") or hasattr(kind, "__array_ufunc__")):
        return value
    array: Any = next((k for k in plain_values.arrays.values() if k.__name__ == "ndarray"), None)
    if array is not None and isinstance(value, array):
        return array.view(value, array)
    if kind.__module__.startswith(("numpy", "pandas")):
        return value
    raise _Lie(f"an object of the program's class {kind.__name__!r} takes over numpy's functions")


def not_empty_beside(left: Any, right: Any, scalars: bool = False) -> None:
    """Raises where one of the values is an empty array and the other is not."""
    if plain_values.is_empty_beside(left, right, scalars):
        raise _Lie("an array without elements stands beside one that has some")


def compare(symbol: str, left: Any, right: Any) -> Any:
    """What `left symbol right` gives, in a test that decides by it: a bool where the objects are the program's."""
    if plain_values.arrays and symbol in COMPARE:
        not_empty_beside(left, right)
    if is_plain(left) and is_plain(right):
        return PLAIN[symbol](left, right)
    if symbol in _MATCHED and (is_matcher(left) or is_matcher(right)):
        return _by_matcher(symbol, left, right)
    left = pictured(left)
    if symbol in ("in", "not in"):
        found = _contains(right, left)
        return found if symbol == "in" else not found
    right = pictured(right)
    if symbol == "==":
        return equal(left, right, 1)
    if symbol == "!=":
        return _differ(left, right)
    return _believed_order(symbol, left, right)


def compared(symbol: str, left: Any, right: Any) -> Any:
    """What `left symbol right` gives where a test works on with it: it may be an expression, a query, a column of truths."""
    if is_plain(left) and is_plain(right):
        return compare(symbol, left, right)
    if symbol in COMPARE and not is_matcher(left) and not is_matcher(right):
        for own, other in ((left, right), (right, left)):
            if is_opaque(pictured(own)) and is_built_in(pictured(other)):
                return compare(symbol, left, right)
        result = COMPARE[symbol](pictured(left), pictured(right))
        if type(result) not in (bool, type(NotImplemented)):
            return result
    return compare(symbol, left, right)


def _by_matcher(symbol: str, left: Any, right: Any) -> Any:
    """A comparison with a matcher of the tests."""
    if symbol in ("==", "!="):
        same = equal(left, right)
        return same if symbol == "==" else not same
    found = left in right if is_matcher(right) and has_own_rule(right) else _contains(pictured(right), left)
    return found if symbol == "in" else not found


def _by_rule(left: Any, right: Any) -> Any:
    """`left == right` where one of them is a matcher: its rule decides, and not what the other one would answer to it."""
    own, other = (left, right) if is_matcher(left) else (right, left)
    if plain_values.has_programs_rule(own):
        return False  # the program has put another rule in its place
    kind: Any = type(own)
    result = kind.__eq__(own, other)
    opaque = is_opaque(pictured(other))
    if result is NotImplemented:
        return not opaque and left == right
    if own is left or opaque or is_plain(other) or not plain_values.has_rule(other):
        return result
    return result and _truth(left, right)  # an honest class on the left may say no before the matcher is asked


def _differ(left: Any, right: Any) -> Any:
    """`left != right` of pictured values. That two values do not differ is believed where they are believed to be equal, and that
    they do where they are not equal as well."""
    if is_plain(left) and is_plain(right):
        return left != right
    if id(type(left)) in STANDARD and id(type(right)) in STANDARD:
        return not equal(left, right, 1)
    differs = left != right
    if is_array(differs) or type(differs) is not bool:
        return differs
    if not differs:
        return not equal(left, right, 1)
    return not (is_opaque(left) or is_opaque(right)) or not _truth(left, right) or left is right


def equal(left: Any, right: Any, depth: int = 0) -> Any:
    """What `left == right` gives."""
    if left is right and id(type(left)) in ATOMS:
        return left == right
    if is_matcher(left) or is_matcher(right):
        return _by_rule(left, right)
    if is_plain(left) and is_plain(right):
        return left == right
    if not depth:
        return equal(pictured(left), pictured(right), 1)
    if depth > MAX_DEPTH:
        raise RecursionError("maximum recursion depth exceeded in comparison")
    if plain_values.is_tuple(left) and plain_values.is_tuple(right):
        left, right = (*tuple.__iter__(left),), (*tuple.__iter__(right),)
    for kinds in (SEQUENCES, MAPPINGS):
        if id(type(left)) in kinds and id(type(right)) in kinds:
            return _equal_containers(left, right, depth)
    if id(type(left)) in SETS and id(type(right)) in SETS:
        return left == right and _among(left, right, depth) and _among(right, left, depth)
    if (is_opaque(left) and is_built_in(right)) or (is_opaque(right) and is_built_in(left)):
        return False  # an object of a class that the tests do not name has no built-in value
    if id(type(left)) in plain_values.arrays or id(type(right)) in plain_values.arrays:
        return left == right
    return _believed(left, right)


plain_values.equality.append(equal)


def _equal_containers(left: Any, right: Any, depth: int) -> Any:
    """Containers of which at least one holds an object with methods of its own."""
    if isinstance(left, dict):
        if type(left) is OrderedDict and type(right) is OrderedDict:
            return _equal_containers([*left.items()], [*right.items()], depth)
        if type(left) is Counter and type(right) is Counter:
            left, right = {k: v for k, v in left.items() if v}, {k: v for k, v in right.items() if v}
        return equal(left.keys(), right.keys(), depth) and all(_same(left[k], right[k], depth) for k in left)
    if type(left) is not type(right) or len(left) != len(right):
        return False
    return all(_same(a, b, depth) for a, b in zip(left, right, strict=True))


def _among(items: Any, others: Any, depth: int) -> bool:
    """Whether each item of a set that is like another set equals one of the other's also when tests ask."""
    if is_plain(items):
        return True
    near: dict[int, list[Any]] = {}
    for other in others:
        near.setdefault(hash(other), []).append(other)
    return all(is_plain(v) or any(v == o and _same(v, o, depth) for o in near.get(hash(v), ())) for v in items)


def _same(a: Any, b: Any, depth: int) -> bool:
    return a is b or bool(equal(a, b, depth + 1))


def _believed(left: Any, right: Any) -> Any:
    """`left == right` where methods of a class decide. Asked first about values that differ."""
    for own, other in ((left, right), (right, left)):
        if is_plain(own):
            continue
        if equals_anything(own):
            return False
        # The real value among many others, each twice and in random order: counting calls or values does not tell which it is.
        others = [d for _ in range(ASKED // decoys.FEW) for d in decoys.other_than(other)]
        asked = [(d, False) for d in others] * 2 + [(other, True)] * (2 if others else 0)
        decoys.draw.shuffle(asked)
        if any(_truth(own, value) is not real for value, real in asked):
            return False
    if _truth(left, right) and (is_opaque(left) or is_opaque(right)) and _differs(left, right):
        return False
    return left == right


def _truth(a: Any, b: Any) -> bool:
    try:
        return bool(a == b)
    except Exception:  # noqa: BLE001 - the program's own method
        return False


def _differs(a: Any, b: Any) -> bool:
    try:
        return (a != b) is True
    except Exception:  # noqa: BLE001 - the program's own method
        return False


def _contains(container: Any, item: Any) -> Any:
    """`item in container`, of a pictured item. A container whose own rule decides stays what it is."""
    if is_plain(item) and is_plain(container):
        return item in container
    if not has_own_rule(container):
        container = pictured(container)
    kind = type(container)
    if id(kind) in SEQUENCES:
        return any(_same(v, item, 0) for v in container)
    if id(kind) in SETS or id(kind) in MAPPINGS:
        return item in container and any(_same(v, item, 0) for v in container)
    found = item in container
    return _believed_member(container, item) if found and not is_plain(container) else found


def _believed_member(container: Any, item: Any) -> bool:
    """That the program's container holds a value is believed where it does not hold every value of that type, near and far, and
    gives each answer twice. A container of its own may be a rule (a range, the even numbers), so some decoys may be in it."""
    others = decoys.other_than(item, ASKED, far=True) or [object() for _ in range(decoys.FEW)]
    asked = [*range(len(others) + 1)] * 2
    decoys.draw.shuffle(asked)
    answers: list[set[bool]] = [set() for _ in range(len(others) + 1)]
    for i in asked:
        answers[i].add(_holds(container, item if i == len(others) else others[i]))
    return answers[-1] == {True} and {True, False} not in answers and {False} in answers


def _holds(container: Any, value: Any) -> bool:
    try:
        return bool(value in container)
    except Exception:  # noqa: BLE001 - the program's own method, which may refuse a value
        return False


def _believed_order(symbol: str, left: Any, right: Any) -> Any:
    """An order between an object and a number is believed when the tests name its class, and it does not hold for every number."""
    if type(left) is type(right) and id(type(left)) in SEQUENCES:
        differ = next(((a, b) for a, b in zip(left, right, strict=False) if not _same(a, b, 1)), None)
        return compare(symbol, *differ) if differ else COMPARE[symbol](len(left), len(right))
    result = COMPARE[symbol](left, right)
    if result and id(type(left)) in SETS and id(type(right)) in SETS:
        return _among(left, right, 1) if symbol[0] == "<" else _among(right, left, 1)
    for own, other in ((left, right), (right, left)):
        if is_opaque(own) and is_built_in(other):
            raise _Lie(f"an object of the program's class {type(own).__name__!r} is ordered against a built-in value")
    if not result or isinstance(result, type(NotImplemented)) or id(type(result)) in plain_values.arrays:
        return result
    for own, number, turn in ((left, right, False), (right, left, True)):
        if is_plain(own) or type(number) not in (int, float):
            continue
        beyond = -(10.0**300) if (symbol[0] == "<") != turn else 10.0**300
        try:
            answer = COMPARE[symbol](beyond, own) if turn else COMPARE[symbol](own, beyond)
        except Exception:  # noqa: BLE001 - the program's own method: it refuses what it has just taken, and is not believed
            answer = not is_named(type(own))
        if answer:
            return False
    return result


def operate(symbol: str, left: Any, right: Any) -> Any:
    """What `left symbol right` gives, for an operator of arithmetic. A difference of 0 is how tolerances are tested: an object whose
    class the tests do not name makes no number of theirs into another."""
    apply = OPERATE[symbol]
    if (id(type(left)) in ATOMS and id(type(right)) in ATOMS) or (symbol == "%" and isinstance(left, str | bytes)):
        return apply(left, right)
    left, right = _operand(left), _operand(right)
    not_empty_beside(left, right)
    result = apply(left, right)
    if is_plain(result) and isinstance(result, NUMBERS):
        for own, number in ((left, right), (right, left)):
            if type(number) in (int, float) and not is_plain(own) and computes(own, symbol):
                raise _Lie(f"an object of the program's class {type(own).__name__!r} meets a number of the test's")
    if symbol[0] in _DIFFERENCES and _vanishes(result):
        for own, other, turn in ((left, right, False), (right, left, True)):
            if not is_plain(own) and computes(own, symbol) and _vanishes_for_any(apply, own, other, turn):
                raise _Lie(f"an object of the program's class {type(own).__name__!r} differs from nothing")
    return result


def _vanishes(value: Any) -> bool:
    return is_plain(value) and not (value.any() if is_array(value) else value)


def _vanishes_for_any(apply: Callable[[Any, Any], Any], own: Any, other: Any, turn: bool) -> bool:
    """Whether an object differs by nothing from whatever is in a value's place."""
    others = [decoys.another(other) for _ in range(decoys.FEW)]
    try:
        return all(_vanishes(apply(d, own) if turn else apply(own, d)) for d in others)
    except Exception:  # noqa: BLE001 - the program's own method, which may refuse a value
        return False


def _operand(value: Any) -> Any:
    """A number or text as it is; containers keep their identity, for `+=` and the like."""
    return value if is_plain(value) or id(type(value)) in STANDARD else pictured(value)


def is_instance(value: Any, kind: Any) -> bool:
    """`isinstance` by an object's real type, where no class decides that itself."""
    found = isinstance(value, kind)
    kinds = kind if type(kind) is tuple else (kind,)
    if found and all(type(k) is type for k in kinds):
        return issubclass(type(value), kinds) or type(value).__module__ == "unittest.mock"
    return found


def symbol_of(name: str) -> str | None:
    """The comparison that a function of the operator module makes: `eq` and `__eq__` are "=="."""
    return DUNDERS.get(name if name.startswith("__") else f"__{name}__")


def answer(owner: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
    """What a method says about its argument (`x.startswith("abc")`). An object of the program's must not say so of any text."""
    if name in DUNDERS and len(args) == 1 and _asks_programs(owner, args[0]):
        symbol = DUNDERS[name]
        return compare(symbol, args[0], owner) if symbol == "in" else compare(symbol, owner, args[0])
    if id(type(owner)) in BUILT_IN and type(owner) is not type:
        args = tuple(map(pictured, args))
    if name in rewriting.MEASURES:
        if id(type(owner)) in SEQUENCES and args and not (is_plain(owner) and is_plain(args[0])):
            return _measured(owner, name, *args)
        return getattr(owner, name)(*args, **kwargs)
    owner = owner if is_plain(owner) or id(type(owner)) in STANDARD else pictured(owner)
    result = getattr(owner, name)(*args, **kwargs)
    if result and not is_plain(owner) and not is_named(type(owner)) and args and is_plain(args[0]):
        for decoy in decoys.other_than(args[0]):
            try:
                if getattr(owner, name)(decoy, *args[1:], **kwargs):
                    return False
            except Exception:  # noqa: BLE001 - the program's own method: it refuses the type that it has just taken
                return False
    return result


def _measured(owner: Any, name: str, item: Any, *bounds: Any) -> Any:
    """`count`, `index` and `remove` of a sequence that holds, or is asked for, an object with methods of its own."""
    if name == "count":
        return sum(_same(v, item, 0) for v in owner)
    start, stop = (*bounds, None, None)[:2]
    places = range(len(owner))[start:stop]
    place = next((i for i in places if _same(owner[i], item, 0)), None)
    if place is None:
        raise ValueError(f"{name}: it is not in the {type(owner).__name__}")
    if name == "remove":
        del owner[place]
        return None
    return place


def _asks_programs(owner: Any, other: Any) -> bool:
    """Whether a comparison that is written as a call (`x.__eq__(5)`) is one of an object whose class the tests do not name."""
    return (
        type(owner) is not super
        and not isinstance(owner, type)
        and not is_named(type(owner))
        and not (is_plain(owner) and is_plain(other))
    )
