"""The reward inside a real run of TRL's GRPO trainer, on a tiny model of random weights. Skipped where TRL is not installed."""

import pytest

import evoltune
from evoltune.record import STATUSES


def test_grpo_trains_on_the_reward_and_logs_its_counts(tiny_base, tmp_path, caplog):
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    rows = [{"prompt": f"{a} + 1 = ?", "answer": None if a % 4 == 0 else str(a + 1)} for a in range(8)]
    options = {"per_device_train_batch_size": 4, "num_generations": 2, "max_completion_length": 4, "max_steps": 4}
    quiet = {"use_cpu": True, "report_to": [], "save_strategy": "no", "logging_steps": 1, "disable_tqdm": True}
    with evoltune.reward("math", workers=1) as reward:
        trainer = trl.GRPOTrainer(
            model=str(tiny_base), reward_funcs=[reward], train_dataset=datasets.Dataset.from_list(rows),
            args=trl.GRPOConfig(output_dir=str(tmp_path), **options, **quiet),
        )  # fmt: skip
        trainer.train()
    logged = [entry for entry in trainer.state.log_history if "evoltune_math/fail" in entry]
    assert len(logged) == 4 and all("rewards/evoltune_math/mean" in entry for entry in logged)
    shares = [sum(entry[f"evoltune_math/{status}"] for status in STATUSES) for entry in logged]
    assert shares == [pytest.approx(1.0)] * 4
    assert sum(entry["evoltune_math/unverifiable"] for entry in logged) == pytest.approx(
        1.0
    )  # 2 of the 8 rows, once each
    assert "rewards are None: " in caplog.text and "unverifiable: no reference" in caplog.text
