"""Scores of a file of verdicts, in the form of an evaluation's: so that `compare` takes them.

    scores = VerdictScores(domain, suite=None)
    scores.add(verdict_row, row)
    write_json(scores_beside(out), scores.entry(...))      # `evoltune compare a.jsonl b.jsonl` finds it beside `a.jsonl`

Invariant: two files have equal `sha256` only where their problems have equal ids, references and tests.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evoltune.domain import Domain, source_hash, to_task
from evoltune.errors import DataError
from evoltune.evaluate.score import Outcome, metrics, profile_of, verifier_version
from evoltune.evaluate.several import measures_of
from evoltune.evaluate.suites import Suite
from evoltune.recipe import Verification
from evoltune.record import Record, Task, digest
from evoltune.verification.row_forms import plain_row, with_our_names


def scores_beside(out: Path) -> Path:
    """Where the scores of a verdict file stand."""
    return out.with_suffix("").with_suffix(".scores.json") if out.suffix == ".gz" else out.with_suffix(".scores.json")


class VerdictScores:
    """Collects verdicts with the rows that they are on. Rows of one id, reference and tests answer one problem."""

    def __init__(self, domain: Domain, reference: str, suite: Suite | None, rank_by: str = "") -> None:
        self.domain, self.reference, self._suite, self.rank_by = domain, reference, suite, rank_by
        self.outcomes: list[Outcome] = []
        self.ranks: dict[tuple[str, int], float] = {}
        self._tasks: dict[str, Task] = {}
        self._names: dict[str, dict[str, str]] = {}
        """id -> what is asked -> the name of the problem"""
        self._counts: Counter[str] = Counter()

    def add(self, verdict: Mapping[str, Any], row: Any) -> None:
        problem = problem_name(verdict["id"])
        if self._suite is None:
            problem = self._problem(row, problem)
        sample = self._counts[problem]
        self._counts[problem] += 1
        extracted = str(verdict["evidence"].get("extracted") or "")
        status, reason = verdict["status"], verdict["reason"]
        self.outcomes.append(Outcome(problem=problem, sample=sample, status=status, reason=reason, extracted=extracted))
        if self.rank_by:
            value = row.get(self.rank_by) if isinstance(row, Mapping) else None
            value = value[sample] if isinstance(value, list | tuple) and sample < len(value) else value
            if not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value):
                lacking = f": none for its answer {sample}" if isinstance(value, list | tuple) else ""
                raise DataError(
                    f"--rank-by {self.rank_by}: row {verdict['id']!r} has {value!r} there{lacking}: must be a number, or a "
                    "list with one for each answer"
                )
            self.ranks[problem, sample] = float(value)

    def _problem(self, row: Any, name: str) -> str:
        """The name of a row's problem: the id, and a number where rows of one id ask for different things."""
        task = self._task(row, name)
        known = self._names.setdefault(name, {})
        asked = digest([task.reference, str(task.tests)])
        if asked not in known:
            known[asked] = f"{name} ({len(known) + 1})" if known else name
            self._tasks[known[asked]] = replace(task, name=known[asked])
        return known[asked]

    def _task(self, row: Any, problem: str) -> Task:
        if isinstance(row, Record):
            return replace(row.task, name=problem)
        try:
            found = (
                to_task(self.domain, with_our_names(plain_row(row)))
                if isinstance(row, Mapping)
                else Task(instruction="")
            )
        except (DataError, ValueError):  # its verdict says so
            found = Task(instruction="")
        return replace(found, name=problem)

    @property
    def suite(self) -> Suite:
        """The suite, or the rows' problems as one."""
        if self._suite is not None:
            return self._suite
        problems = sorted((t.name, t.reference, digest(str(t.tests))) for t in self._tasks.values())
        return Suite(
            name=f"{self.domain.name}-rows", domain=self.reference, tasks=tuple(self._tasks.values()),
            sha256=digest(problems), licence="yours",
        )  # fmt: skip

    def fewest(self) -> int:
        """How many answers the problem with the fewest has."""
        return min(self._counts.values(), default=1)

    def several(self) -> bool:
        """Whether a problem has more than one answer."""
        return len(self.outcomes) > len(self._counts)

    def entry(self, profile: str, settings: Verification, out: Path, ks: Sequence[int]) -> dict[str, Any]:
        """What `scores.json` holds of a suite."""
        suite = self.suite
        label, _ = profile_of(suite, profile)
        measures = measures_of(suite, self.outcomes, ks, settings, self.ranks)
        return {
            **metrics(suite, self.outcomes),
            "measures": {name: {**m, "profile": label} for name, m in measures.items()},
            "profile": label,
            "verifier": verifier_version(suite, profile, settings),
            "source_hash": source_hash(self.domain),
            "suite": suite.name,
            "sha256": suite.sha256,
            "licence": suite.licence,
            "verdicts": out.name,
        }


def problem_name(row_id: Any) -> str:
    """A row's id as the name of its problem."""
    return row_id if isinstance(row_id, str) else json.dumps(row_id, sort_keys=True)
