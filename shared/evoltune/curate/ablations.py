"""The datasets of an ablation: one property varied at a time (LIMA, 2305.11206, section 5; WizardCoder's rounds).

    variants(pool, "quantity", size=1000, seed=0)  ->  {"250 rows": [...], "500 rows": [...], "1000 rows": [...]}

Except under `quantity` and `evolution`, all variants of an axis have the same number of rows. Invariant: the same pool, in any order, and
the same seed give the same variants.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from evoltune.curate.diversity import choose_diverse, spherical_kmeans
from evoltune.curate.select import grouped, source_of
from evoltune.errors import DataError
from evoltune.evolve.rewriting import MODEL as REWRITE
from evoltune.record import Record, digest
from evoltune.text.vectors import import_numpy, vectors

Variants = dict[str, list[Record]]
MIN_ROWS = 4  # of a variant; fewer are not worth a training


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The rows that an ablation draws from."""

    kept: Sequence[Record]
    """The rows of the dataset."""
    rejected: Sequence[Record] = ()
    """Rows that the verifier or LIMA's rules rejected; `quality` and `evolution` train on them too, for comparison."""
    verified: Sequence[Record] = ()
    """Rows that the verifier kept, before anything was selected."""
    roots: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Id of each row that was evolved -> the seeds that it comes from."""


def variants(pool: Pool, axis: str, size: int, seed: int) -> Variants:
    """The datasets to compare along an axis, each a label and its rows. Raises DataError where the pool gives fewer than two."""
    found = AXES[axis](pool, size, seed)
    found = {label: sorted(rows, key=lambda r: r.id) for label, rows in found.items() if len(rows) >= MIN_ROWS}
    if len(found) < 2:
        raise DataError(
            f"the axis {axis!r} needs two variants of at least {MIN_ROWS} rows, the pool of {len(pool.kept)} kept and "
            f"{len(pool.rejected)} rejected rows gives {len(found)}: evolve more rows, or leave the axis out"
        )
    return found


def _drawn(rows: Sequence[Record], size: int, seed: int) -> list[Record]:
    return sorted(rows, key=lambda r: digest(["ablate", seed, r.id]))[:size]


def _diversity(pool: Pool, size: int, seed: int) -> Variants:
    """The same number of rows: spread over the whole set (k-center), drawn from it, or drawn from one cluster."""
    np = import_numpy()
    rows = sorted(pool.kept, key=lambda r: r.id)
    if not rows:
        return {}
    points = vectors([r.task.instruction for r in rows])
    count = min(size, max(MIN_ROWS, len(rows) // 4))
    labels = spherical_kmeans(points, 4, seed=seed)
    largest = np.bincount(labels).argmax()
    corner = [r for r, label in zip(rows, labels, strict=True) if label == largest]
    count = min(count, len(corner))
    spread = [rows[i] for i in choose_diverse(points, np.ones(len(rows)), count)]
    return {"spread out": spread, "drawn": _drawn(rows, count, seed), "one cluster": _drawn(corner, count, seed)}


def _quality(pool: Pool, size: int, seed: int) -> Variants:
    """Rows that verifier and LIMA's rules kept, against rows as teacher or sources gave them (in the pool's own proportion)."""
    if not pool.rejected:
        return {}
    bare = [_without_verdict(r) for r in (*pool.kept, *pool.rejected)]
    count = min(size, len(pool.kept))
    return {"kept": _drawn(pool.kept, count, seed), "unfiltered": _drawn(bare, count, seed)}


def _without_verdict(record: Record) -> Record:
    """The row with its first answer and no verdict: what a pipeline without a verifier would train on."""
    return replace(record, answers=tuple(replace(a, verdict=None) for a in record.answers[:1]))


def _quantity(pool: Pool, size: int, seed: int) -> Variants:
    counts = sorted({size // 8, size // 4, size // 2, size} - {0})
    return {f"{n} rows": _drawn(pool.kept, n, seed) for n in counts if n <= len(pool.kept)}


def _task_mix(pool: Pool, size: int, seed: int) -> Variants:
    """Each of the four largest skills alone, and all skills, at the size of the smallest of the four."""
    groups = {name: rows for name, rows in grouped(pool.kept, _skill).items() if len(rows) >= MIN_ROWS}
    if len(groups) < 2:
        return {}
    largest = dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))[:4])
    count = min(size, *(len(rows) for rows in largest.values()))
    alone = {f"only {name}": _drawn(rows, count, seed) for name, rows in sorted(largest.items())}
    return {"mixed": _drawn(pool.kept, count, seed), **alone}


def _skill(record: Record) -> str:
    return str(record.task.fields.get("skill") or source_of(record))


def _round_mix(pool: Pool, size: int, seed: int) -> Variants:
    """Seeds only, then seeds and the first rounds, each at the number of seeds (2306.08568, figure 3)."""
    last = max((r.round for r in pool.kept), default=0)
    upto = {n: [r for r in pool.kept if r.round <= n] for n in range(last + 1)}
    count = min([size, *(len(rows) for rows in upto.values())])
    return {"seeds" if n == 0 else f"rounds 0 to {n}": _drawn(rows, count, seed) for n, rows in upto.items()}


def _evolution(pool: Pool, size: int, seed: int) -> Variants:
    """What evolution brings, from the same seeds: `size` of those that chains grew from, and what was made of these alone."""
    grown = frozenset().union(*pool.roots.values())
    seeds = _drawn([r for r in pool.verified if r.id in grown], size, seed)
    chosen = {r.id for r in seeds}

    def evolved(rows: Sequence[Record], *, computed: bool) -> list[Record]:
        own = (r for r in rows if r.parents and pool.roots.get(r.id, frozenset({""})) <= chosen)
        return [r for r in own if (r.answers[0].model == REWRITE) == computed]

    unverified = [_without_verdict(r) for r in evolved([*pool.verified, *pool.rejected], computed=False)]
    found = {
        "seeds only": seeds,
        "evolved, unverified": [*seeds, *unverified],
        "evolved, verified": [*seeds, *evolved(pool.verified, computed=False)],
        "verified and selected": [r for r in pool.kept if r.id in chosen] + evolved(pool.kept, computed=False),
        "solution first": [*seeds, *evolved(pool.verified, computed=True)],
    }
    return found if len(found["evolved, unverified"]) > len(seeds) or len(found["solution first"]) > len(seeds) else {}


AXES: Mapping[str, Callable[[Pool, int, int], Variants]] = {
    "diversity": _diversity,
    "quality": _quality,
    "quantity": _quantity,
    "task-mix": _task_mix,
    "round-mix": _round_mix,
    "evolution": _evolution,
}
EVOLUTION = "evolution"
"""The axis whose variants are trained at equal tokens, and compared with its first."""
