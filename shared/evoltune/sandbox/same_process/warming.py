"""Runs harmless jobs in the zygote. The interpreter rewrites its bytecode on the first runs of a function: done here once, the
rewritten pages are shared with every fork instead of being copied by each. Measured:
880 -> 560 pages of a small job, together with `running.prepare`.

Invariant: the process judges nothing afterwards that it would not have judged before: no hook, no module and no class is left.
"""

import gc
import sys
from contextlib import suppress

from evoltune.sandbox.same_process import decoys, plain_values, preparing, running

_PROGRAM = "import math\nfrom typing import List\ndef f(x: List[int]) -> int:\n    return sum(x)\nclass Box:\n    def __init__(self, n):\n        self.n = n\n"
_ASSERTS = "assert f([1, 2]) == 3\nassert isinstance(Box(1), Box) and Box(1) is not None\n"
_TESTS = (
    "class Own:\n    pass\ndef check(candidate):\n    assert candidate([1, 2]) == 3, 'no'\n    assert candidate([]) == 0\nassert isinstance(Own(), Own)\n",
    _ASSERTS,
    "def test_it():\n    for x in (1, 2):\n        assert f([x]) == x\n    assert Box(1).n == 1 and f([0.5, 1]) - 1.5 < 1e-9\n",
    "class TestBox:\n    def test_it(self):\n        assert Box(3).n == 3 and [1] in [[1], [2]] and 0 < f([1]) <= 1\n",
    "def check(candidate):\n    assert candidate([1, 2]) == 4\ncheck(f)\n",
)
_EVENTS = (("compile", ("", "<candidate>")), ("object.__getattr__", (len, "__code__")), ("exec", (None,)), ("import", ("x",)))  # fmt: skip
TIMES = 12


def warm_up() -> None:
    """Runs each of a few jobs some times, all but the report."""
    before = dict(sys.modules)
    for source in _TESTS:
        tests = preparing.prepared((source,), frozenset())
        for _ in range(TIMES):
            run, key = running.Run(), b""
            decoys.draw_anew(key)
            run.begin(
                {"program": _PROGRAM, "tests": tests, "entry": "f", "each": False, "libraries": [], "apart": False}, key
            )
            running.report(run.state, run.outcome(watched=False))
            for event, args in _EVENTS:
                run.state.busy = False
                with suppress(PermissionError):  # nobody asks for it by its name here
                    run.hook(event, args)
            vars(run).clear()  # it holds code whose constants lead back to it: a circle that the collector does not see
            del run
            gc.collect()  # the next one takes its place: a smaller zygote is forked faster
    preparing.prepared.cache_clear()
    plain_values.named_classes.clear()
    gc.disable()
    for name in [name for name in sys.modules if name not in before]:
        del sys.modules[name]
    sys.modules.update(before)
