"""Laws of a domain's other functions: seeds, overlap, eliminators, cases, evidence, stand_in, render, benchmarks.

Each is called with what its caller would give it, and held to its contract in `evoltune/domain.py`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evoltune.domain import Domain
from evoltune.domain_kit.findings import Finding, Sources, broken, holds, shown, unchecked
from evoltune.domain_kit.judging import FORM, LEAPS, SHIFTS, Allowance
from evoltune.domain_kit.probing import Outcome, Probe
from evoltune.record import Answer, Record, Task, Verdict

BREADTH = 8
"""Seeds or problems that a function is called with."""
FOREIGN = Task(instruction="Which of the two roads is the shorter one?", name="foreign:1")
"""A problem of another domain's suite: it has none of this domain's fields."""
MOST_REASON = 200
"""Characters of an eliminator's reason: reasons are counted, so they are few and short."""
MOST_NAMED = 1 / 3
"""Share of the other problems that a copy of one may give away: more cost a dataset its rows."""
LONG = 30_000
COSTLY_S = 2.0
ODD = (
    "",
    " ",
    "\n\n",
    "?",
    "\x00",
    "\u202e\u200b",
    "\U0001f600" * 9,
    "word",
    "\u4e00\u4e01",
    "```",
    "{",
    "%s",
    "\\",
    "(",
    "[",
    "*",
    "- \n- \n",
    "1.",
    "Answer:",
    "\r\n",
)
"""Texts that a teacher may send for a task or an answer."""
STRANGE = Task(instruction="I would rather talk about the weather today.", name="strange")


