"""Self-instruct: a few seeds grow into many before evolution begins (2212.10560; Alpaca's 52k came from 175 this way).

    seeds: {bootstrap: self_instruct, bootstrap_size: 52000}

It works in waves: all calls of a wave see the same pool, and what they bring is admitted in the order of the calls, so the
data do not depend on arrival. Invariant: each task that was asked for ends as one decided record.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from evoltune.evolve.answers import decide_new_seed
from evoltune.evolve.evolution import Evolution, gather_all
from evoltune.evolve.questions import SELF_INSTRUCT
from evoltune.evolve.rules.registry import rejection_reason
from evoltune.record import Drop, Record, Task, digest
from evoltune.teacher.protocol import GivenUpError
from evoltune.text.prompts import fill_slots
from evoltune.text.words import STOP_WORDS, prose_words

TASKS_PER_CALL, SHOWN_SEEDS, SHOWN_NEW = 10, 6, 2  # the paper shows 6 written and 2 generated tasks
WAVE_CALLS = 64
SIMILAR = 0.7  # the ROUGE-L from which the paper refuses a task
MAX_IDLE_WAVES = 3
_ITEM = re.compile(r"^\s*(?:task\s*)?\d{1,2}\s*[.):]\s+", re.IGNORECASE | re.MULTILINE)


async def self_instruct(evolution: Evolution, seeds: Sequence[Record], size: int) -> list[Record]:
    """New seeds until seeds and new ones reach `size`; fewer when three waves in a row bring nothing new."""
    pool, idle, wave = TaskPool(seeds), 0, 0
    new: list[Record] = []
    while (missing := size - len(seeds) - len(new)) > 0 and idle < MAX_IDLE_WAVES:
        numbers = [wave * WAVE_CALLS + i for i in range(min(WAVE_CALLS, -(-missing // TASKS_PER_CALL)))]
        shown = [_demonstrations(evolution, seeds, new, wave, i) for i in range(len(numbers))]
        evolution.plan(len(numbers) * TASKS_PER_CALL)
        found = await gather_all(
            _ask_tasks(evolution, demos, number) for number, demos in zip(numbers, shown, strict=True)
        )
        admitted: list[Record] = []
        for number, demos, texts in zip(numbers, shown, found, strict=True):
            padded = texts + [""] * (TASKS_PER_CALL - len(texts))
            for k, text in enumerate(padded[:TASKS_PER_CALL]):
                record = _new_task(evolution, demos, number * TASKS_PER_CALL + k, text)
                if _is_admitted(evolution, pool, record, has_room=len(admitted) < missing):
                    admitted.append(record)
        await gather_all(decide_new_seed(evolution, record) for record in admitted)
        new += admitted
        idle, wave = (0 if admitted else idle + 1), wave + 1
    return new


def _demonstrations(
    evolution: Evolution, seeds: Sequence[Record], new: Sequence[Record], wave: int, call: int
) -> list[Record]:
    rng = random.Random(digest([evolution.recipe.seed, "self_instruct", wave, call]))
    shown = rng.sample(seeds, min(SHOWN_SEEDS, len(seeds))) + rng.sample(new, min(SHOWN_NEW, len(new)))
    rng.shuffle(shown)
    return shown


def _new_task(evolution: Evolution, demos: Sequence[Record], number: int, text: str) -> Record:
    return Record(
        domain=evolution.domain.name,
        task=Task(instruction=text),
        parents=tuple(d.id for d in demos),
        operator="self_instruct",
        draw=number,
    )


async def _ask_tasks(evolution: Evolution, demos: Sequence[Record], call: int) -> list[str]:
    listed = "\n".join(f"{i}. {' '.join(d.task.instruction.split())}" for i, d in enumerate(demos, 1))
    prompt = fill_slots(SELF_INSTRUCT, shown=str(len(demos)), wanted=str(TASKS_PER_CALL), examples=listed)
    try:
        record = _new_task(evolution, demos, call, "")
        reply = await evolution.ask(record, "self_instruct", prompt, round=0, sample=call)
    except GivenUpError:
        return []
    found = numbered_items(reply.texts[0])
    return found[:-1] if reply.truncated else found  # the last one of a truncated reply is incomplete


def numbered_items(text: str) -> list[str]:
    """The items of a numbered list (`1. ...`, `2) ...`) in order; lines that follow an item belong to it."""
    return [" ".join(part.split()) for part in _ITEM.split(text)[1:] if part.strip()]


def _is_admitted(evolution: Evolution, pool: TaskPool, record: Record, *, has_room: bool) -> bool:
    """Whether a task may become a seed; if not, its drop is decided."""
    task = record.task
    reason = "no text" if not task.instruction else rejection_reason(evolution.domain, None, task, None)
    if not reason and pool.has_similar(task.instruction):
        reason = "too similar"
    if not reason and not has_room:
        reason = "enough seeds"
    if not reason:
        pool.add(task.instruction)
    elif evolution.decided(record) is None:
        evolution.decide(Drop(record=record, reason=reason))
    return not reason


class TaskPool:
    """The tasks so far, for the ROUGE-L test. Only tasks that share half of the content words are compared."""

    def __init__(self, seeds: Iterable[Record]) -> None:
        self._texts: list[tuple[str, ...]] = []
        self._by_word: dict[str, list[int]] = defaultdict(list)
        for seed in seeds:
            self.add(seed.task.instruction)

    def add(self, text: str) -> None:
        found = prose_words(text)
        for word in set(found) - STOP_WORDS:
            self._by_word[word].append(len(self._texts))
        self._texts.append(found)

    def has_similar(self, text: str) -> bool:
        """Whether some task has a ROUGE-L of at least 0.7 with the text."""
        found = prose_words(text)
        content = set(found) - STOP_WORDS
        shared = Counter(i for word in content for i in self._by_word.get(word, ()))
        near = (i for i, n in shared.items() if 2 * n >= len(content))
        return any(rouge_l(found, self._texts[i]) >= SIMILAR for i in near)


def rouge_l(a: Sequence[str], b: Sequence[str]) -> float:
    """F1 of the longest common subsequence of words (Lin, 2004)."""
    if not a or not b:
        return 0.0
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], diagonal + 1 if x == y else max(row[j], row[j - 1])
    return 2 * row[-1] / (len(a) + len(b))
