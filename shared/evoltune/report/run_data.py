"""What a run's page shows, read from the run directory.

Every part may be missing (a run that only evolved has no scores); a missing part is None or empty.
"""

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from evoltune.curate.diversity import spherical_kmeans
from evoltune.curate.quality import level_of
from evoltune.errors import DataError
from evoltune.rows.files import read_journal, read_json
from evoltune.run import paths, queries
from evoltune.run.store import Store
from evoltune.text.ratings import median_rating
from evoltune.text.vectors import import_numpy, vectors
from evoltune.verification.records import REPAIRS

MAX_TEXT = 1200  # characters of one text in the row explorer; keeps 10,000 rows under 5 MB
EXAMPLES = 8
LABELS = (paths.BEFORE, paths.TRAINED, paths.AFTER)
POINTS = 1500  # of the map
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class RunData:
    """All that the page of one run shows."""

    name: str
    recipe_text: str
    ledgers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    rows: Rows = ()
    is_built: bool = False
    """The rows that are kept are in the dataset."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The recipe as the run's folder holds it."""
    fates: Rows = ()
    """{operator, fate, rows} of evolved rows, since seeds would leave them no room; of seeds where nothing was evolved."""
    reasoning: Rows = ()
    """{reasoning, round, rows} of kept rows; empty where no operator or seed names a kind."""
    operators: Rows = ()
    """{operator, drawn, accepted, verified, kept}"""
    yields: Rows = ()
    """evolve.yields.Yield as JSON, noted when verify ended."""
    spent: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    repairs: tuple[int, int] | None = None
    """(failed answers that were sent back, those whose repair passed)."""
    difficulty: Rows = ()
    """{round, level, rows}: kept rows by measured pass rate, else by the teacher's rating; "not measured" where there is neither."""
    ratings: Rows = ()
    """{round, mean, rated}: the difficulty of kept rows by round, measured, else rated as in the WizardLM paper (2304.12244)."""
    spread: Rows = ()
    """evolve.diversity.diversity_by_round, noted when evolve ended."""
    diversity: Rows = ()
    """{x, y, cluster, round, text}: a 2-D projection of a sample of kept rows."""
    examples: Rows = ()
    """{row, parent, diff}"""
    loss: Sequence[Mapping[str, float]] = ()
    rl: Rows = ()
    """Steps of reinforcement learning, and measurements on its held-out prompts."""
    sampled: Rows = ()
    """Answers that reinforcement rewarded, each with the parts of its reward: of the first and of the last recorded step."""
    scores: Rows = ()
    """{label, suite, measure, n, unjudged, value, low, high}"""
    judged: Rows = ()
    """Standings of open suites, as the judge's `study.json` has them."""
    certificate: Mapping[str, Any] | None = None
    template_proof: Mapping[str, Any] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """Versions of the packages that the evaluation ran with."""


def read_run(folder: Path) -> RunData:
    """Raises DataError when the folder is not a run."""
    recipe = folder / paths.RECIPE
    if not recipe.is_file() and not (folder / paths.STORE).is_file():
        raise DataError(f"{folder}: neither {paths.RECIPE} nor {paths.STORE} is there: give the directory of a run")
    text = recipe.read_text(encoding="utf-8") if recipe.is_file() else ""
    evaluations = {label: read_json(paths.scores_path(folder, label)) or {} for label in LABELS}
    from_files: dict[str, Any] = {
        "name": folder.resolve().name,
        "recipe_text": text,
        "settings": _settings(text),
        "loss": list(read_journal(folder / paths.CHECKPOINT / paths.METRICS)),
        "rl": list(read_journal(folder / paths.RL / paths.METRICS)),
        "sampled": _first_and_last(list(read_journal(folder / paths.RL / paths.SAMPLED))),
        "scores": _scores(evaluations),
        "judged": [
            found
            for path in sorted((folder / paths.EVAL / paths.JUDGED).glob(f"*/{paths.STANDINGS}"))
            if (found := read_json(path))
        ],
        "certificate": read_json(folder / paths.DATASET / paths.CERTIFICATE),
        "template_proof": read_json(folder / paths.CHECKPOINT / paths.TEMPLATE),
        "environment": (evaluations[paths.AFTER] or evaluations[paths.BEFORE]).get("environment", {}),
    }
    if not (folder / paths.STORE).is_file():
        return RunData(**from_files)
    with Store.read(folder) as store:
        rows = list(_rows(store))
        rated = {row["id"]: row.pop("rating") for row in rows}
        kept = [row for row in rows if row["outcome"] == "kept"]
        return RunData(
            **from_files,
            ledgers=queries.ledgers(store),
            rows=rows,
            is_built=bool(store.noted("built")) and queries.is_of_dataset(store),
            fates=_counted(
                [{**r, "fate": fate(r)} for r in rows if r["parents"]] or [{**r, "fate": fate(r)} for r in rows],
                "operator",
                "fate",
            ),
            reasoning=_counted([{**r, "reasoning": r["reasoning"] or "not named"} for r in kept], "reasoning", "round")
            if any(r["reasoning"] for r in kept)
            else (),
            operators=_operators(rows),
            yields=store.noted("yields") or (),
            spent=store.spent(),
            repairs=_repairs(store),
            difficulty=_difficulty(kept, rated),
            ratings=_ratings(kept, rated),
            spread=store.noted("diversity") or (),
            diversity=diversity_map(kept),
            examples=_examples(rows),
        )


