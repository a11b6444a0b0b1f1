"""Evol-stop: score each round on a dev suite, stop when the score falls, keep the best round."""

import sys
from collections.abc import Callable
from dataclasses import replace

from evoltune.generate.processes import processes_kept
from evoltune.run.paths import ROUNDS
from evoltune.run.queries import decisions
from evoltune.run.run import Run
from evoltune.run.store import Store


def evolve_until_best(work: Run, grow: Callable[[Store, int], object], score: Callable[[Run], float]) -> int:
    """Evolves round by round until the score falls. Rounds that were scored under the same recipe are not scored again.

    Args:
        grow: Evolves the store up to a round.
        score: The dev score of the run, limited to its first rounds.

    Returns:
        The best round, which is noted in the store too; a tie goes to the earlier one.
    """
    best = 0
    scores: dict[int, float] = {}
    for upto in range(1, work.recipe.evolve.rounds + 1):
        with Store.open(work.folder) as store:
            grow(store, upto)
            key = f"evol_stop:{work.scoring_version}:{upto}"
            known = store.noted(key)
        limited = replace(work, upto=upto, outputs=work.folder / ROUNDS / str(upto))
        with processes_kept():  # they end with the score: none stays beside the training of the next round
            scores[upto] = score(limited) if known is None else float(known)
        best = max(scores, key=lambda k: (scores[k], -k))
        with Store.open(work.folder) as store:
            store.note(key, scores[upto])
            work.note_best_round(store, best)
        print(f"  evol-stop: round {upto} scores {scores[upto]:.4f} on {work.recipe.evolve.stop_on}", file=sys.stderr)
        if scores[upto] < scores[best]:
            break
    return best


def verify_rate(work: Run) -> float:
    """The share of the newest round's rows that verify kept: the score of `stop_by: verify_rate`."""
    with Store.read(work.folder) as store:
        kept = [not d.reason for d in decisions(store, work.verify_step) if d.round == work.upto]
    return sum(kept) / len(kept) if kept else 0.0
