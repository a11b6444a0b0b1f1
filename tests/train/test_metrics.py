"""The curves of a training can be read after anything that happens to a training."""

import json
import math
from pathlib import Path

from evoltune.rows.files import read_journal
from evoltune.train import metrics
from evoltune.train.rl.launch import summary

LINES = [{"step": n, "loss": 3.0 - n / 4, "reward": n / 10} for n in (1, 2, 3)]


def test_a_loss_that_is_no_number_is_null_and_is_left_out(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    metrics.append(path, {"step": 1, "loss": math.nan, "grad_norm": math.inf, "reward": math.nan})
    assert json.loads(path.read_text()) == {"step": 1, "loss": None, "grad_norm": None, "reward": None}
    for line in LINES[1:]:
        metrics.append(path, line)
    assert summary(path) == "reward 0.200 to 0.300"


def test_lines_of_an_encoder_that_knows_nan_are_read(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"step": 1, "loss": math.nan, "grad_norm": -math.inf}) + "\n")
    assert list(read_journal(path)) == [{"step": 1, "loss": None, "grad_norm": None}]


def test_a_training_that_goes_on_drops_the_lines_after_its_checkpoint_and_half_a_line(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    assert metrics.up_to(path, 2) == []
    for line in LINES:
        metrics.append(path, line)
    with path.open("a") as file:
        file.write('{"step": 4, "lo')
    metrics.replace(path, metrics.up_to(path, 2))
    assert [json.loads(line) for line in path.read_text().splitlines()] == LINES[:2]
    with path.open("a") as file:
        file.write('{"step": 3, "lo')
    metrics.append(path, LINES[2])
    assert list(read_journal(path)) == LINES
