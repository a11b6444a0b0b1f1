"""A fresh skeleton of a domain, and the work that a newcomer has to do on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evoltune.domain_kit.scaffold import scaffold

# Regular expressions from descriptions, verified by what they must match and must not match.
VERIFY = """
    tests = task.fields
    program = (
        "import re, sys, json\\n"
        f"pattern, yes, no = json.loads({json.dumps(json.dumps([candidate, tests['match'], tests['reject']]))})\\n"
        "ok = all(re.fullmatch(pattern, t) for t in yes) and not any(re.fullmatch(pattern, t) for t in no)\\n"
        "sys.exit(0 if ok else 1)\\n"
    )
    verdict = context.run(Job(program=program, cpu_s=1.0))  # a pattern may never end: the sandbox limits it
    return Verdict(status="fail" if verdict.status == "fail" else verdict.status, reason=verdict.reason[:200])
"""
ROWS = [
    ("Match a whole number without sign.", r"\d+", ["0", "42", "1000"], ["", "-1", "4.2", "x"]),
    (
        "Match a time of day from 00:00 to 23:59.",
        r"([01]\d|2[0-3]):[0-5]\d",
        ["00:00", "23:59"],
        ["24:00", "12:60", "1:00"],
    ),
    ("Match a hexadecimal colour such as #0aF3c9.", r"#[0-9a-fA-F]{6}", ["#0aF3c9"], ["#0aF3c", "0aF3c9", "#0aF3cg"]),
    ("Match words that begin and end with the letter a.", r"a(\w*a)?", ["a", "anna"], ["ab", "banana", ""]),
]


def _fill_in(folder: Path, name: str) -> None:
    module = folder / f"evoltune_{name}" / "__init__.py"
    text = module.read_text()
    text = text.replace("COLUMNS = ()", 'COLUMNS = ("match", "reject")').replace(
        "Context, Domain,", "Context, Domain, Job,"
    )
    text = text.replace('    return Verdict(status="unverifiable", reason="verify is not written yet")\n', VERIFY)
    module.write_text(text)
    rows = [json.dumps({"instruction": i, "answer": a, "match": m, "reject": r}) for i, a, m, r in ROWS]
    (folder / f"evoltune_{name}" / "seeds.jsonl").write_text("\n".join(rows[:3]) + "\n")
    (folder / f"evoltune_{name}" / "heldout.jsonl").write_text(rows[3] + "\n")
    assert len(module.read_text().splitlines()) < 90


@pytest.fixture
def regex(tmp_path: Path) -> Path:
    return scaffold("regex_kit", tmp_path)


@pytest.fixture
def fill_in() -> Callable[[Path, str], None]:
    """Writes `verify` and the rows into a skeleton of that name."""
    return _fill_in
