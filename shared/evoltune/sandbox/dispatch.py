"""The checker's side of `context.run`: hands a job to the zygote, reads the judge's verdict, checks it, bounds it.

Invariant: `run` returns a verdict for any job and never raises for what a program or its tests do.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from evoltune.domain import Job
from evoltune.record import STATUSES, Verdict
from evoltune.sandbox import languages, values, wire
from evoltune.sandbox.limits import EXIT_MEMORY, Box, Report

MAX_PROGRAM = 4 << 20
PROCESSES = 64
RESULTS_LIMIT = 16 << 20
"""Bytes of expected values that travel in one message: beside the arguments, they go back to the judge in one."""
STAY_JOBS = 32
"""A judge who stays makes room for a young one after so many jobs."""
STARVED = 0.25
"""Share of its time that a job waited for a core, above which its timeout is not believed at once."""


class Turn:
    """A readers-writer lock between the workers of a pool: a job that is tried again alone waits until the others'
    jobs are done, and they wait for it. Byte 0 is the lock, byte 1 the gate that keeps a writer from starving."""

    def __init__(self, fd: int) -> None:
        self.fd = os.open(f"/proc/self/fd/{fd}", os.O_RDWR) if fd >= 0 else -1

    def take(self, alone: bool) -> None:
        if self.fd >= 0:
            kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
            fcntl.lockf(self.fd, kind, 1, 1)
            fcntl.lockf(self.fd, kind, 1, 0)
            fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, 1)

    def give(self) -> None:
        if self.fd >= 0:
            fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, 0)


@dataclass
class _Stayed:
    """A judge who waits for the next job."""

    line: socket.socket
    jobs: int = 0


class Client:
    """One job at a time: a checker waits for its job.

    `more`: the caller's word that another job is likely to follow at once; then the judge stays for it, until `let_go`.
    Programs that want processes or files, and tests that could leave something behind, always get one of their own."""

    def __init__(self, requests: socket.socket, spec: dict[str, Any], level: str) -> None:
        self.requests, self.spec, self.level = requests, spec, level
        self.number = 0
        self.more = False
        self._stayed: _Stayed | None = None
        self.turn = Turn(spec.get("turn", -1))
        self._starved = False
        self._oracle = lru_cache(maxsize=256)(self._oracle_values)

    def run(self, job: Job) -> Verdict:
        """One program, judged."""
        refused = _refused(job)
        if refused:
            return refused
        if isinstance(job.tests, dict) and "oracle" in job.tests:
            tests, oracle_s, failure = self._with_expected(job)
            if failure and "too_long" in failure.evidence and len(job.tests["cases"]) > 1:
                return self._in_parts(job, int(str(failure.evidence["too_long"])))
            if failure:
                return failure
            job = replace(job, tests=tests, cpu_s=max(job.cpu_s or self.spec["program_s"], 4 * oracle_s))
        if shared := self._by_one_who_stays(job):
            return shared
        verdict = self._send(job)
        if verdict.status == "timeout" and self._starved:
            alone = self._send(job, alone=True)
            verdict = replace(alone, evidence={**alone.evidence, "retried": "alone"})
        return verdict

    def _in_parts(self, job: Job, size: int) -> Verdict:
        """Cases whose expected values, `size` bytes together, do not fit a message: in parts that do. The first verdict
        that is no pass counts, else the last."""
        assert isinstance(job.tests, dict)
        cases, verdict, seconds = job.tests["cases"], None, 0.0
        parts = min(len(cases), 2 * -(-size // RESULTS_LIMIT))
        for part in range(parts):  # every n-th case: the long ones stand together as a rule
            if signal.getitimer(signal.ITIMER_PROF)[0]:  # the checker's own CPU limit counts for each part
                signal.setitimer(signal.ITIMER_PROF, self.spec["check_s"])
            verdict = self.run(replace(job, tests={**job.tests, "cases": cases[part::parts]}))
            seconds += verdict.seconds
            self._oracle.cache_clear()  # hundreds of megabytes, as Python objects
            if verdict.status != "pass":
                break
        assert verdict is not None
        return replace(verdict, seconds=seconds)

    def run_many(self, jobs: Sequence[Job]) -> list[Verdict]:
        """Each of them; neighbours share a judge where they can."""
        after, verdicts = self.more, []
        for left, job in zip(reversed(range(len(jobs))), jobs, strict=True):
            self.more = after or left > 0
            verdicts.append(self.run(job))
        return verdicts

    def _by_one_who_stays(self, job: Job) -> Verdict | None:
        """The verdict of the judge who stayed, or stays from now on; None where the job needs one of its own: also to
        confirm that a program which ran out of time in a crowd, or broke its judge, is its own fault."""
        if self.level != "L3" or not (self._stayed or self.more) or not shareable(job):
            return None
        began = time.perf_counter()
        self.turn.take(alone=False)
        try:
            if self._stayed is None:
                self._stayed = _Stayed(self._request(self._box(job, STAY_JOBS)))
            row, stays = self._ask(self._stayed.line, job, stay=True)
        finally:
            self.turn.give()
        self._stayed.jobs += 1
        if not stays or not self.more or self._stayed.jobs == STAY_JOBS:
            self.let_go()
        if row is None or row[0] == "error":
            return None
        verdict = self._verdict(row, began)
        starved = float(row[2].get("cpu_s", 0.0)) < (1 - STARVED) * verdict.seconds
        return None if verdict.status == "timeout" and starved else verdict

    @property
    def keeps(self) -> bool:
        """Whether a judge waits for the next job."""
        return self._stayed is not None

    def let_go(self) -> None:
        """Ends the judge who stayed; without one, nothing."""
        if self._stayed:
            self._stayed.line.close()
            self._stayed = None

    def _with_expected(self, job: Job) -> tuple[Any, float, Verdict | None]:
        assert isinstance(job.tests, dict)
        cases = [[case[0] if isinstance(case, list | tuple) else case] for case in job.tests["cases"]]
        results, seconds, failure = self._oracle(
            str(job.tests["oracle"]), job.entry_point, json.dumps([c[0] for c in cases])
        )
        if failure:
            return None, seconds, failure
        paired = [[case[0], expected] for case, expected in zip(cases, results, strict=True)]
        return {"cases": paired, "atol": job.tests.get("atol", 0.0)}, seconds, None

    def _oracle_values(self, source: str, entry: str, cases: str) -> tuple[list[Any], float, Verdict | None]:
        job = Job(
            program=source,
            entry_point=entry,
            tests={"results": json.loads(cases)},
            cpu_s=6 * self.spec["program_s"],
        )
        verdict = self._send(job)
        if verdict.status != "pass":
            return (
                [],
                0.0,
                Verdict(
                    status="error",
                    reason=f"the oracle: {verdict.status}: {verdict.reason}",
                    evidence=verdict.evidence,
                ),
            )
        results: Any = verdict.evidence["results"]
        return list(results), float(str(verdict.evidence["cpu_s"])), None

    def _send(self, job: Job, alone: bool = False) -> Verdict:
        """`_exchange` while the machine is ours to share, or (alone) while no other worker of this pool runs a job."""
        self.let_go()
        self.turn.take(alone)
        try:
            return self._exchange(job)
        finally:
            self.turn.give()

    def _exchange(self, job: Job) -> Verdict:
        """One job by a judge of its own."""
        box, began = self._box(job), time.perf_counter()
        with self._request(box) as line:
            row, _ = self._ask(line, job, stay=False)
        if row is None or row[0] == "timeout":
            report = self._report(box.number)
            self._starved = report.waited_s > STARVED * report.wall_s
            row = row or _unsaid(report, box)
        return self._verdict(row, began)

    def _verdict(self, row: list[Any], began: float) -> Verdict:
        status, reason, evidence = row
        evidence = {**evidence, "isolation": self.level}
        return Verdict(status=status, reason=reason, seconds=time.perf_counter() - began, evidence=evidence)

    def _request(self, box: Box) -> socket.socket:
        """Has the zygote fork a judge; our line to it."""
        mine, theirs = socket.socketpair()
        self._forget_reports()
        socket.send_fds(self.requests, [box.pack()], [theirs.fileno()])
        theirs.close()
        return mine

    def _ask(self, line: socket.socket, job: Job, *, stay: bool) -> tuple[list[Any] | None, bool]:
        """The judge's [status, reason, evidence], and whether it stays. None: it said nothing that counts."""
        nonce = secrets.token_hex(16)
        body = {
            "nonce": nonce, "stay": stay, "tests": job.tests, "language": job.language, "program": job.program,
            "entry": job.entry_point, "stdin": job.stdin, "cpu_s": float(job.cpu_s or self.spec["program_s"]),
        }  # fmt: skip
        try:
            wire.send(line, body)
            results = isinstance(job.tests, dict) and "results" in job.tests
            said, row, stays = wire.receive(line, limit=RESULTS_LIMIT if results else wire.LIMIT)
            return (row, stays is True) if said == nonce and _well_formed(row) else (None, False)
        except wire.TooLong as error:
            return ["error", f"the values are too long: {error}", {"too_long": error.size}], False
        except (EOFError, OSError, wire.ProtocolError, ValueError, TypeError):
            return None, False

    def _box(self, job: Job, jobs: int = 1) -> Box:
        self.number += 1
        cpu_s = float(job.cpu_s or self.spec["program_s"])
        tests, language = job.tests, languages.named(job.language)
        stdio = len(tests["stdio"]) if isinstance(tests, dict) and isinstance(tests.get("stdio"), list) else 0
        wall_s = (1.5 * cpu_s + 2) * max(1.0, min(10.0, stdio / 3))
        if jobs > 1:
            wall_s = jobs * (2 * cpu_s + 2) + 2
        if language:
            wall_s += language.compile_s
        memory_mb = int(self.spec["memory_mb"])
        return Box(
            self.number, memory_mb, cpu_s, wall_s, PROCESSES, int(not language or language.address_space)
        )

    def _forget_reports(self) -> None:
        """Reports of jobs that gave a verdict: nobody waited for them, the zygote cleans up while the next is prepared."""
        with suppress(BlockingIOError):
            while self.requests.recv(256, socket.MSG_DONTWAIT):
                pass

    def _report(self, number: int) -> Report:
        """The zygote's word that the job is over; words about earlier jobs, of this checker or the one before, are
        skipped."""
        while True:
            body = self.requests.recv(256)
            if not body:
                os._exit(0)  # the zygote is gone, the supervisor is about to end us
            report = Report.unpack(body)
            if report.number == number:
                return report


