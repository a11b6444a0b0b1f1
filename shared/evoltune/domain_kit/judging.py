"""Laws of `extract` and `verify`: right answers pass, near misses and others' answers do not, nothing depends on the moment.

Every law has a limit of time, so that a slow verifier is looked at less, and the finding says at how much.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from typing import TypeVar

from evoltune.domain import Domain
from evoltune.domain_kit.findings import Finding, Sources, broken, holds, shown
from evoltune.domain_kit.near_misses import HOSTILE, SHORT_HOSTILE, UNRELATED, grown, in_place, near_misses
from evoltune.domain_kit.parts import hostile_parts, shape
from evoltune.domain_kit.probing import Outcome, Probe
from evoltune.domain_kit.queries import equal_forms
from evoltune.record import STATUSES, Json, Record, Task, Verdict
from evoltune.verification.records import NO_ANSWER

CHECK_S = 40.0
"""Seconds of work in which a check should end; a slow verifier is looked at less."""
LAW_S = 6.0
"""Seconds for one law at most; the time in which programs run in the sandbox counts."""
PATIENCE = 4
"""Calls that may not come back: each takes a verifier's whole limit of time."""
BUSY = 2.0
"""How many times as long a check may take on a busy machine."""
FORM = "constraints"
"""`evidence.method` of a verdict on an answer's form (length, format): a wrong answer of the right form passes it."""
MUST_REJECT = 0.9
"""Share of seeds of which at least one mutated answer must be rejected (a mutant may happen to be right)."""
ALWAYS = 0.8
"""Share of near misses of one kind, or of other tasks' answers, above which they pass by rule and not by chance."""
WITNESSES = 3
"""Tasks with different answers which one text must all pass, before it counts as passing whatever the task."""
SHIFTS = (*(-86400.0 * 366 * years for years in (6, 3, 10, 1, 2, 4, 5, 7, 8)),
          *(3600.0 * hours for hours in range(1, 24)), 1.0, 2.0, 3.0, 5.0, 7.0, 11.0, 0.5, 61.0, 1800.0,
          *(86400.0 * d for d in (1, 2, 3, 4, 5, 6, 13, 31, 92, 190, 400)), 86400.0 * 3000)  # fmt: skip
"""Seconds by which the clock is put forward, or back: seeds are of earlier years."""
LEAPS = (0.3, 3.0)
"""Seconds that pass between two looks at the clock on a busy machine."""

MOST_TIMED = 16
"""Candidates that are judged again at other times, because their verdict looked at a clock."""
LONG = 12_000
"""Blank lines that make an answer long and leave it what it is: a reason must not quote it whole."""
_BLANKS = "strip blanks and read \\r\\n as a line's end: models write both"

T = TypeVar("T")
Attempt = tuple[Task, str]
"""A task and an answer to it."""


@dataclass
class Judged:
    """What the first law found out, for the others."""

    right: list[tuple[Task, str, str]] = field(default_factory=list)
    """(task, response, candidate) of answers that pass by their content."""
    known: dict[tuple[tuple[str, str], str], bool] = field(default_factory=dict)
    """((instruction, reference), answer) -> whether the domain's author calls it right."""
    silent: bool = False
    """Nothing was judged: each answer is unverifiable, though there are references."""
    stopped: bool = False
    """A call did not come back, or everything raises: the other laws would meet the same."""


def asked(task: Task) -> tuple[str, str]:
    """What tells a task from others: its question and its right answer."""
    return task.instruction, task.reference or ""


