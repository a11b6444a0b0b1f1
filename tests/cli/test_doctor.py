"""`evoltune doctor` and `evoltune watch`: true findings, and what to do about each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evoltune.cli import main
from evoltune.cli.runs import snapshot
from evoltune.cluster.hostfile import read_hostfile
from evoltune.errors import DataError
from evoltune.record import Answer, Drop, Record, Task, Verdict
from evoltune.run.lock import locked
from evoltune.run.store import Step, Store, Usage
from evoltune.terminal import printable


def test_doctor_reports_isolation_domains_and_disk():
    run = subprocess.run(
        [sys.executable, "-m", "evoltune", "doctor", "--json"], capture_output=True, text=True, timeout=120
    )
    found = [json.loads(line) for line in run.stdout.splitlines()]
    text = "\n".join(f["what"] for f in found)
    assert "isolation L" in text and "domain math" in text and "GiB free" in text, run.stderr
    assert run.returncode == int(any(f["level"] == "fix" for f in found))


def test_doctor_finds_a_stale_compile_lock(tmp_path: Path):
    lock = tmp_path / "some_op" / "lock"
    lock.parent.mkdir()
    lock.touch()
    os.utime(lock, (1, 1))
    environment = os.environ | {"TORCH_EXTENSIONS_DIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-m", "evoltune", "doctor"], capture_output=True, text=True, timeout=120, env=environment
    )
    assert run.returncode == 1 and f"rm {lock}" in run.stdout


def test_a_hostfile_is_read_strictly(tmp_path: Path):
    path = tmp_path / "hosts"
    path.write_text("# two nodes\nnode-1 slots=8\nnode-2 slots=4\n")
    assert read_hostfile(path) == [("node-1", 8), ("node-2", 4)]
    for bad in (
        "node-1 slots=x\n",
        "-oProxyCommand=x slots=1\n",
        "\n",
        "node-1 8\n",
        "a slots=8\nA slots=8\n",
        "a:22 slots=8\n",
    ):
        path.write_text(bad)
        with pytest.raises(DataError):
            read_hostfile(path)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text("domain: math\nteacher: {budget: {usd: 5.0}}\n")
    step = Step(name="evolve", version="v")
    verify = Step(name="verify", version="v", before=step)
    hostile = Task(instruction="\x1b[2J\x1b[31mred\u202e", name="a")
    kept = Record(domain="math", task=Task(instruction="two", name="b"), answers=(Answer(text="2", model="m"),))
    judged = Record(
        domain="math", task=kept.task, answers=(Answer(text="2", model="m", verdict=Verdict(status="pass")),)
    )
    with Store.open(tmp_path) as store:
        store.plan(step, 10)
        store.decide(step, [Drop(record=Record(domain="math", task=hostile), reason="prompt residue"), kept])
        store.begin(verify)
        store.decide(verify, [judged])
        store.journal(
            "k",
            purpose="evolve",
            model="m",
            request={},
            texts=["x"],
            usage=Usage(prompt_tokens=3, completion_tokens=4, usd=0.5),
        )
    return tmp_path


def test_watch_counts_what_the_store_holds(run_folder: Path):
    found = snapshot(run_folder)
    assert (found.calls, found.tokens, found.usd, found.planned, found.budget) == (1, 7, 0.5, 10, {"usd": 5.0})
    assert [(s["step"], s["decided"], s["kept"]) for s in found.steps] == [("evolve", 2, 1), ("verify", 1, 1)]
    assert found.verdicts == {"pass": 1} and found.drops[0][1] == "prompt residue"


def test_watch_works_beside_a_writer_and_says_whether_one_is_alive(run_folder: Path):
    assert not snapshot(run_folder).alive
    with locked(run_folder, "run.lock"), Store.open(run_folder):
        assert snapshot(run_folder).alive and snapshot(run_folder).calls == 1


def test_watch_ends_with_whoever_works_on_the_run(run_folder: Path, monkeypatch, capsys):
    """The run ends while the view sleeps, without a report: a stage on its own, an error, a kill."""
    held = locked(run_folder, "run.lock")
    held.__enter__()
    monkeypatch.setattr("time.sleep", lambda _: held.__exit__(None, None, None))
    assert main(["runs", "watch", str(run_folder)]) == 0
    assert "resumes it" in capsys.readouterr().out


def test_watch_shows_hostile_text_as_text(run_folder: Path):
    run = subprocess.run(
        [sys.executable, "-m", "evoltune", "runs", "watch", str(run_folder), "--once"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0 and "\\x1b[2J" in run.stdout
    assert "\x1b[2J" not in run.stdout and "\u202e" not in run.stdout
    assert printable("a\x07\u202eb") == "a\\x07\\x202eb"
