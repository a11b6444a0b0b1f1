"""Two evaluations side by side: a paired comparison on the same problems, and the first cause of a changed score.

    compare(Path("runs/a/eval/before"), Path("runs/a/eval/after"))       # who wins, and is it significant
    differences(Path("runs/a"), Path("runs/b"))[0].cause                 # training data, prompt, template, scorer ...

Invariant: two scores are only compared under one profile, one verifier and one set of problems.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from evoltune.errors import DataError
from evoltune.evaluate.results import load_scores, scores_file, solved_problems
from evoltune.evaluate.score import NOT_JUDGED
from evoltune.evaluate.statistics import PairedResult, paired
from evoltune.rows.files import read_journal, read_json
from evoltune.run.paths import DATASET, MANIFEST

CAUSES = (
    "problems", "training data", "model", "prompt", "template", "decoding", "scorer", "packages", "generations",
)  # fmt: skip
"""Ordered so that each can make the next differ; the first that differs is named as the cause."""
_ENTRY_KEYS = {
    "problems": ("sha256", "problems", "n"),
    "prompt": ("settings.prompt", "prompts_sha256"),
    "template": ("settings.template", "settings.system", "template_proof.prompt_ids_sha256", "template_proof.stop_ids"),
    "decoding": (
        "settings.n", "settings.temperature", "settings.top_p", "settings.max_new_tokens", "settings.stops", "settings.seed",
        "settings.engine", "template_proof.dtype", "template_proof.device",
    ),
    "scorer": ("profile", "source_hash", "verifier"),
}  # fmt: skip
"""Cause -> keys of a suite's entry in `scores.json`."""


def compare(a: Path, b: Path) -> dict[str, PairedResult]:
    """For each suite of both, compares b with a on the problems that both answered.

    Leaves out suites that no verifier could judge. Raises DataError when there is no other one, or when profile, scorer or problems of a
    common suite differ; `differences` says how.
    """
    left, right = load_scores(a)["suites"], load_scores(b)["suites"]
    common = [name for name in left if name in right]
    if not common:
        raise DataError(f"{a} and {b} have no suite in common: {', '.join(left)} and {', '.join(right)}")
    judged = [name for name in common if left[name].get("measures") and right[name].get("measures")]
    if not judged:
        raise DataError(f"{', '.join(common)}: {NOT_JUDGED}")
    results = {}
    for name in judged:
        one, two = left[name], right[name]
        for key, word in (("profile", "profiles"), ("sha256", "problem files"), ("verifier", "verifiers")):
            if one[key] != two[key]:
                raise DataError(
                    f"suite {name}: different {word} ({one[key]} and {two[key]}) are not comparable: "
                    "score one of them again (evoltune rescore)"
                )
        solved_a, solved_b = solved_problems(a, name, one), solved_problems(b, name, two)
        both = [problem for problem in solved_a if problem in solved_b]
        results[name] = paired([solved_a[p] for p in both], [solved_b[p] for p in both])
    return results


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that two evaluations do not share; `value_a` and `value_b` are short."""

    cause: str
    where: str
    value_a: str
    value_b: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.where}: {self.value_a} -> {self.value_b}"


def differences(a: Path, b: Path) -> list[Difference]:
    """Everything that can change a score and differs between two runs or evaluation folders, first causes first."""
    left, right = load_scores(a), load_scores(b)
    manifests = [read_json(place / DATASET / MANIFEST) or {} for place in (a, b)]
    found = list(islice(_changed("training data", "dataset.", manifests[0], manifests[1]), 3)) if all(manifests) else []
    found += _changed("model", "", left, right, ["weights"])
    if left.get("weights") is None:
        found += _changed("model", "", left, right, ["model"])
    for name in sorted({*left["suites"], *right["suites"]}):
        one, two = left["suites"].get(name), right["suites"].get(name)
        if one is None or two is None:
            found.append(_difference("problems", f"suite {name}", one is not None, two is not None))
        else:
            changed = [d for cause, keys in _ENTRY_KEYS.items() for d in _changed(cause, f"{name}.", one, two, keys)]
            found += changed or _generations(a, b, name)
    found += _changed("packages", "", left.get("environment", {}), right.get("environment", {}))
    return sorted(found, key=lambda d: CAUSES.index(d.cause))


def _changed(
    cause: str, prefix: str, left: Mapping[str, Any], right: Mapping[str, Any], keys: Sequence[str] | None = None
) -> Iterator[Difference]:
    """The keys (None: all) under which two mappings differ; `a.b` is `b` inside the object `a`."""
    for key in sorted({*left, *right}) if keys is None else keys:
        value_a, value_b = _get(left, key), _get(right, key)
        if value_a != value_b:
            yield _difference(cause, prefix + key, value_a, value_b)


def _generations(a: Path, b: Path, suite: str) -> Iterator[Difference]:
    """Equal settings but other texts: other hardware, or an edited file."""
    left, right = (
        {(r["problem"], r["sample"]): r.get("text") for r in read_journal(scores_file(p).parent / f"{suite}.jsonl")}
        for p in (a, b)
    )
    changed = [place for place in left if place in right and left[place] != right[place]]
    if changed:
        problem, sample = changed[0]
        where = f"{suite}: {len(changed)} texts, first {problem} #{sample}"
        yield Difference(cause="generations", where=where, value_a="text", value_b="other text")


def _get(entry: Mapping[str, Any], key: str) -> Any:
    value: Any = entry
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _difference(cause: str, where: str, a: object, b: object) -> Difference:
    return Difference(cause=cause, where=where, value_a=_short(a), value_b=_short(b))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:28] + " ... " + text[-28:]
