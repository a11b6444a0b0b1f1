"""What a value is worth beside the built-in values that tests expect: its own built-in value, whatever its class says.

A function may return an instance of a class that only its program knows: an `int` whose `__eq__` agrees with several numbers, a
`dict` that compares its keys alone. The tests expect a plain number or dict, so the number or dict in it is what is compared. A
class that the tests name is another matter: its comparisons may be what is tested.

    pictured(Y(7))            # 7, for `class Y(int)` of the program
    is_opaque(Z())            # True, for a class of the program with an `__eq__` and no built-in value
"""

import builtins
import datetime
import decimal
import fractions
import types
import weakref
from collections import Counter, OrderedDict, UserList, UserString, defaultdict, deque
from collections.abc import Callable, Mapping, Set
from typing import Any

from evoltune.sandbox.same_process import monitor
from evoltune.sandbox.same_process.matchers import is_matcher, is_stray


def _by_id(*kinds: Any) -> dict[int, Any]:
    """Classes by their identity: what a class equals, its metaclass says, which may be the program's."""
    return {id(kind): kind for kind in kinds}


ATOMS = _by_id(
    type(None), bool, int, float, complex, str, bytes, bytearray, range, type(...), type(NotImplemented), type,
    decimal.Decimal, datetime.timedelta, datetime.date, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, object,
)  # fmt: skip
SEQUENCES = _by_id(list, tuple, deque)
MAPPINGS = _by_id(dict, OrderedDict, defaultdict, Counter)
SETS = _by_id(set, frozenset, type({}.keys()), type({}.items()))
BUILT_IN = {**ATOMS, **SEQUENCES, **MAPPINGS, **SETS}
MAX_DEPTH = 300
named_classes: set[type] = set()
"""Classes of the program that the tests name; the runner fills it."""
exported: set[type] = set()
"""Classes of the tests that the program uses."""

COMPARING = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")
_ARITHMETIC = {
    symbol: tuple(f"__{kind}{name}__" for kind in ("", "r", "i"))
    for symbol, name in zip("- / + * // % ** @ & | ^ << >>".split(),
                            "sub truediv add mul floordiv mod pow matmul and or xor lshift rshift".split(), strict=True)
}  # fmt: skip
_SLOT: Any = type(int.__eq__)
_TUPLE_EQ: Any = tuple.__eq__
_COUNTER_EQ: Any = Counter.__dict__["__eq__"]
# By these functions of the standard library an object equals another by what it holds.
_MAPPING_EQ, _SET_EQ = Mapping.__dict__["__eq__"], Set.__dict__["__eq__"]
_USER_EQ = {kind.__dict__["__eq__"] for kind in (UserList, UserString)}
# A metaclass of the program's cannot answer for these.
_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_names: Callable[[type], Mapping[str, Any]] = type.__dict__["__dict__"].__get__
arrays: dict[int, Any] = {}
"""numpy's own types by their identity, once it is loaded."""


class Shown:
    """An object of the program's inside one that a library compares: it is asked as tests ask, not by its own methods alone."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return bool(self.value is other or equality[0](self.value, other.value if type(other) is Shown else other))

    __hash__ = None  # type: ignore[assignment]


equality: list[Callable[[Any, Any], Any]] = []
"""What compares for `Shown`: `comparing.equal`, which is built on this module."""


def learn_arrays(numpy: Any) -> None:
    """numpy's types, taken before the program runs."""
    arrays.update(_by_id(numpy.ndarray, *numpy.sctypeDict.values()))


def name_classes(program: Mapping[str, Any], mentioned: Set[str], used_as_classes: Set[str]) -> None:
    """Takes down which of the program's classes the tests name. One that is called as a function is, and is nothing but called, is
    what the function under test returns."""
    for name in mentioned & program.keys():
        is_class = isinstance(program[name], type) and not hasattr(builtins, name)
        if is_class and (name.lstrip("_")[:1].isupper() or name in used_as_classes):
            named_classes.add(program[name])


