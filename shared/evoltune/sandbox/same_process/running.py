"""Runs a program and its tests in this process, and reports under a secret that moves on with every assertion.

Order: the tests' code is there and their modules imported before the program's first line runs; then the program is
loaded; then the tests run as their runner would run them. Invariant: `pass` is reported only where every test ran to its end,
at least one assertion held, and every assertion on the way was reached.

    judge(3, {"key": bytes(16), "program": "def f(x): return x", "tests": prepared(...), "entry": "f", "each": False, "libraries": [], "apart": False})

What does not depend on a job is made by `prepare`, in the process that forks those that judge: a page that a new process is the
first to write to costs it 2 microseconds, as much as a hundred bytecodes, and each function that it calls for the first time costs
three. So what a job does not need is not called either.
"""

import builtins
import codecs
import gc
import importlib
import os
import random
import re
import struct
import sys
import types
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from evoltune.sandbox import wire
from evoltune.sandbox.same_process import (
    bindings,
    captured,
    collecting,
    decoys,
    environment,
    exceptions,
    hiding,
    libraries,
    monitor,
    plain_values,
    preparing,
    rewriting,
    signals,
)
from evoltune.sandbox.same_process.exceptions import Outcome
from evoltune.sandbox.same_process.expectations import Skipped
from evoltune.sandbox.same_process.importing import JUDGES, PROGRAM, Imports, is_at_hand, judges_of_program
from evoltune.sandbox.same_process.matchers import leads_to_matcher
from evoltune.sandbox.same_process.names import SHARED_NAMES, TestSpace

_OF_MEMORY = ("ctypes", "_ctypes")
"""Modules whose pointers read and write all memory unheard: that somebody imports them is heard."""
_WITH_MEMORY = frozenset(
    {"numpy.ctypeslib", "numpy.core._internal", "numpy.ctypeslib._ctypeslib", "numpy._core._internal"}
)
"""Modules with one of these among their names, which do without it where it is missing."""
EXIT_MEMORY = 86
_NAME = re.compile(r"[A-Za-z_]\w*")
_write, _exit, _getpid = os.write, os._exit, os.getpid
_chunks = wire.encoder()


_next: list["Run"] = []
"""The run that the next job takes."""


def prepare() -> None:
    """Makes what every job needs, unless it is there."""
    if not _next:
        hiding.hide()
        _next.append(Run())


def judge(channel: int, request: dict[str, Any]) -> None:
    """Runs one job and reports it. Never returns."""
    if not _next:
        prepare()
    run, key = _next[0], request["key"]
    decoys.draw_anew(key)
    run.begin(request, key)
    del request["key"], key
    try:
        outcome = run.outcome()
    except MemoryError:
        _exit(EXIT_MEMORY)
    body = report(run.state, outcome)
    while body:
        body = body[_write(channel, body) :]
    os.read(channel, 1)  # until the test runner ends this process


def report(state: monitor.State, outcome: Outcome) -> bytes:
    """The message to the test runner. Streams may be the program's: they are watched as all that it does."""
    if _getpid() != state.pid:
        _exit(70)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:  # noqa: BLE001 - replaced by the program
        pass
    if state.broken:
        outcome = ("unverifiable", f"the program asks for {state.broken}, by which it could change its own verdict", {})
    status, reason, evidence = outcome
    evidence["assertions"] = sum(state.counts.values())
    body = "".join(_chunks([state.key.hex(), state.steps, [status, reason[:2000], evidence]], 0)).encode("ascii")
    return struct.pack(">I", len(body)) + body