_METHODS = (
    "append|extend|insert|remove|pop|clear|index|count|sort|reverse|keys|values|items|get|update|add|discard|union|"
    "split|rsplit|splitlines|join|strip|lstrip|rstrip|lower|upper|title|capitalize|replace|find|isdigit|isalpha|isupper|islower"
)
_DOT = re.compile(rf"\.(?!\d|[,)\]}}]|(?:{_METHODS})\()")
"""A dot that neither belongs to a number nor calls a method of plain values."""
_TEXT = re.compile(r"""([A-Za-z]*)('[^'\n]*'|"[^"\n]*")|\#[^\n]*""")
"""A string or a comment, where nothing is escaped and no string has three quotes."""
_WORD = re.compile(r"[A-Za-z_]\w*")
_REACHING = {
    "import", "getattr", "setattr", "delattr", "vars", "globals", "locals", "exec", "eval", "compile", "open", "breakpoint", "help",
    "match", "case", "np", "pd", "sp", "numpy", "sympy", "pandas", "scipy", "pytest", "typing_extensions", *sys.stdlib_module_names,
}  # fmt: skip
"""Words by which tests would reach beyond their own names; modules are among them, for the judge hands out its own."""
_WANTS = re.compile(
    r"\b(?:import|from)\b[^\n]*\b(?:os|io|pathlib|tempfile|shutil|fileinput|sqlite3|dbm|shelve|logging|threading|_thread|subprocess|"
    r"multiprocessing|concurrent|asyncio|signal|pty|ctypes|importlib)\b|\bopen\s*\(|\b__import__\b"
)
"""How programs reach processes, threads and files."""


