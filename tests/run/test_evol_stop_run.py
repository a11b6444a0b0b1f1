"""Evol-stop as a whole run: verifier and teacher for real, the score falls in round 3, round 2 is what is built."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from openai_server import serving

from evoltune.run.store import Store

CONCURRENCY = 8
DEEP = """
import re, zlib
from evoltune import Answer, Domain, Operator, Record, Task, Verdict

SHARE = {0: 100, 1: 60, 2: 90, 3: 30}  # of the rows at each depth that are verified, in percent


def verify(task, candidate, context):
    depth = re.search(r"depth (\\d+)", task.instruction)
    drawn = zlib.crc32(f"{task.instruction}{candidate}".encode()) % 100
    return Verdict(status="pass" if drawn < SHARE.get(int(depth[1]) if depth else 0, 50) else "fail", reason="unlucky")


def seeds():
    for i in range(24):
        yield Record(domain="deep", task=Task(instruction=f"Say in plain words what town {i} is known for, at depth 0.", name=str(i)),
                     answers=(Answer(text=f"For bridge {i}.", model="seed"),))


domain = Domain(name="deep", seeds=seeds, verify=verify, operators=(Operator(name="deeper", template="Rewrite:\\n{instruction}"),),
                answer_prompt="Answer:\\n{instruction}")
"""


def problems(path: Path, texts: list[str]) -> str:
    path.write_text("".join(json.dumps({"id": f"p{i}", "question": text}) + "\n" for i, text in enumerate(texts)))
    return str(path)


def write_recipe(folder: Path, url: str, **more: object) -> Path:
    package = folder / "deep"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text(DEEP)
    dev = problems(folder / "dev.jsonl", [f"Which river runs through harbour {i}?" for i in range(4)])
    reported = problems(folder / "reported.jsonl", [f"Count the lanterns on tower {i}." for i in range(4)])
    recipe = {
        "domain": str(package),
        "teacher": {"kind": "http", "model": "m", "concurrency": CONCURRENCY, "endpoints": [{"url": url}]},
        "evolve": {"rounds": 4, "equal_check": False, "stop_on": dev, "stop_by": "verify_rate"},
        "verify": {"workers": 1, "sandbox": {"require": "L0"}},
        "eval": {"suites": [reported], "baseline": False},
        **more,
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    return path


def start(recipe: Path, out: Path, *more: str, stages: str = "evolve,verify,build") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "evoltune", "run", str(recipe), "--stages", stages, "--out", str(out)]
    return subprocess.Popen([*command, *more], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def rounds_of(run: Path) -> tuple[dict[str, float], set[int]]:
    """(evol-stop's notes, the rounds of the dataset's rows)."""
    files = sorted((run / "dataset" / "alpaca").glob("*.jsonl"))
    ids = [json.loads(line)["id"] for file in files for line in file.read_text().splitlines()]
    with Store.read(run) as store:
        notes = dict(store.sql("SELECT key, value FROM meta WHERE key LIKE 'evol_stop:%'"))
        drawn = {store.record(i).round for i in ids}
    return {key.rpartition(":")[2]: float(value) for key, value in notes.items()}, drawn


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """(folder with the run `whole`, the teacher's calls, what the run said)."""
    folder = tmp_path_factory.mktemp("evol-stop")
    with serving() as server:
        said = finished(start(write_recipe(folder, server.url), folder / "whole"))
        return folder, server.stats()["ok"], said


def test_it_stops_at_the_fall_and_builds_the_rounds_up_to_the_best(whole):
    folder, calls, said = whole
    notes, drawn = rounds_of(folder / "whole")
    assert notes["best"] == 2 and set(notes) == {"best", "1", "2", "3"}
    assert notes["3"] < notes["1"] < notes["2"]
    assert drawn == {0, 1, 2}
    assert said.count("evol-stop: round") == 3
    with Store.read(folder / "whole") as store:
        deepest = store.sql("SELECT max(round) FROM decisions").fetchone()[0]
    assert deepest == 3 and calls <= 2 * 24 * 3


def test_killed_and_run_again_it_ends_the_same_and_pays_only_for_calls_in_flight(whole, tmp_path, openai_server):
    folder, calls, _ = whole
    server = openai_server(latency_s=0.05)
    recipe = write_recipe(tmp_path, server.url)
    for share in (0.3, 0.8):
        process = start(recipe, tmp_path / "run")
        while server.stats()["ok"] < share * calls and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    finished(start(recipe, tmp_path / "run"))
    assert calls <= server.stats()["ok"] <= calls + 2 * CONCURRENCY
    assert rounds_of(tmp_path / "run") == rounds_of(folder / "whole")


def test_a_dev_set_that_nearly_is_reported_is_refused_before_anything_is_written(tmp_path):
    recipe = write_recipe(tmp_path, "http://127.0.0.1:9")
    problems(tmp_path / "reported.jsonl", ["Which river runs through harbour 2?", "Count the lanterns on every tower."])
    process = start(recipe, tmp_path / "run")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2 and "choose a dev set that is not reported" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_each_round_is_trained_and_scored_and_the_best_is_kept(tiny_base, tmp_path, openai_server):
    """stop_by: train, with a model that learns nothing: its dev scores go up and down by luck, the same luck every time."""
    train = {
        "model_name_or_path": str(tiny_base), "template": "alpaca", "max_length": 512, "max_steps": 2, "precision": "fp32",
        "finetuning_type": "full", "per_device_train_batch_size": 4, "learning_rate": 1e-2,
    }  # fmt: skip
    server = openai_server()
    recipe = write_recipe(tmp_path, server.url, train=train)
    command = ("evolve.stop_by=train", "eval.max_new_tokens=8", "evolve.rounds=3")
    finished(start(recipe, tmp_path / "run", *command, stages="evolve,verify,build,train"))
    calls = server.stats()["ok"]
    notes, drawn = rounds_of(tmp_path / "run")
    best = int(notes.pop("best"))
    scores = {int(key): value for key, value in notes.items()}
    assert best == max(scores, key=lambda k: (scores[k], -k)) and max(drawn) == best
    trained = sorted((tmp_path / "run" / "rounds").glob("*/checkpoint/manifest.json"))
    assert len(trained) == len(scores) == max(scores)
    stamps = [path.stat().st_mtime_ns for path in trained]
    finished(start(recipe, tmp_path / "run", *command, stages="evolve,verify,build,train"))
    assert server.stats()["ok"] == calls and [path.stat().st_mtime_ns for path in trained] == stamps
