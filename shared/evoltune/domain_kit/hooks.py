"""Laws of a domain's other functions: seeds, confirm, overlap, eliminators, cases, evidence, stand_in, render, benchmarks.

Each is called with what its caller would give it, and held to its contract in `evoltune/domain.py`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evoltune.domain import Domain
from evoltune.domain_kit.findings import Finding, Sources, broken, holds, shown, unchecked
from evoltune.domain_kit.judging import FORM, LEAPS, SHIFTS, Allowance, Judged
from evoltune.domain_kit.near_misses import UNRELATED, near_misses
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

    # ---- confirm and evidence

    def confirms(self, judged: Judged) -> Iterator[Finding]:
        law, place = (
            "confirm judges all candidates of a task without reference",
            self.sources.function(self.domain.confirm),
        )
        if self.domain.evidence and self.domain.confirm is None:
            todo = "write confirm, which reads it, or delete the evidence: each prompt is a paid call for each row"
            yield broken(
                "evidence is read by confirm",
                "there is evidence and no confirm",
                self.sources.named(next(iter(self.domain.evidence))),
                todo,
            )
        if self.domain.confirm is None:
            return
        tasks = [(s.task, s.answers[0].text if s.answers else (s.task.reference or "")) for s in self.seeds][
            : BREADTH // 2
        ]
        until, confirmed = self.time.until(2), 0
        for task, text in until.over(tasks):
            fields = {name: value for name, value in task.fields.items() if name not in self.domain.columns}
            bare = replace(task, reference=None, tests=None, fields=fields)
            right = next((c for t, _, c in judged.right if t == task), text)
            wrong = next(iter(near_misses(right).values()), right + "zq")
            evidence = {name: (self._stand_in(task, name), "nonsense \x00 {", "") for name in self.domain.evidence}
            for found in self._confirmed(law, place, bare, right, wrong, evidence):
                yield found
                return
            agreeing = {name: (replies[0],) * 3 for name, replies in evidence.items()}
            verdicts, failure = self._agreed(law, place, bare, right, wrong, agreeing)
            if failure:
                yield failure
                return
            confirmed += "pass" in verdicts
        if until.looked >= 3 and not confirmed and (self.domain.stand_in or not self.domain.evidence):
            shown_ = (
                "evidence is three times what stand_in replies"
                if self.domain.evidence
                else "there is no evidence to ask for"
            )
            detail = (
                f"of {until.looked} tasks whose candidates agree, and whose {shown_}, none has an answer that passes"
            )
            yield broken(
                law, detail, place, "read the evidence by the names that Domain.evidence has, or delete confirm"
            )
            return
        yield holds(law, f"{until.looked} tasks")

    def _agreed(
        self, law: str, place: str, task: Task, right: str, wrong: str, evidence: Mapping[str, tuple[str, ...]]
    ) -> tuple[list[str], Finding | None]:
        """(statuses of right answers, what confirm does wrong) where all evidence agrees: only then does many a confirm decide."""
        todo = "return one Verdict of plain values for each candidate, in their order; None is a candidate without an answer"
        orders: list[list[str | None]] = [[right, wrong, None, right], [wrong, None, right, right], [right] * 4]
        orders.append([right, right, wrong, right, right])
        results: list[dict[str | None, str]] = []
        for candidates in orders:
            outcome = self.ask("confirm", task, candidates, evidence, name="confirm")
            if failure := self.failure(law, outcome, place, todo):
                return [], failure
            if len(outcome.value) != len(candidates):
                detail = f"{len(outcome.value)} verdicts for {len(candidates)} candidates {candidates!r}"[:300]
                return [], broken(law, detail, place, todo)
            statuses = [*zip(candidates, (v.status for v in outcome.value), strict=True)]
            results.append(dict(statuses))
            if results[-1].get(None) == "pass":
                return [], broken(law, "a candidate that is None (no answer found) passes", place, "give None a `fail`")
            if dict(statuses[::-1]) != results[-1] and not _is_late([status for _, status in statuses]):
                return [], broken(law, f"equal candidates get unlike verdicts: {statuses!r}"[:300], place, todo)
        first, turned, alike, _ = results
        if first != turned and not _is_late([*first.values(), *turned.values()]):
            detail = f"candidates in another order get other verdicts: {[*first.values()]}, then {[turned[c] for c in first]}"
            todo = "let no verdict depend on a candidate's place, and return them in the candidates' order"
            return [], broken(law, detail, place, todo)
        return [first[right], alike[right]], None

    def _stand_in(self, task: Task, name: str) -> str:
        if self.domain.stand_in is None:
            return "I cannot say."
        outcome = self.first.call("stand_in", task, name, name="stand_in")
        return str(outcome.value or "")

    def _confirmed(
        self, law: str, place: str, task: Task, right: str, wrong: str, evidence: Mapping[str, tuple[str, ...]]
    ) -> Iterator[Finding]:
        """What confirm does wrong with one task."""
        todo = "return one Verdict for each candidate, in their order, also for None and for evidence that is empty or nonsense"
        lists: list[tuple[list[str | None], Mapping[str, tuple[str, ...]]]] = [
            ([right, right, wrong, None], evidence), ([None, wrong, right, right], evidence), ([right, right, wrong, None], evidence),
            ([], {}), ([None], {}), ([*UNRELATED[:2]], {}), ([right, wrong], dict.fromkeys(evidence, ())),
            ([None, None, None, right], evidence), ([UNRELATED[0]], {}), ([wrong], {}),
            ([right, wrong], dict.fromkeys(evidence, ("word " * (LONG // 5), "__import__('os').system('true')", "1/0", "(" * 999))),
            (["word " * (LONG // 5), right], evidence),
        ]  # fmt: skip
        results: list[list[Verdict]] = []
        for candidates_, texts in lists:
            outcome = self.ask("confirm", task, candidates_, texts, name="confirm")
            if failure := self.failure(law, outcome, place, todo):
                yield failure
                return
            if len(outcome.value) != len(candidates_):
                yield broken(
                    law,
                    f"{len(outcome.value)} verdicts for {len(candidates_)} candidates {candidates_!r}"[:300],
                    place,
                    todo,
                )
                return
            results.append(outcome.value)
        if found := _wrong_votes(lists, [[v.status for v in verdicts] for verdicts in results], right, wrong):
            yield broken(law, found[0], place, found[1])

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
            none = f"of {until.looked - 3} rows that copy a problem none is named"
            if until.looked - 3 < len(copies):  # the time was up
                yield unchecked(law, f"{none}; there was no time for {len(copies) + 3 - until.looked} more")
            else:
                yield broken(law, none, place, "name at least a problem whose copy the row is")
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


def _wrong_votes(
    lists: Sequence[tuple[Sequence[str | None], Any]], statuses: Sequence[Sequence[str]], right: str, wrong: str
) -> tuple[str, str] | None:
    """(what is wrong with the verdicts of `confirm` on these lists of candidates, what to do)."""
    named = [pair for i in (0, 1, 4, 7) for pair in zip(statuses[i], lists[i][0], strict=True)]
    if ("pass", None) in named:
        return "a candidate that is None (no answer found) passes", "give None a `fail`"
    if statuses[0] != statuses[2] and not _is_late([*statuses[0], *statuses[2]]):
        return f"the same candidates get {statuses[0]}, then {statuses[2]}", "use nothing but the arguments"
    if statuses[0] != statuses[1][::-1] and not _is_late([*statuses[0], *statuses[1]]):
        detail = f"candidates in another order get other verdicts: {statuses[0]}, reversed {statuses[1][::-1]}"
        return detail, "let no verdict depend on a candidate's place, and return them in the candidates' order"
    if all(status == "pass" for status in statuses[5]):
        detail = f"two unlike answers without evidence pass: {UNRELATED[:2]!r}"
        return detail, "pass only what the candidates' agreement or the evidence shows"
    if lone := next((lists[i][0][0] for i in (8, 9) if statuses[i] == ["pass"]), None):
        return (
            f"a single answer without evidence passes: {lone[:80]!r}",
            "one voice is no agreement: call it `unverifiable`",
        )
    if statuses[0][:3] == ["pass"] * 3 and statuses[6] == ["pass"] * 2:
        return (
            f"{right[:60]!r} and {wrong[:60]!r} both pass, without evidence",
            "at most one of two unlike answers is right",
        )
    return None


def _said(value: Any) -> str:
    """A result as text, without what may differ: seconds, and which limit struck."""
    if isinstance(value, list) and value and all(isinstance(v, Verdict) for v in value):
        return "a limit" if _is_late([v.status for v in value]) else repr([(v.status, v.reason) for v in value])
    return repr(value)


def _is_late(statuses: Sequence[str]) -> bool:
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
