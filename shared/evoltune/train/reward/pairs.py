"""Pairs of instructions, the better one first, out of what a run already knows. No teacher is asked (`siblings.py` asks one).

    degrade("Tom has 3 pens and buys 4. How many has he?", random.Random(0))     # without its question, its numbers ...

| kind | chosen | rejected |
|---|---|---|
| degraded | an instruction of the run | the same without its question, numbers, order of words or second half |
| parents | a kept rewrite of a deepening operator | what it was made from (2308.09583 ranks by difficulty and clarity) |
| parents | what an easing (`down`) operator was given | the easier rewrite |
| siblings | of two rewrites of one parent that whose answers pass clearly more often | the other |
"""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, combinations
from typing import Any

from evoltune.domain import Domain
from evoltune.record import Record
from evoltune.verification.records import repairs_of

CLEARLY = 0.5
"""Difference of two pass rates from which they count."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_NUMBER = re.compile(r"\d[\d,.]*\d|\d")


def _without_question(text: str, rng: random.Random) -> str:
    return " ".join(_SENTENCE.split(text.strip())[:-1])


def _without_numbers(text: str, rng: random.Random) -> str:
    return _NUMBER.sub("some", text)


def _shuffled(text: str, rng: random.Random) -> str:
    words = text.split()
    rng.shuffle(words)
    return " ".join(words)


def _cut(text: str, rng: random.Random) -> str:
    words = text.split()
    return " ".join(words[: max(1, len(words) * rng.randint(30, 60) // 100)])


DEGRADATIONS: Mapping[str, Callable[[str, random.Random], str]] = {
    "without its question": _without_question, "without numbers": _without_numbers, "shuffled": _shuffled, "cut": _cut,
}  # fmt: skip


def degrade(text: str, rng: random.Random) -> tuple[str, str] | None:
    """Returns (a worse version, what was done to it), or None if no degradation changes the text."""
    names = list(DEGRADATIONS)
    rng.shuffle(names)
    for name in names:
        worse = DEGRADATIONS[name](text, rng)
        if worse.strip() and worse != text:
            return worse, name
    return None


def pairs_of(
    records: Iterable[Record], domain: Domain, kinds: Iterable[str], seed: int, limit: int = 0
) -> Iterator[dict[str, Any]]:
    """Returns rows {chosen, rejected, method, group}. All pairs that descend from one seed have the same group."""
    chosen = list(records)[: limit or None]
    by_id = {record.id: record for record in chosen}
    deepening, easing = (
        {operator.name for operator in domain.operators if operator.kind == kind} for kind in ("depth", "down")
    )
    kinds = set(kinds)
    for record in chosen:
        group = root_of(record, by_id)
        if "degraded" in kinds and (found := degrade(record.task.instruction, random.Random(f"{seed}/{record.id}"))):
            yield pair_row(record.task.instruction, found[0], f"degraded: {found[1]}", group)
        parent = by_id.get(record.parents[0]) if len(record.parents) == 1 else None
        if "parents" in kinds and parent and record.operator in deepening and _pass_rate(record):
            yield pair_row(record.task.instruction, parent.task.instruction, "parent", group)
        if "parents" in kinds and parent and record.operator in easing and _pass_rate(parent):
            yield pair_row(parent.task.instruction, record.task.instruction, "parent of an easier one", group)
    if "siblings" in kinds:
        for a, b in chain.from_iterable(combinations(family, 2) for family in families(chosen)):
            rates = _pass_rate(a), _pass_rate(b)
            if rates[0] is not None and rates[1] is not None and abs(rates[0] - rates[1]) >= CLEARLY:
                better, worse = (a, b) if rates[0] > rates[1] else (b, a)
                yield pair_row(better.task.instruction, worse.task.instruction, "pass rate", root_of(a, by_id))


def pair_row(chosen: str, rejected: str, method: str, group: str) -> dict[str, Any]:
    """A row; rows of one group are never on both sides of the split."""
    return {"chosen": chosen, "rejected": rejected, "method": method, "group": group}


def root_of(record: Record, by_id: Mapping[str, Record]) -> str:
    """The id of the seed that a record descends from, as far as it is known."""
    while record.parents and record.parents[0] in by_id:
        record = by_id[record.parents[0]]
    return record.parents[0] if record.parents else record.id


def _pass_rate(record: Record) -> float | None:
    asked = zip(record.answers, repairs_of(record), strict=True)
    scores = [answer.verdict.score for answer, repair in asked if answer.verdict and not repair]
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known else None


def families(records: Iterable[Record]) -> Iterator[list[Record]]:
    """The siblings of each family: rewrites of the same parents in one round."""
    found: dict[tuple[tuple[str, ...], int], list[Record]] = defaultdict(list)
    for record in records:
        if record.parents:
            found[record.parents, record.round].append(record)
    yield from found.values()
