"""Every suite that has a hub address is read from the stand-in hub by the real clients, and its own solutions pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evoltune.domain import load_domain
from evoltune.rehearse import datasets
from evoltune.rehearse.hub import serving_hub
from evoltune.rows.hub import parse_address

READ = """
import json, sys
from pathlib import Path
from evoltune.domain import load_domain
from evoltune.evaluate.suite_files import fetch
out = Path(sys.argv[1])
for ref, name in json.loads(sys.argv[2]):
    benchmark = load_domain(ref).benchmarks[name]
    source = fetch(benchmark.hub, out / f"{name}.jsonl")
    tasks = list(benchmark.load(out / f"{name}.jsonl"))
    print(json.dumps([ref, name, source, len(tasks), len({t.name for t in tasks}), tasks[0].instruction]))
"""
SUITES = [
    (ref, name)
    for ref in ("code", "math", "general")
    for name, benchmark in load_domain(ref).benchmarks.items()
    if benchmark.hub
]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("datasets")
    root = tmp_path_factory.mktemp("hub")
    for name in datasets.hub_names():
        datasets.write_dataset_repository(root, name)
    return root


def environment(url: str, folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.endswith("_OFFLINE")}
    return kept | {
        "HF_ENDPOINT": url,
        "HF_HOME": str(folder / "hf"),
        "HF_TOKEN": "hf_x",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }


def test_every_suite_of_the_hub_is_read_with_names_of_its_own(hub: Path, tmp_path: Path):
    assert {parse_address(load_domain(ref).benchmarks[name].hub).repo for ref, name in SUITES} <= set(
        datasets.layouts()
    )
    with serving_hub(hub) as url:
        done = subprocess.run(
            [sys.executable, "-c", READ, str(tmp_path), json.dumps(SUITES)],
            env=environment(url, tmp_path), capture_output=True, text=True, timeout=300,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    read = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(ref, name) for ref, name, *_ in read] == SUITES
    assert all(count == distinct > 0 and "@" in source for _, _, source, count, distinct, _ in read)


def test_a_gated_dataset_is_refused_without_a_token_and_a_missing_one_is_named(hub: Path, tmp_path: Path):
    code = (
        "import sys\nfrom evoltune.errors import EvoltuneError\nfrom evoltune.rows.readers import read_rows\n"
        "try:\n    print(len(list(read_rows(sys.argv[1]))))\nexcept EvoltuneError as error:\n    print(error)\n"
    )
    with serving_hub(hub) as url:
        said = [
            subprocess.run(
                [sys.executable, "-c", code, name], env=environment(url, tmp_path) | {"HF_TOKEN": token},
                capture_output=True, text=True, timeout=120,
            ).stdout
            for name, token in (("GAIR/lima", ""), ("GAIR/lima", "hf_x"), ("openai/no-such", ""))
        ]  # fmt: skip
    assert "gated" in said[0] and said[1].strip().isdigit()
    assert "openai/no-such" in said[2] and "check the name" in said[2]
