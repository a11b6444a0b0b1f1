"""Private copies of modules: loaded anew under no name in `sys.modules`, with a copy of the built-ins.

Invariant: what a program does to `builtins`, or to a module that it can import, does not reach a private copy.

    judge = load("evoltune.sandbox.same_process.running").judge
"""

import builtins
import importlib.util
import os
import types
from typing import Any

PACKAGE = "evoltune.sandbox.same_process"


def _read() -> dict[str, types.CodeType]:
    """The code of the package's modules, read while its files are in sight: in the sandbox they are not."""
    found = {}
    for file in os.listdir(os.path.dirname(__file__)):
        name = f"{PACKAGE}.{file.removesuffix('.py')}"
        if file.endswith(".py") and file != "__init__.py":
            spec: Any = importlib.util.find_spec(name)
            found[name] = spec.loader.get_code(name)
    return found


_CODES = _read()


_judges: list[types.ModuleType] = []


def judging() -> types.ModuleType:
    """A private copy of `running`. The zygote makes it once: each job has it by its fork, as no program has touched it."""
    if not _judges:
        warming = load(f"{PACKAGE}.warming")
        warming.warm_up()
        _judges.append(warming.running)
    return _judges[0]


def load(name: str) -> types.ModuleType:
    """A private copy of a module of this package, with private copies of those of the package that it imports."""
    loaded: dict[str, types.ModuleType] = {}
    own_builtins = dict(vars(builtins))
    public_import = builtins.__import__

    def get(module_name: str) -> types.ModuleType:
        if module_name not in loaded:
            module = loaded[module_name] = types.ModuleType(module_name)
            module.__dict__["__builtins__"] = own_builtins
            exec(_CODES[module_name], module.__dict__)  # noqa: S102 - our own module
        return loaded[module_name]

    def import_private(module_name: str, space: Any, local: Any, fromlist: Any, level: int) -> Any:
        if module_name == PACKAGE:
            parent = types.SimpleNamespace()
            for part in fromlist:
                setattr(parent, part, get(f"{PACKAGE}.{part}"))
            return parent
        if module_name.startswith(f"{PACKAGE}."):
            return get(module_name)
        return public_import(module_name, space, local, fromlist, level)

    own_builtins["__import__"] = import_private
    return get(name)