class Run:
    """One job: what is known of its tests, and the state that they share."""

    def __init__(self) -> None:
        self.state = monitor.State()
        self.streams = environment.Streams()
        environment.ready_to_compile()
        self.imports = Imports(self._pytest_main, self._unittest_main, self._broken)
        own_module = self.imports.own
        judge = bindings.Judge(self.state, self._verify, self._lookup, self._unittest_main, own_module)
        self.functions = bindings.bound(judge)
        self.builtins = environment.Builtins(self.imports)
        self.hook = monitor.hook(self.state, self._is_tests, (self.builtins,))
        self.hidden = signals.made(self.state)
        self.tests_ran: set[str] = set()
        self.program: dict[str, Any] = {}
        self.space: TestSpace | None = None
        self.watched: list[monitor.Entry] = []
        self.tables: list[monitor.Table] = []
        self.by_libraries = [(vars(builtins), name, getattr(builtins, name)) for name in rewriting.PURE]
        """Built-ins by which libraries judge."""
        self.libraries = libraries.Libraries()
        self.runner_ran = False
        self.own: list[str] | None = None
        """Names that the tests at hand define; None while they are still being read."""
        self.fixed: dict[str, Any] = {}
        """Global names of the tests that they bind once, and what they mean."""

    def begin(self, request: dict[str, Any], key: bytes) -> None:
        """Starts a job: its request, and the key that makes the reports of its outcome unforgeable."""
        self.request, self.entry = request, request["entry"]
        self.state.begin(key)

    # ---- before the program

    def outcome(self, watched: bool = True) -> Outcome:
        """Status, reason and evidence. `watched`: under the audit hook, which cannot be removed again."""
        known = preparing.restored(self.request["tests"], self.functions)
        if "error" in known:
            return "error", known["error"], {}
        self.names, self.sources, self.defined = known["names"], known["sources"], known["defined"]
        self.mentioned, self.used_as_classes = known["mentioned"], known["used_as_classes"]
        self.catches_failures, self.read = known["catches_failures"], known["read"]
        self.needs_file, self.collected = known["needs_file"], known["functions"]
        for name in known["codecs"]:  # the interpreter remembers what it has once looked up
            with suppress(LookupError):
                codecs.lookup(name)
        modules: list[types.ModuleType] = []
        if known["imports"] or self.request["libraries"] or known["asynchronous"] or "unittest" in self.names:
            modules = self.imports.take(
                known["imports"], self.request["libraries"], "unittest" in self.names, known["asynchronous"]
            )
        if numpy := sys.modules.get("numpy"):
            plain_values.learn_arrays(numpy)
        if watched:
            self.streams.use()
            signals.hide_frames(self.hidden)
            for name in _OF_MEMORY:
                sys.modules.pop(name, None)
            for name in _WITH_MEMORY & sys.modules.keys():
                vars(sys.modules[name])["ctypes"] = None
        if mentioned := JUDGES.keys() & self.names:
            modules = [*modules, *judges_of_program(mentioned, modules)]
        judges = [importlib.import_module(n) for n in known["judges"] if is_at_hand(n)] if known["judges"] else []
        if modules or judges:
            self.watched = [*monitor.snapshot(modules), *self.by_libraries]
            self.tables = monitor.tables(modules, self.sources)
            self.libraries.take([*modules, *judges])
        if watched:
            sys.addaudithook(self.hook)
        return self._load() or self._run_tests(known["parts"])

    def _lookup(self, name: str) -> Any:
        """A global name, in the body of a class of the tests."""
        assert self.space is not None
        for space in (self.space, self.program, vars(builtins)):
            if name in space:
                return space[name]
        raise NameError(f"name {name!r} is not defined")

    def _unittest_main(self) -> Any:
        """`unittest.main()`: runs the cases now, whatever becomes of its result."""
        self._run_now()
        ran = {"wasSuccessful": lambda: True, "failures": [], "errors": [], "skipped": []}
        return types.SimpleNamespace(result=types.SimpleNamespace(**ran, testsRun=len(self.tests_ran)))

    def _verify(self, last: bool = False) -> None:
        """Raises where the program has changed a module by which the tests judge, or (often, and at the last) what such modules
        are made of."""
        n = len(self.state.counts)
        if n > monitor.MAX_VERIFIED and self.state.steps % 16 and not last:
            return
        if self.watched:
            self._unchanged(e for e in monitor.changed(self.watched) if not self._changed_by_tests(*e))
        if self.libraries.parts:
            if self.libraries.drop_patterns():
                self._broken("re's table of patterns to be another than it was")
            if last or monitor.is_due(self.state.steps):
                found = self.libraries.changed()
                self._unchanged(e for e in found if not self._is_tests_own(_called(e[1]), e[0].get(e[1])))
                self._unchanged(monitor.refilled(self.tables))
        for name, value in self.fixed.items():
            if dict.get(self.space or {}, name) is not value:
                self._broken(f"the tests' own {name} to be another than it was")

    def _unchanged(self, found: Iterable[monitor.Entry]) -> None:
        """Raises where there is one."""
        for owner, name, _ in found:
            module = owner.get("__name__", owner.get("__module__", "a module"))
            self._broken(f"{module}.{name} to be another than it was")

    def _broken(self, what: str) -> None:
        """The program has reached for the judge. Raises PermissionError, and no verdict will be believed."""
        self.state.broken = self.state.broken or what
        raise PermissionError(self.state.broken)

    def _changed_by_tests(self, owner: Any, name: str, before: Any) -> bool:
        """Whether a changed name of a module is the tests' own doing: a mock, or a function of theirs, and they mention it."""
        value = owner.get(name)
        if not any(name in source for source in self.sources):
            return _is_state(value) and not name.isupper() and type(before) is not re.Pattern
        return self._is_tests_own(name, value, constant=type(before) in monitor.CONSTANTS)

    def _is_tests_own(self, name: str, value: Any, constant: bool = False) -> bool:
        if not any(name in source for source in self.sources):
            return False
        mock = captured.modules.get("unittest.mock")
        mocked = mock is not None and isinstance(value, mock.NonCallableMock)
        state = _is_state(value) and not (constant and not monitor.is_set(name, self.sources))
        return mocked or state or _space_of(value) is self.space

    def _is_tests(self, function: Any) -> bool:
        if hiding.is_hidden(function) or any(function is h for h in self.hidden):
            return True
        if _space_of(function) is not self.space:
            return False
        code = function.__code__
        return any(
            not isinstance(c, (int, float, str, bytes, complex, tuple, frozenset, type(None), type(...)))
            for c in code.co_consts
        )

    # ---- the program

    def _load(self) -> Outcome | None:
        """Loads the program. Returns the outcome where that fails."""
        module = types.ModuleType(PROGRAM)
        for name in (PROGRAM, "__main__", *self.imports.names):
            sys.modules[name] = module
        space = self.program = self.imports.program = module.__dict__
        space["__builtins__"] = builtins
        program = self.request["program"].removeprefix("\ufeff")
        if "random" in program:
            random.seed()
        gc.enable()
        try:
            self.file = f"<{PROGRAM}>"
            if self.needs_file:
                self.file = environment.write_file(module, program, self.sources, self.imports.names)
            code = environment.compiled(program, self.file)
            exec(code, space)  # noqa: S102 - the purpose of this process
        except MemoryError:
            raise
        except SystemExit:
            return "fail", "the program exited before the tests", {"exception": "SystemExit"}
        except BaseException as error:  # noqa: BLE001 - a program may raise anything
            return exceptions.while_loading(error, self.file)
        return None

    def _entry(self) -> Any:
        try:
            return self.program[self.entry]
        except KeyError:
            raise LookupError(f"no function {self.entry!r} in the program") from None

    # ---- the tests

    def _run_tests(self, tests: list[rewriting.Tests]) -> Outcome:
        program = self.program
        plain_values.name_classes(program, self.mentioned, self.used_as_classes)
        self.space = self.imports.space = space = TestSpace(
            program, frozenset(() if self.request["apart"] else program)
        )
        dict.__setitem__(space, "__builtins__", self.builtins)
        dict.__setitem__(space, "__name__", "__main__")
        dict.__setitem__(space, "__file__", "test_solution.py")
        self._bind_judges()
        passed: list[int] = []
        first: Outcome | None = None
        for number, part in enumerate(tests):
            self.tests = part
            before = sum(self.state.counts.values())
            outcome = self._run_part(part, number)
            prepares = not part.lines and any(other.lines for other in tests)  # a case that only sets up for others
            if outcome is None and sum(self.state.counts.values()) == before and not prepares:
                outcome = "unverifiable", "the tests assert nothing: no assertion was reached", {}
            passed.append(int(outcome is None))
            if outcome is None:
                continue
            if len(tests) > 1:
                outcome[2]["case"] = number
            first = first or outcome
            if not self.request["each"] or outcome[0] == "error":
                break
        evidence: dict[str, Any] = {"passed": passed} if self.request["each"] else {}
        if shared := sorted(space.written & self.read):
            evidence[SHARED_NAMES] = shared
        status, reason, more = first or ("pass", "", {})
        return status, reason, {**evidence, **more}

    def _bind_judges(self) -> None:
        """Modules and functions by which tests judge, where they leave it to the program to import them."""
        assert self.space is not None
        for name in {*JUDGES} & self.names & {*self.program} - {self.entry}:
            module, _, attribute = JUDGES[name].partition(":")
            try:
                own: Any = importlib.import_module(module)
            except ImportError:
                continue
            dict.__setitem__(self.space, name, getattr(own, attribute) if attribute else own)

    def _run_part(self, part: rewriting.Tests, number: int) -> Outcome | None:
        """The outcome of one source of tests; None: they passed."""
        assert self.space is not None
        known, failed, source = {*dict.keys(self.space)}, self.state.failed, self.sources[number]
        try:
            exited = self._exits(part)
            self.own = [n for n in dict.keys(self.space) if n not in known or n in self.defined[number]]
            self._export()
            self.fixed |= {n: dict.get(self.space, n) for n in part.once if dict.__contains__(self.space, n)}
            if not self.runner_ran and not (exited and self._has_run_some(part)):
                self._run_collected(self.collected[number])
            self._verify(last=True)
        except SystemExit as end:
            if end.code or not exceptions.raised_by_tests(end):
                return exceptions.in_tests(end, source, self.program)
            self._verify(last=True)
        except Skipped as skipped:
            return "unverifiable", f"the tests were skipped: {skipped}", {}
        except MemoryError:
            raise
        except BaseException as error:  # noqa: BLE001 - tests may raise anything
            return exceptions.in_tests(error, source, self.program)
        if self.state.failed > failed and not self.catches_failures:
            return "fail", "an assertion failed, and the program swallowed its exception", {}
        return None

    def _exits(self, part: rewriting.Tests) -> bool:
        """Executes the source of tests. Whether they end it themselves, with status 0."""
        self.own = None
        try:
            exec(part.code, self.space)  # noqa: S102 - the tests
        except SystemExit as end:
            if end.code or not exceptions.raised_by_tests(end):
                raise
            return True
        self._missing_sites("")
        return False

    def _has_run_some(self, part: rewriting.Tests) -> bool:
        """Whether an assertion within a function was reached, or there is none: a loader may have found nothing to run."""
        sites = {site for name, inside in part.straight.items() if name for site in inside}
        return not sites or not sites.isdisjoint(self.state.counts)

    def _export(self) -> None:
        """Classes and functions of the tests that the program names without defining them are its names too."""
        assert self.space is not None
        program: str = self.request["program"]
        for name in self.own or ():
            value = dict.get(self.space, name)
            wanted = name in program and name not in self.program and isinstance(value, type | types.FunctionType)
            if wanted and name in _NAME.findall(program) and not leads_to_matcher(value):
                self.program[name] = value
                if isinstance(value, type):
                    plain_values.exported.add(value)

    def _run_collected(self, functions: list[tuple[str, bool]] | None = None) -> None:
        """Runs the tests as their runner would. `functions`: what these are where nothing needs to be collected: names, and whether
        they take the function under test."""
        space: Any = self.space
        reached = {*self.state.counts}
        found: list[tuple[str, Any, bool]]
        if functions is None:
            own = [n for n in dict.keys(space) if not n.startswith("__")] if self.own is None else self.own
            found = [(test.name, test.run, False) for test in collecting.collected(space, own, self._entry)]
        else:
            found = [(name, dict.get(space, name), takes) for name, takes in functions]
        for name, run, takes_entry in found:
            sites = self.tests.straight.get(name, []) if name else []
            if sites and "." not in name and reached.issuperset(sites):
                continue  # the source called it itself
            try:
                run(self._entry()) if takes_entry else run()
            except (Skipped, captured.of_unittest("SkipTest")):
                if not any("skip" in source or "xfail" in source for source in self.sources):
                    raise AssertionError("the program skips the test") from None
                continue
            if name:
                self.tests_ran.add(name)
                self._missing_sites(name)

    def _missing_sites(self, name: str) -> None:
        """Raises where a test ended well without an assertion that lies on its way."""
        for site in self.tests.straight.get(name, ()):
            if site not in self.state.counts:
                self._broken(f"an assertion of the tests (line {self.tests.lines[site]}) to be left out")

    def _pytest_main(self) -> int:
        self._run_now()
        return 0

    def _run_now(self) -> None:
        """Runs what is collected where the tests themselves ask for it."""
        self._run_collected()
        self.runner_ran = True


def _space_of(function: Any) -> Any:
    return hiding.globals_of(function) if type(function) is types.FunctionType else None


def _is_state(value: Any) -> bool:
    """Whether a value decides nothing by itself: it is neither called nor a method in disguise."""
    return not callable(value) and type(value) is not types.ModuleType and not hasattr(type(value), "__get__")


def _called(key: Any) -> str:
    """What tests would call a name, or the key of a table."""
    return str(getattr(key, "__name__", key))
