"""Laws about what a verdict may depend on: the task as it is stored and read again, the candidate, and `context`.

A task is made in one process, stored as JSON, and judged in another one, where neither `seeds` nor `extract` was called before.
What a domain keeps in a process, in the class of a value or in the order of a mapping is not there any more.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace

from evoltune.domain_kit.findings import Finding, broken, holds
from evoltune.domain_kit.judging import ALWAYS, LATE, Laws, example
from evoltune.domain_kit.near_misses import near_misses
from evoltune.record import Record, Task, Verdict, record_from_json

Right = tuple[Task, str, str]
_TASKS = 12
_ENOUGH = 3


class Carried:
    """The laws, for answers that were found to be right."""

    def __init__(self, laws: Laws, right: Sequence[Right]) -> None:
        self.laws, self.right = laws, right
        self.place = laws.sources.function(laws.domain.verify)

    def findings(self) -> Iterator[Finding]:
        yield from self.stored()
        yield from self.as_reference()
        yield from self.empty()
        yield from self.lost()

    def _judged(self, task: Task, candidate: str, **mode: object) -> Verdict | None:
        outcome = self.laws.second.call("verify", task, candidate, name="verify", **mode)
        failed = self.laws.failed(outcome, f"the candidate {candidate[:80]!r} of {task.instruction[:60]!r}")
        return None if failed else outcome.value

    def stored(self) -> Iterator[Finding]:
        """The same verdict for the same task after the store, in a process of its own, with its fields in another order."""
        law, until = "a verdict needs the task, the candidate and context alone", self.laws.time.until()
        self.laws.second.renew()
        plans: list[tuple[str, Callable[[Task], Task], dict[str, object]]] = [
            ("in a process in which nothing else was called", lambda task: task, {}),
            ("for the task as it is stored, in plain JSON", _stored, {}),
            ("for fields in another order", _turned, {}),
            ("with a context that has no `many`", lambda task: task, {"one_by_one": True}),
        ]
        tries = [
            (task, text, how, changed, mode)
            for task, _, candidate in self.right[:_TASKS]
            for text in (candidate, *list(near_misses(candidate).values())[:1])
            for how, changed, mode in plans
        ]
        tries += [
            (task, text, *plans[1])
            for task, _, candidate in self.right[:_TASKS]
            for text in list(near_misses(candidate).values())[1:]
        ]
        expected: dict[tuple[str, str], Verdict | None] = {}
        for task, text, how, changed, mode in until.over(tries):
            key = (task.instruction + task.name, text)
            if key not in expected:
                expected[key] = self.laws.verdict(self.laws.first, task, text)
            known, other = expected[key], changed(task)
            again = self._judged(other, text, **mode) if known else None
            if known and (again is None or (again.status != known.status and not {again.status, known.status} & LATE)):
                if again is None:  # a finding of its own, under the line that raised
                    crash = list(self.laws.crashes.values())[-1]
                    yield broken(law, f"{known.status}, and {how} {crash.detail}", crash.where, _TODO)
                    return
                yield broken(law, f"{known.status}, and {how} {example(other, text, again)}", self.place, _TODO)
                return
        yield holds(law, f"{until.looked} verdicts on tasks as they are stored, and in a fresh process")

    def as_reference(self) -> Iterator[Finding]:
        """What `extract` finds in a right answer is the reference of later tasks, and of votes: it must be accepted as one."""
        law, until, refused = "what extract finds can be a reference", self.laws.time.until(0.5), []
        tries = [
            item
            for item in self.right
            if item[0].reference is not None and item[0].reference.strip() != item[2].strip()
        ]
        for task, _, candidate in until.over(tries[:_TASKS]):
            verdict = self._judged(replace(task, reference=candidate, name=""), candidate)
            refused += [(task, candidate, verdict)] if verdict and verdict.status != "pass" else []
            if verdict is None:
                return
        if len(refused) >= _ENOUGH and len(refused) >= ALWAYS * until.looked:
            todo = "let references have the form of candidates: votes compare two candidates, and rewrites continue from what extract finds"
            detail = f"{len(refused)} of {until.looked} candidates, each as its own reference: {example(*refused[0])}"
            yield broken(law, detail, self.place, todo)
        elif until.looked:
            yield holds(law, f"{until.looked} candidates")

    def empty(self) -> Iterator[Finding]:
        law, place = "an empty response holds no answer", self.laws.sources.function(self.laws.domain.extract)
        for text in ("", " \n\t \n"):
            found = self.laws.judge(self.laws.first, self.right[0][0], text)
            if found and found[0] is not None:
                todo = "return None where there is no answer: this is counted apart from wrong answers"
                yield broken(law, f"extract gives {found[0][:40]!r} for the response {text!r}", place, todo)
                return
        yield holds(law, "2 responses")

    def lost(self) -> Iterator[Finding]:
        """Where the sandbox says `error`, nobody knows whether the answer is right."""
        law, until, wrong = "a failure of the sandbox is not the answer's", self.laws.time.until(0.5), []
        for task, _, candidate in until.over(self.right[:_ENOUGH]):
            outcome = self.laws.second.call("verify", task, candidate, name="verify", lost="error")
            if not outcome.ran:
                return
            if self.laws.failed(outcome, "a program that the sandbox could not run"):
                return
            verdict = outcome.value
            wrong += [(task, candidate, verdict)] if verdict.status in ("pass", "fail") else []
        if len(wrong) == until.looked:
            todo = "hand the status of context.run on where it is neither pass nor fail: `error` never counts as wrong"
            detail = f"context.run says `error`, and verify says {example(*wrong[0])}"
            yield broken(law, detail, self.place, todo)
        elif until.looked:
            yield holds(law, f"{until.looked} answers")


_TODO = (
    "keep what verify needs in the task's reference, tests and fields, as plain JSON, and use nothing that another function left "
    "behind"
)


def _stored(task: Task) -> Task:
    """The task as it comes back from the store."""
    record = Record(domain="", task=task)
    return record_from_json(json.loads(json.dumps(asdict(record)))).task


def _turned(task: Task) -> Task:
    return replace(task, fields=dict(reversed([*task.fields.items()])))
