"""Two evaluations side by side: a paired comparison on the same problems, and the first cause of a changed score.

    compare(Path("runs/a/eval/before"), Path("runs/a/eval/after"))       # who wins, and is it significant
    first_cause(Path("runs/a"), Path("runs/b"))                          # data, prompt, template, decoding, scorer ...

Invariant: two scores are only compared under one profile, one verifier and one set of problems.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoltune.errors import DataError
from evoltune.evaluate.statistics import Paired, paired, pass_at_k
from evoltune.evaluate.tables import load_scores
from evoltune.rows.files import read_json
from evoltune.rows.journal import rows


def folder_of(place: Path) -> Path:
    """The evaluation folder that `load_scores` reads."""
    for folder in (place, place / "eval" / "after", place / "eval" / "before"):
        if (folder / "scores.json").is_file():
            return folder
    raise DataError(f"{place}: no scores.json there: give an eval folder or a run")


def solved(folder: Path, suite: str, entry: Mapping[str, Any]) -> dict[str, float]:
    """pass@1 of each problem from the verdicts that this entry of `scores.json` counted."""
    found: dict[str, dict[int, bool]] = {}
    for row in rows(folder / f"{suite}.verdicts.jsonl"):
        if row["verifier"] == entry["verifier"]:
            found.setdefault(row["problem"], {})[row["sample"]] = row["status"] == "pass"
    return {problem: pass_at_k(len(v), sum(v.values()), 1) for problem, v in found.items()}


def compare(a: Path, b: Path) -> dict[str, Paired]:
    """For each suite in both, the paired comparison of b against a on the problems that both answered.

    Raises DataError when profile, scorer or problems of a common suite differ: then `evoltune diff` says how.
    """
    ours, theirs = load_scores(a)["suites"], load_scores(b)["suites"]
    common = [name for name in ours if name in theirs]
    if not common:
        raise DataError(f"{a} and {b} have no suite in common: {', '.join(ours)} and {', '.join(theirs)}")
    found = {}
    for name in common:
        for key, word in (("profile", "profiles"), ("sha256", "problem files"), ("verifier", "verifiers")):
            if ours[name][key] != theirs[name][key]:
                raise DataError(
                    f"suite {name}: different {word} ({ours[name][key]} and {theirs[name][key]}) are not comparable: "
                    "rescore one of them (evoltune eval --rescore)"
                )
        left, right = solved(folder_of(a), name, ours[name]), solved(folder_of(b), name, theirs[name])
        both = [problem for problem in left if problem in right]
        found[name] = paired([left[p] for p in both], [right[p] for p in both])
    return found


# ---- why do two scores differ


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that two runs do not share; `value_a` and `value_b` are short."""

    cause: str
    where: str
    value_a: str
    value_b: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.where}: {self.value_a} -> {self.value_b}"


CAUSES = (
    "problems",
    "training data",
    "model",
    "prompt",
    "template",
    "decoding",
    "scorer",
    "packages",
    "generations",
)
"""In the order in which one makes the next differ; the first that differs is named as the cause."""
_ENTRY = {
    "problems": ("sha256", "problems", "n"),
    "prompt": ("settings.prompt", "prompts_sha256"),
    "template": ("settings.template", "settings.system", "template_proof.prompt_ids_sha256", "template_proof.stop_ids"),
    "decoding": (
        "settings.n", "settings.temperature", "settings.top_p", "settings.max_new_tokens", "settings.stops", "settings.seed",
        "settings.engine", "template_proof.dtype", "template_proof.device",
    ),
    "scorer": ("profile", "source_hash", "verifier"),
}  # fmt: skip


def differences(a: Path, b: Path) -> list[Difference]:
    """Everything that can move a score and differs between two runs or evaluation folders, first causes first."""
    left, right = load_scores(a), load_scores(b)
    found: list[Difference] = list(_recipes(a, b))
    for key in ("weights", "model"):
        if left.get(key) != right.get(key) and (key == "weights" or left.get("weights") is None):
            found.append(_difference("model", key, left, right))
    names = [name for name in left["suites"] if name in right["suites"]]
    for name in set(left["suites"]) ^ set(right["suites"]):
        found.append(
            Difference(
                cause="problems",
                where=f"suite {name}",
                value_a=str(name in left["suites"]),
                value_b=str(name in right["suites"]),
            )
        )
    for name in names:
        one, two = left["suites"][name], right["suites"][name]
        for cause, keys in _ENTRY.items():
            found += [
                _difference(cause, f"{name}.{key}", _under(one, key), _under(two, key))
                for key in keys
                if _get(one, key) != _get(two, key)
            ]
        if not any(d.where.startswith(f"{name}.") for d in found):
            found += _generations(folder_of(a), folder_of(b), name)
    versions_a, versions_b = left.get("environment", {}), right.get("environment", {})
    for package in sorted(set(versions_a) | set(versions_b)):
        if versions_a.get(package) != versions_b.get(package):
            found.append(
                _difference(
                    "packages",
                    package,
                    {package: versions_a.get(package)},
                    {package: versions_b.get(package)},
                )
            )
    return sorted(found, key=lambda d: CAUSES.index(d.cause))


def _recipes(a: Path, b: Path) -> Iterator[Difference]:
    """The training data of two runs, by the hash in their dataset manifests."""
    left, right = (read_json(place / "dataset" / "manifest.json") or {} for place in (a, b))
    if left and right and left != right:
        keys = [k for k in sorted({*left, *right}) if left.get(k) != right.get(k)]
        for key in keys[:3]:
            yield _difference("training data", f"dataset.{key}", left, right)


def _generations(a: Path, b: Path, suite: str) -> list[Difference]:
    """Same settings, other texts: other hardware, or a file that was changed by hand."""
    left, right = (
        {(r["problem"], r["sample"]): r.get("text") for r in rows(f / f"{suite}.jsonl")} for f in (a, b)
    )
    changed = [place for place in left if place in right and left[place] != right[place]]
    if not changed:
        return []
    problem, sample = changed[0]
    return [
        Difference(
            cause="generations",
            where=f"{suite}: {len(changed)} texts, first {problem} #{sample}",
            value_a="text",
            value_b="other text",
        )
    ]


def _get(entry: Mapping[str, Any], key: str) -> Any:
    value: Any = entry
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _under(entry: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {key.rpartition(".")[2]: _get(entry, key)}


def _difference(cause: str, where: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> Difference:
    key = where.rpartition(".")[2]
    return Difference(cause=cause, where=where, value_a=_short(left.get(key)), value_b=_short(right.get(key)))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:28] + " ... " + text[-28:]