class Until:
    """A limit of time for one law; counts what was looked at."""

    def __init__(self, seconds: float, spent: Callable[[], float], latest: float) -> None:
        self._spent, self._end, self._latest, self.looked = spent, spent() + seconds, latest, 0

    def over(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            if self.looked and (self._spent() > self._end or time.monotonic() > self._latest):
                return
            self.looked += 1
            yield item


class Allowance:
    """The time of a whole check, shared out to its laws: the later and the longer the check, the less for each.

    What counts is the work: CPU of this process and of the probes, and the time of programs in the sandbox. So a busy machine
    looks at as much as an idle one, up to `BUSY` times the time.
    """

    def __init__(self, seconds: float, probes: Sequence[Probe]) -> None:
        self._probes = probes
        self._end, self._latest = self.spent() + seconds, time.monotonic() + BUSY * seconds

    def spent(self) -> float:
        """Seconds of work so far."""
        return time.process_time() + sum(p.cpu for p in self._probes) + self._probes[0].jobs.seconds

    def until(self, laws: float = 1.0) -> Until:
        """The limit of a law that may take as much as `laws` of the usual kind."""
        now = time.monotonic()
        wall = laws * min(BUSY * LAW_S, max(0.5, (self._latest - now) / 4))
        return Until(laws * min(LAW_S, max(0.5, (self._end - self.spent()) / 4)), self.spent, now + wall)


@dataclass
class Laws:
    """The laws of one domain's verifier, on two probe processes: other hash seed, other order, other names."""

    domain: Domain
    sources: Sources
    first: Probe
    second: Probe
    time: Allowance
    lost: int = 0
    """Calls that did not come back; after `PATIENCE` of them nothing more is asked."""
    cpu: list[float] = field(default_factory=list)
    """CPU seconds of each answer that was judged."""
    timed: list[Attempt] = field(default_factory=list)
    """Candidates whose verdict looked at a clock, or at chance."""
    crashes: dict[str, Finding] = field(default_factory=dict)
    """place -> what raised, returned another type, or did not come back there."""

    def judge(self, probe: Probe, task: Task, text: str, **mode: float) -> tuple[str | None, Verdict] | None:
        """(candidate, verdict) of a response; None where the domain's code failed, which becomes a finding."""
        if self.lost >= PATIENCE:
            return None
        outcome = probe.call("answer", task, text, name="extract and verify", **mode)
        self.cpu.append(outcome.cpu)
        failed = self.failed(outcome, f"{text[:80]!r} as an answer to {task.instruction[:60]!r}")
        return None if failed else outcome.value

    def verdict(self, probe: Probe, task: Task, candidate: str, **mode: float) -> Verdict | None:
        if self.lost >= PATIENCE:
            return None
        outcome = probe.call("verify", task, candidate, name="verify", **mode)
        if (outcome.clock or outcome.random) and len(self.timed) < MOST_TIMED:
            self.timed.append((task, candidate))
        about = f"the candidate {candidate[:80]!r} of {task.instruction[:60]!r}"
        return None if self.failed(outcome, about) else outcome.value

    def failed(
        self, outcome: Outcome, about: str, law: str = "extract and verify come back with what they promise"
    ) -> bool:
        """Whether a call of the domain's code failed. If so, a finding under `law` is noted, one for each place in the code."""
        if not outcome.kind:
            return False
        self.lost += outcome.kind == "lost"
        where = shown(outcome.where) or self.sources.function(self.domain.verify)
        todo = {
            "raise": "return a Verdict instead of raising, whatever the answer is (catch what the parsing raises)",
            "type": "return what the contract in docs/domains.md says",
            "lost": "end in time and return a verdict: programs belong in context.run, which has limits",
        }[outcome.kind]
        self.crashes.setdefault(where, broken(law, f"{outcome.error}, for {about}", where, todo))
        return True

    # ---- right answers

    def references(self, seeds: Sequence[Record], judged: Judged) -> Iterator[Finding]:
        law, place = "references are accepted", self.sources.function(self.domain.verify)
        pairs = [(s.task, s.answers[0].text if s.answers else s.task.reference) for s in seeds]
        pairs += [(s.task, answer.text) for s in seeds for answer in s.answers[1:]]
        solved = [(task, text) for task, text in pairs if text]
        until, wrong, verified, known = self.time.until(2), None, 0, 0
        silent: list[tuple[Task, Verdict]] = []
        for task, text in until.over(_spread(solved)):
            found = self.judge(self.first, task, text)
            if found is None:
                if (
                    len(self.crashes) >= 2
                    or "did not come back" in str(self.crashes)
                    or "ended its process" in str(self.crashes)
                ):
                    judged.stopped = True
                    return
                continue
            candidate, verdict = found
            has_reference = task.reference is not None or task.tests is not None
            known += has_reference
            if verdict.status == "unverifiable":
                silent += [(task, verdict)] * has_reference
                continue
            verified += 1
            if verdict.status != "pass":
                wrong = wrong or (task, text, verdict)
            elif verdict.evidence.get("method") != FORM and candidate is not None:
                judged.right.append((task, text, candidate))
        count = f"{verified} of {len(solved)} seed answers can be verified" + (
            f", {until.looked} looked at" if until.looked < len(solved) else ""
        )
        if wrong:
            at = self.sources.line_of(wrong[0].instruction) or place
            yield broken(law, example(*wrong), at, "correct this seed's answer, or make extract and verify accept it")
        elif len(silent) > 0.2 * max(1, known):
            judged.silent = not verified
            reason = f"{len(silent)} of {known} answers with a reference are unverifiable ({silent[0][1].reason[:80]!r}), e.g. {silent[0][0].instruction[:60]!r}"
            yield broken(
                law,
                f"0 of {len(solved)} seed answers can be verified: {reason}" if not verified else reason,
                place,
                "write verify, so that it judges them",
            )
        elif verified:
            yield holds(law, count)
        elif solved:
            yield holds(
                "answers are unverifiable, as in an open domain",
                f"{until.looked} answers without reference or tests; laws of right and wrong do not apply",
            )

    def forms(self, judged: Judged) -> Iterator[Finding]:
        law, until = "references are accepted in equivalent forms", self.time.until()
        forms = (
            (t, form, todo)
            for t, text, candidate in judged.right
            for form, todo in (
                *((form, _BLANKS) for form in (f"\n{text}\n", text.replace("\n", "\r\n"), f"{text}   ")),
                *(
                    (in_place(text, candidate, other), f"accept {kind}")
                    for kind, other in equal_forms(candidate).items()
                ),
            )
        )
        for task, form, todo in until.over(forms):
            found = self.judge(self.first, task, form)
            if found and found[1].status != "pass":
                yield broken(law, example(task, form, found[1]), self.sources.function(self.domain.extract), todo)
                return
        yield holds(law, f"{until.looked} forms")

    # ---- bad answers

    def hostile(self, tasks: Sequence[Task], right: Sequence[tuple[Task, str]] = ()) -> Iterator[Finding]:
        """Bad answers end as verdicts, in time, and never as a crash, an error or a pass. `right`: tasks with right candidates."""
        law, until = "bad candidates end as verdicts, within the time limit", self.time.until(2)
        crashes = len(self.crashes)
        tries = [(task, text) for task in tasks[:1] for text in HOSTILE] + [
            (task, text) for task in tasks[1:3] for text in HOSTILE[:8]
        ]
        near = [wrong + "\n" * LONG for task in tasks[:1] for wrong in near_misses(task.reference or "").values()]
        shaped = [(task, text) for task, candidate in _unlike(right) for text in grown(candidate)]
        of_shape = {shape(candidate): (task, candidate) for task, candidate in right}
        shaped += [(task, text) for task, own in [*of_shape.values()][:FORMS] for text in hostile_parts(own)]
        may_pass = {*near, *(text for _, text in shaped)} - {text for _, text in tries}
        for task, text in until.over([*tries, *((tasks[0], text) for text in near), *shaped]):
            found = self.judge(self.first, task, text)
            direct = None if found is None else self.verdict(self.first, task, text)
            for verdict in (found[1] if found else None, direct):
                if verdict and text not in may_pass and verdict.status not in {*STATUSES} - {"pass", "error"}:
                    todo = "a bad answer is a `fail`; `error` is for what the answer is not to blame for"
                    yield broken(law, example(task, text, verdict), self.sources.function(self.domain.verify), todo)
                    return
            if len(self.crashes) > crashes:
                crash = list(self.crashes.values())[crashes]
                yield broken(law, crash.detail, crash.where, crash.todo)
                return
        yield holds(law, f"{until.looked} hostile answers")

    def without_reference(self, judged: Judged) -> Iterator[Finding]:
        """A rewritten task has neither reference nor tests nor, mostly, fields."""
        law, crashes, until = (
            "a task without reference is judged or called unverifiable",
            len(self.crashes),
            self.time.until(),
        )
        note = ""
        for task, text, _ in until.over(judged.right[:6]):
            child = replace(task, reference=None, name="")
            verdicts = [self.judge(self.first, child, answer) for answer in (text, *UNRELATED[:2])]
            if len(self.crashes) > crashes:
                crash = list(self.crashes.values())[crashes]
                todo = "return Verdict(status='unverifiable', reason=...) where the task has no reference: rewritten tasks have none"
                yield broken(law, crash.detail, crash.where, todo)
                return
            accepted = next((v for v in verdicts[1:] if v and v[1].status == "pass"), None)
            if accepted:
                todo = "return Verdict(status='unverifiable', reason=...) where the task has no reference"
                smallest = example(child, UNRELATED[0], accepted[1])
                yield broken(law, smallest, self.sources.function(self.domain.verify), todo)
                return
            if found := self._judged_by_nothing(child, text):
                todo = "return Verdict(status='unverifiable', reason=...) where the task has nothing to judge by: no tests are no proof"
                yield broken(law, found, self.sources.function(self.domain.verify), todo)
                return
            bare = self.first.call("answer", replace(child, tests=None, fields={}), text, name="verify")
            if bare.kind == "raise":
                note = f"; without its fields {bare.error[:80]}, which counts as `error`: better `unverifiable`"
        if until.looked:
            yield holds(law, f"{until.looked} tasks{note}")

    def _judged_by_nothing(self, child: Task, right: str) -> str:
        """An answer that is judged though its task has neither reference nor tests; "" where there is none."""
        empty: Json = type(child.tests)() if isinstance(child.tests, list | tuple | dict | str) else None
        for bare in (replace(child, tests=empty), replace(child, tests=None), replace(child, tests=None, fields={})):
            for text in UNRELATED[:2]:
                verdict = self.first.call("verify", bare, text, name="verify").value
                if verdict and verdict.status == "pass":
                    return example(bare, text, verdict)
            found = self.first.call("answer", bare, right, name="extract and verify").value
            if found and found[0] is not None and found[1].status == "fail":
                return f"a right answer gets {example(bare, right, found[1])}, though nothing says what is right"
        return ""

    # ---- the same answer, the same verdict

    def deterministic(self, judged: Judged, tasks: Sequence[Task]) -> Iterator[Finding]:
        """In another process with another hash seed, in another order, again and again, at another time."""
        law = "the same answer gets the same verdict"
        tries: list[Attempt] = []
        for task, text, candidate in judged.right[:12]:
            tries += [(task, text), *((task, wrong) for wrong in list(near_misses(candidate).values())[:2])]
        some = judged.right[:6]
        tries += [(task, f"{text}\n\n{other}") for (task, text, _), (_, other, _) in pairwise(some)]
        tries += [(task, text) for task in tasks[:3] for text in UNRELATED]
        tries += [(task, text) for task in tasks[:1] for text in SHORT_HOSTILE if self.second.hidden]
        until = self.time.until()
        first, used = self._all(self.first, tries, until)
        second, _ = self._all(
            self.second, [(replace(t, name=""), a) for t, a in tries[: until.looked]][::-1], self.time.until()
        )
        again, _ = self._all(self.first, tries[: until.looked], self.time.until())
        todo = "use nothing but the task, the candidate and context: no clock, no chance, no memory of earlier calls, no order of a set"
        place = self.sources.function(self.domain.verify)
        known = [*zip(tries, first, strict=False)]
        for (attempt, a), b in [*zip(known, again, strict=False), *zip(known[::-1], second, strict=False)]:
            if a and b and differ(a, b):
                same = (a.status, a.reason) == (b.status, b.reason)
                evidence = (
                    f", with the evidence {dict(a.evidence)!r:.100} and then {dict(b.evidence)!r:.100}" if same else ""
                )
                yield broken(
                    law, f"first {a.status} ({a.reason[:60]!r}), then {example(*attempt, b)}{evidence}", place, todo
                )
                return
        if found := self._repeated(tries, first, used):
            yield broken(law, found, place, todo)
            return
        yield holds(law, f"{until.looked} answers, in two processes and orders, again and again")

    def _all(self, probe: Probe, tries: Sequence[Attempt], until: Until) -> tuple[list[Verdict | None], set[str]]:
        verdicts: list[Verdict | None] = []
        used: set[str] = set()
        for task, text in until.over(tries):
            outcome = probe.call("answer", task, text, name="extract and verify")
            used |= {"clock"} if outcome.clock else set()
            used |= {"random"} if outcome.random else set()
            verdicts.append(None if self.failed(outcome, f"{text[:80]!r}") else outcome.value[1])
            if outcome.kind == "lost":
                break
        return verdicts, used

    def _repeated(self, tries: Sequence[Attempt], first: Sequence[Verdict | None], used: set[str]) -> str:
        """A right and a wrong answer many times, at many times of the clock, and at the ends of chance; "" where all agree."""
        known = [(attempt, v) for attempt, v in zip(tries, first, strict=False) if v]
        right = next((k for k in known if k[1].status == "pass"), None)
        wrong = next((k for k in known if k[1].status == "fail" and k[1].reason != NO_ANSWER), None)
        some = [k for k in (wrong, right) if k]
        modes: list[dict[str, float]] = []
        if "clock" in used:
            modes += [*({"leap": seconds} for seconds in LEAPS), *({"shift": seconds} for seconds in SHIFTS)]
        if "random" in used:
            modes += [{"extreme": 0}, {"extreme": 1}]
        plans: list[list[tuple[tuple[Attempt, Verdict], dict[str, float]]]] = [
            [(k, mode) for mode in modes for k in some],
            [(k, {}) for k in [*some * 150]],
        ]
        for plan in plans:
            for (attempt, expected), mode in self.time.until(0.5).over(plan):
                outcome = self.second.call("answer", *attempt, name="extract and verify", **mode)
                if outcome.kind == "lost" or (mode.get("extreme") is not None and outcome.kind):
                    break
                verdict = outcome.value[1] if not outcome.kind else None
                late = "leap" in mode and verdict and verdict.status == "timeout" and not self.first.jobs.seconds
                if verdict and (late or differ(expected, verdict)):
                    why = {
                        "shift": "at another time of the clock",
                        "extreme": "with other random numbers",
                        "leap": "on a busy machine",
                    }
                    how = next((why[name] for name in mode), "asked again")
                    return f"first {expected.status}, {how} {example(*attempt, verdict)}"
        return ""

    def columns_suffice(self, judged: Judged) -> Iterator[Finding]:
        """Rows files and rewards pass on the columns alone: with these the verdict is the same."""
        law, until, kept = "columns are enough to judge by", self.time.until(0.5), self.domain.columns
        for task, text, candidate in until.over([item for item in judged.right if {*item[0].fields} - {*kept}][:12]):
            bare = replace(task, fields={name: value for name, value in task.fields.items() if name in kept})
            for answer in (text, *list(near_misses(candidate).values())[:1]):
                whole, again = self.judge(self.first, task, answer), self.judge(self.first, bare, answer)
                if (
                    whole
                    and again
                    and whole[1].status != again[1].status
                    and not {whole[1].status, again[1].status} & LATE
                ):
                    missing = sorted({*task.fields} - {*kept})
                    detail = f"{whole[1].status}, and without the fields {', '.join(missing)} {example(bare, answer, again[1])}"
                    todo = "name in Domain.columns each field that verify needs: rows files and rewards keep only these"
                    yield broken(law, detail, self.sources.function(self.domain.verify), todo)
                    return
        if until.looked:
            yield holds(law, f"{until.looked} tasks with further fields")


def _unlike(right: Sequence[tuple[Task, str]]) -> list[tuple[Task, str]]:
    """The tasks whose answers bring the most characters that those before them lack."""
    seen: set[str] = set()
    chosen: list[tuple[Task, str]] = []
    for task, candidate in sorted(right, key=lambda r: -len({*r[1]})):
        if {*candidate} - seen and len(candidate) <= SHAPED and len(chosen) < SHAPES:
            seen |= {*candidate}
            chosen.append((task, candidate))
    return chosen


SHAPES, SHAPED, FORMS = 2, 200, 6
"""Answers of which longer ones of their shape are made, their characters at most, and answers of which a part gets out of bounds."""
LATE = frozenset(("timeout", "memory"))
MEASURED = frozenset(("cpu_s", "wall_s", "memory_mb"))
"""What the sandbox's verdicts measure; it never enters a dataset."""


def differ(a: Verdict, b: Verdict) -> bool:
    """Whether two verdicts on one answer differ; a limit of time or memory may strike once."""
    if {a.status, b.status} & LATE:
        return False
    return (a.status, a.reason, _shown_evidence(a)) != (b.status, b.reason, _shown_evidence(b))


def _shown_evidence(verdict: Verdict) -> dict[str, Json]:
    """The evidence without what the sandbox measured."""
    return {key: value for key, value in verdict.evidence.items() if key not in MEASURED}


def _spread(items: Sequence[Attempt]) -> list[Attempt]:
    """The items in an order whose beginning holds some of every part."""
    step = max(1, len(items) // 24)
    return [item for start in range(step) for item in islice(items, start, None, step)]


def example(task: Task, text: str, verdict: Verdict) -> str:
    reason = verdict.reason[:80]
    return f"{verdict.status} ({reason!r}) for {text[:120]!r} as an answer to {task.instruction[:80]!r}"
