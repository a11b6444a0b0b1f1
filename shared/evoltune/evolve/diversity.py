"""Diversity of the prompts, round by round, and a word on it where it falls.

    for row in diversity_by_round(kept_instructions(store, step)): print(row["round"], row["effective"])

"Make it harder" alone loses diversity over rounds, which no row shows by itself. Invariant: all rounds are measured on samples of
one size, because the effective number grows with the number of rows.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import Any

from evoltune.curate.diversity import effective_number
from evoltune.record import digest
from evoltune.run.queries import kept_instructions
from evoltune.run.store import Step, Store
from evoltune.teacher.notices import say
from evoltune.text.vectors import vectors

SAMPLE, SAMPLES, LEAST = 64, 4, 20
"""Prompts of a sample, at most (the work grows with the cube), and samples of a round, whose mean counts; rounds with fewer
prompts than the third are not measured."""
FALL = 0.9
"""Below this share of the first round's diversity it is said."""
NOTE = "diversity"


def diversity_by_round(rows: Iterable[tuple[str, int, str]], model: str = "") -> list[dict[str, Any]]:
    """{round, prompts, sample, effective} of each round of rows (id, round, instruction): `effective` of `sample` prompts are
    different ones, by embeddings of `model` or, without one, by hashed n-grams."""
    prompts: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for record, round, instruction in rows:
        prompts[round].append((digest(["diversity", record]), instruction))
    sizes = [len(found) for found in prompts.values() if len(found) >= LEAST]
    if not sizes or find_spec("numpy") is None:
        return []
    size = min(SAMPLE, *sizes, *sizes)
    return [
        {"round": round, "prompts": len(found), "sample": size, "effective": _effective(sorted(found), size, model)}
        for round, found in sorted(prompts.items())
        if len(found) >= LEAST
    ]


def _effective(found: Sequence[tuple[str, str]], size: int, model: str) -> float:
    count = min(SAMPLES, len(found) // size)
    rows = vectors([text for _, text in found[: count * size]], model)
    return round(sum(effective_number(rows[i * size : (i + 1) * size]) for i in range(count)) / count, 2)


def note_diversity(store: Store, step: Step, model: str = "") -> None:
    """Measures the kept rows of an evolve step, notes it with the run, and says where a round is less diverse than the first."""
    rows = diversity_by_round(kept_instructions(store, step), model)
    store.note(NOTE, rows)
    for row in rows[1:]:
        if row["effective"] < FALL * rows[0]["effective"]:
            say(
                f"round {row['round']} is less diverse than round {rows[0]['round']}: {row['effective']:g} different prompts of "
                f"{row['sample']}, against {rows[0]['effective']:g}: fewer rounds, or more operators of kind breadth"
            )
