"""A whole run as Slurm jobs: the scripts are sound, and run for real they give what the command alone gives."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from evoltune.cli import main
from evoltune.cluster.slurm import preview, stage_script
from evoltune.recipe import load_recipe
from evoltune.run.run import STAGES

STAND_INS = {
    # Keeps the law of afterok: a job starts when the one before has ended well. Everything here runs at once.
    "sbatch": """
while [ $# -gt 1 ]; do case "$1" in --dependency=*) after="${1##*:}";; esac; shift; done
echo "$1 after ${after:-nothing}" >> "$SLURM_LOG"
job=$(wc -l < "$SLURM_LOG")
if [ -n "${after:-}" ] && [ "$(cat "$SLURM_LOG.$after")" != 0 ]; then echo 1 > "$SLURM_LOG.$job"; echo "$job"; exit 0; fi
SLURM_JOB_ID=$job bash "$1" >> "$SLURM_LOG.out" 2>&1; echo $? > "$SLURM_LOG.$job"
echo "$job"
""",
    "scontrol": 'echo "$@" >> "$SLURM_LOG.scontrol"',
}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch) -> Path:
    """Stand-ins for Slurm's commands on PATH; returns their log."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, body in STAND_INS.items():
        (tools / name).write_text(f"#!/bin/bash\n{body}")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_LOG", str(tmp_path / "log"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "log"


@pytest.mark.parametrize("nodes", [1, 2, 8])
def test_the_scripts_are_sound_bash_with_the_recipes_resources(nodes: int, tmp_path: Path):
    chosen = ["compute.slurm={partition: a100, time: '24:00:00'}", "compute.slurm_cpu={partition: cpu, cpus-per-task: '32'}",
              f"compute.nodes={nodes}", "compute.gpus_per_node=8", "compute.env={HF_HOME: /data/a b}"]  # fmt: skip
    recipe = load_recipe("smoke/math", chosen)
    for stage in STAGES:
        path = tmp_path / f"{stage}.sh"
        path.write_text(stage_script(recipe, tmp_path / "a run", stage))
        subprocess.run(["bash", "-n", str(path)], check=True)
        if shutil.which("shellcheck"):
            subprocess.run(["shellcheck", str(path)], check=True)
        lines = path.read_text().splitlines()
        assert f"#SBATCH --partition={'a100' if stage == 'eval' else 'cpu'}" in lines
        assert ("#SBATCH --gpus-per-node=8" in lines) == (stage == "eval")
        assert "#SBATCH --requeue" in lines
        assert "export HF_HOME='/data/a b'" in lines
    launch = tmp_path / "launch.sh"
    launch.write_text("\n".join(line for line in preview(recipe, tmp_path / "run", STAGES) if line.startswith("job")))
    assert launch.read_text().count("afterok:$job") == len(STAGES) - 1
    subprocess.run(["bash", "-n", str(launch)], check=True)


def test_the_jobs_in_order_give_the_dataset_of_the_command_alone(slurm: Path, tmp_path: Path, capsys):
    words = ["smoke/math", "evolve.rounds=1", "seeds.limit=4", "teacher.max_tokens=40", "verify.workers=1"]
    stages = ["--stages", "evolve,verify,build"]
    assert main(["run", *words, "--out", "alone", *stages]) == 0
    capsys.readouterr()
    assert main(["run", *words, "--out", "jobs", "--launcher", "slurm", "--json", *stages]) == 0
    assert json.loads(capsys.readouterr().out) == {"evolve": "1", "verify": "2", "build": "3"}
    assert [line.rsplit(" ", 1)[1] for line in slurm.read_text().splitlines()] == ["nothing", "1", "2"]
    one, two = (tmp_path / name / "dataset" / "train.parquet" for name in ("alone", "jobs"))
    assert one.read_bytes() == two.read_bytes()


def test_a_stage_that_fails_keeps_the_later_ones_from_starting(slurm: Path, tmp_path: Path):
    missing = tmp_path / "seeds.jsonl"
    missing.write_text('{"instruction": "1 + 1?", "answer": "2"}\n')
    words = [
        "smoke/math",
        f"seeds.path={missing}",
        "teacher.kind=http",
        "teacher.endpoints=[{url: 'http://127.0.0.1:9/v1'}]",
    ]
    assert main(["run", *words, "--out", "run", "--launcher", "slurm", "--stages", "evolve,verify"]) == 0
    assert (tmp_path / "log.1").read_text().strip() != "0"
    assert (tmp_path / "log.2").read_text().strip() == "1"
    assert not (tmp_path / "run" / "dataset").exists()


def test_before_the_time_limit_a_job_stops_its_stage_and_requeues(slurm: Path, tmp_path: Path):
    recipe = load_recipe("smoke/math")
    text = stage_script(recipe, tmp_path / "run", "evolve")
    command = next(line for line in text.splitlines() if line.endswith(" &"))
    path = tmp_path / "job.sh"
    path.write_text(
        text.replace(command, f"(trap 'exit 130' TERM; touch {tmp_path}/started; while :; do sleep 0.1; done) &")
    )
    process = subprocess.Popen(["bash", str(path)], env=os.environ | {"SLURM_JOB_ID": "7"})
    until = time.monotonic() + 20
    while not (tmp_path / "started").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=20) == 130
    assert (tmp_path / "log.scontrol").read_text().strip() == "requeue 7"


def test_without_sbatch_the_error_names_the_way_to_see_the_scripts(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["run", "smoke/math", "--launcher", "slurm"]) == 2
    assert "--print-launch" in capsys.readouterr().err
    assert main(["run", "smoke/math", "--print-launch"]) == 0
    assert "afterok:$job0" in capsys.readouterr().out
