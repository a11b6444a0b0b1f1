"""Laws of operators that edit the solution first: the same child from the same parents, right by its own solution, whose text says
what its reference answers.

yield from Rewrites(domain, sources, first, second, time, seeds).findings()
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from evoltune.domain import Rewritten
from evoltune.domain_kit.findings import Finding, broken, holds
from evoltune.domain_kit.hooks import STRANGE, Hooks
from evoltune.domain_kit.judging import ALWAYS
from evoltune.domain_kit.near_misses import near_misses
from evoltune.record import Answer, Record, Task

_SEEDS = 24
"""Seeds of which a rewrite function must make something, unless it does so of others only."""
_DRAWS = 6
"""Children of one parent that are compared."""
_ENOUGH = 3
_ROUNDS = 2
"""Further rounds in which children of a rewrite are rewritten."""


@dataclass
class Rewrites(Hooks):
    """The rewrite functions of one domain."""

    children: dict[str, list[tuple[Task, str]]] = field(default_factory=dict)
    """Operator -> the tasks that it made, with their solutions."""

    def findings(self) -> Iterator[Finding]:
        """Each rewrite function makes a task of some seed; its own solution passes, and the same parents give the same child."""
        law = "rewritten tasks are passed by their own solution"
        made, found = 0, None
        for key, operator in enumerate(self.domain.operators):
            if operator.rewrite is not None and self.seeds and found is None:
                children, found = self._rewrite(law, key, self.sources.function(operator.rewrite))
                made += children
        if found or made:
            yield found or holds(law, f"{made} children")

    def _rewrite(self, law: str, key: int, place: str) -> tuple[int, Finding | None]:
        operator, until, made, reason = self.domain.operators[key], self.time.until(), 0, ""
        count, wanted = len(self.seeds), 2 if operator.kind == "fuse" else 1
        step = max(1, count // _SEEDS)
        order = [i for start in range(step) for i in range(start, count, step)]  # some of every part come first
        children: list[tuple[Sequence[Record], Rewritten]] = []
        began = self.first.jobs.seconds
        for i in until.over(order):
            if made and until.looked > _SEEDS:
                break
            parents = [*self.seeds, *self.seeds][i : i + wanted]
            outcomes = [
                probe.call("rewrite", parents, i, key=key, name=f"rewrite of {operator.name!r}")
                for probe in (self.first, self.second)
            ]
            if failure := self.failure(law, outcomes[0], place, "return a Rewritten, or a reason where there is none"):
                return made, failure
            child = outcomes[0].value
            if child != outcomes[1].value:
                detail = f"operator {operator.name!r} gives another child of {parents[0].task.name!r} when it is called again"
                return made, broken(
                    law, detail, place, "take all chance from rng, and depend on nothing but the arguments"
                )
            if isinstance(child, str):
                reason = reason or child
                continue
            made += 1
            children.append((parents, child))
            self.children.setdefault(operator.name, []).append((child.task, child.solution))
            outcome = self.first.call("answer", child.task, child.solution, name="extract and verify")
            verdict = outcome.value[1] if not outcome.kind else None
            if verdict is None or verdict.status not in ("pass", "timeout"):
                what = outcome.error if verdict is None else f"{verdict.status} ({verdict.reason[:80]!r})"
                detail = f"operator {operator.name!r}: {what} for {child.solution[:80]!r} of {child.task.instruction[:120]!r}"
                return made, broken(law, detail, place, "let the solution state the reference as a seed's answer does")
        if not made and until.looked == count:
            detail = f"operator {operator.name!r} makes nothing of {count} seeds: {reason!r}"
            return made, broken(law, detail, place, "let it make something of some seeds, or delete the operator")
        return made, next(self._children(law, key, place, began, children), None)

    def _children(
        self, law: str, key: int, place: str, began: float, children: Sequence[tuple[Sequence[Record], Rewritten]]
    ) -> Iterator[Finding]:
        """What is wrong with the children of one operator, besides what their own solution says."""
        name = self.domain.operators[key].name
        few = 0 if self.first.jobs.seconds > began else _ENOUGH  # what runs programs for each child takes seconds
        for parents, child in self.time.until(0.3).over([c for c in children if c[1].task.reference is not None][:few]):
            for i in range(_DRAWS):
                other = self.first.call("rewrite", parents, 1000 + i, key=key).value
                if not isinstance(other, Rewritten) or _seen(other.task) != _seen(child.task):
                    break  # the text tells the children apart
                if other.task.reference != child.task.reference:
                    references = f"{str(child.task.reference)[:60]!r}, and with {str(other.task.reference)[:60]!r}"
                    detail = f"operator {name!r} asks {child.task.instruction[-120:]!r} with the reference {references}"
                    yield broken(law, detail, place, "say in the new instruction all that the reference depends on")
                    return
        telling = [
            child for parents, child in children if _tells(child.task) and not any(_tells(p.task) for p in parents)
        ]
        if len(children) >= _ENOUGH and len(telling) >= ALWAYS * len(children):
            detail = f"operator {name!r}: {len(telling)} of {len(children)} instructions hold their own reference, e.g. {telling[0].task.instruction[-120:]!r}"
            yield broken(law, detail, place, "leave the result out of the instruction")
        if lost := self._lost(children):
            detail = f"operator {name!r}: no child has the column {lost!r} of its parents, which verify reads"
            yield broken(
                law, detail, place, "give the child's Task the fields that verify needs: dict(parent.task.fields)"
            )
        if alone := next((child for parents, child in children if _without_dialogue(parents, child.task)), None):
            detail = f"operator {name!r}: a child repeats its parent's turn without the dialogue before it: {alone.task.instruction[:120]!r}"
            yield broken(law, detail, place, "give the child's Task its parent's history: history=parent.task.history")
        yield from self._unchanged(law, name, place, children)
        yield from self._again(law, key, place, children[: 0 if self.first.jobs.seconds > began else _ENOUGH])
        for i, parents in enumerate(self._bare(len(children[0][0]) if children else 1)):
            todo = (
                "say in a few words why there is no child: a rewrite of the teacher's own tasks meets parents like this"
            )
            outcome = self.first.call("rewrite", parents, i, key=key, name=f"rewrite of {name!r}")
            if failure := self.failure(law, outcome, place, todo):
                detail = f"{failure.detail}, for a parent without reference, tests and fields: {parents[0].task.instruction[:60]!r}"
                yield replace(failure, detail=detail)
                return

    def _unchanged(
        self, law: str, name: str, place: str, children: Sequence[tuple[Sequence[Record], Rewritten]]
    ) -> Iterator[Finding]:
        for parents, child in children:
            if parent := next((p.task for p in parents if _contradicts(child.task, p.task)), None):
                references = f"{child.task.reference!r:.60} instead of {parent.reference!r:.60}"
                detail = f"operator {name!r}: a child asks what its parent asks, {child.task.instruction[-120:]!r}, with the reference {references}"
                yield broken(law, detail, place, "say in the new instruction what is asked now: a model sees no fields")
                return
        same = [child for parents, child in children if any(_asked(child.task) == _asked(p.task) for p in parents)]
        if len(children) >= _ENOUGH and len(same) >= ALWAYS * len(children):
            detail = f"operator {name!r}: {len(same)} of {len(children)} children ask what their parent asks, e.g. {same[0].task.instruction[-120:]!r}"
            yield broken(law, detail, place, "change the task, or say in a few words why there is no child")

    def _again(
        self, law: str, key: int, place: str, children: Sequence[tuple[Sequence[Record], Rewritten]]
    ) -> Iterator[Finding]:
        """Its children are parents in the next round: they give children that hold, or a reason."""
        name = self.domain.operators[key].name
        for parents, child in self.time.until(0.5).over(children):
            made = child
            for number in range(1, _ROUNDS + 1):
                answers = (Answer(text=made.solution, model="check"),)
                record = Record(
                    domain=self.domain.name,
                    task=made.task,
                    parents=(parents[0].id,),
                    operator=name,
                    round=number,
                    answers=answers,
                )
                outcome = self.first.call(
                    "rewrite", [record, *parents[1:]], number, key=key, name=f"rewrite of {name!r}"
                )
                todo = "return a Rewritten or a reason also for children of its own: they are parents in the next round"
                if failure := self.failure(law, outcome, place, todo):
                    detail = (
                        f"{failure.detail}, for a child of its own in round {number}: {made.task.instruction[-80:]!r}"
                    )
                    yield replace(failure, detail=detail)
                    return
                if isinstance(outcome.value, str):
                    break
                made = outcome.value
                judged = self.first.call("answer", made.task, made.solution, name="extract and verify")
                if not judged.kind and judged.value[1].status == "fail":
                    reason = f"{judged.value[1].reason[:80]!r}, for {made.solution[:80]!r} of {made.task.instruction[-120:]!r}"
                    yield broken(law, f"operator {name!r}: in round {number + 1} fail ({reason})", place, todo)
                    return

    def _bare(self, wanted: int) -> Iterator[list[Record]]:
        """Parents as the teacher writes them."""
        for seed in [*self.seeds[:2], Record(domain=self.domain.name, task=STRANGE)]:
            task = replace(seed.task, reference=None, tests=None, fields={}, name="")
            for answers in ((), (Answer(text="I cannot say.", model="teacher"),)):
                yield [replace(seed, task=task, answers=answers)] * wanted

    def _lost(self, children: Sequence[tuple[Sequence[Record], Rewritten]]) -> str:
        """A column that verify reads, and that all parents have and no child."""
        for column in self.domain.columns:
            held = [
                column in child.task.fields
                for parents, child in children
                if all(column in p.task.fields for p in parents)
            ]
            if column in self.first.fields and len(held) >= _ENOUGH and len(held) == len(children) and not any(held):
                return column if any(self._needs(column, *c) for c in children[:_ENOUGH]) else ""
        return ""

    def _needs(self, column: str, parents: Sequence[Record], child: Rewritten) -> bool:
        """Whether verify asks for the column where it judges the child, which the columns of its parent fit: a child of another kind
        needs none of them."""
        texts = [child.solution, *near_misses(child.solution).values()]
        asked = [self.first.call("answer", child.task, text, name="extract and verify").asked for text in texts]
        if not any(column in names for names in asked):
            return False
        theirs = {name: value for name, value in parents[0].task.fields.items() if name in self.domain.columns}
        fields = {**theirs, **child.task.fields}
        outcome = self.first.call(
            "answer", replace(child.task, fields=fields), child.solution, name="extract and verify"
        )
        return not outcome.kind and outcome.value[1].status == "pass"


def _without_dialogue(parents: Sequence[Record], child: Task) -> bool:
    """Whether the child says what the only parent said as a later turn of a dialogue, and the dialogue is gone."""
    said = parents[0].task
    return len(parents) == 1 and bool(said.history) and not child.history and said.instruction in child.instruction


def _asked(task: Task) -> tuple[object, ...]:
    return task.instruction, repr(task.fields), repr(task.history)


def _seen(task: Task) -> tuple[object, ...]:
    """What a model is shown of a task."""
    return task.instruction, repr(task.history)


def _contradicts(child: Task, parent: Task) -> bool:
    return (
        _seen(child) == _seen(parent)
        and None not in (child.reference, parent.reference)
        and child.reference != parent.reference
    )


def _tells(task: Task) -> bool:
    """Whether the instruction holds the reference as a word of its own."""
    stated = (task.reference or "").strip()
    return bool(stated) and re.search(rf"(?<!\w){re.escape(stated)}(?!\w)", task.instruction) is not None
