"""Reinforcement learning of one job by TRL's GRPO, RLOO or DPO; started by `python -m evoltune.train JOB.json`, as SFT is.

The policy starts as the SFT checkpoint: if that is an adapter, training continues on the adapter, otherwise on the full model. The
KL penalty is measured against a frozen copy of it. The reward is one callable (`evoltune.train.reward.product`); DPO reads pairs
(`evoltune.train.rl.dpo`). Prompts are built by the chat template that SFT saved, so they are SFT's ids. Invariant: a run that was killed and continued ends in the weights of one that was not (one process).
"""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, ProgressCallback, set_seed
from trl import DPOConfig, GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from evoltune.errors import DataError, TrainingError, require
from evoltune.models.load import (
    Precision,
    load_model,
    load_tokenizer,
    precision_of,
    prepare_tokenizer,
    with_contiguous_rows,
)
from evoltune.models.proof import attach_chat_template, read_template
from evoltune.models.template import Stop, prompt_ids, stop_of
from evoltune.rows.files import read_json
from evoltune.rows.readers import read_json_lines
from evoltune.run.paths import SAMPLED, TEMPLATE
from evoltune.train.deepspeed import avoid_compilation, deepspeed_config
from evoltune.train.job import Job, Watchdog
from evoltune.train.reward.product import ProductReward, cancelled_by
from evoltune.train.rl.callbacks import GuardedRun
from evoltune.train.rl.dpo import PairTrainer, read_pairs, reference_of
from evoltune.train.rl.guards import is_held_out_prompt
from evoltune.train.rl.held_out import HeldOut
from evoltune.train.rl.launch import accumulation_of, verifier_options
from evoltune.train.rl.recorded import RecordedReward
from evoltune.train.sft.checkpoint import agreed_step, save_final
from evoltune.train.sft.examples import Counts
from evoltune.train.sft.model import saved_as_trained
from evoltune.train.sft.trainer import keep_last_step, refuse_stopped

Row = dict[str, Any]


def run(job: Job, watchdog: Watchdog) -> None:
    """Trains and saves. Raises an EvoltuneError for anything that the user can fix."""
    with reward_of(job) as reward:
        train(job, watchdog, reward, reward.verifier)


def reward_of(job: Job) -> ProductReward:
    """The reward that the job's recipe describes."""
    recipe = job.recipe
    return ProductReward(
        recipe.domain, steps=job.reward_steps or None, instructions=job.reward_instructions or None,
        fail_share=recipe.reward.fail_share if recipe.reward else 0.0, **verifier_options(recipe),
    )  # fmt: skip


def train(job: Job, watchdog: Watchdog, reward: Any, verifier: Callable[..., Sequence[float | None]]) -> None:
    """`reward`: what is optimised; `verifier`: what the held-out prompts are judged by."""
    train_settings, rl = job.recipe.train, job.recipe.rl
    assert rl is not None
    precision = precision_of(train_settings.precision)
    config = config_of(job, precision)
    if problem := cancelled_by(config) if job.reward_instructions else "":
        raise TrainingError(f"rl.{problem}")
    set_seed(job.seed)
    tokenizer = load_tokenizer(job.start)
    stop, _ = prepare_tokenizer(tokenizer, train_settings.template)
    if not attach_chat_template(tokenizer, train_settings.template, train_settings.system_prompt):
        raise TrainingError(
            f"train.template: {train_settings.template}: TRL builds prompts by a chat template, "
            "and this tokenizer's gives other token ids than this template: train with template: chat, or with another base"
        )
    own_end, tokenizer.eos_token = (
        tokenizer.eos_token,
        stop.token,
    )  # at which TRL ends answers; older releases at no other
    rows, held_out = read_prompts(job)
    check_prompts(rows[:16], job, tokenizer)
    model = with_contiguous_rows(load_policy(job, precision, len(tokenizer)))
    model.generation_config.eos_token_id = stop.id
    tokenizer.padding_side = "left"
    by_pairs = rl.algorithm == "dpo"
    reference = reference_of(job, precision) if by_pairs else None
    prompts = HeldOut(
        held_out, tokenizer, verifier, rl.max_completion_length, with_kl=by_pairs and rl.max_kl > 0, reference=reference
    )
    watchdog.beat("model loaded")
    guarded = GuardedRun(job, watchdog, reward.__name__, prompts.measure)
    common = {"model": model, "args": config, "processing_class": tokenizer, "callbacks": [guarded]}
    if by_pairs:
        pairs, counts = read_pairs(job, tokenizer, stop)
        trainer = PairTrainer(**common, ref_model=reference, train_dataset=in_order(pairs, job))
    else:
        counts = Counts(rows=len(rows) + len(held_out), kept=len(rows))
        trainer_class = GRPOTrainer if rl.algorithm == "grpo" else RLOOTrainer
        parts = [
            "verifier",
            *(["steps"] if job.reward_steps else []),
            *(["instruction"] if job.reward_instructions else []),
        ]
        recorded = RecordedReward(reward, job.folder / SAMPLED, steps=rl.eval_steps, last=rl.max_steps, parts=parts)
        trainer = trainer_class(**common, reward_funcs=recorded, train_dataset=in_order(rows, job))
    finish(trainer, guarded, job, tokenizer, stop, counts, own_end)


