"""Modules by which tests judge, as they were before the program ran.

Imported only where tests need them: each would make the process larger, and so every fork dearer (unittest.mock by 1 ms).
"""

import importlib
import itertools
import types
from collections.abc import Callable
from typing import Any

modules: dict[str, types.ModuleType] = {}
"""By name, with the packages round them."""
run_coroutine: list[Callable[[Any], Any]] = []
"""asyncio.run, where tests are asynchronous."""


def take(name: str) -> types.ModuleType:
    """Imports a module. Raises what importing it raises."""
    module = importlib.import_module(name)
    for package in itertools.accumulate(name.split("."), "{}.{}".format):
        modules[package] = importlib.import_module(package)
    return module


def take_asyncio() -> None:
    """For tests that are coroutines."""
    run_coroutine.append(take("asyncio").run)


def of_unittest(name: str) -> Any:
    """A class of unittest's; a class that nothing is an instance of where the tests do not use unittest."""
    return getattr(modules["unittest"], name) if "unittest" in modules else _Nothing


class _Nothing(Exception):
    pass
