"""The parameters of a test: each row of `parametrize`, of `pytest_generate_tests` and of fixtures, with the id that pytest gives it.

Invariant: the cases of a test come in pytest's order, with pytest's ids.

    metafunc = Metafunc(function, None, ["a"], lambda name: "function")
    metafunc.parametrize("a", [1, 2]); [case.id for case in metafunc.cases]    # ["1", "2"]
"""

import enum
import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from evoltune.sandbox.same_process.expectations import Unsupported

WIDE = ("session", "package", "module", "class")
"""The scopes of fixtures that tests share, the widest first."""


class Parameters:
    """What `pytest.param` makes: the values of one row, its marks and its id."""

    def __init__(self, values: Any, marks: Any = (), name: Any = None) -> None:
        self.values, self.name = values, name
        self.marks = [*marks] if isinstance(marks, list | tuple) else [marks] if marks else []


class Case:
    """One run of a test.

    Args:
        given: values of its parameters by name.
        indirect: parameters of fixtures by name.
        shared: (scope, name, index) of the parameters that other tests share with it.
    """

    def __init__(
        self, given: dict[str, Any], indirect: dict[str, Any], marks: Any = (), ids: Any = (), shared: Any = ()
    ) -> None:  # fmt: skip
        self.given, self.indirect, self.marks, self.ids, self.shared = given, indirect, [*marks], [*ids], [*shared]

    @property
    def id(self) -> str:
        return "-".join(self.ids)

    def joined(self, other: "Case") -> "Case":
        marks, ids, shared = [*self.marks, *other.marks], [*self.ids, *other.ids], [*self.shared, *other.shared]
        return Case({**self.given, **other.given}, {**self.indirect, **other.indirect}, marks, ids, shared)


class Metafunc:
    """The parameters of one test as they come together: what `pytest_generate_tests` gets."""

    def __init__(self, function: Any, holder: Any, names: list[str], scope_of: Callable[[str], str]) -> None:
        self.function, self.cls = function, None if holder is None else type(holder)
        self.fixturenames, self._scope_of, self.cases = names, scope_of, [Case({}, {})]

    def parametrize(
        self, argnames: Any, argvalues: Any, indirect: Any = False, ids: Any = None, scope: Any = None
    ) -> None:
        """Multiplies the cases by these."""
        names = [n.strip() for n in argnames.split(",") if n.strip()] if isinstance(argnames, str) else [*argnames]
        by_fixture = {*names} if indirect is True else {*indirect} if indirect else set()
        in_rows = not isinstance(argnames, str) or "," in argnames  # also `["a"]` and `"a,"`
        found = [_row(value, in_rows and (len(names) > 1 or isinstance(value, list | tuple))) for value in argvalues]
        rows = []
        for index, (row, name) in enumerate(zip(found, _ids(names, found, ids), strict=True)):
            values = dict(zip(names, row.values, strict=True))
            scopes = {n: scope or (self._scope_of(n) if n in by_fixture else "function") for n in names}
            shared = [(scopes[n], n, index) for n in names if scopes[n] in WIDE]
            indirectly = {n: v for n, v in values.items() if n in by_fixture}
            given = {n: v for n, v in values.items() if n not in by_fixture}
            rows.append(Case(given, indirectly, row.marks, [name], shared))
        self.cases = [case.joined(row) for case, row in itertools.product(self.cases, rows)]

    def takes(self, name: str) -> bool:
        """Whether a parameter is given already."""
        return any(name in case.given or name in case.indirect for case in self.cases)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise Unsupported(f"metafunc.{name}")


def _row(value: Any, several: bool) -> Parameters:
    return value if isinstance(value, Parameters) else Parameters(value if several else (value,))


def _ids(names: list[str], rows: Sequence[Parameters], ids: Any) -> list[str]:
    given = [None] * len(rows) if ids is None or callable(ids) else [*ids]
    found = []
    for index, row in enumerate(rows):
        own = row.name if row.name is not None else given[index] if index < len(given) else None
        if own is not None:
            found.append(str(own))
            continue
        asked = [ids(value) if callable(ids) else None for value in row.values]
        parts = [
            str(_id_of(value if name is None else name, f"{argument}{index}"))
            for argument, value, name in zip(names, row.values, asked, strict=False)
        ]
        found.append("-".join(parts))
    counts, seen = Counter(found), Counter[str]()
    for index, name in enumerate(found):
        if counts[name] > 1:
            begin = f"{name}{'_' if name[-1:].isdigit() else ''}"
            while f"{begin}{seen[name]}" in found:
                seen[name] += 1
            found[index] = f"{begin}{seen[name]}"
    return found


def _id_of(value: Any, otherwise: str) -> Any:
    if isinstance(value, str):
        return value.encode("unicode_escape").decode("ascii")
    if isinstance(value, bytes):
        return value.decode("ascii", "backslashreplace")
    if value is None or isinstance(value, int | float | complex | enum.Enum):
        return value
    if isinstance(value, re.Pattern):
        return _id_of(value.pattern, otherwise)
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) else otherwise


def grouped(tests: list[Any], scopes: Sequence[str] = WIDE, done: frozenset[Any] = frozenset()) -> list[Any]:
    """Tests in the order in which pytest runs them: those that share a parameter of a wide fixture follow each other, so that its
    value is made once. A test has its `shared`."""
    if not scopes or not any(test.shared for test in tests):
        return tests
    out, plain, waiting = list[Any](), list[Any](), [*tests]
    while waiting:
        test = waiting.pop(0)
        keys = [key for key in test.shared if key[0] == scopes[0] and key not in done]
        if not keys:
            plain.append(test)
            continue
        same = [test, *(t for t in waiting if keys[-1] in t.shared)]
        waiting = [t for t in waiting if keys[-1] not in t.shared]
        out += [*grouped(plain, scopes[1:], done), *grouped(same, scopes, done | {keys[-1]})]
        plain = []
    return out + grouped(plain, scopes[1:], done)
