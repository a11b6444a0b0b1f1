"""Executes an untrusted Python program as a module, in a solution process, and describes what it raised.

Invariant: a line of the program is told from a line of ours by its file name, `<candidate>`.

    space = new_module("candidate"); execute("def f(): return 1", space); space["f"]()
"""

import sys
import types
from typing import Any

NAME = "candidate"
"""Name of the module that holds a program whose functions are called; programs see it in `__module__` and in reprs."""
_FILE = f"<{NAME}>"


def new_module(name: str) -> dict[str, Any]:
    """Registers an empty module. Returns its namespace."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    return module.__dict__


def execute(program: str, space: dict[str, Any]) -> None:
    """Runs the program's source in a namespace. Raises whatever it raises."""
    exec(compile(program.removeprefix("\ufeff"), _FILE, "exec", dont_inherit=True), space)  # noqa: S102 - the purpose of this process


def describe(error: BaseException) -> tuple[list[str], str, int]:
    """The names of an exception's classes, its text and the line of the program (0: none), bounded in size."""
    names = [c.__name__ for c in type(error).__mro__]
    line, trace = 0, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == _FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename == _FILE:
        line = error.lineno or 0
    try:
        text = str(error)[:1000]
    except Exception:  # noqa: BLE001 - the program's own __str__
        text = ""
    return names[:20], text, line
