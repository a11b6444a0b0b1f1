"""What can be measured: the declared suites, and their skills and difficulty side by side."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evoltune.evaluate.results import percent
from evoltune.evaluate.suite_files import candidates
from evoltune.evaluate.suites import declared_suites, load_suite
from evoltune.evaluate.task_fields import NOT_STATED, difficulties_of, number_in, numeric_order, skills_of
from evoltune.terminal import table


def suite_rows(data: Path | None = None) -> list[dict[str, str]]:
    """A row per declared suite: profile, licence, hash, where its file is or where to get it."""
    found = []
    for name, suite in declared_suites().items():
        b = suite.benchmark
        file = next((str(path) for path in candidates(name, b, data) if path.exists()), "")
        hub = f" (hub: {b.hub})" if b.file and b.hub else ""
        sha256 = b.sha256[:12] or "at first load"
        where = file or f"missing: {b.file or b.hub}{hub}"
        found.append({"suite": name, "profile": b.profile, "licence": b.licence, "sha256": sha256, "file": where})
    return found


def suite_shares(names: Sequence[str], data: Path | None = None) -> dict[str, dict[str, Any]]:
    """For each suite, the number of problems of each skill and difficulty, and the mean difficulty (None: not stated).

    The WizardLM paper describes its test set in this way (2304.12244).
    """
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        suite = load_suite(name, data)
        stated = [(difficulties_of(task.fields) or [""])[0] for task in suite.tasks]
        numbers = [number for text in stated if (number := number_in(text)) is not None]
        found[suite.name] = {
            "problems": len(suite.tasks),
            "skill": Counter((skills_of(task.fields) or [NOT_STATED])[0] for task in suite.tasks),
            "difficulty": Counter(text or NOT_STATED for text in stated),
            "mean_difficulty": sum(numbers) / len(numbers) if numbers else None,
        }
    return found


def share_tables(shares: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """`suite_shares` as two tables, and a line per suite on its mean difficulty."""
    for title in ("skill", "difficulty"):
        groups = sorted({group for s in shares.values() for group in s[title]}, key=numeric_order)
        body = [
            [group, *(percent(s[title][group] / s["problems"]) if s[title][group] else "-" for s in shares.values())]
            for group in groups
        ]
        yield from table([title, *(f"{name} ({s['problems']})" for name, s in shares.items())], body)
        yield ""
    for name, s in shares.items():
        mean = s["mean_difficulty"]
        yield f"{name}: " + ("no difficulty stated" if mean is None else f"mean difficulty {mean:.2f}")
