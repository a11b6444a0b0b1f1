"""The built wheel: everything that runs needs is inside, and it works away from the sources."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="needs the dev extra")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    return next(folder.glob("*.whl"))


def test_the_wheel_carries_recipes_prompts_seeds_and_page_and_no_tests(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    for needed in (
        "evoltune/recipes/smoke/math.yaml",
        "evoltune/recipes/base/wizardcoder.yaml",
        "evoltune/report/static/run.html",
        "evoltune/teacher/replicas.sh",
        "evoltune/text/phrases/latin.txt",
        "evoltune/sandbox/denied_calls.txt",
        "evoltune/domain_kit/template/pyproject.toml.tmpl",
        "evoltune/evaluate/published.yaml",
        "evoltune/py.typed",
        "evoltune_math/seeds/gradeschool_seeds.jsonl",
    ):
        assert needed in names, needed
    assert any(n.startswith("evoltune_code/prompts/") for n in names)
    assert not any(n.startswith(("tests/", "shared/", "domains/", "benchmarks/")) for n in names)
    sources = {p.relative_to(ROOT / r).as_posix() for r in ("shared", "domains") for p in (ROOT / r).rglob("*.py")}
    assert sources <= names


def test_the_installed_wheel_works_away_from_the_sources(wheel: Path, tmp_path: Path):
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)  # what pip does with a pure wheel; its entry points are read from the dist-info
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"PYTHONPATH": str(target)}
    code = (
        "import sys, evoltune; from evoltune.cli import main; assert evoltune.__file__.startswith(sys.argv[1]), evoltune.__file__;"
        "sys.exit(main(['recipes', 'check', 'smoke/math', 'code/wizardcoder-starcoder-15b', 'general/lima-7b']))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(target)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0 and run.stdout.count(": ok") == 3, run.stdout + run.stderr
