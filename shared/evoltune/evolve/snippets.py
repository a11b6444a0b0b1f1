"""Exercises inspired by lines of source code, as seeds (OSS-Instruct, 2312.02120).

    seeds: {snippets: ./my-sources}

Invariant: each snippet ends as one decided record.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from evoltune.errors import DataError
from evoltune.evolve.answers import decide_new_seed
from evoltune.evolve.evolution import Evolution, gather_all, gave_up
from evoltune.evolve.questions import SNIPPET
from evoltune.evolve.rules.registry import rejection_reason
from evoltune.record import Drop, Record, Task, digest
from evoltune.teacher.protocol import GivenUpError
from evoltune.text.prompts import fill_slots
from evoltune.text.words import prose_words

MIN_LINES, MAX_LINES = 3, 15  # the paper takes 1 to 15 consecutive lines
MIN_WORDS = 5
MAX_FILE_BYTES = 400_000


async def from_snippets(evolution: Evolution, folder: str) -> list[Record]:
    """One seed per source file below `folder`, inspired by a few of its lines. Raises DataError."""
    snippets = list(read_snippets(Path(folder).expanduser(), evolution.recipe.seed))
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
        return evolution.decide(gave_up(blank, error))
    text = reply.texts[0].strip()
    record = replace(blank, task=Task(instruction=text, name=name)) if text else blank
    reason = "no text" if not text else "truncated" if reply.truncated else ""
    reason = reason or rejection_reason(evolution.domain, None, record.task, None)
    if not reason:
        return await decide_new_seed(evolution, record)
    if evolution.decided(record) is None:
        evolution.decide(Drop(record=record, reason=reason))
    return None
