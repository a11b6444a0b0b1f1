"""More seeds before evolution begins: self-instruct from a few, and exercises inspired by code snippets.

    seeds: {bootstrap: self_instruct, bootstrap_size: 52000}      # 2212.10560; Alpaca's 52k came from 175 this way
    seeds: {snippets: ./my-sources}                               # OSS-Instruct, 2312.02120

Self-instruct works in waves: all calls of a wave see the same pool, and what comes back is admitted in the order of the
calls, so the data do not depend on arrival. Invariant: each task that was asked for ends as one decided record.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from evoltune.errors import DataError
from evoltune.evolve.chain import Loop, answered, every, evidence_of
from evoltune.evolve.prompts import SELF_INSTRUCT, SNIPPET
from evoltune.evolve.rules.registry import rejection_reason
from evoltune.record import Drop, Record, Task, digest
from evoltune.teacher.protocol import GivenUpError
from evoltune.text.slots import fill_slots
from evoltune.text.words import STOP_WORDS, prose_words

PER_CALL, SHOWN_SEEDS, SHOWN_NEW = 10, 6, 2  # Self-Instruct shows 6 written and 2 generated tasks
WAVE_CALLS = 64
SIMILAR = 0.7  # ROUGE-L at which Self-Instruct refuses a task
IDLE_WAVES = 3
SNIPPET_LINES = 15  # OSS-Instruct takes 1 to 15 consecutive lines
SNIPPET_BYTES = 400_000


async def self_instruct(loop: Loop, seeds: Sequence[Record], size: int) -> list[Record]:
    """New seeds until seeds + new ones reach `size`; fewer when three waves in a row bring nothing new."""
    pool, idle, wave = Pool(seeds), 0, 0
    new: list[Record] = []
    while len(seeds) + len(new) < size and idle < IDLE_WAVES:
        calls = min(WAVE_CALLS, -(-(size - len(seeds) - len(new)) // PER_CALL))
        draws = [_demonstrations(loop, seeds, new, wave, i) for i in range(calls)]
        loop.planned(calls * PER_CALL)
        texts = await every(_tasks(loop, demos, wave * WAVE_CALLS + i) for i, demos in enumerate(draws))
        admitted: list[Record] = []
        for i, (demos, found) in enumerate(zip(draws, texts, strict=True)):
            for k in range(PER_CALL):
                number = (wave * WAVE_CALLS + i) * PER_CALL + k
                record = _record(loop, demos, number, found[k] if k < len(found) else "")
                room = len(seeds) + len(new) + len(admitted) < size
                admitted += _admitted(loop, pool, record, room=room)
        await every(_finish(loop, record) for record in admitted)
        new += admitted
        idle, wave = (0 if admitted else idle + 1), wave + 1
    return new


def _demonstrations(
    loop: Loop, seeds: Sequence[Record], new: Sequence[Record], wave: int, call: int
) -> list[Record]:
    rng = random.Random(digest([loop.recipe.seed, "self_instruct", wave, call]))
    shown = rng.sample(seeds, min(SHOWN_SEEDS, len(seeds))) + rng.sample(new, min(SHOWN_NEW, len(new)))
    rng.shuffle(shown)
    return shown


def _record(loop: Loop, demos: Sequence[Record], number: int, text: str) -> Record:
    parents = tuple(d.id for d in demos)
    return Record(
        domain=loop.domain.name,
        task=Task(instruction=text),
        parents=parents,
        operator="self_instruct",
        draw=number,
    )


async def _tasks(loop: Loop, demos: Sequence[Record], call: int) -> list[str]:
    listed = "\n".join(f"{i}. {' '.join(d.task.instruction.split())}" for i, d in enumerate(demos, 1))
    prompt = fill_slots(SELF_INSTRUCT, shown=str(len(demos)), wanted=str(PER_CALL), examples=listed)
    try:
        reply = await loop.ask(_record(loop, demos, call, ""), "self_instruct", prompt, round=0, sample=call)
    except GivenUpError:
        return []
    found = numbered(reply.texts[0])
    return found[:-1] if reply.cut else found[:PER_CALL]  # the last one was cut


def numbered(text: str) -> list[str]:
    """The items of a numbered list, in order: `1. ...`, `2) ...`; lines that follow an item belong to it."""
    parts = re.split(r"(?m)^\s*(?:task\s*)?\d{1,2}\s*[.):]\s+", text, flags=re.IGNORECASE)
    return [" ".join(p.split()) for p in parts[1:] if p.strip()]


def _admitted(loop: Loop, pool: Pool, record: Record, *, room: bool) -> list[Record]:
    """[record] when it may become a seed; else its drop is decided."""
    task = record.task
    reason = "no text" if not task.instruction else rejection_reason(loop.domain, None, task, None)
    if not reason and pool.similar(task.instruction):
        reason = "too similar"
    if not reason and not room:
        reason = "enough seeds"
    if reason:
        if loop.decided(record) is None:
            loop.decide(Drop(record=record, reason=reason))
        return []
    pool.add(task.instruction)
    return [record]


class Pool:
    """The tasks so far, for the ROUGE-L test. Only tasks that share half of the rarer words are compared."""

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

    def similar(self, text: str) -> bool:
        """Whether some task has a ROUGE-L of at least 0.7 with the text."""
        mine = prose_words(text)
        content = set(mine) - STOP_WORDS
        shared = Counter(i for word in content for i in self._by_word.get(word, ()))
        near = (i for i, n in shared.items() if 2 * n >= len(content))
        return any(rouge_l(mine, self._texts[i]) >= SIMILAR for i in near)


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


async def from_snippets(loop: Loop, folder: str) -> list[Record]:
    """One seed per source file below `folder`, inspired by a few of its lines. Raises DataError."""
    snippets = list(read_snippets(Path(folder).expanduser(), loop.recipe.seed))
    if not snippets:
        raise DataError(f"seeds.snippets: {folder!r} holds no text file with code")
    loop.planned(len(snippets))
    made = await every(_from_snippet(loop, i, name, text) for i, (name, text) in enumerate(snippets))
    return [record for record in made if record]


def read_snippets(folder: Path, seed: int) -> Iterator[tuple[str, str]]:
    """(file:line, 1 to 15 lines) of each readable text file, in name order; hidden files and binaries are passed over."""
    if not folder.is_dir():
        raise DataError(f"seeds.snippets: {str(folder)!r} is not a folder")
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or any(p.startswith(".") for p in Path(name).parts):
            continue
        try:
            lines = path.read_bytes()[:SNIPPET_BYTES].decode().splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        rng = random.Random(digest([seed, name]))
        count = rng.randint(3, SNIPPET_LINES)
        first = rng.randint(0, max(0, len(lines) - count))
        text = "\n".join(lines[first : first + count])
        if len(prose_words(text)) >= 5:
            yield f"{name}:{first + 1}", text


async def _from_snippet(loop: Loop, number: int, name: str, snippet: str) -> Record | None:
    empty = Record(
        domain=loop.domain.name, task=Task(instruction="", name=name), operator="snippet", draw=number,
        evidence={"snippet": (snippet,)},
    )  # fmt: skip
    if loop.decided(empty) is not None:
        return None
    try:
        reply = await loop.ask(empty, "snippet", fill_slots(SNIPPET, snippet=snippet), round=0)
    except GivenUpError as error:
        return loop.decide(Drop(record=empty, reason=f"teacher gave up: {error.reason}"))
    text = reply.texts[0].strip()
    record = replace(empty, task=Task(instruction=text, name=name)) if text else empty
    reason = (
        "no text"
        if not text
        else "truncated"
        if reply.cut
        else rejection_reason(loop.domain, None, record.task, None)
    )
    if not reason:
        return await _finish(loop, record)
    if loop.decided(record) is None:
        loop.decide(Drop(record=record, reason=reason))
    return None


async def _finish(loop: Loop, record: Record) -> Record | None:
    """Answers and evidence of a new seed; decides it."""
    known = loop.decided(record)
    if known is not None:
        return None if known else record
    try:
        result = await answered(loop, record)
        if isinstance(result, Record):
            result = replace(result, evidence={**record.evidence, **await evidence_of(loop, result)})
    except GivenUpError as error:
        result = Drop(record=record, reason=f"teacher gave up: {error.reason}")
    return loop.decide(result)
