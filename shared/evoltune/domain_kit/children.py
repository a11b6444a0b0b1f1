"""Laws of answers to the tasks that a domain's own functions make: they are judged as strictly as answers to seeds.

    yield from laws_of_children(laws, {"double": [(task, solution), ...]})

A rewrite may give tasks of another form than the seeds have (a number where they ask for an equation), which another part of
`verify` judges: no law about seeds reaches it.
"""

from collections.abc import Iterator, Mapping, Sequence

from evoltune.domain_kit.cheats import OFTEN, SHORT, Tally
from evoltune.domain_kit.findings import Finding, broken, holds
from evoltune.domain_kit.judging import FORM, Laws
from evoltune.domain_kit.near_misses import near_misses
from evoltune.domain_kit.probing import WRONG_S
from evoltune.record import Task

CHILDREN = 6
"""Tasks of one operator to which wrong answers are tried."""


def laws_of_children(laws: Laws, children: Mapping[str, Sequence[tuple[Task, str]]]) -> Iterator[Finding]:
    """At most one finding: the first that an operator's tasks give."""
    law, tried, until = "answers to rewritten tasks are judged like others", 0, laws.time.until()
    crashes = len(laws.crashes)
    with laws.first.jobs.limited(WRONG_S):
        for name, made in until.over(children.items()):
            right = [*_passing(laws, made[:CHILDREN])]
            count, found = _near(laws, law, name, right)
            tried += count
            for crash in [*laws.crashes.values()][crashes:]:
                found = found or broken(law, f"to a task of operator {name!r}: {crash.detail}", crash.where, crash.todo)
            found = found or (_hostile(laws, law, name, right) if right else None)
            if found:
                yield found
                return
    if tried:
        yield holds(law, f"{tried} wrong answers to tasks of {until.looked} operators")


def _passing(laws: Laws, made: Sequence[tuple[Task, str]]) -> Iterator[tuple[Task, str]]:
    """The tasks with their right candidates, where their content is judged."""
    for task, solution in made:
        found = laws.judge(laws.first, task, solution)
        if found and found[0] is not None and found[1].status == "pass" and found[1].evidence.get("method") != FORM:
            yield task, found[0]


def _near(laws: Laws, law: str, name: str, right: Sequence[tuple[Task, str]]) -> tuple[int, Finding | None]:
    """(near misses that were tried, what passes by rule)."""
    tally, short = Tally(), Tally()
    for task, candidate in laws.time.until(0.5).over(right):
        for kind, text in near_misses(candidate).items():
            verdict = laws.verdict(laws.first, task, text)
            tally.add(kind, task, text, verdict)
            if len(candidate.split()) <= SHORT:
                short.add(kind, task, text, verdict)
    count = sum(tally.tried.values())
    by_rule = tally.by_rule() or short.by_rule(share=OFTEN)
    place = laws.sources.function(laws.domain.verify)
    todo = "compare the whole answer with the reference, exactly as far as the task asks"
    return count, broken(law, f"to tasks of operator {name!r}, {by_rule}", place, todo) if by_rule else None


def _hostile(laws: Laws, law: str, name: str, right: Sequence[tuple[Task, str]]) -> Finding | None:
    """What a hostile answer to a task of the operator does, where it is no verdict in time."""
    for finding in laws.hostile([right[0][0]], right):
        if finding.ok is False:
            return broken(law, f"to a task of operator {name!r}: {finding.detail}", finding.where, finding.todo)
    return None
