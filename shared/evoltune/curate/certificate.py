"""The certificate: which suites a dataset was checked against, how, and what was found. Training demands it.

`certificate.json` lies beside the Parquet files and names their SHA-256, so it covers exactly these bytes.
Invariant: it covers a suite only when the problems are those that were checked, by their hash.

    require_certificate(Path("runs/x/dataset"), suites, allow=False)   # raises CertificateError, or returns it
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from evoltune.curate.decontaminate import CONTAMINATED, UNCHECKED
from evoltune.curate.embedding_matches import METHOD as EMBEDDING
from evoltune.curate.embedding_matches import embedding_settings
from evoltune.curate.paraphrase import THRESHOLD
from evoltune.curate.text_matches import CONTAINMENT
from evoltune.domain import load_domain
from evoltune.errors import CertificateError, DataError
from evoltune.recipe import Curate, Recipe, fingerprint
from evoltune.record import Task, digest
from evoltune.rows.files import file_digest
from evoltune.run.paths import CERTIFICATE
from evoltune.run.queries import decisions
from evoltune.run.store import Step, Store

FORMAT = 1


class Suite(Protocol):
    """What curation reads of `evoltune.evaluate.suites.Suite`."""

    @property
    def domain(self) -> str: ...
    @property
    def tasks(self) -> Sequence[Task]: ...
    @property
    def sha256(self) -> str: ...


AnySuites = Mapping[str, Suite | Sequence[Task]]
"""Name -> suite, or its problems alone."""


def suite_hash(suite: Suite | Sequence[Task]) -> str:
    """A hash over names, instructions and references of the problems, in order. The hash of the suite's file would not do:
    one file can hold several splits."""
    return digest([[task.name, task.instruction, task.reference] for task in tasks_of(suite)])


def tasks_of(suite: Suite | Sequence[Task]) -> Sequence[Task]:
    return suite if isinstance(suite, Sequence) else suite.tasks


def methods_of(curate: Curate, overlap: Iterable[str]) -> dict[str, Any]:
    """Methods and thresholds, as a certificate prints them."""
    return {
        "ngrams": list(curate.ngrams),
        "shingle_jaccard": curate.contamination_jaccard,
        "containment": CONTAINMENT,
        "paraphrase": dict(THRESHOLD) if curate.paraphrase else {},
        "overlap": sorted(overlap) if curate.overlap else [],
        **({EMBEDDING: embedding} if (embedding := embedding_settings(curate)) else {}),
    }


def certificate(store: Store, steps: Sequence[Step], recipe: Recipe, suites: AnySuites) -> dict[str, Any]:
    """The certificate of a run whose steps (verify, dedup, decontaminate, select) are all decided."""
    step = next(s for s in steps if s.name == "decontaminate")
    drops = [(d.record, d.reason) for d in decisions(store, step) if d.reason]

    def evidence(heading: str, name: str) -> list[dict[str, Any]]:
        return [
            {"row": row, "reason": reason, name: json.loads(store.noted(note_key(step, row)) or "[]")}
            for row, reason in drops
            if reason.startswith(heading)
        ]

    return build_certificate(
        suites, methods_of(recipe.curate, load_domain(recipe.domain).overlap), rows=store.ledger(step),
        hits=evidence(CONTAMINATED, "hits"), unchecked=evidence(UNCHECKED, "checks"), recipe=fingerprint(recipe),
    )  # fmt: skip


def note_key(step: Step, record_id: str) -> str:
    """Key of the note in the run store that holds the evidence of a drop."""
    return f"why:{step.key}:{record_id}"


def build_certificate(
    suites: AnySuites, methods: Mapping[str, Any], *, rows: Mapping[str, int],
    hits: Sequence[Mapping[str, Any]], unchecked: Sequence[Mapping[str, Any]] = (), recipe: str = "",
) -> dict[str, Any]:  # fmt: skip
    """A certificate from its parts; the writer of the rows fills in `files`."""
    return {
        "format": FORMAT,
        "suites": {
            name: {"problems": suite_hash(suite), "sha256": getattr(suite, "sha256", ""), "tasks": len(tasks_of(suite))}
            for name, suite in sorted(suites.items())
        },
        "methods": dict(methods), "rows": dict(rows), "hits": list(hits), "unchecked": list(unchecked),
        "recipe": recipe, "files": {},
    }  # fmt: skip


def require_certificate(dataset: Path, suites: AnySuites, allow: bool = False) -> dict[str, Any]:
    """The dataset's certificate, if it covers these suites and exactly these bytes, and under `problems` what it does not
    cover: [] when all is well. Raises CertificateError where there is any; with `allow` the caller must report them.
    """
    found, problems = _read(dataset)
    problems += unproven(found, suites)
    folder = dataset if dataset.is_dir() else dataset.parent
    for name, sha in found.get("files", {}).items():
        path = folder / name
        if not path.is_file() or file_digest(path) != sha:
            problems.append(f"{name} is not the file that was checked")
    if problems and suites and not allow:
        targets = ",".join(suites)
        raise CertificateError(
            f"{dataset}: {'; '.join(problems)}: run `evoltune data decontaminate {dataset} --against {targets} --write`, "
            "or give --allow-uncertified (the report will say so)"
        )
    return {**found, "problems": problems if suites else []}


def unproven(certificate: Mapping[str, Any], suites: AnySuites) -> list[str]:
    """One sentence for each suite that the certificate does not cover. AnySuites are known by their problems' hash."""
    checked = certificate.get("suites", {})
    proven = {known.get("problems") for known in checked.values()}
    return [
        f"{'checked against another version of' if name in checked else 'not checked against'} the suite {name!r}"
        for name, suite in suites.items()
        if suite_hash(suite) not in proven
    ]


def certificate_path(dataset: Path) -> Path:
    """`certificate.json` in a dataset folder; `FILE.certificate.json` beside a single file."""
    if dataset.is_dir():
        return dataset / CERTIFICATE
    own = dataset.with_name(f"{dataset.name}.{CERTIFICATE}")
    return own if own.exists() or dataset.suffix != ".parquet" else dataset.parent / CERTIFICATE


def _read(dataset: Path) -> tuple[dict[str, Any], list[str]]:
    path = certificate_path(dataset)
    if not path.is_file():
        return {}, [f"no certificate ({path.name})"]
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        ours = isinstance(found, dict) and found.get("format") == FORMAT and isinstance(found.get("suites"), dict)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: not a certificate: {error}: write it again with `evoltune data decontaminate`"
        ) from error
    if not ours:
        return {}, [f"{path.name} is of another format"]
    return found, []
