"""The released trainers with the files that `evoltune rl` writes: their own configuration, loaders and reward loops call our
function with what they really pass. `make contracts` installs verl and OpenRLHF for it, without their GPU parts."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evoltune.cli import main
from evoltune.train.rl.external import ALGORITHMS, ExternalRL, command_of

TRAINERS = os.environ.get("EVOLTUNE_TRAINERS", "") and str(Path(os.environ["EVOLTUNE_TRAINERS"]).resolve())
ROWS = ({"question": "2+3?", "answer": "2+3=<<2+3=5>>5\n#### 5"}, {"question": "Half of 9?", "answer": "#### 4.5"},
        {"question": "Four {braces}\n<|im_end|> and  two  blanks?", "reference": "42"},
        {"question": "Prose?", "reference": "because it rains and the streets are wet so people take the bus"})  # fmt: skip
ANSWERS = ("<think>6?</think>It is 5. The answer is 5", "The answer is 4", "So \\boxed{42}", "The answer is 1")
SCORES = [1.0, 0.0, 1.0, 0.0]
UNJUDGED = [0.0, 0.0, 0.0, 1.0]


def contracts(trainer: str, tiny_base: Path, folder: Path) -> dict[str, dict]:
    """What the trainer made of a job of each algorithm; skips where it is not installed."""
    if not TRAINERS or not (Path(TRAINERS) / trainer).is_dir():
        pytest.skip(f"{trainer} is not there: `make contracts` installs it and runs this test")
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    outs = []
    for algorithm in ALGORITHMS[trainer]:
        places = ["--rows", str(rows), "--model", str(tiny_base), "--out", str(folder / algorithm)]
        sizes = ["--batch", "8", "--max-prompt-length", "256", "--max-answer-length", "128", "compute.gpus_per_node=8"]
        command = [
            "rl",
            "smoke/math",
            "--trainer",
            trainer,
            "--algorithm",
            algorithm,
            *places,
            *sizes,
            "--print-launch",
        ]
        assert main(command) == 0
        outs.append(folder / algorithm / f"rl-{trainer}")
        (outs[-1] / "answers.json").write_text(json.dumps(ANSWERS))
        (outs[-1] / "words.json").write_text(json.dumps(command_in(outs[-1] / "launch.sh")))
    script = Path(__file__).with_name(f"{trainer}_contract.py")
    environment = os.environ | {"PYTHONPATH": TRAINERS, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, str(script), *map(str, outs)], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(zip(ALGORITHMS[trainer], json.loads(done.stdout.strip().splitlines()[-1]), strict=True))


def command_in(script: Path) -> list[str]:
    """The words that the shell hands to `python -m TRAINER`: the script with `python` replaced by a printer of arguments."""
    shim = script.parent / "bin"
    shim.mkdir(exist_ok=True)
    (shim / "python").write_text('#!/bin/sh\n[ "$1" = -c ] || printf "%s\\0" "$@"\n')
    (shim / "python").chmod(0o755)
    path = f"{shim}{os.pathsep}{os.environ['PATH']}"
    told = subprocess.run(
        ["bash", str(script)], env=os.environ | {"PATH": path}, capture_output=True, check=True
    ).stdout
    shutil.rmtree(shim)
    return told.decode().rstrip("\0").split("\0")[2:]


def test_verl_composes_the_settings_and_scores_by_our_function(tiny_base, tmp_path):
    for algorithm, found in contracts("verl", tiny_base, tmp_path).items():
        assert found["rows"] == len(ROWS) and found["critic"] == (algorithm == "ppo")
        assert [score["reward_score"] for score in found["scores"]] == SCORES
        assert [score["reward_extra_info"]["unjudged"] for score in found["scores"]] == UNJUDGED
        assert found["accepted"] == []  # of all settings, each misspelt by itself
        assert "NotImplementedError" in found["unread"] and "evoltune/math" in found["unread"]


def test_openrlhf_reads_the_flags_and_scores_by_our_function(tiny_base, tmp_path):
    for algorithm, found in contracts("openrlhf", tiny_base, tmp_path).items():
        assert found["url"] == [str(tmp_path / algorithm / "rl-openrlhf" / "reward.py")]
        assert (found["critic"] == str(tiny_base)) == (algorithm == "ppo")
        assert [score["reward"] for score in found["scores"]] == [[score] for score in SCORES]
        assert [score["unjudged"] for score in found["scores"]] == [[share] for share in UNJUDGED]
        assert found["accepted"] == []  # of all flags, each misspelt by itself


def test_the_script_starts_exactly_the_command(tiny_base, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(ROWS[0]) + "\n")
    out = tmp_path / "a run"
    flags = ["--rows", str(rows), "--model", "org/base", "--out", str(out), "--print-launch"]
    flags += ["compute.gpus_per_node=8", "curate.overlap=false"]  # by text alone: no workers are started
    for trainer in ("verl", "openrlhf"):
        assert main(["rl", "smoke/math", "--trainer", trainer, *flags]) == 0
        folder = out / f"rl-{trainer}"
        job = ExternalRL(trainer=trainer, model="org/base", domains=("math",), out=folder)
        assert command_in(folder / "launch.sh") == command_of(job)[3:]
