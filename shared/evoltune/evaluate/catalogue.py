"""What can be measured: all declared suites, their skills and difficulty side by side, and new balanced sets.

    evoltune eval suites ls
    evoltune eval suites compare general/wizardlm general/vicuna     # the WizardLM paper's figure of skills and difficulty
    evoltune eval suites build rows.jsonl size=218 seed=0 --out mine.jsonl

Invariant: `build` draws the same rows from the same file, size and seed; a group that runs out is filled by the others.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evoltune.errors import DataError, RecipeError
from evoltune.evaluate.suites import Suite, candidates, declared, load_suite
from evoltune.rows.files import jsonl_writer
from evoltune.terminal import table

SKILLS = ("skill", "Skill", "type", "subject", "category")
DIFFICULTIES = ("difficulty", "Difficulty", "level")
SIZE = 218  # the WizardLM test set's


def listing(data: Path | None = None) -> list[dict[str, str]]:
    """A row per declared suite: profile, licence, hash, where its file is or where to get it."""
    rows = []
    for name, entry in declared().items():
        b = entry.benchmark
        found = next((path for path in candidates(entry, data) if path.exists()), None)
        where = (
            str(found)
            if found
            else f"missing: {b.file or b.hub}" + (f" (hub: {b.hub})" if b.file and b.hub else "")
        )
        sha256 = b.sha256[:12] or "at first load"
        rows.append(
            {"suite": name, "profile": b.profile, "licence": b.licence, "sha256": sha256, "file": where}
        )
    return rows


def value_of(fields: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first of these fields as text; "" when there is none."""
    value = next((fields[n] for n in names if fields.get(n) not in (None, "")), "")
    if isinstance(value, list | tuple):
        value = value[0] if value else ""
    return str(value)


def comparison(names: Sequence[str], data: Path | None = None) -> Iterator[str]:
    """Shares of each skill, and of each difficulty, by suite."""
    if not names:
        raise RecipeError("eval suites compare needs suites: `evoltune eval suites ls` lists them")
    suites = [load_suite(name, data) for name in names]
    for title, fields in (("skill", SKILLS), ("difficulty", DIFFICULTIES)):
        counts = [
            Counter(value_of(t.fields, fields) or "not stated" for t in suite.tasks) for suite in suites
        ]
        groups = sorted({g for count in counts for g in count}, key=_natural)
        rows = [
            [group, *(f"{c[group] / sum(c.values()):.1%}" if c[group] else "-" for c in counts)]
            for group in groups
        ]
        yield from table([title, *(f"{s.name} ({len(s.tasks)})" for s in suites)], rows)
        yield ""
    for suite in suites:
        yield f"{suite.name}: {_mean_difficulty(suite)}"


def _mean_difficulty(suite: Suite) -> str:
    found = [_natural(value_of(t.fields, DIFFICULTIES))[0] for t in suite.tasks]
    known = [value for value in found if value >= 0]
    return (
        f"mean difficulty {sum(known) / len(known):.2f} over {len(known)} problems"
        if known
        else "no difficulty stated"
    )


def _natural(text: str) -> tuple[float, str]:
    digits = "".join(c for c in text if c.isdigit())
    return (float(digits) if digits else -1.0, text)


def build(rows: Iterable[Mapping[str, Any]], size: int, seed: int = 0) -> list[dict[str, Any]]:
    """`size` rows with as even a spread over difficulties as the file allows and, within one, over skills.

    Raises DataError when no row states a difficulty or there are fewer rows than asked for.
    """
    groups: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    total = 0
    for row in rows:
        flat = {**row, **(row["fields"] if isinstance(row.get("fields"), Mapping) else {})}
        difficulty = value_of(flat, DIFFICULTIES)
        if difficulty:
            groups[difficulty][value_of(flat, SKILLS)].append(dict(row))
            total += 1
    if total < size:
        raise DataError(
            f"{total} rows state a difficulty ({', '.join(DIFFICULTIES)}), {size} are asked for: lower size"
        )
    rng = random.Random(seed)
    piles = {difficulty: _interleaved(skills, rng) for difficulty, skills in sorted(groups.items())}
    chosen: list[dict[str, Any]] = []
    while len(chosen) < size:
        for difficulty in sorted(piles, key=_natural):
            if piles[difficulty] and len(chosen) < size:
                chosen.append(piles[difficulty].pop())
    return chosen


def _interleaved(skills: Mapping[str, list[dict[str, Any]]], rng: random.Random) -> list[dict[str, Any]]:
    """All rows of one difficulty, the skills in turn, so that taking from the end spreads over them."""
    piles = [list(rows) for _, rows in sorted(skills.items())]
    for pile in piles:
        rng.shuffle(pile)
    rng.shuffle(piles)
    out = []
    while any(piles):
        out += [pile.pop() for pile in piles if pile]
    return out[::-1]


def build_from_cli(words: Sequence[str], out: Path | None) -> str:
    """`ROWS [size=N] [seed=N]` and where to write; says what was drawn."""
    from evoltune.rows.readers import read_rows

    options = dict(word.split("=", 1) for word in words[1:] if "=" in word)
    if not words or set(options) - {"size", "seed"} or len(options) != len(words) - 1:
        raise RecipeError(
            "eval suites build ROWS [size=N] [seed=N] --out FILE: rows with a difficulty and a skill"
        )
    if out is None or out.exists():
        raise RecipeError(
            f"eval suites build: --out {'FILE is missing' if out is None else f'{out} exists: choose another name'}"
        )
    if not all(value.isdigit() for value in options.values()):
        raise RecipeError(f"eval suites build: size and seed must be whole numbers: {options}")
    rows = build(read_rows(words[0]), int(options.get("size", SIZE)), int(options.get("seed", 0)))
    with jsonl_writer(out) as write:
        for row in rows:
            write(row)
    counts = Counter(value_of({**row, **(row.get("fields") or {})}, DIFFICULTIES) for row in rows)
    spread = ", ".join(f"{d}: {n}" for d, n in sorted(counts.items(), key=lambda item: _natural(item[0])))
    return f"{len(rows)} rows in {out}; by difficulty {spread}"