def in_order(rows: Sequence[Row], job: Job) -> Dataset:
    """All rows that the run will take, in their order."""
    rl = job.recipe.rl
    assert rl is not None
    steps = itertools.islice(endless(len(rows), job.seed), rl.max_steps * rl.prompts_per_step)
    return as_dataset(rows).select(list(steps))


def as_dataset(rows: Sequence[Row]) -> Dataset:
    """Every column of any row, each value as it is: tests may be text in one row and a table of inputs in the next, and a row may
    lack what the first one has (`Dataset.from_list` reads the columns of the first row alone)."""
    names = dict.fromkeys(name for row in rows for name in row)
    return Dataset.from_dict({name: [row.get(name) for row in rows] for name in names}, on_mixed_types="use_json")


def finish(
    trainer: Any, guarded: GuardedRun, job: Job, tokenizer: Any, stop: Stop, counts: Counts, own_end: str
) -> None:
    """Trains from the last checkpoint on, and saves in the form that SFT saves: the tokenizer with its own end of a text."""
    train_settings, rl = job.recipe.train, job.recipe.rl
    assert rl is not None
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    world, rank = trainer.args.world_size, trainer.args.process_index
    resume = agreed_step(job.steps, world, rank) if train_settings.resume_from_checkpoint else None
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    refuse_stopped(guarded, trainer, rl.max_steps)
    policy = trainer.accelerator.unwrap_model(trainer.model)
    if "ref" in getattr(policy, "peft_config", {}):
        policy.delete_adapter("ref")  # the copy that the KL penalty was against
    tokenizer.padding_side, tokenizer.eos_token = "right", own_end
    try:
        save_final(trainer, tokenizer, stop, job, counts, read_json(Path(job.start) / TEMPLATE) or {})
    except TrainingError as error:
        raise TrainingError(f"{error}; {keep_last_step(trainer, job)}") from error


def config_of(job: Job, precision: Precision) -> Any:
    """TRL's configuration of this job."""
    kind, arguments = arguments_of(job, precision)
    return kind(**arguments)


def arguments_of(job: Job, precision: Precision) -> tuple[type[Any], dict[str, Any]]:
    """TRL's class of configuration, and its arguments. Answers are generated once per step, so that no checkpoint falls between generating answers and
    training on them. DPO counts pairs where the others count answers."""
    train_settings, rl = job.recipe.train, job.recipe.rl
    assert rl is not None
    gpu = torch.cuda.is_available()
    world, accumulation = accumulation_of(job.recipe)
    common: dict[str, Any] = {
        "output_dir": str(job.steps), "max_steps": rl.max_steps, "num_train_epochs": 1,
        "per_device_train_batch_size": rl.per_device_train_batch_size, "gradient_accumulation_steps": accumulation,
        "learning_rate": rl.learning_rate, "beta": rl.strength,
        "lr_scheduler_type": rl.lr_scheduler_type, "warmup_steps": rl.warmup_steps, "max_grad_norm": rl.max_grad_norm,
        "weight_decay": train_settings.weight_decay, "optim": "adamw_torch_fused", "seed": job.seed,
        "bf16": precision == "bf16", "fp16": precision == "fp16", "use_cpu": not gpu, "dataloader_pin_memory": gpu,
        "activation_checkpointing": train_settings.gradient_checkpointing,
        "save_strategy": "steps", "save_steps": rl.save_steps, "save_total_limit": train_settings.save_total_limit or None,
        "logging_steps": 1, "report_to": list(train_settings.report_to), "disable_tqdm": True,
        "remove_unused_columns": False, "ddp_backend": None if gpu or world == 1 else "gloo",
        "ddp_timeout": int(job.recipe.compute.hang_timeout_s), "deepspeed": _deepspeed(job, precision, world, accumulation),
    }  # fmt: skip
    if rl.algorithm == "dpo":  # in one pass of rows that stand in their order, truncated by none but us
        pairs = {**common, "max_length": None, "train_sampling_strategy": "sequential"}
        losses = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, rl.sft_weight]} if rl.sft_weight else {}
        return DPOConfig, {**pairs, **losses}
    answering = {
        "shuffle_dataset": False, "num_generations": rl.num_generations, "max_completion_length": rl.max_completion_length,
        "temperature": rl.temperature, "top_p": rl.top_p, "use_vllm": rl.use_vllm, "log_completions": False,
    }  # fmt: skip
    if rl.algorithm == "rloo":
        return RLOOConfig, {**common, **answering}
    return GRPOConfig, {**common, **answering, "scale_rewards": rl.scale_rewards}


