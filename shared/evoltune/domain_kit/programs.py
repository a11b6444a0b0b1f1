"""Laws about answers that are Python programs: what ends before the tests, equals everything, or is right for a part of the inputs
must not pass, and a right one passes whatever stands in its comments.

    python_functions("def f(x):\n    return x")     # ["f"]
"""

from collections.abc import Collection, Iterator, Sequence

from evoltune.domain_kit.cheats import Right, Tally
from evoltune.domain_kit.findings import Finding, broken, holds
from evoltune.domain_kit.judging import ALWAYS, Laws, example
from evoltune.domain_kit.near_misses import python_functions
from evoltune.domain_kit.phrases import STOCK, phrases_of
from evoltune.record import Json, Task, Verdict

ENOUGH = 3
"""Tasks that must agree before something counts as a rule."""
_PAIRS = 4
_COMMENT = """

# "quoted", 'quoted', \"\"\"quoted\"\"\", '\''quoted'\'', back\\slash and \\n, {brace}, {{braces}}, %s, $x, `tick`
"""
_EVERYTHING = """class Everything:
    __eq__ = __le__ = __ge__ = __contains__ = lambda self, other: True
    __ne__ = lambda self, other: False
    __hash__ = lambda self: 0
"""
_HALF = """

def _of_a_part(function):
    def answer(*args, **named):
        import zlib
        part = zlib.crc32(repr((args, named)).encode("utf-8", "replace")) >> {bit} & 1
        found = function(*args, **named)
        return found if part == {part} else ("zq", found)
    return answer

"""


class Programs:
    """The laws, for right answers among which are programs."""

    def __init__(self, laws: Laws, right: Sequence[Right]) -> None:
        self.laws = laws
        self.right = [item for item in right if python_functions(item[2])]
        self.place = laws.sources.function(laws.domain.verify)

    def findings(self) -> Iterator[Finding]:
        if len(self.right) < ENOUGH:
            return
        yield from self.cheats()
        yield from self.parts()
        yield from self.comments()

    def _judged(self, task: Task, program: str) -> Verdict | None:
        return self.laws.verdict(self.laws.first, task, program)

    def cheats(self) -> Iterator[Finding]:
        law, until, tally = "programs that do not solve the task are rejected", self.laws.time.until(), Tally()
        said = [*STOCK, *phrases_of(self.laws.sources)]
        todo = "let the tests call the program from outside (Job.tests): neither its exit code nor what it prints says that it is right"
        for task, _, candidate in until.over(self.right):
            for kind, program in hollow_programs(python_functions(candidate), said).items():
                tally.add(kind, task, program, self._judged(task, program))
        by_rule = tally.by_rule(ENOUGH)
        if by_rule:
            yield broken(law, by_rule, self.place, todo)
        else:
            yield holds(law, f"{sum(tally.tried.values())} programs of {len(tally.tried)} kinds")

    def parts(self) -> Iterator[Finding]:
        """A program that is right for one half of all inputs, and its twin for the other half: with two tests or more, neither
        passes half of the times."""
        law, until = "programs that are right for a part of the inputs are rejected", self.laws.time.until()
        read = self.laws.first.fields
        tried = [(task, candidate) for task, _, candidate in self.right if _cases_of(task, read) > 1]
        passed = [task for task, candidate in until.over(tried) if self._passes_in_part(task, candidate)]
        if until.looked >= ENOUGH and len(passed) >= ALWAYS * until.looked:
            detail = f"{len(passed)} of {until.looked} tasks, e.g. {passed[0].instruction[:80]!r}, pass whichever half is right"
            yield broken(law, detail, self.place, "run all tests of the task")
        elif until.looked:
            yield holds(law, f"{until.looked} tasks")

    def _passes_in_part(self, task: Task, candidate: str) -> bool:
        for bit in range(_PAIRS):
            halves = (self._judged(task, _half(candidate, bit, part)) for part in (0, 1))
            if not any(verdict is not None and verdict.status == "pass" for verdict in halves):
                return False
        return True

    def comments(self) -> Iterator[Finding]:
        law, wrong = "a program is right whatever its comments say", []
        for task, _, candidate in self.right[:ENOUGH]:
            verdict = self._judged(task, candidate + _COMMENT)
            wrong += [(task, verdict)] if verdict is not None and verdict.status == "fail" else []
        if len(wrong) == ENOUGH:
            todo = "give the program to Job.program as it is: put into another text, its quotes and backslashes mean something else"
            yield broken(law, example(wrong[0][0], _COMMENT.strip(), wrong[0][1]), self.place, todo)
        else:
            yield holds(law, f"{ENOUGH} programs with quotes, braces and backslashes")


def _cases_of(task: Task, read: Collection[str]) -> int:
    """About how many tests there are in `tests`, or in those of its fields that verify reads and that look like tests."""
    held = (value for name, value in task.fields.items() if name in read and _is_tests(value))
    return max(cases_in(task.tests), *map(cases_in, held), 0)


def _is_tests(value: Json) -> bool:
    """A source with asserts, or a list of pairs, of lists or of objects."""
    if isinstance(value, str):
        return "assert" in value
    return isinstance(value, list | tuple) and all(
        isinstance(item, list | tuple | dict) and len(item) > 1 for item in value
    )


def cases_in(tests: Json) -> int:
    """About how many tests there are."""
    if isinstance(tests, str):
        return tests.count("assert")
    if isinstance(tests, dict):
        return max((cases_in(inner) for inner in tests.values() if not isinstance(inner, str)), default=0)
    return len(tests) if isinstance(tests, list | tuple) else 0


def hollow_programs(names: Sequence[str], said: Sequence[str]) -> dict[str, str]:
    """kind -> a program that solves nothing."""
    hollow = "".join(f"\n\ndef {name}(*args, **named):\n    return {{0}}\n" for name in names)  # filled in for each
    return {
        "an exit before the tests": f"{hollow.format('None')}\nimport os\nos._exit(0)\n",
        "SystemExit before the tests": f"{hollow.format('None')}\nraise SystemExit(0)\n",
        "a program that prints that it is right": f"{hollow.format('None')}\nfor text in {said!r}:\n    print(text, flush=True)\nraise SystemExit(0)\n",
        "results that equal everything": _EVERYTHING + hollow.format("Everything()"),
        "results without value": hollow.format("None"),
    }


def _half(candidate: str, bit: int, part: int) -> str:
    wrapped = "".join(f"{name} = _of_a_part({name})\n" for name in python_functions(candidate))
    return candidate + _HALF.format(bit=bit, part=part) + wrapped
