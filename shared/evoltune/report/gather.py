"""Reads a run directory into one plain structure, `Page`: what the templates and charts show.

Every part may be missing (a run that only evolved has no scores); a missing part is None or empty, never invented.
"""

from __future__ import annotations

import difflib
import json
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evoltune.curate.difficulty import level_of
from evoltune.errors import DataError
from evoltune.run.store import FILE, Store
from evoltune.text.ratings import median_rating

TEXT_LIMIT = 1200  # characters of one text in the explorer; keeps 10,000 rows under 5 MB
EXAMPLES = 8
POINTS = 1500  # of the diversity map


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that one report shows."""

    name: str
    recipe_text: str
    ledgers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()
    verdicts: Sequence[Mapping[str, Any]] = ()
    operators: Sequence[Mapping[str, Any]] = ()
    yields: Sequence[Mapping[str, Any]] = ()
    """evolve.yields.Yield as JSON, noted when verify ended."""
    spent: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    difficulty: Sequence[Mapping[str, Any]] = ()
    """{round, level, rows}: difficulty by round, by the teacher's 1 to 10 or by the round itself."""
    diversity: Sequence[Mapping[str, Any]] = ()
    """{x, y, cluster, round, text}: a 2-D projection of a sample of kept rows."""
    examples: Sequence[Mapping[str, Any]] = ()
    loss: Sequence[Mapping[str, float]] = ()
    scores: Sequence[Mapping[str, Any]] = ()
    certificate: Mapping[str, Any] | None = None
    template_proof: Mapping[str, Any] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def gather(folder: Path) -> Page:
    """Raises DataError when the folder is not a run."""
    if not (folder / "recipe.yaml").is_file() and not (folder / FILE).is_file():
        raise DataError(f"{folder}: neither recipe.yaml nor {FILE} is there: give the directory of a run")
    recipe = folder / "recipe.yaml"
    shared: dict[str, Any] = {
        "name": folder.resolve().name,
        "recipe_text": recipe.read_text(encoding="utf-8") if recipe.is_file() else "",
        "loss": list(_jsonl(folder / "checkpoint" / "metrics.jsonl")),
        "scores": _scores(folder),
        "certificate": _json(folder / "dataset" / "certificate.json"),
        "template_proof": _json(folder / "checkpoint" / "template.json"),
        "environment": environment(),
    }
    if not (folder / FILE).is_file():
        return Page(**shared)
    with Store.read(folder) as store:
        rows = list(_rows(store))
        return Page(
            **shared,
            ledgers=store.noted("ledgers") or {},
            rows=rows,
            verdicts=_verdict_mix(rows),
            operators=_operators(rows),
            yields=store.noted("yields") or (),
            spent=store.spent(),
            difficulty=_difficulty(store, rows),
            diversity=_diversity(rows),
            examples=_examples(rows),
        )


def _rows(store: Store) -> Iterator[dict[str, Any]]:
    """One small dict per record, seeds first, in (round, id) order."""
    fate: dict[str, str] = {}
    for record, step, reason in store.sql("SELECT record, step, reason FROM decisions WHERE reason<>''"):
        fate[record] = f"{step.partition('@')[0]}: {reason}"
    verdict: dict[str, str] = {}
    for record, body in store.sql("SELECT record, body FROM verdicts ORDER BY record, i DESC"):
        status = json.loads(body)["status"]
        verdict[record] = "pass" if "pass" in (status, verdict.get(record)) else status
    answers = dict(store.sql("SELECT record, text FROM answers WHERE i=0"))
    found = [json.loads(body) | {"id": i} for i, body in store.sql("SELECT id, body FROM records")]
    for raw in sorted(found, key=lambda r: (r["round"], r["id"])):
        yield {
            "id": raw["id"],
            "parents": list(raw["parents"]),
            "round": raw["round"],
            "operator": raw["operator"] or "seed",
            "verdict": verdict.get(raw["id"], "not judged"),
            "fate": fate.get(raw["id"], "kept"),
            "text": raw["task"]["instruction"][:TEXT_LIMIT],
            "answer": (answers.get(raw["id"]) or "")[:TEXT_LIMIT],
        }