def shareable(job: Job) -> bool:
    """Whether the verdict is the same from a judge who stays: the program wants nothing that it would not get there, and
    the tests are data, or code that reaches nothing beyond its own names."""
    tests: Any = job.tests
    if job.language != "python" or tests is None or (isinstance(tests, dict) and "stdio" in tests):
        return False
    sources = (
        tests.get("each", ()) if isinstance(tests, dict) else [tests] if isinstance(tests, str) else tests
    )
    return not _WANTS.search(job.program) and all(map(_pure, sources))


@lru_cache(maxsize=64)
def _pure(source: str) -> bool:
    """Tests that no later test can notice: calls and plain values; no module, no attribute, no way to a frame."""
    if not source.isascii() or "__" in source:
        return False
    if not any(mark in source for mark in ("\\", '"""', "'''")):
        source = _TEXT.sub(_blank, source)
    return not _DOT.search(source) and _REACHING.isdisjoint(_WORD.findall(source))


def _blank(found: re.Match[str]) -> str:
    """A comment's place, or an empty string's; a format string stays whole, for it holds code."""
    if found[2] is None:
        return ""
    return found[0] if "f" in found[1].lower() else f"{found[1]}''"


def _refused(job: Job) -> Verdict | None:
    size = len(job.program)
    if size > MAX_PROGRAM:
        return Verdict(status="fail", reason=f"the program has {size} characters, allowed {MAX_PROGRAM}")
    if job.language != "python" and (why := languages.missing(job.language)):
        return Verdict(status="unverifiable", reason=why)
    try:
        json.dumps(job.tests)
    except (TypeError, ValueError, RecursionError) as error:
        return Verdict(status="error", reason=f"the tests are no JSON: {error}"[:300])
    wrong = _misshapen(job.tests)
    return Verdict(status="error", reason=f"tests: {wrong}") if wrong else None


