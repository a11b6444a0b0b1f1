"""A training whose result cannot be published keeps what was trained."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")


def test_a_state_that_could_not_be_published_is_kept_and_the_same_command_publishes_it(
    recipe, fine_tune, tiny_base, tiny_rows, tmp_path, monkeypatch
):
    from evoltune.errors import TrainingError
    from evoltune.train.job import Watchdog, make_job, write_job
    from evoltune.train.sft import trainer

    def refused(*args):
        raise TrainingError("the save is wrong")

    out = tmp_path / "checkpoint"
    job = make_job(recipe("train.max_steps=2"), str(tiny_rows), str(tiny_base), out, None)
    write_job(job)
    monkeypatch.setattr(trainer, "save_final", refused)
    with pytest.raises(TrainingError, match=r"the save is wrong; step 2 is kept in .*the same command publishes it"):
        trainer.run(job, Watchdog(job))
    assert (out / "steps" / "checkpoint-2" / "verified.json").is_file() and not (out / "manifest.json").exists()
    assert fine_tune(out, "train.max_steps=2")["steps"] == 2
