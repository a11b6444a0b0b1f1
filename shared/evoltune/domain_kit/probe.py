"""The probe: a process of its own that imports a domain and calls its functions, one request after another.

    python -c "from evoltune.domain_kit.probe import main; main(config)"      # started by evoltune.domain_kit.probing

Nothing that a domain does here reaches the command: what it raises, where it hangs and how it ends are facts in the reply,
or in the file of notes where no reply comes. `context.run` goes to the caller, who has a sandbox.
"""

import faulthandler
import json
import os
import pickle
import random
import resource
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from evoltune.domain import Context, Domain, Job, Operator, Rewritten, load_domain, policy_of
from evoltune.domain_kit.bounds import held_by
from evoltune.domain_kit.contract import (
    BreakContract,
    bounded,
    kind_of,
    known_of,
    seed_of,
    several,
    task_of,
    text_of,
    verdict_of,
)
from evoltune.domain_kit.surroundings import Hidden
from evoltune.domain_kit.watching import Note, Watch
from evoltune.record import KnownAnswers, Record, Task, Verdict
from evoltune.sandbox import wire
from evoltune.sandbox.worker import VERIFIER_MB
from evoltune.verification.records import NO_ANSWER

OFTEN = 20
"""Calls that may write to standard error: a warning now and then."""


class Seen(dict[str, Any]):
    """A mapping that remembers which keys were asked for."""

    def __init__(self, values: Mapping[str, Any], asked: set[str]) -> None:
        super().__init__(values)
        self.asked = asked

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def __reduce__(self) -> Any:
        return dict, (dict(dict.items(self)),)


class SeenWhole(Seen):
    """One of which a copy, or a walk through it, asks for every key."""

    def __iter__(self) -> Iterator[str]:
        self.asked.update(self.keys())
        return super().__iter__()

    def items(self) -> Any:
        self.asked.update(self.keys())
        return super().items()

    def values(self) -> Any:
        self.asked.update(self.keys())
        return super().values()


def main(config: dict[str, Any]) -> None:
    """Serves requests until the caller closes the line."""
    line = socket.socket(fileno=config["line"])
    notes = os.fdopen(config["notes"], "a", buffering=1)
    faulthandler.enable(notes)
    faulthandler.register(signal.SIGUSR1, notes, all_threads=False)
    faulthandler.register(signal.SIGPROF, notes, all_threads=False, chain=True)

    def tell(note: Note) -> None:
        notes.write(f"note {json.dumps(asdict(note))}\n")

    if config["hidden"]:
        sys.meta_path.insert(0, Hidden(config["hidden"]))
    watch = Watch(config["roots"], tell)
    watch.install(elsewhere=config["elsewhere"])
    probe = _Probe(config, line, watch)
    with suppress(EOFError, OSError):
        probe.send(probe.started())
        while True:
            probe.send(probe.answer(probe.receive()))
    sys.stderr.flush()


