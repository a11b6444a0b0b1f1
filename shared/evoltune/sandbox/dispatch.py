"""The verifier process's side of `context.run`: hands a job to the zygote, and checks and bounds what comes back.

Invariant: `run` returns a verdict for any job and never raises for what a program or its tests do.

    dispatcher = Dispatcher(zygote.requests, config, zygote.level)
    dispatcher.run(Job(program="def f(x): return x", tests="assert f(1) == 1", entry_point="f"))
"""

import _socket
import os
import secrets
import signal
import socket
import time
from binascii import b2a_base64
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any

from evoltune.domain import Job
from evoltune.record import STATUSES, Verdict
from evoltune.sandbox import control, languages, reading, wire
from evoltune.sandbox.ground_truth import Expected, GroundTruth
from evoltune.sandbox.job_checks import judge_of_job, refusal, shareable, sources_of, without_program_imports
from evoltune.sandbox.limits import EXIT_MEMORY, LIMITS, REPORT, JobReport, Outcome, ResourceLimits
from evoltune.sandbox.same_process.names import SHARED_NAMES
from evoltune.sandbox.same_process.preparing import prepared

PROCESSES = 64
RESULTS_LIMIT = 16 << 20
"""Bytes of an oracle's results in one message: together with the arguments they go to the test runner in one again."""
JOBS_PER_RUNNER = 256
"""A shared test runner is replaced after this many jobs."""
STARVED = 0.25
"""Share of its time that a job waited for a core, above which its timeout by the clock is not believed at once."""
TICK = 0.99
"""Share of its CPU limit from which a job has used all of it: the kernel's clock counts in steps."""
PATIENCE = 2.0
"""How many times the usual limit by the clock its second try gets; endless programs end by their CPU time before."""