def is_array(value: Any) -> bool:
    """A scalar or an array of numpy whose elements are no Python objects."""
    return id(type(value)) in arrays and value.dtype.kind != "O"


def is_empty_beside(left: Any, right: Any, scalars: bool = False) -> bool:
    """Whether an array without elements meets one with elements, or a list (or, with `scalars`, a number): numpy spreads them to an
    array without elements, of which all hold."""
    for own, other in ((left, right), (right, left)):
        if id(type(own)) in arrays and own.size == 0:
            if id(type(other)) in arrays and other.size and (other.ndim or scalars):
                return True
            if (type(other) in (list, tuple) and other) or (scalars and type(other) in (int, float, complex)):
                return True
    return False


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether only the interpreter's own code runs when this value is compared."""
    kind = type(value)
    place = id(kind)
    if place in ATOMS or (place in arrays and is_array(value)):
        return True
    if depth > MAX_DEPTH:
        return _is_plain_deep(value)
    if is_tuple(value):
        return all(is_plain(v, depth + 1) for v in tuple.__iter__(value))
    if place in SEQUENCES or place in SETS:
        return all(is_plain(v, depth + 1) for v in value)
    if place in MAPPINGS and (kind is not Counter or Counter.__dict__["__eq__"] is _COUNTER_EQ):
        return all(is_plain(k, depth + 1) and is_plain(v, depth + 1) for k, v in dict.items(value))
    return False


def _is_plain_deep(value: Any) -> bool:
    """The same for lists and tuples in each other, at any depth and also in a circle."""
    waiting, seen = [value], set[int]()
    while waiting:
        item = waiting.pop()
        if type(item) is list or type(item) is tuple:
            if id(item) not in seen:
                seen.add(id(item))
                waiting += item
        elif id(type(item)) not in ATOMS:
            return False
    return True


def is_named(kind: type) -> bool:
    """Whether the tests name a class, or one that it inherits from."""
    return any(base in named_classes for base in _mro(kind))


def is_opaque(value: Any) -> bool:
    """Whether the program alone says what a value equals, and has no built-in value to show for it."""
    kind = type(value)
    if kind in (weakref.ProxyType, weakref.CallableProxyType):
        return True
    if id(kind) in BUILT_IN or is_matcher(value) or is_named(kind):
        return False
    if is_stray(value) and not any(kind is one for one in exported):
        return True
    return any(_is_programs(_method(kind, name), name) for name in COMPARING)


def has_own_rule(container: Any) -> bool:
    """Whether a library's method, or the tests', says what a container holds."""
    method = _method(type(container), "__contains__")
    return type(method) is types.FunctionType and not _is_programs(method, "__contains__")


def computes(value: Any, symbol: str) -> bool:
    """Whether the program's own methods do arithmetic with a value of a class that the tests do not name."""
    names = _ARITHMETIC.get(symbol.rstrip("=") or symbol, ())
    return not is_named(type(value)) and any(_is_programs(_method(type(value), name), name) for name in names)


def is_built_in(value: Any) -> bool:
    """Whether a value is of a type that tests write down: a literal, a standard container, an array."""
    return id(type(value)) in BUILT_IN or is_array(value)


def is_tuple(value: Any) -> bool:
    """Whether a value is a tuple, or compared as one (a named tuple)."""
    return isinstance(value, tuple) and _method(type(value), "__eq__") is _TUPLE_EQ


def _method(kind: type, name: str) -> Any:
    return next((names[name] for base in _mro(kind) if name in (names := _names(base))), None)


def _is_programs(method: Any, name: str) -> bool:
    """Whether what a class has under the name of a method is neither the interpreter's, nor a library's, nor the tests'. One of
    theirs under another name (`__eq__ = list.__contains__`) is the program's."""
    if method is None:
        return False
    if type(method) is _SLOT:
        return bool(method.__name__ != name)
    if type(method) is not types.FunctionType:
        return not type(method).__module__.startswith("_cython")
    code = method.__code__
    own = monitor.is_library(code.co_filename) or monitor.is_own(code.co_filename)
    return not own or (code.co_name.startswith("__") and code.co_name != name)


