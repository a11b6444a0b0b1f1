"""Small suites and samples for the tests of evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from evoltune.cluster.engine import pools_kept
from evoltune.evaluate.measure import evaluate
from evoltune.evaluate.samples import Sample
from evoltune.evaluate.score import verify_samples
from evoltune.evaluate.suites import Suite
from evoltune.generate.processes import processes_kept
from evoltune.recipe import Eval, Recipe, Train, Verification
from evoltune.record import Task


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory) -> Iterator[None]:
    """A cache, verifier and generator processes for the tests of one file: starting these takes longer than what they do."""
    with pytest.MonkeyPatch.context() as patch, pools_kept(), processes_kept():
        patch.setenv("EVOLTUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def sums() -> Suite:
    """t/0 to t/3: "i+i?", with skills even and odd and levels 0 to 3."""
    tasks = tuple(
        Task(instruction=f"{i}+{i}?", reference=str(2 * i), name=f"t/{i}", fields={"skill": ["even", "odd"][i % 2], "level": f"Level {i}"})
        for i in range(4)
    )  # fmt: skip
    return Suite(name="sums", domain="math", tasks=tasks, sha256="0" * 64, licence="ours")


@pytest.fixture(scope="session")
def answers():
    """answers("2", "3"): samples 0 and 1 of problem t/1."""
    return lambda *texts, problem="t/1": [Sample(problem=problem, sample=i, text=text) for i, text in enumerate(texts)]


@pytest.fixture(scope="session")
def judged():
    """judged(suite, samples, "sound", settings, path): the outcomes under one profile."""
    return lambda suite, samples, profile, *rest: verify_samples(suite, samples, [profile], *rest)[profile]


@pytest.fixture(scope="session")
def suite_file(made_once) -> Path:
    rows = [{"id": f"s{i}", "question": f"{i} + {i} = ?", "reference": str(2 * i)} for i in range(12)]
    return made_once("sums.jsonl", lambda path: path.write_text("".join(json.dumps(row) + "\n" for row in rows)))


@pytest.fixture(scope="session")
def recipe(suite_file):
    """recipe(n=5): ten sums from `suite_file`, with these keys of `eval:`."""
    base = {"suites": (f"math:{suite_file}",), "beside": ("gsm8k-strict",), "max_new_tokens": 12, "limit": 10}
    return lambda **chosen: Recipe(
        domain="math", eval=Eval(**{**base, **chosen}), train=Train(template="alpaca"), verify=Verification(workers=1)
    )


@pytest.fixture(scope="session")
def measured(tiny_base, recipe, made_once):
    """One evaluation of the tiny model: (folder, scores)."""
    out = made_once("measured", lambda folder: evaluate(recipe(), str(tiny_base), folder, baseline=True))
    return out, json.loads((out / "scores.json").read_text())


@pytest.fixture
def hub_repository(tmp_path, monkeypatch) -> str:
    """Address of a dataset; a folder stands in for the hub's repository, `load_dataset` reads both."""
    datasets = pytest.importorskip("datasets")
    repo = tmp_path / "owner" / "name"
    repo.mkdir(parents=True)
    (repo / "test.jsonl").write_text('{"question": "q", "answer": "x #### 3"}\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))
    return "owner/name"
