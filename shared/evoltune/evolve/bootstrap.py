"""More seeds before evolution begins: self-instruct, and exercises inspired by lines of source code.

    seeds: {bootstrap: self_instruct, bootstrap_size: 52000}     # 2212.10560; Alpaca's 52k came from 175 this way
    seeds: {snippets: ./my-sources}                              # OSS-Instruct, 2312.02120

Self-instruct works in waves: all calls of a wave see the same pool, and what they bring is admitted in the order of the
calls, so the data do not depend on arrival. Invariant: each task that was asked for, and each snippet, ends as one decided
record.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice, repeat
from pathlib import Path

from evoltune.errors import DataError, RecipeError
from evoltune.evolve.answers import decide_new_seed
from evoltune.evolve.evolution import Evolution, gather_all
from evoltune.evolve.rules.registry import rejection_reason
from evoltune.recipe import Seeds
from evoltune.record import Drop, Record, Task, digest
from evoltune.run.paths import user_path
from evoltune.teacher.protocol import GivenUpError
from evoltune.text.prompts import fill_slots, read_prompt
from evoltune.text.words import STOP_WORDS, prose_words

SELF_INSTRUCT, SNIPPET = (read_prompt("evoltune.evolve", name) for name in ("self_instruct", "snippet"))
TASKS_PER_CALL, SHOWN_SEEDS, SHOWN_NEW = 10, 6, 2  # the paper shows 6 written and 2 generated tasks
WAVE_CALLS = 64
SIMILAR = 0.7  # the ROUGE-L from which the paper refuses a task
MAX_IDLE_WAVES = 3
_ITEM = re.compile(r"^\s*(?:task\s*)?\d{1,2}\s*[.):]\s+", re.IGNORECASE | re.MULTILINE)
MIN_LINES, MAX_LINES = 3, 15  # the paper takes 1 to 15 consecutive lines
MIN_WORDS = 5
MAX_FILE_BYTES = 400_000


async def more_seeds(evolution: Evolution, seeds: list[Record]) -> list[Record]:
    """The seeds that the recipe asks for beside `seeds`."""
    options = evolution.recipe.seeds
    found = await _from_snippets(evolution, options.snippets) if options.snippets else []
    if options.bootstrap == "self_instruct":
        found += await _self_instruct(evolution, [*seeds, *found], options.bootstrap_size)
    return found


def check_bootstrap(seeds: Seeds, count: int = 0) -> None:
    """Raises RecipeError where the size asked for brings no new seed. `count`: the seeds that there are."""
    size = seeds.bootstrap_size
    if seeds.bootstrap == "none" and size:
        raise RecipeError(
            f"seeds.bootstrap_size: {size}: has no effect with bootstrap none: use self_instruct, or remove it"
        )
    if seeds.bootstrap == "self_instruct" and size <= count:
        there = f"there are {count} seeds already" if count else "that many seeds are there already"
        raise RecipeError(
            f"seeds.bootstrap_size: {size}: self_instruct would write none, because {there}: give the number that there shall be, or "
            "bootstrap: none"
        )


def _decide_drop(evolution: Evolution, record: Record, reason: str) -> None:
    if evolution.decided(record) is None:
        evolution.decide(Drop(record=record, reason=reason))


# ---- Self-instruct


async def _self_instruct(evolution: Evolution, seeds: Sequence[Record], size: int) -> list[Record]:
    """New seeds until seeds and new ones reach `size`; fewer when three waves in a row bring nothing new."""
    pool, idle, wave = TaskPool(seeds), 0, 0
    new: list[Record] = []
    while (missing := size - len(seeds) - len(new)) > 0 and idle < MAX_IDLE_WAVES:
        numbers = [wave * WAVE_CALLS + i for i in range(min(WAVE_CALLS, -(-missing // TASKS_PER_CALL)))]
        shown = [_demonstrations(evolution, seeds, new, wave, i) for i in range(len(numbers))]
        evolution.plan(len(numbers) * TASKS_PER_CALL)
        found = await gather_all(_ask_tasks(evolution, *call) for call in zip(shown, numbers, strict=True))
        admitted: list[Record] = []
        for number, demos, texts in zip(numbers, shown, found, strict=True):
            for k, text in enumerate(islice(chain(texts, repeat("")), TASKS_PER_CALL)):
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
    parents, task = tuple(d.id for d in demos), Task(instruction=text)
    return Record(domain=evolution.domain.name, task=task, parents=parents, operator="self_instruct", draw=number)


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
    if reason:
        _decide_drop(evolution, record, reason)
    else:
        pool.add(task.instruction)
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


# ---- Snippets


async def _from_snippets(evolution: Evolution, folder: str) -> list[Record]:
    """One seed per source file below `folder`, inspired by a few of its lines. Raises DataError."""
    snippets = list(read_snippets(user_path(folder), evolution.recipe.seed))
    if not snippets:
        raise DataError(f"seeds.snippets: {folder!r} holds no text file with code")
    evolution.plan(len(snippets))
    seeds = await gather_all(_from_snippet(evolution, i, *snippet) for i, snippet in enumerate(snippets))
    return [seed for seed in seeds if seed]


def read_snippets(folder: Path, seed: int) -> Iterator[tuple[str, str]]:
    """(file:line, a few lines) of each readable text file, in name order; hidden files and binaries are skipped."""
    if not folder.is_dir():
        raise DataError(f"seeds.snippets: {str(folder)!r} is not a folder")
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or any(part.startswith(".") for part in Path(name).parts):
            continue
        try:
            lines = path.read_bytes()[:MAX_FILE_BYTES].decode().splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        rng = random.Random(digest([seed, name]))
        count = rng.randint(MIN_LINES, MAX_LINES)
        first = rng.randint(0, max(0, len(lines) - count))
        text = "\n".join(lines[first : first + count])
        if len(prose_words(text)) >= MIN_WORDS:
            yield f"{name}:{first + 1}", text


async def _from_snippet(evolution: Evolution, number: int, name: str, snippet: str) -> Record | None:
    blank = Record(
        domain=evolution.domain.name, task=Task(instruction="", name=name), operator="snippet", draw=number,
        evidence={"snippet": (snippet,)},
    )  # fmt: skip
    if evolution.decided(blank) is not None:
        return None
    try:
        reply = await evolution.ask(blank, "snippet", fill_slots(SNIPPET, snippet=snippet), round=0)
    except GivenUpError as error:
        return evolution.decide(evolution.give_up(blank, error))
    text = reply.texts[0].strip()
    record = replace(blank, task=Task(instruction=text, name=name)) if text else blank
    reason = "truncated" if reply.truncated else "no text" if not text else ""
    reason = reason or rejection_reason(evolution.domain, None, record.task, None)
    if not reason:
        return await decide_new_seed(evolution, record)
    _decide_drop(evolution, record, reason)
    return None
