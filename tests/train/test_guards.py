"""Guards inside a rank, the choice of a checkpoint by generations, schedules, residual dropout, new embedding rows."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from evoltune.errors import RecipeError, TrainingError
from evoltune.recipe import load_recipe
from evoltune.train.checkpoint_selection import check_selection, select_checkpoint
from evoltune.train.job import Job, write_job
from evoltune.train.sft.schedule import rate_factor
from evoltune.train.step_checkpoints import mark_complete

torch = pytest.importorskip("torch")
ONE = SimpleNamespace(world_size=1)


def job_in(folder, *overrides) -> Job:
    recipe = load_recipe("smoke/math", ["eval.suites=[]", *overrides])
    return Job(recipe=recipe, rows="rows.jsonl", base="base", out=str(folder), fingerprint="f")


@pytest.fixture
def guards(tmp_path):
    from evoltune.train.sft.monitor import TrainingMonitor
    from evoltune.train.watchdog import Watchdog

    job = job_in(tmp_path)
    return TrainingMonitor(job, Watchdog(job))


def step(guards, number: int, loss: float):
    batch = {"input_ids": torch.tensor([[7, 8]]), "labels": torch.tensor([[-100, 8]])}
    guards.observe(torch.tensor(loss), batch)
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    guards.on_step_end(ONE, SimpleNamespace(global_step=number), control)
    return control


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0])
def test_three_bad_losses_in_a_row_stop_the_run_and_keep_the_batch(guards, tmp_path, bad):
    step(guards, 1, bad)
    step(guards, 2, 1.0)
    step(guards, 3, bad)
    step(guards, 4, bad)
    with pytest.raises(TrainingError, match=r"in 3 steps up to step 5.*bad-batch-0\.json"):
        step(guards, 5, bad)
    assert json.loads((tmp_path / "bad-batch-0.json").read_text())[0]["input_ids"] == [[7, 8]]


def test_a_spike_is_reported_and_training_goes_on(guards, tmp_path, capsys):
    for number in range(30):
        step(guards, number, 1.0 + 0.01 * (number % 3))
    step(guards, 30, 9.0)
    event = json.loads((tmp_path / "events.jsonl").read_text())
    assert (event["event"], event["step"], event["loss"]) == ("spike", 30, 9.0)
    assert "loss spike at step 30" in capsys.readouterr().err


def test_the_stop_file_asks_for_a_checkpoint_and_an_end(guards, tmp_path):
    assert not step(guards, 1, 1.0).should_training_stop
    (tmp_path / "stop").touch()
    control = step(guards, 2, 1.0)
    assert control.should_save and control.should_training_stop


def test_a_rank_that_hangs_ends_itself_with_stacks_and_a_reason(tmp_path):
    write_job(job_in(tmp_path, "compute.hang_timeout_s=0.5"))
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom evoltune.train.job import read_job\n"
        "from evoltune.train.watchdog import Watchdog\n"
        "dog = Watchdog(read_job(Path(sys.argv[1]))); dog.start(); dog.beat('step 4'); time.sleep(60)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "job.json")], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 75 and "time.sleep" not in done.stdout
    assert "most recent call first" in done.stderr
    assert (
        "no progress for 0.5 s after 'step 4'"
        in json.loads((tmp_path / "error-0.json").read_text())["message"]
    )


def test_the_driver_ends_a_silent_job_and_its_children(tmp_path):
    import time

    from evoltune.train.trainer_process import run_trainer

    start = time.monotonic()
    script = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)']); time.sleep(99)"
    with pytest.raises(TrainingError, match="the trainer showed no progress"):
        run_trainer([sys.executable, "-c", script], {}, tmp_path, hang_timeout_s=-29.5)  # limit: 1 s
    assert time.monotonic() - start < 30


# ---- checkpoint_select


def test_the_best_answers_choose_the_checkpoint_and_perplexity_is_only_shown(tmp_path, capsys):
    from safetensors.torch import load_file, save_file

    job = job_in(tmp_path, "train.checkpoint_select=generations", "train.dev_suite=dev", "train.save_steps=2")
    for number in (2, 4):
        folder = job.steps / f"checkpoint-{number}"
        folder.mkdir(parents=True)
        save_file({"w": torch.full((2,), float(number))}, folder / "model.safetensors")
        mark_complete(folder)
    save_file({"w": torch.full((2,), 6.0)}, tmp_path / "model.safetensors")
    (tmp_path / "template.json").write_text("{}")
    (tmp_path / "metrics.jsonl").write_text(
        "".join(json.dumps({"step": n, "loss": 3.0 - n / 4}) + "\n" for n in range(1, 7))
    )

    def score(recipe, model, out):
        assert recipe.eval.suites == ("dev",)
        weight = load_file(f"{model}/model.safetensors")["w"][0].item()
        return {"suites": {"dev": {"measures": {"pass@1": {"value": {2: 0.3, 4: 0.7, 6: 0.5}[int(weight)]}}}}}

    manifest = select_checkpoint(job, {"steps": 6, "files": {}}, score)
    assert manifest["selected_step"] == 4
    assert load_file(tmp_path / "model.safetensors")["w"][0].item() == 4.0
    table = json.loads((tmp_path / "selection.json").read_text())["table"]
    assert [row["step"] for row in table] == [2, 4, 6]
    assert table[-1]["train_perplexity"] < table[0]["train_perplexity"]  # and yet step 6 was not chosen
    assert "step 4: 70.0% on dev" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["train.save_steps=2"], "needs the name of a dev suite"),
        (
            ["train.save_steps=2", "train.dev_suite=gsm8k", "eval.suites=[gsm8k]"],
            "a dev set must not be reported",
        ),
        (["train.dev_suite=dev"], "leaves nothing to choose from"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused_at_once(overrides, reason):
    with pytest.raises(RecipeError, match=reason):
        check_selection(load_recipe("smoke/math", ["train.checkpoint_select=generations", *overrides]))


# ---- schedules


def test_the_rate_warms_up_and_falls_to_its_floor():
    how = [
        "train.lr_scheduler_type=linear",
        "train.learning_rate=1e-5",
        "train.min_learning_rate=1e-6",
        "train.warmup_steps=4",
    ]
    factor = rate_factor(load_recipe("smoke/math", how).train, 100)
    rates = [factor(s) for s in range(101)]
    assert rates[0] == pytest.approx(0.2) and rates[4] == 1.0 and rates[100] == pytest.approx(0.1)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    cosine = rate_factor(
        load_recipe("smoke/math", ["train.lr_scheduler_type=cosine", "train.warmup_steps=0"]).train, 10
    )
    assert cosine(5) == pytest.approx(0.5) and cosine(10) == pytest.approx(0.0)


# ---- the model


def test_residual_dropout_grows_from_the_bottom_to_the_top_and_only_while_training(tiny_base):
    from transformers import AutoModelForCausalLM

    from evoltune.train.sft.model import add_residual_dropout

    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    ids = torch.arange(5, 60)[None]
    plain = model.eval()(ids).logits
    add_residual_dropout(model, 0.5)
    assert torch.equal(model(ids).logits, plain)
    zeros = {}
    for depth, layer in enumerate(model.model.layers):
        layer.mlp.register_forward_hook(
            lambda m, i, o, d=depth: zeros.update({d: (o == 0).float().mean().item()})
        )
    model.train()(ids)
    assert zeros[0] == 0.0 and 0.4 < zeros[1] < 0.6


def test_new_tokens_get_the_average_row_and_are_trained_whole_under_lora(tiny_base):
    from transformers import AutoModelForCausalLM

    from evoltune.models.load import grow_embeddings, load_tokenizer, prepare_tokenizer
    from evoltune.models.lora import add_lora

    tokenizer = load_tokenizer(str(tiny_base))
    stop, added = prepare_tokenizer(tokenizer, "lima")
    assert added == ["<|eot|>"] and stop.id == len(tokenizer) - 1
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    before = model.get_input_embeddings().weight.detach().clone()
    assert grow_embeddings(model, len(tokenizer)) == 1
    assert torch.allclose(model.get_input_embeddings().weight[-1], before.mean(0), atol=1e-6)
    adapted = add_lora(model, load_recipe("smoke/math").train, embeddings=True)
    trained = {
        n.split(".")[-4] for n, p in adapted.named_parameters() if p.requires_grad and "modules_to_save" in n
    }
    assert {"embed_tokens", "lm_head"} == trained


def test_an_adapter_with_trained_embeddings_saves_them_once(tiny_base, tmp_path):
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    from evoltune.models.load import grow_embeddings
    from evoltune.models.lora import add_lora
    from evoltune.train.sft.read_back import compare_saved

    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    grow_embeddings(model, model.config.vocab_size + 1)
    adapted = add_lora(model, load_recipe("smoke/math").train, embeddings=True)
    adapted.save_pretrained(tmp_path)
    assert compare_saved(adapted, tmp_path, 0) == 30
    whole = [name for name in load_file(tmp_path / "adapter_model.safetensors") if "lora" not in name]
    assert sorted(whole) == ["base_model.model.lm_head.weight", "base_model.model.model.embed_tokens.weight"]


def test_a_pad_token_that_equals_the_stop_token_is_replaced_where_the_vocabulary_allows(tiny_tokenizer):
    import copy

    from evoltune.models.load import prepare_tokenizer

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.pad_token = "<|im_end|>"
    stop, _ = prepare_tokenizer(tokenizer, "chat")
    assert stop.token == "<|im_end|>" and tokenizer.pad_token == "<pad>"


def test_mfu_counts_six_per_trained_and_four_per_frozen_weight(tiny_base):
    from transformers import AutoModelForCausalLM

    from evoltune.train.mfu import flops_per_token, peak_flops

    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    body = sum(
        p.numel()
        for n, p in model.named_parameters()
        if p.dim() == 2 and "embed" not in n and "head" not in n
    )
    head = model.get_output_embeddings().weight.numel()
    assert flops_per_token(model) == (6 * body, 6 * head)
    assert flops_per_token(model.requires_grad_(False)) == (4 * body, 4 * head)
    assert peak_flops("fp32") > 1e8
