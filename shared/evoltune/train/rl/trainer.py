"""Reinforcement learning of one job by TRL's GRPO or RLOO; started by `python -m evoltune.train JOB.json`, as SFT is.

The policy starts as the SFT checkpoint: if that is an adapter, training continues on the adapter, otherwise on the full model. The
KL penalty is measured against a frozen copy of it. The reward is one callable (`evoltune.train.reward.product`). Prompts are built by the chat template that SFT saved, so they are
SFT's ids. Invariant: a run that was killed and continued ends in the weights of one that was not (one process).
"""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, ProgressCallback, set_seed
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from evoltune.errors import DataError, TrainingError
from evoltune.models.load import Precision, load_model, load_tokenizer, precision_of, prepare_tokenizer
from evoltune.models.proof import attach_chat_template, read_template
from evoltune.models.template import prompt_ids, stop_of
from evoltune.rows.files import read_json
from evoltune.rows.readers import read_json_lines
from evoltune.run.paths import TEMPLATE
from evoltune.train.deepspeed import deepspeed_config
from evoltune.train.job import Job, Watchdog
from evoltune.train.reward.held_out import is_held_out
from evoltune.train.reward.product import ProductReward, cancelled_by
from evoltune.train.rl.callbacks import GuardedRun
from evoltune.train.sft.checkpoint import agreed_step, save_final
from evoltune.train.sft.examples import Counts
from evoltune.train.sft.model import saved_as_trained
from evoltune.train.sft.trainer import keep_last_step, refuse_stopped

SOLVE_BATCH = 32
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
        fail_share=recipe.reward.fail_share if recipe.reward else 0.0, workers=recipe.verify.workers or None,
        check_s=recipe.verify.check_s, program_s=recipe.verify.program_s, memory_mb=recipe.verify.memory_mb,
        require=recipe.verify.sandbox.require, policy=dict(recipe.verify.policy) or None,
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
    rows, held_out = read_prompts(job)
    check_prompts(rows[:16], job, tokenizer)
    model = load_policy(job, precision, len(tokenizer))
    model.generation_config.eos_token_id = stop.id
    order = itertools.islice(endless(len(rows), job.seed), rl.max_steps * rl.prompts_per_step)
    dataset = Dataset.from_list([rows[i] for i in order])
    tokenizer.padding_side = "left"
    watchdog.beat("model loaded")
    guarded = GuardedRun(
        job,
        watchdog,
        reward.__name__,
        lambda policy: solve(policy, tokenizer, held_out, verifier, rl.max_completion_length),
    )
    trainer_class = GRPOTrainer if rl.algorithm == "grpo" else RLOOTrainer
    trainer = trainer_class(
        model=model,
        reward_funcs=reward,
        args=config,
        train_dataset=dataset,
        processing_class=tokenizer,
        callbacks=[guarded],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    world, rank = config.world_size, config.process_index
    resume = agreed_step(job.steps, world, rank) if train_settings.resume_from_checkpoint else None
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    refuse_stopped(guarded, trainer, rl.max_steps)
    policy = trainer.accelerator.unwrap_model(trainer.model)
    if "ref" in getattr(policy, "peft_config", {}):
        policy.delete_adapter("ref")  # the copy that the KL penalty was against
    tokenizer.padding_side = "right"
    counts = Counts(rows=len(rows) + len(held_out), kept=len(rows))
    try:
        save_final(trainer, tokenizer, stop, job, counts, read_json(Path(job.start) / TEMPLATE) or {})
    except TrainingError as error:
        raise TrainingError(f"{error}; {keep_last_step(trainer, job)}") from error


def config_of(job: Job, precision: Precision) -> Any:
    """Builds TRL's configuration. Answers are generated once per step, so that no checkpoint falls between generating answers and
    training on them."""
    train_settings, rl = job.recipe.train, job.recipe.rl
    assert rl is not None
    gpu = torch.cuda.is_available()
    answers = rl.prompts_per_step * rl.num_generations
    world = (
        max(1, job.recipe.compute.gpus_per_node) * job.recipe.compute.nodes if train_settings.deepspeed != "none" else 1
    )
    at_once = rl.per_device_train_batch_size * world
    if answers % at_once:
        raise TrainingError(
            f"rl.prompts_per_step {rl.prompts_per_step} x num_generations {rl.num_generations} = {answers} answers are no "
            f"multiple of per_device_train_batch_size {rl.per_device_train_batch_size} x {world} devices"
        )
    common: dict[str, Any] = {
        "output_dir": str(job.steps), "max_steps": rl.max_steps, "num_train_epochs": 1, "shuffle_dataset": False,
        "per_device_train_batch_size": rl.per_device_train_batch_size, "gradient_accumulation_steps": answers // at_once,
        "num_generations": rl.num_generations, "max_completion_length": rl.max_completion_length,
        "temperature": rl.temperature, "top_p": rl.top_p, "learning_rate": rl.learning_rate, "beta": rl.beta,
        "lr_scheduler_type": rl.lr_scheduler_type, "warmup_steps": rl.warmup_steps, "max_grad_norm": rl.max_grad_norm,
        "weight_decay": train_settings.weight_decay, "optim": "adamw_torch_fused", "seed": job.seed,
        "bf16": precision == "bf16", "fp16": precision == "fp16", "use_cpu": not gpu, "dataloader_pin_memory": gpu,
        "activation_checkpointing": train_settings.gradient_checkpointing, "use_vllm": rl.use_vllm,
        "save_strategy": "steps", "save_steps": rl.save_steps, "save_total_limit": train_settings.save_total_limit or None,
        "logging_steps": 1, "report_to": list(train_settings.report_to), "disable_tqdm": True, "log_completions": False,
        "remove_unused_columns": False, "deepspeed": deepspeed_config(job.recipe, precision, world),
    }  # fmt: skip
    if rl.algorithm == "rloo":
        return RLOOConfig(**common)
    return GRPOConfig(**common, scale_rewards=rl.scale_rewards)


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
        (held_out if is_held_out(str(row["prompt"]), rl.held_out) else rows).append(full)
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


def solve(
    model: Any, tokenizer: Any, rows: Sequence[Row], verifier: Callable[..., Sequence[float | None]], new_tokens: int
) -> list[float]:
    """Answers the held-out prompts greedily and returns the verifier's scores; an answer that could not be judged counts 0."""
    texts: list[str] = []
    was_training = model.training
    model.eval()
    for start in range(0, len(rows), SOLVE_BATCH):
        prompts = [row["prompt"] for row in rows[start : start + SOLVE_BATCH]]
        batch = tokenizer.apply_chat_template(
            prompts, add_generation_prompt=True, tokenize=True, return_dict=True, padding=True, return_tensors="pt"
        ).to(model.device)
        with torch.inference_mode():
            out = model.generate(
                **batch,
                max_new_tokens=new_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                use_cache=True,
            )
        width = batch["input_ids"].shape[1]
        texts += tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)
    model.train(was_training)
    if not rows:
        return []
    columns = {name: [row[name] for row in rows] for name in rows[0] if name != "prompt"}
    return [score or 0.0 for score in verifier(texts, [row["prompt"] for row in rows], **columns)]
