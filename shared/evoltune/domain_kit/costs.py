"""Laws about what a verdict costs: CPU of one answer, of a long answer, and what the package keeps of the answers it has seen."""

import re
from collections.abc import Iterator, Sequence
from statistics import median

from evoltune.domain_kit.findings import Finding, broken, holds
from evoltune.domain_kit.judging import Laws
from evoltune.domain_kit.probing import CPU_S
from evoltune.record import Task

LAW = "a verdict costs little, however long the answer"
TODO = "make it cheaper: thousands of answers are judged, and `verify.check_s` ends what takes longer"
DEAR_S = CPU_S / 2
"""CPU seconds of a usual answer: more would often meet the limit of `verify.check_s` on a slower or busy machine."""
LONG = 30_000
"""Characters of a long answer: what a model writes that has no end."""
MANY = 4_000
MANY_S = 1.5
"""Answers that are judged to see what is kept, and CPU seconds for them."""
KEPT_ITEMS = 1_000
KEPT_BYTES = 24 << 20


def too_dear(laws: Laws) -> Finding | None:
    """Whether the answers that were judged so far took so much that looking at more of them would take for ever."""
    if len(laws.cpu) < 2 or median(laws.cpu) <= DEAR_S:
        return None
    detail = f"half of {len(laws.cpu)} right answers take more than {median(laws.cpu):.1f} s of CPU (limit of one: {CPU_S:g} s)"
    return broken(LAW, detail, laws.sources.function(laws.domain.verify), TODO)


def costs(laws: Laws, right: Sequence[tuple[Task, str, str]], tasks: Sequence[Task]) -> Iterator[Finding]:
    place, usual, found, until = laws.sources.function(laws.domain.verify), laws.cpu[:], None, laws.time.until()
    for task, text in until.over(_long(right, tasks)):
        if laws.judge(laws.first, task, text) is None:
            break
        if laws.cpu[-1] > DEAR_S:
            detail = f"{laws.cpu[-1]:.1f} s of CPU for {len(text)} characters, {text[:40]!r} ... (limit: {CPU_S:g} s)"
            found = broken(LAW, detail, place, TODO)
            break
    half = f"half of the others take less than {median(usual or [0]) * 1000:.1f} ms"
    yield found or holds(LAW, f"{until.looked} answers of {LONG} characters; {half}")
    task, candidate = (right[0][0], right[0][2]) if right else (tasks[0], "")
    numbers = [f"{7 * i + 1000003}{' words' * (i % 3)}" for i in range(MANY)]
    like = [re.sub(r"\d+", str(7 * i + 1000003), candidate) for i in range(MANY)]
    yield from _kept(
        laws, task, place, [numbers, like] if like[0] != like[1] and not laws.first.jobs.seconds else [numbers]
    )


def _long(right: Sequence[tuple[Task, str, str]], tasks: Sequence[Task]) -> list[tuple[Task, str]]:
    """Long answers of several kinds, and the right one again and again, as a model that does not stop writes it."""
    task, response, candidate = right[0] if right else (tasks[0], "word", "word")
    parts = (
        f"{response}\n",
        f"{candidate} ",
        f"{candidate}",
        "word ",
        "1",
        "1 + ",
        " ",
        "a",
        "(",
        "x, ",
        "1.",
        "\n",
        "-",
        "the answer is ",
        "\\frac{1}{2} ",
    )
    return [(task, (part * (LONG // len(part) + 1))[:LONG]) for part in parts]


def _kept(laws: Laws, task: Task, place: str, groups: Sequence[Sequence[str]]) -> Iterator[Finding]:
    """Wrong answers of several forms: what reads only some of them keeps only these."""
    law, looked = "nothing is kept of the answers that were judged", 0
    todo = "keep nothing, or at most a fixed number (functools.lru_cache with a maxsize): a worker judges millions of answers"
    for texts in groups:
        outcome = laws.second.call("verify_many", task, list(texts), MANY_S, name="verify")
        if outcome.kind:
            laws.failed(outcome, f"{MANY} wrong answers, one after another")
            return
        count, items, size = outcome.value
        looked += count
        if items >= KEPT_ITEMS and items >= 0.9 * count:
            yield broken(law, f"after {count} wrong answers the package's modules hold {items} items more", place, todo)
            return
        if size > KEPT_BYTES:
            yield broken(law, f"after {count} wrong answers the process has {size >> 20} MB more", place, todo)
            return
    if looked:
        yield holds(law, f"{looked} wrong answers, one after another")