def _difficulty(store: Store, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Counts of kept rows by round and level; empty while nothing was evolved."""
    evidence = {
        i: json.loads(body).get("difficulty", ())
        for i, body in store.sql("SELECT record, body FROM evidence")
    }
    counted: Counter[tuple[int, str]] = Counter()
    for row in rows:
        if row["fate"] == "kept":
            rated = median_rating(evidence.get(row["id"], ()))
            counted[row["round"], level_of(rated, row["round"])] += 1
    table = [{"round": r, "level": level, "rows": n} for (r, level), n in sorted(counted.items())]
    return table if any(t["round"] for t in table) else []


def _diversity(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Hashed n-gram vectors of a sample of kept rows, on their two first principal components, in k-means clusters."""
    kept = sorted((r for r in rows if r["fate"] == "kept" and r["text"]), key=lambda r: r["id"])[:POINTS]
    if len(kept) < 3 or find_spec("numpy") is None:
        return []
    import numpy as np

    from evoltune.curate.select.diversity import spherical_kmeans
    from evoltune.text.vectors import vectors

    points = vectors([r["text"] for r in kept])
    labels = spherical_kmeans(points).labels
    centred = points - points.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, -2:]
    flat = centred @ (
        axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    )  # the sign of an axis is arbitrary: fixed
    return [
        {
            "x": round(float(x), 4),
            "y": round(float(y), 4),
            "cluster": int(c),
            "round": r["round"],
            "text": r["text"][:80],
        }
        for (y, x), c, r in zip(flat, labels, kept, strict=True)
    ]


def _verdict_mix(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    counted = Counter((r["operator"], r["verdict"]) for r in rows)
    return [{"operator": o, "verdict": v, "rows": n} for (o, v), n in sorted(counted.items())]


def _operators(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Per operator: drawn, accepted (not eliminated by evolve), verified (an answer passed), kept to the end."""
    table = []
    for name in sorted({r["operator"] for r in rows}):
        mine = [r for r in rows if r["operator"] == name]
        table.append(
            {
                "operator": name,
                "drawn": len(mine),
                "accepted": sum(not r["fate"].startswith("evolve:") for r in mine),
                "verified": sum(r["verdict"] == "pass" for r in mine),
                "kept": sum(r["fate"] == "kept" for r in mine),
            }
        )
    return table


def _examples(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Kept children beside their parents with a word diff; dropped ones fill up, so that reasons are seen too."""
    by_id = {r["id"]: r for r in rows}
    children = [r for r in rows if r["parents"] and r["text"] and r["parents"][0] in by_id]
    kept = [r for r in children if r["fate"] == "kept"]
    dropped = [r for r in children if r["fate"] != "kept"]
    chosen = (kept + dropped)[:EXAMPLES] if kept else dropped[:EXAMPLES]
    return [
        {
            "row": r,
            "parent": by_id[r["parents"][0]],
            "diff": word_diff(by_id[r["parents"][0]]["text"], r["text"]),
        }
        for r in chosen
    ]


def word_diff(before: str, after: str) -> list[tuple[str, str]]:
    """[(kind, text)] with kind in "same", "gone", "new"."""
    a, b = before.split(), after.split()
    out: list[tuple[str, str]] = []
    for tag, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            out.append(("same", " ".join(a[i:j])))
            continue
        if i < j:
            out.append(("gone", " ".join(a[i:j])))
        if k < m:
            out.append(("new", " ".join(b[k:m])))
    return out


def _scores(folder: Path) -> list[dict[str, Any]]:
    found = []
    for label in ("before", "after"):
        for suite, entry in (
            (_json(folder / "eval" / label / "scores.json") or {}).get("suites") or {}
        ).items():
            for measure, value in entry.get("measures", {}).items():
                low, high = value["interval"]
                row = {"label": label, "suite": suite, "measure": measure, "n": entry["n"]}
                found.append(row | {"value": value["value"], "low": low, "high": high})
    return found


def environment() -> dict[str, str]:
    """Versions that decide a result; names no host and no path."""
    packages = ("evoltune", "torch", "transformers", "peft", "datasets", "deepspeed", "sympy", "xllamacpp")
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Whole lines only: the last one may be half written while training goes on."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue
