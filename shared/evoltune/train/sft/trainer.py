"""Supervised fine-tuning of one job, run by each rank: `python -m evoltune.train JOB.json`.

Transformers' Trainer does the loop, checkpoints and DeepSpeed; ours are the data, the order of batches and the loss.
"""

from __future__ import annotations

import importlib.util
import math
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainingArguments, set_seed

from evoltune.errors import MissingExtraError, RecipeError, TrainingError
from evoltune.models import load as models
from evoltune.models.kernels import LIGER, kernels
from evoltune.models.proof import attach_chat_template, check_batch, prove
from evoltune.models.template import Encoded, Stop
from evoltune.recipe import Train
from evoltune.train.deepspeed import avoid_compilation, config_for
from evoltune.train.job import Job
from evoltune.train.sft.checkpoint import agreed_step, save_final
from evoltune.train.sft.data import (
    Counts,
    Plan,
    collate,
    deal,
    encode_rows,
    pack,
    read_conversations,
    step_order,
)
from evoltune.train.sft.guards import Guards
from evoltune.train.sft.loss import LabelledHead
from evoltune.train.sft.metrics import Metrics
from evoltune.train.sft.schedule import rate_factor
from evoltune.train.watchdog import Watchdog

PROVEN = 64  # rows that the template proof looks at, spread over the dataset


class Bins:
    """The training items: each is one document, or several packed into one row."""

    def __init__(self, examples: Sequence[Encoded], bins: Sequence[Sequence[int]]) -> None:
        self._examples, self._bins = examples, bins
        self.lengths = [sum(len(examples[i].ids) for i in row) for row in bins]

    def __len__(self) -> int:
        return len(self._bins)

    def __getitem__(self, index: int) -> list[Encoded]:
        return [self._examples[i] for i in self._bins[index]]


class Order:
    """Batch sampler: the micro-batches of this rank over the whole run."""

    def __init__(
        self, lengths: Sequence[int], plan: Plan, steps: int, seed: int, rank: int, group: bool
    ) -> None:
        self._lengths, self._plan, self._steps = lengths, plan, steps
        self._seed, self._rank, self._group = seed, rank, group

    def __len__(self) -> int:
        return self._steps * self._plan.accumulation

    def _all_steps(self) -> Iterator[list[int]]:
        return step_order(self._lengths, self._plan.batch, self._steps, self._seed, group=self._group)

    def step_tokens(self) -> list[int]:
        """Of each step, over all ranks, padding not counted."""
        return [sum(self._lengths[i] for i in step) for step in self._all_steps()]

    def __iter__(self) -> Iterator[list[int]]:
        for step in self._all_steps():
            yield from deal(step, self._lengths, self._plan, self._rank)


class Tuner(Trainer):  # type: ignore[misc]
    """The Trainer with our batches, our loss and our learning-rate curve."""

    def __init__(
        self, *, bins: Bins, order: Order, pad: int, recipe: Train, guards: Guards, **kwargs: Any
    ) -> None:
        self._bins, self._order, self.pad, self._recipe = bins, order, pad, recipe
        self._guards = guards
        super().__init__(**kwargs)
        self.add_callback(guards)
        self.model_accepts_loss_kwargs = (
            True  # makes the Trainer count the step's label tokens over all ranks
        )
        self.loss_is_scaled_for_ga = True
        self._head = LabelledHead(self.accelerator.unwrap_model(self.model), recipe.loss_chunk)

    def get_train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(
            self._bins,
            batch_sampler=self._order,
            collate_fn=lambda rows: collate(rows, self.pad),
            pin_memory=torch.cuda.is_available(),
        )

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Scaled by the ranks, since both DDP and DeepSpeed average gradients over them."""
        loss = self._head.loss(model, inputs, num_items_in_batch) * self.accelerator.num_processes
        self._guards.seen(loss, inputs)
        return loss

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        factor = rate_factor(self._recipe, num_training_steps)
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, factor)
        return self.lr_scheduler


def run(job: Job, watchdog: Watchdog) -> None:
    """Trains and saves. Raises EvoltuneError for what the user can mend."""
    train = job.recipe.train
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    plan = plan_of(train, world)
    precision = models.precision_of(train.precision)
    arguments = training_arguments(job, plan, precision)
    for line in kernels(train, precision, gpu=torch.cuda.is_available()).missing if rank == 0 else ():
        print(f"  train: {line}", file=sys.stderr)
    set_seed(job.seed)
    tokenizer = models.load_tokenizer(job.base, train.model_revision)
    stop, added = models.prepare_tokenizer(tokenizer, train.template)
    attach_chat_template(tokenizer, train.template, train.system_prompt)
    bins, counts, proof = prepare(job, tokenizer, stop)
    arguments.max_steps = steps = steps_of(train, len(bins), plan)
    model = models.prepare_model(job.base, train, precision, tokenizer, added)
    order = Order(bins.lengths, plan, steps, job.seed, rank, train.group_by_length and not train.packing)
    watchdog.beat("model loaded")
    guards = Guards(job, watchdog)
    tuner = Tuner(
        bins=bins, order=order, pad=tokenizer.pad_token_id or 0, recipe=train, guards=guards, model=model, args=arguments,
        train_dataset=bins, callbacks=[Metrics(job, counts, plan, order.step_tokens(), precision)],
    )  # fmt: skip
    tuner.remove_callback(PrinterCallback)
    first = next(iter(order))
    check_batch(collate([bins[i] for i in first], tuner.pad), [d for i in first for d in bins[i]], stop)
    resume = agreed_step(job.steps, world, rank) if train.resume_from_checkpoint else None
    if resume and (resume / "latest_universal").is_file():
        arguments.hf_deepspeed_config.config["checkpoint"] = {"load_universal": True}
    tuner.train(resume_from_checkpoint=str(resume) if resume else None)
    if guards.stopping and tuner.state.global_step < steps:
        raise TrainingError(
            f"stopped on request after step {tuner.state.global_step} of {steps}, with a checkpoint: the same command goes on"
        )
    save_final(tuner, tokenizer, stop, job, counts, proof)


def prepare(job: Job, tokenizer: Any, stop: Stop) -> tuple[Bins, Counts, dict[str, Any]]:
    """The training items, what became of the rows, and the template proof on a spread of them."""
    train = job.recipe.train
    conversations = list(read_conversations(job.rows))
    sample = [messages for _, messages in conversations[:: max(1, len(conversations) // PROVEN)]][:PROVEN]
    proof = prove(train.template, tokenizer, sample, stop=stop, system=train.system_prompt)
    examples, counts = encode_rows(
        conversations, train.template, tokenizer,
        max_length=train.max_length, excess=train.excess_length, system=train.system_prompt,
    )  # fmt: skip
    lengths = [len(e.ids) for e in examples]
    bins = pack(lengths, train.max_length) if train.packing else [[i] for i in range(len(lengths))]
    return Bins(examples, bins), counts, proof


def plan_of(train: Train, world: int) -> Plan:
    """Micro-batch, accumulation and ranks; `global_batch_size` solves for accumulation."""
    micro = train.per_device_train_batch_size
    if not train.global_batch_size:
        return Plan(batch=micro * train.gradient_accumulation_steps * world, micro=micro, world=world)
    if train.global_batch_size % (micro * world):
        raise RecipeError(
            f"train.global_batch_size {train.global_batch_size} is no multiple of per_device_train_batch_size {micro} x "
            f"{world} ranks: change one of them"
        )
    return Plan(batch=train.global_batch_size, micro=micro, world=world)


def steps_of(train: Train, items: int, plan: Plan) -> int:
    return (
        train.max_steps
        if train.max_steps > 0
        else max(1, math.ceil(items * train.num_train_epochs / plan.batch))
    )


def training_arguments(job: Job, plan: Plan, precision: models.Precision) -> TrainingArguments:
    """Made before the model: under ZeRO-3 they make `from_pretrained` load each rank's share only."""
    train, compute = job.recipe.train, job.recipe.compute
    gpu = torch.cuda.is_available()
    config = config_for(job.recipe, precision, plan.world)
    if config is not None:
        if importlib.util.find_spec("deepspeed") is None:
            raise MissingExtraError("deepspeed", "deepspeed", f"train.deepspeed: {train.deepspeed}")
        avoid_compilation()
    arguments = TrainingArguments(
        output_dir=str(job.steps),
        max_steps=1,
        per_device_train_batch_size=plan.micro,
        gradient_accumulation_steps=plan.accumulation,
        learning_rate=train.learning_rate,
        weight_decay=train.weight_decay,
        adam_beta1=train.adam_beta1,
        adam_beta2=train.adam_beta2,
        adam_epsilon=train.adam_epsilon,
        max_grad_norm=train.max_grad_norm,
        optim="adamw_torch_fused",
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not gpu,  # without it, accelerate on CPU under DeepSpeed believes in one process on every rank
        ddp_backend=None if gpu or plan.world == 1 else "gloo",
        ddp_timeout=int(compute.hang_timeout_s),
        deepspeed=config,
        ddp_find_unused_parameters=False,
        activation_checkpointing=train.gradient_checkpointing,
        neftune_noise_alpha=train.neftune_noise_alpha or None,
        logging_steps=train.logging_steps,
        logging_nan_inf_filter=False,
        save_strategy="steps" if train.save_steps else "no",
        save_steps=train.save_steps or 1,
        save_total_limit=train.save_total_limit or None,
        report_to=list(train.report_to),
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=gpu,
        use_liger_kernel=kernels(train, precision, gpu=gpu).liger,
        liger_kernel_config=LIGER,
        seed=job.seed,
    )
    if arguments.world_size != plan.world:
        raise TrainingError(
            f"the launcher started {plan.world} ranks, but this one believes in a world of {arguments.world_size}: every rank "
            "would train on the same data; start with `evoltune train`, torchrun or deepspeed"
        )
    return arguments
