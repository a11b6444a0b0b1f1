"""The interpreter as programs and tests find it: its built-ins and its standard streams."""

import builtins
import importlib.util
import io
import os
import re
import sys
import types
import warnings
from collections.abc import Iterable
from typing import Any

from evoltune.sandbox.same_process import hiding

_public = vars(builtins)
_mutated: Any = warnings._filters_mutated  # type: ignore[attr-defined]


class Builtins(dict):  # type: ignore[type-arg]
    """The built-ins of the tests: an `import` of their own, the interpreter's classes (exceptions among them) as they were before
    there was a program, and its functions as they are now, since tests may patch `builtins.open`. A copy that each job made would
    write to the reference count of each, on a hundred pages that a newly forked process shares so far."""

    def __init__(self, import_: Any) -> None:
        super().__init__({name: value for name, value in _public.items() if isinstance(value, type)})
        self.update(hiding.real_names)
        self["__import__"], self["__build_class__"] = import_, builtins.__build_class__

    def __missing__(self, name: str) -> Any:
        return _public[name]


class Streams:
    """Standard streams over the descriptors 0 to 2, made before there is a job."""

    def __init__(self) -> None:
        self.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8", "replace")
        output, errors = io.FileIO(1, "w", closefd=False), io.FileIO(2, "w", closefd=False)
        self.stdout = io.TextIOWrapper(io.BufferedWriter(output), "utf-8", "backslashreplace")
        self.stderr = io.TextIOWrapper(errors, "utf-8", "backslashreplace", write_through=True)

    def use(self) -> None:
        sys.stdin, sys.stdout, sys.stderr = self.stdin, self.stdout, self.stderr


def write_file(module: types.ModuleType, program: str, sources: Iterable[str], names: Iterable[str]) -> str:
    """Writes the program's file into the current folder, for tests that need one, under the name by which they import the program;
    the module becomes what an import of it would give. Returns its path."""
    text = "\n".join(sources)
    name = next((n for n in sorted(names) if re.search(rf"\b{n}\b", text)), "solution")
    path = os.path.join(os.getcwd(), f"{name}.py")
    with open(path, "w", encoding="utf-8", errors="surrogatepass") as file:
        file.write(program)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module.__name__, module.__file__, module.__spec__, module.__loader__ = name, path, spec, spec.loader
    sys.path.insert(0, os.getcwd())
    return path


_quiet: list[Any] = []


def ready_to_compile() -> None:
    """Makes the filters under which programs are compiled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        _quiet[:] = [warnings.filters]


def compiled(program: str, file: str) -> types.CodeType:
    """The program's code, without warnings about its style. Raises the compiler's errors."""
    before = warnings.filters
    warnings.filters = _quiet[0]
    _mutated()
    try:
        code: types.CodeType = compile(program, file, "exec")
        return code
    finally:
        warnings.filters = before
        _mutated()