@dataclass
class Hooks:
    """The functions of one domain, on two probe processes."""

    domain: Domain
    sources: Sources
    first: Probe
    second: Probe
    time: Allowance
    seeds: Sequence[Record]

    def failure(self, law: str, outcome: Outcome, place: str, todo: str) -> Finding | None:
        if not outcome.kind:
            return None
        return broken(law, outcome.error, shown(outcome.where) or place, todo)

    def ask(self, hook: str, *args: Any, key: Any = "", name: str = "") -> Outcome:
        """One call, whose result must be the same in another process, as on another machine, at other times of the clock and with
        other random numbers where it looks at these."""
        outcome = self.first.call(hook, *args, key=key, name=name)
        modes: list[tuple[str, dict[str, Any]]] = [
            ("asked again", {}),
            ("in another process, as on another machine", {}),
        ]
        modes += [("at another time of the clock", {"shift": s}) for s in SHIFTS[::2] if outcome.clock]
        modes += [("on a busy machine", {"leap": s}) for s in LEAPS if outcome.clock]
        modes += [("with other random numbers", {"extreme": i}) for i in (0, 1) if outcome.random]
        for how, mode in modes if not outcome.kind else ():
            probe = self.first if how == "asked again" else self.second
            again = probe.call(hook, *args, key=key, name=name, **mode)
            if again.kind and "extreme" in mode:
                continue
            if again.kind or _said(again.value) != _said(outcome.value):
                detail = f"{name or hook} gives {_said(outcome.value)[:80]}, and {how} {(again.error or _said(again.value))[:80]}"
                return Outcome(error=detail, kind="type", where=again.where)
        return outcome

    # ---- seeds

    def stable_seeds(self) -> Iterator[Finding]:
        """The same seeds, in the same order, at each call and in each process."""
        law, place = "seeds are the same at each call", self.sources.function(self.domain.seeds)
        todo = "read them from a file in one order, and name each by its own content or line; no clock, no chance, no counter"
        for probe, when in ((self.first, "a second call"), (self.second, "another process at another time")):
            outcome = probe.call("seeds", name="seeds", shift=0.0 if probe is self.first else 40 * 86400.0)
            if failure := self.failure(law, outcome, place, "return the seeds at each call"):
                yield failure
                return
            again = outcome.value
            differing = next((a.task for a, b in zip(self.seeds, again, strict=False) if a != b), None)
            if differing or len(again) != len(self.seeds):
                what = (
                    f"{len(self.seeds)} seeds, then {len(again)}"
                    if differing is None
                    else f"e.g. {differing.name or differing.instruction[:60]!r}"
                )
                yield broken(law, f"{when} gives others: {what}", place, todo)
                return
        yield holds(law, f"{len(self.seeds)} seeds, three calls, two processes")

    # ---- overlap

    def overlaps(self, problems: Sequence[Task]) -> Iterator[Finding]:
        tasks = [*problems[:BREADTH], *(s.task for s in self.seeds[:BREADTH])]
        suite = [replace(t, name=t.name or f"task {i}") for i, t in enumerate(tasks)]
        for method, function in self.domain.overlap.items():
            law, place = f"overlap {method!r} names the problems that a row gives away", self.sources.function(function)
            yield next(self._overlap(law, place, method, suite), None) or holds(
                law, f"{len(suite)} problems, each copied into a row"
            )

    def _overlap(self, law: str, place: str, method: str, suite: list[Task]) -> Iterator[Finding]:
        todo = "return a sequence of names of the given tasks, empty where there is none; raise for no row"
        answers = {s.task.instruction: s.answers for s in self.seeds}
        copies = [
            Record(domain=self.domain.name, task=replace(t, name=f"copy {i}"), round=1, operator="copy",
                   answers=answers.get(t.instruction) or ((Answer(text=t.reference, model="check"),) if t.reference else ()))
            for i, t in enumerate(suite)
        ]  # fmt: skip
        strange = Record(domain=self.domain.name, task=STRANGE)
        until, named, counts = self.time.until(2), 0, []
        mixed = [*suite, FOREIGN]
        yield from self._odd_rows(law, place, method, suite, strange)
        for record, tasks in until.over(
            [(strange, suite), (strange, []), (strange, mixed), *((c, suite) for c in copies)]
        ):
            outcome = self.ask("overlap", record, tasks, key=method, name=f"overlap {method!r}")
            if failure := self.failure(law, outcome, place, todo):
                yield failure
                return
            if foreign := [name for name in outcome.value if name not in {t.name for t in tasks}]:
                yield broken(law, f"it names {foreign[0]!r}, which is no task of the suite", place, todo)
                return
            if record is strange and outcome.value:
                yield broken(
                    law,
                    f"the row {STRANGE.instruction!r} gives away {outcome.value[0]!r}",
                    place,
                    "name only what the row gives away",
                )
                return
            turned = self.first.call("overlap", record, tasks[::-1], key=method, name=f"overlap {method!r}")
            if not turned.kind and {*turned.value} != {*outcome.value}:
                detail = f"it names {sorted(outcome.value)[:3]}, and {sorted(turned.value)[:3]} where the same problems come in another order"
                yield broken(law, detail, place, "look at each problem, whatever its place")
                return
            if record is not strange:
                counts.append(len(outcome.value))
                named += suite[copies.index(record)].name in outcome.value
        if copies and not named:
            if until.looked - 3 < len(copies):  # the time was up
                yield unchecked(law, f"there was time for {len(counts)} of {len(copies)} rows that copy a problem")
            else:
                todo = "name at least a problem whose copy the row is"
                yield broken(law, f"of {len(counts)} rows that copy a problem none is named", place, todo)
        others = sum(counts) - named
        if len(suite) >= 4 and counts and others > MOST_NAMED * len(counts) * (len(suite) - 1):
            detail = f"{len(counts)} rows, each a copy of one problem, give away {others / len(counts):.1f} of the {len(suite) - 1} others on average"
            yield broken(
                law, detail, place, "name only what the row gives away: a row whose problem is named is dropped"
            )

    def _odd_rows(self, law: str, place: str, method: str, suite: list[Task], strange: Record) -> Iterator[Finding]:
        """Rows as a teacher may write them: of any length, and of texts that are no pattern, path or format."""
        todo = "return names of the given tasks for whatever row, empty where there is none"
        long = (STRANGE.instruction + " ") * (LONG // len(STRANGE.instruction))
        for text in (long, *ODD):
            answers = () if text == long else (Answer(text=text, model="check"),)
            row = replace(strange, task=replace(STRANGE, instruction=text), answers=answers)
            outcome = self.first.call("overlap", row, suite, key=method, name=f"overlap {method!r}")
            if failure := self.failure(law, outcome, place, todo):
                said = f"a row of {LONG} characters" if text == long else f"a row that says {text!r}"
                yield replace(failure, detail=f"{failure.detail}, for {said}")
                return

    # ---- eliminators

    def eliminators(self) -> Iterator[Finding]:
        for i, function in enumerate(self.domain.eliminators):
            called = getattr(function, "__name__", f"number {i}")
            law, place = f"eliminator {called} keeps or drops for a reason", self.sources.function(function)
            yield next(self._eliminator(law, place, i), None) or holds(
                law, f"{min(len(self.seeds), 4 * BREADTH)} seeds as children, with and without a parent"
            )

    def _eliminator(self, law: str, place: str, key: int) -> Iterator[Finding]:
        todo = "return None to keep the child, or a reason; the parent may be None, and so may the answer"
        dropped, reasons = 0, Counter[str]()
        seeds = self.seeds[: 4 * BREADTH]
        until = self.time.until()
        for i, seed in enumerate(until.over(seeds)):
            child, parent = seed.task, seeds[i - 1].task
            answer = seed.answers[0].text if seed.answers else "an answer"
            calls = [(None, child, None), (None, child, answer), (parent, child, None), (parent, child, answer)]
            results = []
            for arguments in [*calls, *calls[:1]]:
                outcome = self.ask("eliminator", *arguments, key=key, name="an eliminator")
                if failure := self.failure(law, outcome, place, todo):
                    yield failure
                    return
                if outcome.value is not None and not outcome.value.strip():
                    yield broken(law, "it returns an empty reason", place, todo)
                    return
                results.append(outcome.value)
            if results[0] != results[-1]:
                yield broken(
                    law,
                    f"first {results[0]!r}, then {results[-1]!r} for {child.instruction[:60]!r}",
                    place,
                    "use nothing but the arguments",
                )
                return
            dropped += results[0] is not None or results[1] is not None
            reasons.update(r for r in results[:2] if r)
        yield from self._odd_children(law, place, key)
        if until.looked and dropped > until.looked / 2:
            yield broken(
                law,
                f"it drops {dropped} of {until.looked} of the domain's own seeds: {reasons.most_common(1)[0][0]!r}",
                place,
                "keep what is like the seeds",
            )

    def _odd_children(self, law: str, place: str, key: int) -> Iterator[Finding]:
        """Children as a teacher may write them: none of them may stop a run, and few reasons tell why they go."""
        first = self.seeds[0].task if self.seeds else STRANGE
        long = (first.instruction + " ") * (LONG // (len(first.instruction) + 1) + 1)
        children = [
            STRANGE,
            *(replace(first, instruction=text, reference=None, tests=None, fields={}) for text in (*ODD, long[:LONG])),
        ]
        calls: list[tuple[Task | None, Task, str | None]] = [
            (parent, child, None) for child in children for parent in (None, first)
        ]
        calls += [(None, first, text) for text in (*ODD, long[:LONG], "word " * (LONG // 5))]
        for parent, child, answer in self.time.until(0.5).over(calls):
            outcome = self.first.call("eliminator", parent, child, answer, key=key, name="an eliminator")
            text = child.instruction if answer is None else answer
            if failure := self.failure(
                law, outcome, place, "keep or drop whatever the teacher writes: it may be empty, or of any length"
            ):
                yield replace(failure, detail=f"{failure.detail}, for {text[:40]!r} ({len(text)} characters)")
                return
            if outcome.cpu > COSTLY_S:
                yield broken(
                    law,
                    f"it takes {outcome.cpu:.1f} s of CPU for {len(text)} characters",
                    place,
                    "make it cheaper: each rewrite is looked at",
                )
                return
            reason = outcome.value or ""
            if len(reason) > MOST_REASON or (len(text) > 30 and text in reason):
                detail = f"the reason {reason[:60]!r} has {len(reason)} characters and holds what was dropped"
                yield broken(law, detail, place, "give a few words that many rows share: reasons are counted")
                return


def _said(value: Any) -> str:
    """A result as text, without what may differ: seconds, and which limit struck."""
    if isinstance(value, list) and value and all(isinstance(v, Verdict) for v in value):
        return "a limit" if is_late([v.status for v in value]) else repr([(v.status, v.reason) for v in value])
    return repr(value)


def is_late(statuses: Sequence[str]) -> bool:
    return bool({*statuses} & {"timeout", "memory"})


def side_effects(notes: dict[tuple[str, str, str], Any], place: str) -> Iterator[Finding]:
    """What the functions did besides returning a value, one finding for each."""
    todo = {
        "network": "ship what it needs with the package: verification runs without a network and must give the same everywhere",
        "process": "run programs with context.run(Job(...)), which isolates and limits them",
        "file": "keep data in the package and write nothing: many workers run at once",
        "machine": "use nothing but the arguments, context and the package's files; what is to be chosen belongs in Domain.policy",
        "alarm": "measure nothing by the clock: each call has a limit of CPU time, whose handlers this replaces",
        "output": "write nothing: standard output is the command's own, and a line for each answer hides what is said on standard error; give a reason in the Verdict",
        "limit": "give Job.cpu_s a few seconds, or leave it out: an answer that never ends takes all of it",
        "sleep": "do not wait: thousands of answers are judged one after another",
        "state": "leave arguments and process as they were: the next answer is judged in the same one",
        "thread": "finish what was begun before returning",
        "exit": "return or raise: leaving ends the worker for all",
    }
    law = "no function reaches outside"
    if not notes:
        yield holds(law, "network, files, processes, output, threads and state were watched during every call")
    for (name, kind, where), note in notes.items():
        yield broken(law, f"{name} {note.text}", shown(where) or place, todo[kind])


FORM_ONLY = f"verifies form only (evidence.method: {FORM!r})"
