"""The monitor inside a rank: bad losses, spikes, the stop file."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from evoltune.errors import TrainingError

torch = pytest.importorskip("torch")
ONE = SimpleNamespace(world_size=1)


@pytest.fixture
def monitor(job_in, tmp_path):
    from evoltune.train.job import Watchdog
    from evoltune.train.sft.callbacks import TrainingMonitor

    job = job_in(tmp_path)
    return TrainingMonitor(job, Watchdog(job))


def step(monitor, number: int, loss: float):
    batch = {"input_ids": torch.tensor([[7, 8]]), "labels": torch.tensor([[-100, 8]])}
    monitor.observe(torch.tensor(loss), batch)
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    monitor.on_step_end(ONE, SimpleNamespace(global_step=number), control)
    return control


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0])
def test_three_bad_losses_in_a_row_stop_the_run_and_keep_the_batch(monitor, tmp_path, bad):
    step(monitor, 1, bad)
    step(monitor, 2, 1.0)
    step(monitor, 3, bad)
    step(monitor, 4, bad)
    with pytest.raises(TrainingError, match=r"in 3 steps up to step 5.*bad-batch-0\.json"):
        step(monitor, 5, bad)
    assert json.loads((tmp_path / "bad-batch-0.json").read_text())[0]["input_ids"] == [[7, 8]]


def test_a_spike_is_reported_and_training_goes_on(monitor, tmp_path, capsys):
    for number in range(30):
        step(monitor, number, 1.0 + 0.01 * (number % 3))
    step(monitor, 30, 9.0)
    event = json.loads((tmp_path / "events.jsonl").read_text())
    assert (event["event"], event["step"], event["loss"]) == ("spike", 30, 9.0)
    assert "loss spike at step 30" in capsys.readouterr().err


def test_the_stop_file_asks_for_a_checkpoint_and_an_end(monitor, tmp_path):
    assert not step(monitor, 1, 1.0).should_training_stop
    (tmp_path / "stop").touch()
    control = step(monitor, 2, 1.0)
    assert control.should_save and control.should_training_stop


def test_without_save_steps_a_checkpoint_is_due_by_time(monitor, tmp_path):
    assert not step(monitor, 1, 1.0).should_save
    monitor._saved_at -= 601
    assert step(monitor, 2, 1.0).should_save
    (tmp_path / "steps" / "checkpoint-2").mkdir(parents=True)
    monitor._began_save_at -= 60  # it took a minute: the next one is due when that is a twentieth of the time
    monitor.on_save(ONE, SimpleNamespace(global_step=2), None)
    monitor._saved_at -= 700
    assert not step(monitor, 3, 1.0).should_save
    monitor._saved_at -= 600
    assert step(monitor, 4, 1.0).should_save


def test_a_disk_without_room_for_a_checkpoint_is_said_and_training_goes_on(monitor, capsys):
    monitor._saved_at -= 601
    monitor._save_bytes = 10**18
    assert not step(monitor, 1, 1.0).should_save
    assert "no checkpoint is saved yet: it takes 1000000000.0 GB" in capsys.readouterr().err


def test_mfu_counts_six_per_trained_and_four_per_frozen_weight(tiny_base):
    from transformers import AutoModelForCausalLM

    from evoltune.train.sft.callbacks import flops_per_token, peak_flops

    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    body = sum(p.numel() for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n and "head" not in n)
    head = model.get_output_embeddings().weight.numel()
    assert flops_per_token(model) == (6 * body, 6 * head)
    assert flops_per_token(model.requires_grad_(False)) == (4 * body, 4 * head)
    assert peak_flops("fp32") > 1e8