def _first_and_last(sampled: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    steps = [sample["step"] for sample in sampled]
    return [sample for sample in sampled if sample["step"] in (min(steps), max(steps))]


def _rows(store: Store) -> Iterator[dict[str, Any]]:
    """One small dict per record, seeds first, in (round, id) order."""
    outcome, verdict = queries.outcomes(store), queries.row_verdicts(store)
    answers = queries.first_answers(store)
    evidence = dict(queries.evidence(store))
    measured = {record: 1 + 9 * (1 - passes / of) for record, passes, of in queries.pass_rates(store)}
    for raw in sorted(queries.record_bodies(store), key=lambda r: (r["round"], r["id"])):
        yield {
            "id": raw["id"],
            "parents": list(raw["parents"]),
            "round": raw["round"],
            "operator": raw["operator"] or "seed",
            "verdict": verdict.get(raw["id"], "not judged"),
            "outcome": outcome[raw["id"]],
            "reasoning": str(raw["task"].get("fields", {}).get("reasoning") or ""),
            "text": raw["task"]["instruction"][:MAX_TEXT],
            "answer": (answers.get(raw["id"]) or "")[:MAX_TEXT],
            "rating": measured.get(raw["id"], median_rating(evidence.get(raw["id"], {}).get("difficulty", ()))),
        }


def _settings(text: str) -> dict[str, Any]:
    """A recipe's keys; none where somebody has broken the file since: the page shows it as it is."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def fate(row: Mapping[str, Any]) -> str:
    """Where a row ended: "kept", or the step that dropped it."""
    step, _, reason = row["outcome"].partition(": ")
    return f"lost in {step}" if reason and row["outcome"] != queries.PENDING else step


def _repairs(store: Store) -> tuple[int, int] | None:
    """(answers that were asked for with a reason, those of them that passed); None where nothing was sent back."""
    passed = queries.passed_answers(store)
    asked = [
        (record, i)
        for record, found in queries.evidence(store)
        for i, text in enumerate(found.get(REPAIRS, ()))
        if text
    ]
    return (len(asked), len(passed.intersection(asked))) if asked else None


def _counted(rows: Rows, *names: str) -> list[dict[str, Any]]:
    counts = Counter(tuple(row[name] for name in names) for row in rows)
    return [{**dict(zip(names, key, strict=True)), "rows": n} for key, n in sorted(counts.items())]


def _difficulty(kept: Rows, rated: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Empty while nothing was evolved."""
    levels = [{"round": r["round"], "level": level_of(rated[r["id"]])} for r in kept]
    return _counted(levels, "round", "level") if any(r["round"] for r in kept) else []


def _ratings(kept: Rows, rated: Mapping[str, float | None]) -> list[dict[str, Any]]:
    by_round: dict[int, list[float]] = {}
    for row in kept:
        if (rating := rated[row["id"]]) is not None:
            by_round.setdefault(row["round"], []).append(rating)
    return [{"round": r, "mean": fmean(found), "rated": len(found)} for r, found in sorted(by_round.items())]


def _operators(rows: Rows) -> list[dict[str, Any]]:
    """Per operator: drawn, accepted (not eliminated by evolve), verified (an answer passed), kept to the end."""
    drawn: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        drawn.setdefault(row["operator"], []).append(row)
    return [
        {
            "operator": name,
            "drawn": len(own),
            "accepted": sum(not row["outcome"].startswith("evolve:") for row in own),
            "verified": sum(row["verdict"] == "pass" for row in own),
            "kept": sum(row["outcome"] == "kept" for row in own),
        }
        for name, own in sorted(drawn.items())
    ]


def _examples(rows: Rows) -> list[dict[str, Any]]:
    """Children beside their parents with a word diff: a kept one first, then one of each fate, then more kept ones."""
    by_id = {r["id"]: r for r in rows}
    children = [r for r in rows if r["parents"] and r["text"] and r["parents"][0] in by_id]
    kept = [r for r in children if r["outcome"] == "kept"]
    fates: dict[str, Mapping[str, Any]] = {}
    for row in children:
        if row["outcome"] != "kept":
            fates.setdefault(row["outcome"], row)
    chosen = [*kept[:1], *list(fates.values())[: EXAMPLES - 1]]
    chosen += kept[1 : 1 + EXAMPLES - len(chosen)]
    return [
        {"row": row, "parent": parent, "diff": word_diff(parent["text"], row["text"])}
        for row in chosen
        for parent in [by_id[row["parents"][0]]]
    ]


def word_diff(before: str, after: str) -> list[tuple[str, str]]:
    """[(kind, text)] with kind in "same", "gone", "new"."""
    a, b = before.split(), after.split()
    diff: list[tuple[str, str]] = []
    for tag, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            diff.append(("same", " ".join(a[i:j])))
            continue
        if i < j:
            diff.append(("gone", " ".join(a[i:j])))
        if k < m:
            diff.append(("new", " ".join(b[k:m])))
    return diff


def _scores(evaluations: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for label, scores in evaluations.items():
        for suite, entry in (scores.get("suites") or {}).items():
            for measure, value in entry.get("measures", {}).items():
                low, high = value["interval"]
                row = {
                    "label": label,
                    "suite": suite,
                    "measure": measure,
                    "n": entry["n"],
                    "unjudged": entry.get("unjudged", 0),
                }
                found.append(row | {"value": value["value"], "low": low, "high": high})
    return found


# ---- the map


def diversity_map(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Hashed n-gram vectors of a sample of the rows, on their first two principal components, in k-means clusters.

    Args:
        rows: {id, round, text}.

    Returns:
        {x, y, cluster, round, text} of each point; empty for fewer than three rows, or without numpy.
    """
    sample = sorted((r for r in rows if r["text"]), key=lambda r: r["id"])[:POINTS]
    if len(sample) < 3 or find_spec("numpy") is None:
        return []
    points = vectors([r["text"] for r in sample])
    return [
        {
            "x": round(float(x), 4), "y": round(float(y), 4),
            "cluster": int(cluster), "round": row["round"], "text": row["text"][:80],
        }
        for (x, y), cluster, row in zip(_projected(points), spherical_kmeans(points), sample, strict=True)
    ]  # fmt: skip


def _projected(points: Any) -> Any:
    """float[n, 2]: the first two principal components, by subspace iteration from a fixed start (0.2 s of CPU for 1,500 points of
    width 1024, where all eigenvectors take 2 s; of pure noise, where it converges worst, the two hold 98% of the variance)."""
    np = import_numpy()
    centred = points - points.mean(axis=0)
    basis = np.random.default_rng(0).normal(size=(centred.shape[1], min(12, *centred.shape))).astype(centred.dtype)
    for _ in range(12):
        basis = np.linalg.qr(centred.T @ (centred @ basis))[0]
    axes = basis @ np.linalg.svd(centred @ basis, full_matrices=False)[2][:2].T
    # The sign of an eigenvector is arbitrary: fixing it makes the page repeatable.
    return centred @ axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
