"""The checkpoints of an unfinished job: the newest undamaged one counts."""

from __future__ import annotations


def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path, capsys):
    from evoltune.train.step_checkpoints import latest_step, mark_complete

    for step in (3, 12):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"weights")
        mark_complete(folder)
    assert latest_step(tmp_path).name == "checkpoint-12"
    (tmp_path / "checkpoint-12" / "model.safetensors").write_bytes(b"weightz")
    assert latest_step(tmp_path).name == "checkpoint-3"
    assert "checkpoint-12 is not used: model.safetensors is not what was saved" in capsys.readouterr().err
    (tmp_path / "checkpoint-99").mkdir()
    assert latest_step(tmp_path).name == "checkpoint-3"