def _misshapen(tests: Any) -> str:
    """What is wrong with the shape of the tests; empty when nothing is."""
    if tests is None or isinstance(tests, str):
        return ""
    if isinstance(tests, list):
        return "" if tests and all(isinstance(t, str) for t in tests) else "a list must hold sources of tests"
    if not isinstance(tests, dict):
        return f"a {type(tests).__name__}, must be source, a list of sources, or one of the forms in evoltune.sandbox"
    form = next((k for k in ("each", "cases", "probe", "results", "stdio") if k in tests), None)
    if form is None:
        return f"unknown form {sorted(tests)!r}: allowed: each, cases, probe, stdio"
    rows = tests[form]
    if not isinstance(rows, list) or not rows or not isinstance(tests.get("atol") or 0.0, int | float):
        return f"{form!r} must be a list that is not empty, atol a number"
    if form == "each":
        return "" if all(isinstance(t, str) for t in rows) else "'each' must hold sources of tests"
    if form == "stdio":
        return (
            ""
            if all(isinstance(r, list | tuple) and len(r) == 2 for r in rows)
            else "'stdio' must hold [input, output]"
        )
    width = 0 if form != "cases" else 1 if "oracle" in tests else 2
    if width and not all(isinstance(r, list | tuple) and len(r) >= width for r in rows):
        return "'cases' must hold [args, expected], or [args] beside an oracle"
    try:
        arguments = [values.decode([r[0], *r[1:2]] if width else [r]) for r in rows]
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
        return f"{form!r} holds what is no tagged value: {error}"[:300]
    return (
        ""
        if all(isinstance(a[0], list | tuple) for a in arguments)
        else f"{form!r}: the arguments must be a list"
    )


def _well_formed(row: Any) -> bool:
    return (
        isinstance(row, list)
        and len(row) == 3
        and row[0] in STATUSES
        and isinstance(row[1], str)
        and isinstance(row[2], dict)
    )


def _unsaid(report: Report, box: Box) -> list[Any]:
    """The verdict when the judge said nothing: the zygote's report says why."""
    evidence = {"memory_mb": round(report.peak_kb / 1024, 1), "wall_s": round(report.wall_s, 3)}
    if report.killed == 1:
        return ["timeout", f"not done after {report.wall_s:.1f} s ({box.cpu_s:g} s of CPU allowed)", evidence]
    if report.killed == 2 or (os.WIFEXITED(report.status) and os.WEXITSTATUS(report.status) == EXIT_MEMORY):
        return ["memory", f"more than {box.memory_mb} MB in all processes of the program", evidence]
    if os.WIFSIGNALED(report.status):
        number = os.WTERMSIG(report.status)
        if number in (signal.SIGKILL, signal.SIGXCPU) and report.wall_s >= box.cpu_s:
            return ["timeout", "the tests used up their CPU time", evidence]
        return ["error", f"the judge died ({signal.Signals(number).name})", evidence]
    return ["error", f"the judge left without a verdict (status {os.WEXITSTATUS(report.status)})", evidence]
