"""The global names of tests that share a process with the program.

Invariant: a name that the tests bind is theirs, unless the program had it first and may see the change.
"""

import types
from typing import Any


class TestSpace(dict):  # type: ignore[type-arg]
    """The tests' global names: their own, then the program's as they are now, then the interpreter's."""

    def __init__(self, program: dict[str, Any], shared: frozenset[str]) -> None:
        super().__init__()
        self.update(
            {
                n: v
                for n, v in program.items()
                if not n.startswith("__") and isinstance(v, type | types.FunctionType | types.ModuleType)
            }
        )
        self._program, self._shared = program, shared

    def __missing__(self, name: str) -> Any:
        return self._program[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self._shared:
            self._program[name] = value
            if not isinstance(value, type | types.FunctionType | types.ModuleType):
                self.pop(name, None)
                return
        dict.__setitem__(self, name, value)
