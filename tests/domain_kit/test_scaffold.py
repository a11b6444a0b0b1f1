"""`evoltune domains new`: what a skeleton is before and after the work on it, and the names that are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evoltune.domain import load_domain
from evoltune.domain_kit.scaffold import scaffold
from evoltune.errors import DomainError


def test_a_fresh_skeleton_loads_and_its_own_test_names_what_is_missing(regex: Path):
    assert load_domain(str(regex)).name == "regex_kit"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", str(regex)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 1 and "references are accepted: 0 of 2 seed answers" in run.stdout, run.stdout + run.stderr


@pytest.mark.parametrize("name", ["Code", "my-domain", "class", "", "math", "../x"])
def test_names_that_cannot_be_packages_or_are_taken_are_refused(tmp_path: Path, name: str):
    with pytest.raises(DomainError):
        scaffold(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(regex: Path):
    with pytest.raises(DomainError, match="exists already"):
        scaffold("regex_kit", regex.parent)


def test_it_runs_from_the_skeleton_to_the_report(regex: Path, fill_in, tmp_path: Path):
    """The newcomer's last command, with the embedded teacher; without training, which `examples/` and the smoke runs do."""
    fill_in(regex, "regex_kit")
    out = tmp_path / "run"
    command = [sys.executable, "-m", "evoltune", "run", str(regex / "recipe.yaml"), f"domain={regex}", "--out", str(out),
               "--stages", "evolve,verify,build,report", "--json", "teacher.max_tokens=24", "evolve.rounds=1"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    made = json.loads(done.stdout)
    assert Path(made["report"]).stat().st_size > 10_000
    rows = [json.loads(line) for line in next((out / "dataset").glob("*/train.jsonl")).read_text().splitlines()]
    assert len(rows) >= 3  # the seeds' own expressions; what a small teacher adds differs