class _Probe:
    def __init__(self, config: dict[str, Any], line: socket.socket, watch: Watch) -> None:
        self.config, self.line, self.watch = config, line, watch
        self.domain: Domain | None = None
        self.fields: set[str] = set()
        """Names of the `Task.fields` that this call asked for."""
        self.options: set[str] = set()
        """Names of the options that were asked for in `context.policy`, and in what the Domain declares."""
        self.declared: set[str] = set()
        self.context = Context(run=self.run, policy={})
        self.function = ""
        """Which of several functions of one request runs: extract or verify."""
        self.lost = ""
        """A status with which the sandbox answers every program in place of running it."""
        self.wrote = 0
        """Calls that wrote to standard error."""
        self.ran = False
        """Whether this call ran a program."""
        self.waiting = Waiting()
        self.given: tuple[Any, str] = (None, "None")
        """The last value that was returned, and what it was then."""

    def send(self, message: dict[str, Any]) -> None:
        try:
            body = pickle.dumps(message)
        except Exception as error:  # noqa: BLE001 - a value of the domain
            lost = {"value": None, "error": f"returns what cannot be pickled ({error})", "kind": "type"}
            body = pickle.dumps({**message, **lost})
        self.line.sendall(struct.pack(">Q", len(body)) + body)

    def receive(self) -> dict[str, Any]:
        (size,) = struct.unpack(">Q", wire.read_exactly(self.line, 8))
        request: dict[str, Any] = pickle.loads(wire.read_exactly(self.line, size))
        return request

    def started(self) -> dict[str, Any]:
        """The import, as a reply like any other."""
        before = {*sys.modules}
        reply = self._called("import", lambda: load_domain(self.config["ref"]), reads=False, cpu_s=self.config["cpu_s"])
        reply["heavy"] = tuple(sorted(name for name in {*sys.modules} - before if "." not in name))
        found = reply.pop("value")
        if isinstance(found, Domain):
            self.domain = found
            self._watch_declared_policy(found)
            with suppress(Exception):  # a policy that is no mapping is a finding of its own
                self._set_policy({})
            pages = (
                int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 1 << 20
            )
            limit = pages * os.sysconf("SC_PAGE_SIZE") + (VERIFIER_MB << 20)
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            self.watch.forget_settings()
        return reply

    def _watch_declared_policy(self, domain: Domain) -> None:
        """Notes who reads the defaults, by way of the Domain or of a name of the package: a recipe's own choice is not there."""
        policy = domain.policy
        if isinstance(policy, dict):
            seen = SeenWhole(policy, self.declared)
            object.__setattr__(domain, "policy", seen)
            for module in list(sys.modules.values()):
                if str(getattr(module, "__file__", None) or "").startswith(tuple(self.watch.roots)):
                    for name in [name for name, value in vars(module).items() if value is policy]:
                        setattr(module, name, seen)

    def _set_policy(self, chosen: Mapping[str, Any]) -> None:
        assert self.domain is not None
        declared = set(self.declared)
        policy = SeenWhole(json.loads(json.dumps(policy_of(self.domain, chosen))), self.options)
        self.declared.intersection_update(declared)  # it was not the domain that asked
        self.context = Context(run=self.run, many=self.run_many, policy=policy)

    def run(self, job: Job) -> Verdict:
        return self.run_many([job])[0]

    def run_many(self, jobs: Sequence[Job]) -> list[Verdict]:
        """The caller's sandbox runs them; its time is not ours."""
        self.watch.limited(max((getattr(job, "cpu_s", None) or 0.0 for job in jobs), default=0.0))
        rest = _setitimer(signal.ITIMER_PROF, 0)
        active, self.watch._active = self.watch._active, False
        try:
            wrong = next((job for job in jobs if not isinstance(job, Job)), None)
            if wrong is not None:
                raise TypeError(f"context.run takes a Job, not {type(wrong).__name__}")
            self.ran = True
            if self.lost:
                return [Verdict(status=self.lost, reason="the sandbox was lost") for _ in jobs]  # type: ignore[arg-type]
            self.send({"run": list(jobs)})
            verdicts: list[Verdict] = self.receive()["verdicts"]
            return verdicts
        finally:
            self.watch._active = active
            _setitimer(signal.ITIMER_PROF, *rest)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """One call: {"hook", "key", "args", "policy", "shift", "leap", "extreme", "lost", "one_by_one"} -> value, error, where, notes, and what was used."""
        domain, surroundings = self.domain, self.watch.surroundings
        assert domain is not None
        surroundings.set(**{name: request[name] for name in ("shift", "leap", "extreme") if name in request})
        hook, key, args = request["hook"], request.get("key", ""), request["args"]
        self.function, self.lost, self.ran, self.fields = "", request.get("lost", ""), False, set()
        whole = self.context
        if request.get("one_by_one"):
            self.context = replace(whole, many=None)
        if request.get("policy") is not None:
            self._set_policy(request["policy"])
        before, declared = pickle.dumps(args), self._declared()
        reply = self._called(
            hook,
            lambda: self._call(domain, hook, key, args),
            reads=hook not in ("seeds", "load", "known_answers"),
            cpu_s=request["cpu_s"],
        )
        if not reply["error"] and repr(pickle.loads(before)) != repr(args):
            reply["notes"].append(Note(kind="state", text="changes its arguments", where=""))
        if repr(self.given[0]) != self.given[1]:
            reply["notes"].append(Note(kind="state", text="changes what it returned before", where=""))
        self.given = (reply["value"], repr(reply["value"])) if hook in ("answer", "verify") else (None, "None")
        if self._declared() != declared:
            reply["notes"].append(Note(kind="state", text="changes the policy, or what the Domain declares", where=""))
            self._set_policy({})
        elif request.get("policy") is not None:
            self._set_policy({})
        if request.get("one_by_one"):
            self.context = whole
        if hook == "state":
            self.watch.notes = []
            self.watch.compare_bindings()
            reply["notes"] = list(self.watch.notes)
        used = {"clock": surroundings.uses_clock, "random": surroundings.uses_random, "ran": self.ran}
        names = {"fields": set(self.fields), "options": set(self.options), "declared": set(self.declared)}
        return reply | used | names | {"function": self.function}

    def _declared(self) -> str:
        """What a Domain declares and a function could change, as text."""
        domain = self.domain
        parts = [self.context.policy, domain and [domain.policy, domain.evidence, domain.columns, domain.preload]]
        return repr([*parts, domain and [p.decoding for p in domain.profiles.values()]]) if domain else ""

    def _called(self, hook: str, function: Callable[[], Any], *, reads: bool, cpu_s: float) -> dict[str, Any]:
        reply: dict[str, Any] = {"value": None, "error": "", "kind": "", "where": "", "cpu": 0.0}
        size, errors = os.fstat(1).st_size, os.fstat(2).st_size
        try:
            with self.watch.call(hook, reads=reads):
                _limit_cpu(cpu_s)
                began, idle = _cpu_now(), self.waiting.seconds()
                try:
                    reply["value"] = function()
                finally:
                    reply["cpu"] = _cpu_now() - began
                    reply["waited"] = max(0.0, self.waiting.seconds() - idle)
                    _limit_cpu(0)
        except BreakContract as error:
            reply |= {"error": str(error), "kind": "type"}
        except BaseException as error:  # noqa: BLE001 - whatever a domain raises is a finding
            cause = error.__cause__ if type(error).__name__ == "DomainError" and error.__cause__ else error
            text = str(error) if cause is not error else f"{type(error).__name__}: {error}"
            reply |= {"error": text[:300], "kind": "raise", "where": self._where(cause)}
        reply["notes"] = list(self.watch.notes)
        if os.fstat(1).st_size > size:
            reply["notes"].append(Note(kind="output", text="writes to standard output", where=""))
        self.wrote += os.fstat(2).st_size > errors
        if self.wrote == OFTEN:
            reply["notes"].append(
                Note(kind="output", text=f"writes to standard error again and again ({OFTEN} calls)", where="")
            )
        return reply

    def _where(self, error: BaseException) -> str:
        """The innermost line of the domain in a traceback; for a syntax error the line that it names."""
        if isinstance(error, SyntaxError) and (error.filename or "").startswith(tuple(self.watch.roots)):
            return f"{error.filename}:{error.lineno}"
        frames = [
            f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(tuple(self.watch.roots))
        ]
        return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""

    def _call(self, domain: Domain, hook: str, key: Any, args: tuple[Any, ...]) -> Any:
        """Calls one function and holds its result to its type. Raises BreakContract."""
        if hook == "seeds":
            return [seed_of(s) for s in several(domain.seeds(), "seeds()", Record)]
        if hook == "known_answers" and domain.known_answers:
            return [known_of(k) for k in several(domain.known_answers(), "known_answers()", KnownAnswers)]
        if hook == "load":
            benchmark = domain.benchmarks[key]
            return [task_of(t) for t in several(benchmark.load(*args), "load()", Task)]
        if hook == "answer":
            return self._answer(domain, key, *args)
        if hook == "state":
            return None
        if hook == "verify":
            task, candidate = args
            verdict = verdict_of(domain.verify(self._with_seen(task), candidate, self.context))
            bounded(verdict, (task, candidate), "verify")
            return verdict
        if hook == "verify_many":
            return self._many(domain, *args)
        if hook == "reference_in" and domain.reference_in:
            return text_of(domain.reference_in(*args), "reference_in")
        if hook == "faithful":
            faithful = domain.operators[key].faithful
            return text_of(faithful(*args) if faithful else "", "faithful", none=False)
        if hook == "confirm" and domain.confirm:
            task, candidates, evidence = args
            verdicts = domain.confirm(task, candidates, evidence, self.context)
            found = [verdict_of(v) for v in several(verdicts, "confirm", Verdict)]
            for verdict in found:
                bounded(verdict, args, "confirm")
            return found
        if hook == "overlap":
            overlap: Any = domain.overlap[key]
            return several(overlap(*args, self.context), f"overlap {key!r}", str)
        if hook == "eliminator":
            return text_of(domain.eliminators[key](*args), "an eliminator")
        if hook == "rewrite":
            return self._rewritten(domain.operators[key], *args)
        if hook == "check_steps" and domain.check_steps:
            labels = several(domain.check_steps(*args), "check_steps", object)
            if any(label is not None and not isinstance(label, bool) for label in labels):
                raise BreakContract(f"check_steps gives {labels!r}, which must be True, False or None for each step")
            return labels
        if hook == "route" and domain.route:
            return text_of(domain.route(*args), "route", none=False)
        if hook == "cases" and domain.cases:
            cases = domain.cases(*args)
            if not isinstance(cases, Sequence):
                raise BreakContract(f"cases returns {kind_of(cases)}, not a sequence: its cases are counted first")
            found = several(cases, "cases", object)
            json.dumps(found)
            return found
        if hook == "render":
            render = domain.profiles[key].render
            return text_of(render(*args) if render else None, "render", none=False)
        if hook == "stand_in" and domain.stand_in:
            return text_of(domain.stand_in(*args), "stand_in", none=False)
        raise AssertionError(hook)

    def _rewritten(self, operator: Operator, parents: Sequence[Record], number: int) -> Rewritten | str:
        assert operator.rewrite is not None
        found = operator.rewrite(parents, random.Random(number), self.context)
        if not isinstance(found, Rewritten | str):
            raise BreakContract(f"rewrite returns {kind_of(found)}, not a Rewritten or a reason")
        if isinstance(found, Rewritten):
            task_of(found.task)
            text_of(found.solution, "the solution of a Rewritten", none=False)
        return found

    def _answer(self, domain: Domain, profile: str, task: Task, response: str) -> tuple[str | None, Verdict]:
        chosen = domain.profiles[profile] if profile else None
        extract = (chosen.extract if chosen else None) or domain.extract
        verify = (chosen.verify if chosen else None) or domain.verify
        self.function = "extract"
        candidate = text_of(extract(task, response), "extract")
        if candidate is None:
            return None, Verdict(status="fail", reason=NO_ANSWER)
        self.function = "verify"
        bounded(candidate, (task, response), "extract")
        verdict = verdict_of(verify(self._with_seen(task), candidate, self.context))
        bounded(verdict, (task, response), "verify")
        return candidate, verdict

    def _many(self, domain: Domain, task: Task, texts: Sequence[str], seconds: float) -> tuple[int, int, int]:
        """(answers, how many more items, how many more bytes): what the package keeps after judging these, one after another."""
        package, until = tuple(self.watch.roots), 0
        end, latest = _cpu_now() + seconds, _wall_now() + 2 * seconds  # programs in the sandbox take none of our CPU
        for until, text in enumerate(texts, 1):
            if until == WARM_UP:
                before = held_by(package)
            with suppress(Exception):
                domain.verify(task, text, self.context)
            if _cpu_now() > end or _wall_now() > latest:
                break
        if until <= WARM_UP:
            return 0, 0, 0
        items, size = held_by(package)
        return until - WARM_UP, items - before[0], size - before[1]

    def _with_seen(self, task: Task) -> Task:
        object.__setattr__(task, "fields", Seen(task.fields, self.fields))
        return task


class Waiting:
    """How long this process has neither worked nor waited for a free core: on a busy machine a sleep is no longer than elsewhere."""

    def __init__(self) -> None:
        try:
            self._file = os.open("/proc/self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._file = -1

    def seconds(self) -> float:
        """Only differences mean something; they are 0 where the kernel does not tell how long it let the process wait for a core."""
        if self._file < 0:
            return 0.0
        queued = int(os.pread(self._file, 100, 0).split()[1]) / 1e9
        return _wall_now() - _cpu_now() - queued


_cpu_now = time.process_time
"""The clock itself: a domain is shown another one (`surroundings`)."""
_wall_now = time.monotonic
_setitimer = signal.setitimer
WARM_UP = 100
"""Answers after which what a package keeps is counted, so that its tables and libraries are there."""


def _limit_cpu(seconds: float) -> None:
    """Kills the process at the limit even where the last call let the signal be ignored."""
    if seconds and signal.getsignal(signal.SIGPROF) != signal.SIG_DFL:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
    _setitimer(signal.ITIMER_PROF, seconds)
