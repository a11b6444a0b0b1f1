"""What a judge is asked: pairs of systems in both orders, planted pairs, and some comparisons a second time.

list(comparisons(study, suite, answers, checked={}))
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from evoltune.arena.dialogues import turn_of
from evoltune.arena.planted import BETTER, planted_pairs
from evoltune.arena.study import Answers, Study, pairs
from evoltune.evaluate.suites import Suite
from evoltune.record import Task, digest

Checked = Mapping[str, Mapping[str, str]]
"""system -> problem -> status of the verifier's verdict"""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One question to the judge: answers to one problem in the order in which they are shown."""

    task: Task
    shown: tuple[str, ...]
    texts: tuple[str, ...]
    kind: str = "systems"
    repeat: int = 0

    @property
    def name(self) -> str:
        """A unique name, from which the seed of the judge's request is derived."""
        more = () if (self.kind, self.repeat) == ("systems", 0) else (self.kind, str(self.repeat), digest(self.texts))
        return "/".join((self.task.name, *self.shown, *more))


def decided(checked: Checked, problem: str, a: str, b: str) -> str:
    """The system whose answer passes the verifier while the other's fails; "" where that does not decide."""
    one, two = (checked.get(system, {}).get(problem, "") for system in (a, b))
    return {("pass", "fail"): a, ("fail", "pass"): b}.get((one, two), "")


def comparisons(study: Study, suite: Suite, answers: Answers, checked: Checked) -> Iterator[Comparison]:
    """Lists what the judge is asked. `scores` and `preference`: each pair of systems on each problem, in both orders. `ranks`: all
    systems at once, forwards and backwards. `grades`: each answer by itself. The comparisons that test the judge follow; their planted
    pairs are of first answers, as a twin of a whole dialogue would be worse in what is not judged."""
    asked = [
        Comparison(task=task, shown=shown, texts=tuple(answers[name][task.name] for name in shown))
        for task in suite.tasks
        for shown in _shown(study, task, checked)
    ]
    yield from asked
    again = sorted(asked, key=lambda c: digest([study.seed, c.name]))[: study.repeats]
    yield from (replace(comparison, repeat=1) for comparison in again)
    opening = replace(suite, tasks=tuple(task for task in suite.tasks if turn_of(task) == 1))
    sources = {name: answers[name] for name in study.planted_from or answers}
    for pair in planted_pairs(opening, sources, each=study.planted, seed=study.seed):
        names, texts = (BETTER, pair.kind), (pair.better, pair.worse)
        orders: Sequence[tuple[int, ...]] = [(0,), (1,)] if study.protocol == "grades" else [(0, 1), (1, 0)]
        for order in orders:
            yield Comparison(
                task=pair.task, kind=pair.kind, shown=tuple(names[i] for i in order), texts=tuple(texts[i] for i in order),
                repeat=pair.number,
            )  # fmt: skip


def _shown(study: Study, task: Task, checked: Checked) -> Iterator[tuple[str, ...]]:
    names = tuple(system.name for system in study.systems)
    if study.protocol == "grades":
        yield from ((name,) for name in names)
    elif study.protocol == "ranks":
        yield from (names, names[::-1])
    else:
        for a, b in pairs(study):
            if not decided(checked, task.name, a, b):
                yield from ((a, b), (b, a))