class Dispatcher:
    """Runs one job at a time, in a test runner of its own or, where it is `shareable`, in a shared one."""

    def __init__(self, requests: _socket.socket, config: dict[str, Any], level: str) -> None:
        self.requests, self.config, self.level = requests, config, level
        self.number = 0
        self.more_follow = False
        """Hint that another job follows at once, so that a shared test runner is kept for it, until `close_shared`."""
        self.shared: socket.socket | None = None
        """The line to a test runner that waits for the next job."""
        self._shared_jobs = 0
        self._shared_cpu_s = 0.0
        self._expected = lru_cache(maxsize=256)(self._expected_cases)
        hidden = level in ("L2", "L3")  # below, a program could read or change what is kept
        self._ground_truth = GroundTruth(config.get("ground_truth", "") if hidden else "")

    def run(self, job: Job) -> Verdict:
        """The verdict on one program. The caller's limit by the clock does not run meanwhile: a job has its own."""
        rest, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            return self._checked(job)
        finally:
            if rest:
                signal.setitimer(signal.ITIMER_REAL, rest)

    def _checked(self, job: Job) -> Verdict:
        if (language := languages.canonical(job.language)) != job.language:
            job = replace(job, language=language)
        if refused := refusal(job):
            return refused
        job = without_program_imports(job)
        tests: Any = job.tests
        oracle = isinstance(tests, dict) and "oracle" in tests and "cases" in tests
        try:
            text = wire.encode([case[0] for case in tests["cases"]] if oracle else tests)
        except (TypeError, ValueError, RecursionError) as error:
            return Verdict(status="error", reason=f"the tests are no JSON: {error}"[:300])
        return self._run_against_oracle(job, text) if oracle else self._run(job, text)

    def run_many(self, jobs: Sequence[Job]) -> list[Verdict]:
        """The verdict on each; neighbours share a test runner where they can."""
        after, verdicts = self.more_follow, []
        for left, job in zip(reversed(range(len(jobs))), jobs, strict=True):
            self.more_follow = after or left > 0
            verdicts.append(self.run(job))
        return verdicts

    def close_shared(self) -> None:
        """Ends the shared test runner, if there is one."""
        if self.shared:
            self.shared.close()
            self.shared = None

    def _run(self, job: Job, tests: str) -> Verdict:
        judge = judge_of_job(job)
        if judge == reading.SEPARATE:
            verdict = self._run_judged(job, tests, judge)
            if not verdict.evidence.get(reading.NEEDS_SAME_PROCESS):
                return verdict
            why = verdict.reason
        else:
            why = "the tests touch more than plain values"
        if job.judge == reading.SEPARATE:
            reason = f"{why}: they must run in the program's own process, which verify.policy.judge forbids"
            return Verdict(
                status="unverifiable", reason=reason, evidence={"judge": reading.SEPARATE, "isolation": self.level}
            )
        return self._controlled(job, tests, self._run_judged(job, tests, reading.SAME_PROCESS))

    def _controlled(self, job: Job, tests: str, verdict: Verdict) -> Verdict:
        """The verdict of tests in the program's own process; a pass only where they fail without what they test, and do not depend
        on names of theirs that the program had too: it could read there what they expect."""
        evidence: dict[str, Any] = {**verdict.evidence}
        shared = evidence.pop(SHARED_NAMES, None)
        verdict = replace(verdict, evidence=evidence)
        if verdict.status == "pass" and shared:
            apart = self._run_judged(job, tests, reading.SAME_PROCESS, apart=True)
            if apart.status != "pass":
                reason = f"the tests bind {', '.join(map(repr, shared))}, which the program reads: they pass only where it can"
                return replace(verdict, status="unverifiable", reason=reason[:300])
        if verdict.status != "pass" or not control.may_judge_itself(job.program):
            return verdict
        programs = control.emptied(job.program, sources_of(job.tests) or (), job.entry_point)
        for program in programs:
            if self._run_judged(replace(job, program=program), tests, reading.SAME_PROCESS).status != "pass":
                return verdict
        if not programs:
            return verdict
        reason = "the tests pass with the functions under test emptied: they prove nothing"
        return replace(verdict, status="unverifiable", reason=reason)

    def _run_judged(self, job: Job, tests: str, judge: str, apart: bool = False) -> Verdict:
        """`apart`: the tests' global names are theirs alone."""
        verdict, doubtful = (None, False) if apart else self._run_shared(job, tests, judge)
        if verdict is None and not doubtful:
            verdict, doubtful = self._run_alone(job, tests, judge, apart=apart)
        if verdict is None or doubtful:
            verdict, _ = self._run_alone(job, tests, judge, patience=PATIENCE, apart=apart)
            verdict = replace(verdict, evidence={**verdict.evidence, "retried": True})
        return verdict

    def _run_shared(self, job: Job, tests: str, judge: str) -> tuple[Verdict | None, bool]:
        """The verdict of a shared test runner, started if need be. None where the job needs one of its own: also to confirm
        that a program which took the test runner down, or (True) ran out of time on a busy machine, is at fault itself."""
        if self.level != "L3" or not (self.shared or self.more_follow) or not shareable(job, judge):
            return None, False
        if self.shared and self._cpu_s(job) > self._shared_cpu_s:
            return None, False  # it would be killed at the limit of the job for which the test runner was started
        began = time.perf_counter()
        if self.shared is None:
            self.shared, self._shared_jobs = self._start_runner(self._limits(job, JOBS_PER_RUNNER)), 0
            self._shared_cpu_s = self._cpu_s(job)
        outcome, goes_on = self._ask(self.shared, job, tests, judge, shared=True)
        self._shared_jobs += 1
        if not goes_on or not self.more_follow or self._shared_jobs == JOBS_PER_RUNNER:
            self.close_shared()
        if outcome is None or (outcome.status == "error" and reading.NEEDS_SAME_PROCESS not in outcome.evidence):
            return None, False
        outcome.evidence["judge"] = judge
        verdict = self._verdict(outcome, began)
        cpu_s = float(outcome.evidence.get("cpu_s", 0.0))
        doubtful = verdict.status == "timeout" and is_starved(cpu_s, verdict.seconds, self._cpu_s(job))
        return (None, True) if doubtful else (verdict, False)

    def _run_alone(
        self, job: Job, tests: str, judge: str = reading.SEPARATE, *, patience: float = 1.0, apart: bool = False
    ) -> tuple[Verdict, bool]:
        """The verdict of a test runner of its own, and whether it is doubtful: out of time by the clock, of which the job waited
        long for a core. `patience`: how many times the usual limit by the clock it gets."""
        self.close_shared()
        resources, began, doubtful = self._limits(job), time.perf_counter(), False
        resources = resources._replace(wall_s=patience * resources.wall_s)
        with self._start_runner(resources) as line:
            outcome, _ = self._ask(line, job, tests, judge, shared=False, apart=apart)
        if outcome is None:  # a timeout that the test runner reports itself is one of CPU time
            report = self._report(resources.number)
            doubtful = report.killed == 1 and report.waited_s > STARVED * report.wall_s
            outcome = _outcome_of(report, resources)
        # Also where a program of another language was ended before it could say so: its tests run in its own process.
        in_its_own = job.language != "python" and sources_of(job.tests)
        outcome.evidence.setdefault("judge", reading.SAME_PROCESS if in_its_own else judge)
        return self._verdict(outcome, began), doubtful

    def _verdict(self, outcome: Outcome, began: float) -> Verdict:
        seconds, evidence = time.perf_counter() - began, {**outcome.evidence, "isolation": self.level}
        return Verdict(status=outcome.status, reason=outcome.reason, seconds=seconds, evidence=evidence)

    def _run_against_oracle(self, job: Job, argument_lists: str) -> Verdict:
        tests: Any = job.tests
        how = {key: tests.get(key) for key in ("atol", "compare", "lists") if tests.get(key)}
        expected = self._expected(str(tests["oracle"]), job.entry_point, argument_lists, wire.encode(how))
        everything = range(len(tests["cases"]))
        if isinstance(expected, Verdict):
            return self._run_whole(job, how, everything) if "too_long" in expected.evidence else expected
        text, oracle_s = expected
        job = replace(job, cpu_s=max(job.cpu_s or self.config["program_s"], 4 * oracle_s))
        verdict = self._run(replace(job, tests={"cases": []}), text)
        evidence: dict[str, Any] = dict(verdict.evidence)
        differs, seconds = evidence.pop("differs", []), verdict.seconds
        for numbers in (differs[:1], differs[1:]):  # the first alone: it mostly decides
            whole = self._run_whole(job, how, numbers) if numbers else None
            seconds += whole.seconds if whole else 0.0
            if whole and whole.status != "pass":
                return replace(whole, seconds=seconds)
        return replace(verdict, evidence=evidence, seconds=seconds)

    def _expected_cases(
        self, source: str, entry_point: str, argument_lists: str, how: str
    ) -> tuple[str, float] | Verdict:
        """Tests with the oracle's results as JSON text, long ones as digests, and the CPU seconds that it took; or why there
        are none."""
        question = (source, entry_point, argument_lists, how)
        expected = self._ground_truth.get(question)
        if expected is None:
            asked = self._ask_oracle(*question, whole=False)
            if isinstance(asked, Verdict):
                return asked
            self._ground_truth.put(question, asked)
            expected = asked
        pairs = [*zip(wire.parse(argument_lists), expected.results, strict=True)]
        return wire.encode({**wire.parse(how), "cases": pairs, "digests": expected.digests}), expected.cpu_s

    def _ask_oracle(
        self, source: str, entry_point: str, argument_lists: str, how: str, *, whole: bool
    ) -> Expected | Verdict:
        """The results of the oracle's calls; or why there are none."""
        job = Job(program=source, entry_point=entry_point, cpu_s=6 * self.config["program_s"], tests={"results": []})
        rest = wire.encode({**wire.parse(how), "whole": whole})
        verdict, _ = self._run_alone(job, f'{{"results": {argument_lists}, {rest[1:]}')
        evidence: Any = verdict.evidence
        if verdict.status != "pass":
            reason = f"the oracle: {verdict.status}: {verdict.reason}"
            return Verdict(status="error", reason=reason, evidence=evidence)
        return Expected(evidence["results"], evidence["digests"], float(evidence["cpu_s"]))

    def _run_whole(self, job: Job, how: dict[str, Any], numbers: Sequence[int]) -> Verdict:
        """The verdict on some cases against the oracle's results themselves, however long; in parts where they do not fit a
        message. The first verdict other than pass counts, else the last."""
        tests: Any = job.tests
        arguments = [tests["cases"][number][0] for number in numbers]
        expected = self._ask_oracle(
            str(tests["oracle"]), job.entry_point, wire.encode(arguments), wire.encode(how), whole=True
        )
        if isinstance(expected, Expected):
            cases = [*zip(arguments, expected.results, strict=True)]
            text = wire.encode({**how, "cases": cases, "numbers": [*numbers]})
            return self._run(replace(job, tests={"cases": []}), text)
        size, seconds = expected.evidence.get("too_long"), 0.0
        if not isinstance(size, int) or len(numbers) == 1:
            return expected
        parts, verdict = min(len(numbers), 2 * -(-size // RESULTS_LIMIT)), expected
        for part in range(parts):  # every n-th case, because long ones are often neighbours
            if signal.getitimer(signal.ITIMER_PROF)[0]:  # the verifier's own CPU limit counts for each part
                signal.setitimer(signal.ITIMER_PROF, self.config["check_s"])
            verdict = self._run_whole(job, how, numbers[part::parts])
            seconds += verdict.seconds
            if verdict.status != "pass":
                break
        return replace(verdict, seconds=seconds)

    def _limits(self, job: Job, jobs: int = 1) -> ResourceLimits:
        """The limits of a test runner for this job, or for this and others like it."""
        self.number += 1
        cpu_s = self._cpu_s(job)
        tests, language = job.tests, languages.LANGUAGES.get(job.language)
        stdio = len(tests["stdio"]) if isinstance(tests, dict) and isinstance(tests.get("stdio"), list) else 0
        wall_s = (1.5 * cpu_s + 2) * max(1.0, min(10.0, stdio / 3)) if jobs == 1 else jobs * (2 * cpu_s + 2) + 2
        build_s = language.compile_s if language else 0.0
        return ResourceLimits(
            number=self.number, memory_mb=int(self.config["memory_mb"]), cpu_s=cpu_s, wall_s=wall_s + build_s,
            processes=PROCESSES, address_space=int(not language or language.address_space), build_s=build_s,
        )  # fmt: skip

    def _cpu_s(self, job: Job) -> float:
        return float(job.cpu_s or self.config["program_s"])

    def _start_runner(self, resources: ResourceLimits) -> socket.socket:
        """Has the zygote fork a test runner. Returns our line to it."""
        ours, theirs = socket.socketpair()
        with suppress(
            BlockingIOError
        ):  # reports of jobs that gave a verdict, for which nobody waited: the zygote cleans up late
            while self.requests.recv(256, socket.MSG_DONTWAIT):
                pass
        wire.send_with_descriptors(self.requests, LIMITS.pack(*resources), theirs.fileno())
        theirs.close()
        return ours

    def _ask(
        self, line: socket.socket, job: Job, tests: str, judge: str, *, shared: bool, apart: bool = False
    ) -> tuple[Outcome | None, bool]:
        """The test runner's outcome (None: nothing that counts), and whether it goes on."""
        token = secrets.token_hex(16)
        rest: dict[str, Any] = {
            "language": job.language, "program": job.program, "entry": job.entry_point, "stdin": job.stdin, "cpu_s": self._cpu_s(job),
            "judge": judge, "memory_mb": int(self.config["memory_mb"]),
        }  # fmt: skip
        if judge == reading.SAME_PROCESS and (sources := sources_of(job.tests)):
            keep = reading.own_meanings(sources, job.program, job.entry_point)
            packed = b2a_base64(prepared(tuple(sources), frozenset(keep)), newline=False).decode("ascii")
            rest |= {"prepared": packed, "each": isinstance(job.tests, dict), "apart": apart}
            tests = "null"  # what the test runner hands on is all that it needs
        limit = RESULTS_LIMIT if isinstance(job.tests, dict) and "results" in job.tests else wire.LIMIT
        try:
            body = f'{{"tests": {tests}, {wire.encode(rest)[1:]}'
            wire.send_encoded(line, f'["{token}", {str(shared).lower()}, {body}]')
            repeated, (status, reason, evidence), goes_on = wire.receive(line, limit=limit)
            well_formed = status in STATUSES and isinstance(reason, str) and isinstance(evidence, dict)
            if repeated == token and well_formed:
                return Outcome(status, reason, evidence), goes_on is True
        except wire.MessageTooLong as error:
            return Outcome("error", f"the values are too long: {error}", {"too_long": error.size}), False
        except (EOFError, OSError, wire.ProtocolError, ValueError, TypeError):
            pass
        return None, False

    def _report(self, number: int) -> JobReport:
        """Waits for the zygote's report of a job; reports of earlier jobs, also of a verifier process before, are skipped."""
        while True:
            body = self.requests.recv(256)
            if not body:
                os._exit(0)  # the zygote is gone, and the supervisor is about to end us
            report = JobReport(*REPORT.unpack(body))
            if report.number == number:
                return report


def is_starved(cpu_s: float, wall_s: float, limit_s: float) -> bool:
    """Whether a job that a shared test runner ended for its time waited long for a core and has CPU time left. What it has used is
    its own, whoever else ran there, so a job that has used all of it is believed to be out of time at once: a second try would
    make every endless program twice as expensive."""
    return cpu_s < min((1 - STARVED) * wall_s, TICK * limit_s)


def _outcome_of(report: JobReport, resources: ResourceLimits) -> Outcome:
    """The outcome where the test runner sent none, by the zygote's report."""
    evidence = {"memory_mb": round(report.peak_kb / 1024, 1), "wall_s": round(report.wall_s, 3)}
    exited = os.WIFEXITED(report.status)
    if report.killed == 1:
        reason = f"not done after {report.wall_s:.1f} s ({resources.cpu_s:g} s of CPU allowed)"
        return Outcome("timeout", reason, evidence)
    if report.killed == 2 or (exited and os.WEXITSTATUS(report.status) == EXIT_MEMORY):
        return Outcome("memory", f"more than {resources.memory_mb} MB in all processes of the program", evidence)
    if not os.WIFSIGNALED(report.status):
        status = os.WEXITSTATUS(report.status)
        return Outcome("error", f"the test runner ended without a verdict (status {status})", evidence)
    number = os.WTERMSIG(report.status)
    if number in (signal.SIGKILL, signal.SIGXCPU) and report.wall_s >= resources.cpu_s:
        return Outcome("timeout", "the tests used up their CPU time", evidence)
    return Outcome("error", f"the test runner died ({signal.Signals(number).name})", evidence)