def _deepspeed(job: Job, precision: Precision, world: int, accumulation: int) -> dict[str, Any] | None:
    """DeepSpeed's JSON with the batches of RL in place of SFT's; Transformers refuses one that differs from its own arguments."""
    rl, config = job.recipe.rl, deepspeed_config(job.recipe, precision, world)
    if config is None or rl is None:
        return None
    require(f"train.deepspeed: {job.recipe.train.deepspeed}", "deepspeed", "deepspeed")
    avoid_compilation()
    batches = {
        "train_micro_batch_size_per_gpu": rl.per_device_train_batch_size,
        "gradient_accumulation_steps": accumulation, "gradient_clipping": rl.max_grad_norm,
    }  # fmt: skip
    return {key: value for key, value in config.items() if key != "train_batch_size"} | batches


def load_policy(job: Job, precision: Precision, tokens: int) -> Any:
    """Loads the checkpoint for training: with its adapter trainable, or the full model."""
    train_settings = job.recipe.train
    if not (Path(job.start) / "adapter_config.json").is_file():
        return load_model(job.start, train_settings, precision)
    from peft import PeftModel

    model = load_model(job.base, train_settings, precision)
    if tokens > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(tokens, mean_resizing=False)
    return saved_as_trained(PeftModel.from_pretrained(model, job.start, is_trainable=True))


def read_prompts(job: Job) -> tuple[list[Row], list[Row]]:
    """(prompts to train on, held-out prompts), each with the columns that the verifier reads. Columns that a row lacks are null."""
    rl = job.recipe.rl
    assert rl is not None
    found = [row for _, row in read_json_lines(Path(job.rows))]
    names = dict.fromkeys(name for row in found for name in row)
    rows: list[Row] = []
    held_out: list[Row] = []
    for row in found:
        full = {name: row.get(name) for name in names}
        (held_out if is_held_out_prompt(row["prompt"], rl) else rows).append(full)
    if len(rows) < rl.prompts_per_step:
        raise DataError(
            f"{job.rows}: {len(rows)} prompts to train on ({len(held_out)} held out), rl.prompts_per_step is {rl.prompts_per_step}"
        )
    system = job.recipe.train.system_prompt
    if system:
        for row in (*rows, *held_out):
            row["prompt"] = [{"role": "system", "content": system}, *row["prompt"]]
    return rows, held_out[: rl.held_out_limit]


def check_prompts(rows: Sequence[Row], job: Job, tokenizer: Any) -> None:
    """Raises TrainingError where the prompts that TRL renders are not those of SFT."""
    template = read_template(Path(job.start))
    for row in rows:
        theirs = tokenizer.apply_chat_template(
            row["prompt"], add_generation_prompt=True, tokenize=True, return_dict=True
        )
        ours = prompt_ids(job.recipe.train.template, row["prompt"], tokenizer, job.recipe.train.system_prompt)
        if list(theirs["input_ids"]) != ours:
            raise TrainingError(
                f"{job.start}: the chat template renders a prompt otherwise than in training: {row['prompt']}"
            )
    if template and stop_of(job.recipe.train.template, tokenizer).id != template.stop.id:
        raise TrainingError(f"{job.start}: its tokenizer stops at another token than it was trained with")


def endless(size: int, seed: int) -> Iterator[int]:
    """Row numbers, shuffled anew for each pass. TRL's own sampler draws a pass from where the last one left its generator,
    which a continued run does not know; in one long pass the order is a function of the seed."""
    for epoch in itertools.count():
        order = list(range(size))
        random.Random(f"{seed}/rl/{epoch}").shuffle(order)
        yield from order
