"""`doctest.testmod()` in tests: program and tests are one module to it, as they are where one interpreter runs both as `__main__`.

Invariant: the examples of the tests and those of the program are run, unless the tests import the program as a module: then those of
the tests alone, and `testmod(solution)` runs the program's. Examples that the program states see none of the tests' names.

    module(doctest, program, space, apart=False)["testmod"]()    # TestResults(failed=0, attempted=2)
"""

import sys
import types
from typing import Any

from evoltune.sandbox.same_process import hiding


def module(doctest: Any, program: dict[str, Any], space: dict[str, Any], apart: bool) -> dict[str, Any]:
    """The names of `doctest` with the tests' own `testmod`.

    Args:
        space: the tests' global names.
        apart: the tests import the program as a module.
    """

    class OfTests(doctest.DocTestFinder):  # type: ignore[misc]
        def _from_module(self, module: Any, value: Any) -> bool:
            if type(value) is types.FunctionType:
                return hiding.globals_of(value) is space
            owner = getattr(value, "__objclass__", value)
            return isinstance(value, property) or getattr(owner, "__module__", None) == "__main__"

    def testmod(
        m: Any = None, name: Any = None, globs: Any = None, verbose: Any = None, report: bool = True, optionflags: int = 0,
        extraglobs: Any = None, raise_on_error: bool = False, exclude_empty: bool = False,
    ) -> Any:  # fmt: skip
        given = (name, globs, verbose, report, optionflags, extraglobs, raise_on_error, exclude_empty)
        main = sys.modules.get("__main__")
        if m is not None and (apart or m is not main):
            return doctest.testmod(m, *given)
        own = types.ModuleType("__main__")
        own.__dict__.update({**program, **dict(dict.items(space))})
        own.__dict__.pop("__file__", None)  # no file has its source
        found = OfTests(exclude_empty=exclude_empty).find(own, name, globs=globs, extraglobs=extraglobs)
        if not apart:
            finder = doctest.DocTestFinder(exclude_empty=exclude_empty)
            found += finder.find(main, name, globs=globs, extraglobs=extraglobs)
        made = doctest.DebugRunner if raise_on_error else doctest.DocTestRunner
        runner = made(verbose=verbose, optionflags=optionflags)
        for test in found:
            runner.run(test)
        if report:
            runner.summarize()
        return doctest.TestResults(runner.failures, runner.tries)

    return {**vars(doctest), "testmod": testmod}
