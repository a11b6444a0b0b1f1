"""Whole training jobs on a tiny base: what is written, what is caught, what goes on after a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evoltune.errors import CertificateError, DataError, RecipeError, TrainingError
from evoltune.evaluate.suites import load_suite
from evoltune.recipe import load_recipe
from evoltune.train.launch import train

pytest.importorskip("torch")
COMMON = (
    "eval.suites=[]", "train.max_length=256", "train.per_device_train_batch_size=4", "train.global_batch_size=8",
    "train.learning_rate=1e-3", "train.warmup_steps=5", "train.precision=fp32", "compute.hang_timeout_s=120",
)  # fmt: skip


def recipe(base, *overrides):
    return load_recipe("smoke/math", [f"train.model_name_or_path={base}", *COMMON, *overrides])


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def reference(tiny_base, tiny_rows, tmp_path_factory):
    """Six steps of full fine-tuning in one process."""
    out = tmp_path_factory.mktemp("reference") / "checkpoint"
    manifest = train(
        recipe(tiny_base, "train.finetuning_type=full", "train.max_steps=6"), tiny_rows, out, suites={}
    )
    return out, manifest


def test_a_job_leaves_a_complete_checkpoint_with_its_proof(reference, tiny_rows):
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    from evoltune.models.proof import check_golden

    out, manifest = reference
    assert manifest["steps"] == 6 and manifest["data"]["kept"] == 48
    assert set(manifest["files"]) >= {
        "model.safetensors",
        "tokenizer.json",
        "template.json",
        "generation_config.json",
        "README.md",
    }
    template = check_golden(out, AutoTokenizer.from_pretrained(out))
    assert GenerationConfig.from_pretrained(out).eos_token_id == template.stop.id
    AutoModelForCausalLM.from_pretrained(out)
    assert [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()] == [
        1,
        2,
        3,
        4,
        5,
        6,
    ]
    assert not (out / "steps").exists()


def test_training_lowers_the_loss(reference):
    out, _ = reference
    assert losses(out)[-1] < losses(out)[0] - 0.1


def test_a_finished_job_is_not_trained_again(reference, tiny_base, tiny_rows):
    out, manifest = reference
    before = (out / "manifest.json").stat().st_mtime_ns
    again = train(
        recipe(tiny_base, "train.finetuning_type=full", "train.max_steps=6"), tiny_rows, out, suites={}
    )
    assert again == manifest and (out / "manifest.json").stat().st_mtime_ns == before


def test_a_dataset_without_certificate_is_refused_with_the_command_that_makes_one(
    tiny_base, tiny_rows, tmp_path
):
    wanted = load_recipe("smoke/math", [f"train.model_name_or_path={tiny_base}"])
    suites = {name: load_suite(name, domain=wanted.domain) for name in wanted.eval.suites}
    with pytest.raises(CertificateError, match=r"evoltune .*decontaminate .*--allow-uncertified"):
        train(wanted, tiny_rows, tmp_path / "out", suites=suites)
    assert not (tmp_path / "out").exists()


def test_a_long_row_stops_the_job_before_the_first_step_with_the_trainers_own_sentence(
    tiny_base, tiny_rows, tmp_path
):
    with pytest.raises(DataError, match=r"48 of 48 rows are longer than train.max_length 16"):
        train(
            recipe(tiny_base, "train.max_length=16", "train.excess_length=raise"),
            tiny_rows,
            tmp_path / "out",
            suites={},
        )
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_batch_that_cannot_be_solved_for_is_named(tiny_base, tiny_rows, tmp_path):
    with pytest.raises(RecipeError, match="global_batch_size 9 is no multiple"):
        train(recipe(tiny_base, "train.global_batch_size=9"), tiny_rows, tmp_path / "out", suites={})


def test_an_unknown_base_folder_is_named(tiny_rows, tmp_path):
    with pytest.raises(TrainingError, match=r"nowhere/base.: no such folder"):
        train(recipe("./nowhere/base"), tiny_rows, tmp_path / "out", suites={})


def test_sigterm_saves_a_checkpoint_and_the_same_command_ends_with_the_uninterrupted_losses(
    reference, tiny_base, tiny_rows, tmp_path
):
    out = tmp_path / "checkpoint"
    driver = tmp_path / "driver.py"
    driver.write_text(
        "import sys\nfrom pathlib import Path\nfrom evoltune.recipe import load_recipe\nfrom evoltune.train.launch import train\n"
        "from evoltune.errors import TrainingError\n"
        "try:\n    train(load_recipe('smoke/math', sys.argv[3:]), sys.argv[1], Path(sys.argv[2]), suites={})\n"
        "except TrainingError as error:\n    sys.exit(str(error))\n"
    )
    full = ("train.finetuning_type=full", "train.max_steps=6")
    overrides = [f"train.model_name_or_path={tiny_base}", *COMMON, *full]
    process = subprocess.Popen(
        [sys.executable, str(driver), str(tiny_rows), str(out), *overrides], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (out / "heartbeat").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1 and "stopped on request after step 1 of 6, with a checkpoint" in said
    manifest = train(recipe(tiny_base, *full), tiny_rows, out, suites={})
    assert manifest["steps"] == 6
    assert losses(out) == pytest.approx(losses(reference[0]), abs=1e-6)


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


# ---- save-verify


@pytest.fixture
def saved(tiny_base, tmp_path):
    from transformers import AutoModelForCausalLM

    from evoltune.models.lora import add_lora

    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    adapted = add_lora(model, recipe(tiny_base, "train.finetuning_type=lora").train)
    adapted.save_pretrained(tmp_path)
    return adapted, tmp_path


def test_an_adapter_reads_back_as_it_is_in_memory(saved):
    from evoltune.train.sft.read_back import compare_saved

    model, folder = saved
    assert compare_saved(model, folder, 0) == sum(p.requires_grad for p in model.parameters()) == 28


@pytest.mark.parametrize("fault", ["empty", "value", "missing", "cut"])
def test_a_wrong_adapter_fails_the_save(saved, fault):
    import torch
    from safetensors.torch import load_file, save_file

    from evoltune.train.sft.read_back import compare_saved

    model, folder = saved
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    first = next(iter(tensors))
    if fault == "empty":  # what ZeRO-3 saves where the partitions are not gathered
        tensors = {name: torch.empty(0) for name in tensors}
    elif fault == "value":
        tensors[first] = tensors[first] + 1
    elif fault == "missing":
        del tensors[first]
    save_file(tensors, path)
    if fault == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    expected = {
        "empty": "has shape",
        "value": "differs",
        "missing": "is missing",
        "cut": "cannot be read back",
    }[fault]
    with pytest.raises(TrainingError, match=f"the save is wrong: .*{expected}"):
        compare_saved(model, folder, 0)


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("mount"), reason="needs root to mount a small file system"
)
def test_a_full_disk_at_save_is_one_sentence(tiny_base, tiny_rows, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        with pytest.raises(TrainingError, match=r"cannot be written: .*GiB free"):
            train(
                recipe(tiny_base, "train.finetuning_type=full", "train.max_steps=1"),
                tiny_rows,
                disk / "out",
                suites={},
            )
        assert not (disk / "out" / "manifest.json").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
