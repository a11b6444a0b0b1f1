"""Verdicts while evolution is at work: what is wrong with an answer, in words that may be sent back to the teacher.

    async with AnswerVerifier(recipe, step, store) as verifier:
        finding = await verifier.look_at(record, 0)      # Finding(status="fail", feedback="failed: assert f(2) == 4")

The verify stage judges all answers again; these verdicts only steer what is asked next. Invariant: a finding is noted before it is
used, so that a resumed run asks the same, however close to a time limit a program came; and a finding never holds the reference.
"""

import asyncio
import re
import threading
from dataclasses import asdict, dataclass, replace
from typing import Self

from evoltune.recipe import Recipe
from evoltune.record import Record, Status, Task, Verdict
from evoltune.run.store import Step, Store
from evoltune.verification.checker import Checker, open_checker
from evoltune.verification.records import NO_ANSWER

MAX_FEEDBACK = 1000
"""Characters: an assertion of a whole file of data would fill the prompt."""
_CASE = re.compile(r"case \d+: ")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the verifier says about one answer."""

    status: Status
    feedback: str = ""
    """Why it failed; "" where it did not fail, or where that is no fault of the answer."""


class AnswerVerifier:
    """The verifier of one evolve step. Its workers start with the first answer."""

    def __init__(self, recipe: Recipe, step: Step, store: Store) -> None:
        self._recipe, self._step, self._store = recipe, step, store
        self._checker: Checker | None = None
        self._opening = threading.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._checker is not None:
            await asyncio.to_thread(self._checker.close, abandon=kind is not None)

    async def look_at(self, record: Record, answer: int) -> Finding:
        """The finding about one answer of a task with a reference or tests."""
        key = f"finding:{self._step.key}:{record.id}:{answer}"
        if (noted := self._store.noted(key)) is not None:
            return Finding(**noted)
        alone = replace(record, answers=(replace(record.answers[answer], verdict=None),), evidence={})
        (verdict,) = await asyncio.to_thread(self._verify, alone)
        finding = Finding(status=verdict.status, feedback=feedback(record.task, verdict))
        self._store.note(key, asdict(finding))
        return finding

    async def judge(self, record: Record, of: str = "") -> tuple[Verdict, ...]:
        """The verdict on each answer, as the verify stage will give it: without a reference or tests, `Domain.confirm` decides.

        of: a name for these answers, where the record has others, too.
        """
        key = f"verdicts:{self._step.key}:{record.id}" + (f":{of}" if of else "")
        if (noted := self._store.noted(key)) is None:
            noted = [asdict(verdict) for verdict in await asyncio.to_thread(self._verify, record)]
            self._store.note(key, noted)
        return tuple(Verdict(**verdict) for verdict in noted)

    def _verify(self, record: Record) -> list[Verdict]:
        """In a thread of its own."""
        with self._opening:
            if self._checker is None:
                self._checker = open_checker(self._recipe.domain, self._recipe.verify, confirm=True)
        (judged,) = self._checker.verify([record])
        return [answer.verdict for answer in judged.answers if answer.verdict]


def feedback(task: Task, verdict: Verdict) -> str:
    """What the teacher is told about a failed answer: the first assertion that failed, the value that is wrong, the limit that was
    exceeded. "" for a verdict that says nothing against the answer."""
    if verdict.status not in ("fail", "timeout", "memory"):
        return ""
    if verdict.reason == NO_ANSWER:
        return "no final answer can be found in it"
    reason = "" if _gives_away(task, verdict.reason) else verdict.reason
    called, found = verdict.evidence.get("test"), verdict.evidence.get("extracted")
    if called and _CASE.match(reason):  # the number of a case says nothing to somebody who does not see the cases
        reason = f"{called}: {_CASE.sub('', reason, count=1)}"
    if not task.tests and isinstance(found, str) and found:
        reason = f"its final answer, {found[:MAX_FEEDBACK]}, is not right" + (f": {reason}" if reason else "")
    return (reason or "it does not solve the task")[:MAX_FEEDBACK]


def _gives_away(task: Task, reason: str) -> bool:
    """Whether a reason states the reference, as a verifier may that says what it expected."""
    reference = (task.reference or "").strip()
    return bool(reference) and bool(re.search(rf"(?<!\w){re.escape(reference)}(?!\w)", reason))