def has_rule(value: Any) -> bool:
    """Whether a class has an `__eq__` in Python code."""
    return type(_method(type(value), "__eq__")) is types.FunctionType


def has_programs_rule(value: Any) -> bool:
    """Whether the `__eq__` of a class is the program's."""
    return _is_programs(_method(type(value), "__eq__"), "__eq__")


def _slice(kind: Any) -> Callable[[Any], Any]:
    return lambda value: kind.__getitem__(value, slice(None))


def _fields(kind: Any, names: str) -> Callable[[Any], Any]:
    """An equal instance of an immutable type, made of its fields."""
    return lambda value: kind(*(pictured(getattr(kind, name).__get__(value)) for name in names.split()))


def _moment(value: Any) -> Any:
    moment = _fields(datetime.datetime, "year month day hour minute second microsecond tzinfo")(value)
    return moment.replace(fold=datetime.datetime.__dict__["fold"].__get__(value))


_VALUES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, int.__pos__), (float, float.__pos__), (complex, complex.__pos__), (str, _slice(str)), (bytes, _slice(bytes)),
    (bytearray, _slice(bytearray)), (decimal.Decimal, decimal.Decimal), (datetime.timedelta, datetime.timedelta.__pos__),
    (datetime.datetime, _moment), (datetime.date, _fields(datetime.date, "year month day")),
    (datetime.time, _fields(datetime.time, "hour minute second microsecond tzinfo")),
    (fractions.Fraction, _fields(fractions.Fraction, "_numerator _denominator")),
)  # fmt: skip
"""Built-in types, and what makes a value of exactly this type of an instance of a subclass, by no method of the subclass."""
_KNOWN = {
    object,
    *BUILT_IN.values(),
    types.SimpleNamespace,
    slice,
    types.MappingProxyType,
    *(kind for kind, _ in _VALUES),
}


def pictured(value: Any, depth: int = 0) -> Any:
    """The value with the instances of classes that the tests do not name replaced by the built-in values that they are, in
    containers too; anything else as it is."""
    kind = type(value)
    if is_plain(value) or is_matcher(value) or is_named(kind):
        return _with_pictured_fields(value, depth) if is_named(kind) else value
    if depth > MAX_DEPTH:
        raise RecursionError("maximum recursion depth exceeded in comparison")
    equals: Any = _method(kind, "__eq__")
    if type(equals) is types.FunctionType and not _is_programs(equals, "__eq__"):
        return _of_library(value, equals, depth)
    if type(equals) is _SLOT and equals.__objclass__ not in _KNOWN and id(equals.__objclass__) not in arrays:
        return value  # compared by an extension module's own type
    bases = _mro(kind)
    for base, make in _VALUES:
        if base in bases:
            return make(value)
    return _container(value, bases, depth)


def _field(value: Any, depth: int) -> Any:
    value = pictured(value, depth + 1)
    return Shown(value) if is_opaque(value) or equals_anything(value) else value


def equals_anything(value: Any) -> bool:
    """Whether an object that the tests have not made equals whatever it is compared with, as `mock.ANY` does."""
    if is_plain(value) or is_matcher(value):
        return False
    try:
        return bool(value == object())
    except Exception:  # noqa: BLE001 - the program's own method
        return False


def shown(value: Any) -> Any:
    """The value for a library that compares: pictured, and what has no built-in value compared by `equality`."""
    value = pictured(value)
    if (type(value) is list or type(value) is tuple) and not is_plain(value):
        return type(value)(map(shown, value))
    if type(value) is dict and not is_plain(value):
        return {key: shown(item) for key, item in value.items()}
    return Shown(value) if is_opaque(value) else value


