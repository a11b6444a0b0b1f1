"""The global names of tests that share a process with the program.

Invariant: a name that the tests bind is theirs, unless the program had it first and may see the change: a matcher it never sees.
"""

import types
from typing import Any

from evoltune.sandbox.same_process.matchers import leads_to_matcher

TAKES_ENTRY = frozenset(
    "check check_solution test test_solution check_function check_candidate test_candidate test_check".split()
)
"""Functions of tests that are called with the function under test."""
CANDIDATES = frozenset({"candidate", "solution", "func", "function", "fn", "f", "entry_point", "solve"})
"""Parameters of tests that stand for the function under test."""
SHARED_NAMES = "shared_names"
"""Key in the evidence of tests that bind names which the program had, and read them."""
_SEEN = (type, types.FunctionType, types.ModuleType)


class TestModule(types.ModuleType):
    """The tests' names as the attributes of their module."""

    def __init__(self, space: dict[str, Any]) -> None:
        super().__init__("__main__")
        self.__dict__["_space"] = space

    def __getattr__(self, name: str) -> Any:
        try:
            return self._space[name]
        except KeyError:
            raise AttributeError(f"module '__main__' has no attribute {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self._space[name] = value

    def __delattr__(self, name: str) -> None:
        if self._space.pop(name, self) is self:
            raise AttributeError(name)

    def __dir__(self) -> list[str]:
        return [*self._space]


class TestSpace(dict):  # type: ignore[type-arg]
    """The tests' global names: their own, then the program's as they are now, then the interpreter's."""

    def __init__(self, program: dict[str, Any], shared: frozenset[str]) -> None:
        super().__init__()
        for name, value in program.items():
            if isinstance(value, _SEEN) and not name.startswith("__"):
                dict.__setitem__(self, name, value)
        self._program, self._shared = program, shared
        self.written: set[str] = set()
        """Names of the program that the tests gave a value: it can read what they expect."""

    def __missing__(self, name: str) -> Any:
        return self._program[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self._shared and not leads_to_matcher(value):
            self._program[name] = value
            if not isinstance(value, _SEEN):
                self.written.add(name)
                self.pop(name, None)
                return
        dict.__setitem__(self, name, value)
