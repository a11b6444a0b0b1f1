"""A study of four problems, whose answers are numbers that the loopback judge reads."""

from __future__ import annotations

import json

import pytest
import yaml

from evoltune.cluster.engine import pools_kept


@pytest.fixture(autouse=True, scope="module")
def shared_workers():
    """Starting them takes longer than what a test has them judge."""
    with pools_kept():
        yield


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EVOLTUNE_CACHE", str(tmp_path / "cache"))


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def write():
    """write(path, rows): a JSONL file."""
    return write_rows


@pytest.fixture
def study_file(tmp_path):
    """study_file(url, **keys): a study in `tmp_path` with a judge at `url` (default: where nothing listens)."""
    return lambda url="http://127.0.0.1:9/v1", **more: write_study(tmp_path, url, **more)


def write_study(folder, url, *, answers=None, **more):
    """Four problems (difficulty 1, 4, 7, 10; two skills); each system's answers are numbers, which the judge reads."""
    rows = [
        {"idx": i, "Skill": ["Math", "Writing"][i % 2], "Difficulty": 1 + 3 * i, "Instruction": f"Question {i} {{a}}?"} for i in range(4)
    ]  # fmt: skip
    (folder / "wizardlm").mkdir(exist_ok=True)
    write_rows(folder / "wizardlm" / "WizardLM_testset.jsonl", rows)
    systems = []
    for name, values in (answers or {"ours": [8, 8, 3, 5], "theirs": [4, 8, 6, 2]}).items():
        path = write_rows(
            folder / f"{name}.jsonl",
            [{"id": f"wizardlm/{i}", "text": f"My answer is {v}"} for i, v in enumerate(values)],
        )
        systems.append({"name": name, "answers": str(path)})
    judge = {"kind": "http", "model": "judge", "endpoints": [{"url": url}], "max_retries": 0}
    tree = {
        "suite": "general/wizardlm",
        "data": str(folder),
        "systems": systems,
        "judge": judge,
        "planted": 0,
        "repeats": 0,
        **more,
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path