def _container(value: Any, bases: tuple[type, ...], depth: int) -> Any:
    def each(items: Any) -> list[Any]:
        return [pictured(item, depth + 1) for item in items]

    for base in SEQUENCES.values():
        if base in bases:
            return base(each(base.__iter__(value)))
    for base in (OrderedDict, dict):
        if base in bases:
            items = [(pictured(k, depth + 1), pictured(v, depth + 1)) for k, v in base.items(value)]
            return base(items)
    for base in SETS.values():
        if base in bases:
            return (frozenset if base is frozenset else set)(each(base.__iter__(value)))
    if types.SimpleNamespace in bases:
        names = types.SimpleNamespace.__dict__["__dict__"].__get__(value)
        return types.SimpleNamespace(**{k: _field(v, depth) for k, v in names.items()})
    if slice in bases:
        return slice(*(_field(part, depth) for part in (value.start, value.stop, value.step)))
    if types.MappingProxyType in bases:
        return pictured(dict(value), depth + 1)
    if array := next((base for base in bases if id(base) in arrays), None):
        return _array(value, array, depth)
    return _with_pictured_fields(value, depth)


def _array(value: Any, base: Any, depth: int) -> Any:
    """An array of numpy's own type, with pictured elements."""
    if not hasattr(base, "view") or not hasattr(base, "flags") or base.__name__ != "ndarray":
        return base.item(value)
    names = (*COMPARING, "__array_ufunc__", "__array_function__")
    programs = any(_is_programs(_method(type(value), name), name) for name in names)
    array = base.view(value, base) if programs else value
    if array.dtype.kind != "O":
        return array
    copy = array.copy()
    for place, item in enumerate(array.ravel()):
        shown = pictured(item, depth + 1)
        copy.flat[place] = object() if is_opaque(shown) else shown
    return copy


def _of_library(value: Any, equals: Any, depth: int) -> Any:
    """A value that a library compares: by what it holds, where that is known."""
    kind = type(value)
    bases = _mro(kind)
    if Counter in bases:
        return Counter({pictured(k, depth + 1): pictured(v, depth + 1) for k, v in dict.items(value)})
    if equals is _MAPPING_EQ:
        return {pictured(key, depth + 1): pictured(value[key], depth + 1) for key in value}
    if equals is _SET_EQ:
        return {pictured(item, depth + 1) for item in value}
    if equals in _USER_EQ:
        return pictured(value.data, depth + 1)
    if fractions.Fraction in bases:
        return _fields(fractions.Fraction, "_numerator _denominator")(value)
    if any(base.__name__ == "PurePath" and base.__module__.startswith("pathlib") for base in bases):
        return kind(pictured(str(value)))
    if kind.__name__ == "_Call" and tuple in bases:  # a call that a mock remembers
        copy = tuple.__new__(kind, [_argument(v, depth) for v in tuple.__iter__(value)])
        copy.__dict__.update(value.__dict__)
        return copy
    return _with_pictured_fields(value, depth)


def _argument(value: Any, depth: int) -> Any:
    """The name, the arguments or the keywords of a call."""
    if type(value) is tuple:
        return tuple(_field(v, depth) for v in value)
    return {k: _field(v, depth) for k, v in value.items()} if type(value) is dict else pictured(value, depth)


def _with_pictured_fields(value: Any, depth: int) -> Any:
    """A named tuple's or a dataclass's instance with pictured fields: the comparison that it is given compares these."""
    kind = type(value)
    if is_tuple(value) and not is_plain(value):
        return tuple.__new__(kind, [_field(item, depth) for item in tuple.__iter__(value)])
    fields = _names(kind).get("__dataclass_fields__")
    names = getattr(value, "__dict__", None) if fields is not None else None
    if type(names) is not dict or all(map(is_plain, names.values())):
        return value
    copy = object.__new__(kind)
    copy.__dict__.update({name: _field(field, depth) for name, field in names.items()})
    return copy
