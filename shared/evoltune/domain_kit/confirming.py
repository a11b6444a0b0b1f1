"""Laws of `Domain.confirm` and `Domain.evidence`: verdicts on the answers to a task that has no reference."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evoltune.domain_kit.findings import Finding, broken, holds, unchecked
from evoltune.domain_kit.hooks import BREADTH, LONG, Hooks, is_late
from evoltune.domain_kit.judging import Judged
from evoltune.domain_kit.near_misses import UNRELATED, near_misses, other_responses
from evoltune.record import Task, Verdict


@dataclass
class Confirming:
    """`confirm` of one domain, called through its other hooks' probes."""

    hooks: Hooks

    def findings(self, judged: Judged) -> Iterator[Finding]:
        law, place = (
            "confirm judges all candidates of a task without reference",
            self.hooks.sources.function(self.hooks.domain.confirm),
        )
        if self.hooks.domain.evidence and self.hooks.domain.confirm is None:
            todo = "write confirm, which reads it, or delete the evidence: each prompt is a paid call for each row"
            yield broken(
                "evidence is read by confirm",
                "there is evidence and no confirm",
                self.hooks.sources.named(next(iter(self.hooks.domain.evidence))),
                todo,
            )
        if self.hooks.domain.confirm is None:
            return
        tasks = [(s.task, s.answers[0].text if s.answers else (s.task.reference or "")) for s in self.hooks.seeds][
            : BREADTH // 2
        ]
        until, confirmed, alone = self.hooks.time.until(2), 0, 0
        for task, text in until.over(tasks):
            fields = {name: value for name, value in task.fields.items() if name not in self.hooks.domain.columns}
            bare = replace(task, reference=None, tests=None, fields=fields)
            right = next((c for t, _, c in judged.right if t == task), text)
            near = [*other_responses(right, right).values(), *near_misses(right).values()]  # first those of its form
            wrong = next(iter(near), right + "zq")
            evidence = {
                name: (self._stand_in(task, name), "nonsense \x00 {", "") for name in self.hooks.domain.evidence
            }
            for found in self._confirmed(law, place, bare, right, wrong, evidence):
                yield found
                return
            agreeing = {name: (replies[0],) * 3 for name, replies in evidence.items()}
            verdicts, failure = self._agreed(law, place, bare, right, wrong, agreeing)
            if failure:
                yield failure
                return
            confirmed += "pass" in verdicts
            alone += self._passes_unread(bare, right, evidence)
        if until.looked >= 3 and not confirmed and (self.hooks.domain.stand_in or not self.hooks.domain.evidence):
            shown_ = (
                "evidence is three times what stand_in replies"
                if self.hooks.domain.evidence
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
        if alone:
            why = (
                f"at {alone} of {until.looked} tasks four equal answers pass though the teacher gave no evidence: where agreement "
                "alone is not enough, say `unverifiable`"
            )
            yield unchecked("what confirm passes rests on evidence", why)

    def _passes_unread(self, task: Task, right: str, evidence: Mapping[str, Any]) -> bool:
        """Whether equal answers pass where the calls for evidence brought nothing."""
        if not evidence:
            return False
        found = self.hooks.first.call("confirm", task, [right] * 4, dict.fromkeys(evidence, ()), name="confirm")
        return not found.kind and bool(found.value) and all(v.status == "pass" for v in found.value)

    def _agreed(
        self, law: str, place: str, task: Task, right: str, wrong: str, evidence: Mapping[str, tuple[str, ...]]
    ) -> tuple[list[str], Finding | None]:
        """(statuses of right answers, what confirm does wrong) where all evidence agrees: only then does many a confirm decide."""
        todo = "return one Verdict of plain values for each candidate, in their order; None is a candidate without an answer"
        orders: list[list[str | None]] = [[right, wrong, None, right], [wrong, None, right, right], [right] * 4]
        orders.append([right, right, wrong, right, right])
        results: list[dict[str | None, str]] = []
        for candidates in orders:
            outcome = self.hooks.ask("confirm", task, candidates, evidence, name="confirm")
            if failure := self.hooks.failure(law, outcome, place, todo):
                return [], failure
            if len(outcome.value) != len(candidates):
                detail = f"{len(outcome.value)} verdicts for {len(candidates)} candidates {candidates!r}"[:300]
                return [], broken(law, detail, place, todo)
            statuses = [*zip(candidates, (v.status for v in outcome.value), strict=True)]
            results.append(dict(statuses))
            if results[-1].get(None) == "pass":
                return [], broken(law, "a candidate that is None (no answer found) passes", place, "give None a `fail`")
            if dict(statuses[::-1]) != results[-1] and not is_late([status for _, status in statuses]):
                return [], broken(law, f"equal candidates get unlike verdicts: {statuses!r}"[:300], place, todo)
        first, turned, alike, _ = results
        if first != turned and not is_late([*first.values(), *turned.values()]):
            detail = f"candidates in another order get other verdicts: {[*first.values()]}, then {[turned[c] for c in first]}"
            todo = "let no verdict depend on a candidate's place, and return them in the candidates' order"
            return [], broken(law, detail, place, todo)
        return [first[right], alike[right]], None

    def _stand_in(self, task: Task, name: str) -> str:
        if self.hooks.domain.stand_in is None:
            return "I cannot say."
        outcome = self.hooks.first.call("stand_in", task, name, name="stand_in")
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
            outcome = self.hooks.ask("confirm", task, candidates_, texts, name="confirm")
            if failure := self.hooks.failure(law, outcome, place, todo):
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


def _wrong_votes(
    lists: Sequence[tuple[Sequence[str | None], Any]], statuses: Sequence[Sequence[str]], right: str, wrong: str
) -> tuple[str, str] | None:
    """(what is wrong with the verdicts of `confirm` on these lists of candidates, what to do)."""
    named = [pair for i in (0, 1, 4, 7) for pair in zip(statuses[i], lists[i][0], strict=True)]
    if ("pass", None) in named:
        return "a candidate that is None (no answer found) passes", "give None a `fail`"
    if statuses[0] != statuses[2] and not is_late([*statuses[0], *statuses[2]]):
        return f"the same candidates get {statuses[0]}, then {statuses[2]}", "use nothing but the arguments"
    if statuses[0] != statuses[1][::-1] and not is_late([*statuses[0], *statuses[1]]):
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
