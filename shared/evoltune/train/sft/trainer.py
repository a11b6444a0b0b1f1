"""Supervised fine-tuning of one job, on each rank; started by `python -m evoltune.train JOB.json`.

Transformers' Trainer runs the loop and the checkpoints, and drives DeepSpeed. The data, the order of batches, the loss and
the learning-rate curve are ours.
"""

import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import torch
from safetensors import SafetensorError
from torch.utils.data import DataLoader, Dataset
from transformers import PrinterCallback, Trainer, TrainingArguments, set_seed

from evoltune.errors import TrainingError, require
from evoltune.models.load import LIGER, Precision, choose_kernels, load_tokenizer, precision_of, prepare_tokenizer
from evoltune.models.proof import attach_chat_template, check_batch, prove
from evoltune.models.template import Stop
from evoltune.recipe import Train
from evoltune.rows.columns import Layout
from evoltune.train.deepspeed import avoid_compilation, deepspeed_config
from evoltune.train.job import Job, Watchdog
from evoltune.train.nodes import meets_others
from evoltune.train.schedule import BatchLayout, batch_layout, number_of_steps, rate_factor, surprises
from evoltune.train.sft.batches import PackedDataset, StepBatchSampler, collate, pack
from evoltune.train.sft.callbacks import Metrics, TrainingMonitor
from evoltune.train.sft.checkpoint import UNIVERSAL, agreed_step, save_final
from evoltune.train.sft.examples import Counts, encode_rows, notes_on_rows, read_conversations
from evoltune.train.sft.loss import LabelledHead
from evoltune.train.sft.model import prepare_model
from evoltune.train.sft.shared_rows import is_shared, with_rows
from evoltune.train.step_checkpoints import damage

SAME_NAMES = (
    "learning_rate", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "logging_steps",
)  # fmt: skip
"""Settings of the recipe that the Trainer has under the same name."""
Collate = Callable[[Sequence[Any]], dict[str, torch.Tensor]]
Loss = Callable[[Any, dict[str, torch.Tensor], Any], torch.Tensor]
PROOF_ROWS = 64
"""Rows that the template proof checks, spread over the dataset."""


ALONE = (
    "the nodes do not share the run's folder, and each holds only its part of a checkpoint, so a stopped training cannot go "
    "on: give --out a path that all nodes share"
)


class EvoltuneTrainer(Trainer):  # type: ignore[misc]
    """Transformers' Trainer with our batches, our loss and our learning-rate curve."""

    def __init__(
        self, *, dataset: Dataset[Any], sampler: StepBatchSampler, collate: Collate, loss: Loss, recipe: Train,
        monitor: TrainingMonitor, **kwargs: Any,
    ) -> None:  # fmt: skip
        """`loss(model, batch, items)`: the sum over the batch's labels, divided by `items`, the labels of the whole step."""
        self._dataset, self._sampler, self._collate, self._loss = dataset, sampler, collate, loss
        self._recipe, self._monitor = recipe, monitor
        super().__init__(train_dataset=dataset, **kwargs)
        self.add_callback(monitor)
        # Makes the Trainer count the step's label tokens over all ranks and micro-batches.
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True

    def get_train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(
            self._dataset, batch_sampler=self._sampler, collate_fn=self._collate, pin_memory=torch.cuda.is_available()
        )

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Multiplied by the number of ranks, because DDP and DeepSpeed average gradients over them."""
        loss = self._loss(model, inputs, num_items_in_batch) * self.accelerator.num_processes
        self._monitor.observe(loss, inputs)
        return loss

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        factor = rate_factor(self._recipe, num_training_steps)
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, factor)
        return self.lr_scheduler


def run(job: Job, watchdog: Watchdog) -> None:
    """Trains and saves. Raises an EvoltuneError for anything that the user can fix."""
    train = job.recipe.train
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    layout = batch_layout(train, world)
    precision = precision_of(train.precision)
    arguments = training_arguments(job, layout, precision)
    if rank == 0:
        for line in choose_kernels(train, precision, gpu=torch.cuda.is_available()).missing:
            print(f"  train: {line}", file=sys.stderr)
    job = with_rows(job, rank, world)
    shared = not meets_others(job.recipe) or is_shared(job, rank, world)
    if not shared and rank == 0:
        print(f"  train: {ALONE}", file=sys.stderr)
    set_seed(job.seed)
    tokenizer = load_tokenizer(job.base)
    stop, added = prepare_tokenizer(tokenizer, train.template)
    attach_chat_template(tokenizer, train.template, train.system_prompt)
    dataset, counts, proof = prepare_data(job, tokenizer, stop)
    arguments.max_steps = steps = number_of_steps(train, len(dataset), layout)
    model = prepare_model(job.base, train, precision, tokenizer, added)
    if rank == 0:
        positions = getattr(model.config, "max_position_embeddings", None) or 0
        for line in surprises(train, steps, len(dataset), layout, dataset.longest, positions):
            print(f"  train: {line}", file=sys.stderr)
    group = train.group_by_length and not train.packing
    sampler = StepBatchSampler(dataset.lengths, layout, steps, job.seed, rank, group)
    watchdog.beat("model loaded")
    monitor = TrainingMonitor(job, watchdog)
    metrics = Metrics(job, counts, layout, sampler.step_tokens(), precision)
    pad = tokenizer.pad_token_id or 0
    trainer = EvoltuneTrainer(
        dataset=dataset, sampler=sampler, collate=partial(collate, pad=pad), loss=LabelledHead(model, train.loss_chunk).loss,
        recipe=train, monitor=monitor, model=model, args=arguments, callbacks=[metrics],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    first = [dataset[i] for i in next(iter(sampler))]
    check_batch(collate(first, pad), [document for row in first for document in row], stop)
    resume = agreed_step(job.steps, world, rank) if train.resume_from_checkpoint else None
    if resume and not shared:
        raise TrainingError(f"{resume}: {ALONE}: start again with train.resume_from_checkpoint=false")
    if resume and (resume / UNIVERSAL).is_file():
        arguments.hf_deepspeed_config.config["checkpoint"] = {"load_universal": True}
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    refuse_stopped(monitor, trainer, steps, *(() if shared else (ALONE,)))
    try:
        save_final(trainer, tokenizer, stop, job, counts, proof)
    except TrainingError as error:
        raise TrainingError(f"{error}; {keep_last_step(trainer, job)}") from error


def refuse_stopped(
    monitor: TrainingMonitor, trainer: Any, steps: int, then: str = "run the same command again to continue"
) -> None:
    """Raises TrainingError if training ended on request, before its last step."""
    if monitor.stopping and trainer.state.global_step < steps:
        raise TrainingError(
            f"stopped on request after step {trainer.state.global_step} of {steps}, with a checkpoint: {then}"
        )


def keep_last_step(trainer: Any, job: Job) -> str:
    """Saves the trained state as a step checkpoint when it could not be published, so that no work is lost. Says so."""
    step = trainer.state.global_step
    try:
        if damage(job.steps / f"checkpoint-{step}"):
            trainer._save_checkpoint(trainer.model, trial=None)
            trainer.callback_handler.on_save(trainer.args, trainer.state, trainer.control)
    except (OSError, RuntimeError, SafetensorError) as error:
        return f"step {step} could not be saved either ({error})"
    return f"step {step} is kept in {job.steps}: the same command publishes it"


def prepare_data(job: Job, tokenizer: Any, stop: Stop) -> tuple[PackedDataset, Counts, dict[str, Any]]:
    """The training rows, what became of the dataset's rows, and the template proof on a sample of them."""
    train = job.recipe.train
    layout, now = Layout(("reasoning",) if train.reasoning else ()), datetime.now()
    conversations = list(read_conversations(job.rows, layout, reasoning=train.reasoning))
    if int(os.environ.get("RANK", "0")) == 0:
        for line in notes_on_rows(job, layout, conversations, tokenizer):
            print(f"  train: {line}", file=sys.stderr)
    examples, counts = encode_rows(
        conversations, train.template, tokenizer,
        max_length=train.max_length, excess=train.excess_length, system=train.system_prompt, at=now,
    )  # fmt: skip
    spread = conversations[:: max(1, len(conversations) // PROOF_ROWS)][:PROOF_ROWS]
    proof = prove(
        train.template, tokenizer, [messages for _, messages in spread], stop=stop, system=train.system_prompt,
        places=[where for where, _ in spread], at=now,
    )  # fmt: skip
    lengths = [len(e.ids) for e in examples]
    rows = pack(lengths, train.max_length) if train.packing else [[i] for i in range(len(lengths))]
    return PackedDataset(examples, rows), counts, proof


def training_arguments(job: Job, layout: BatchLayout, precision: Precision) -> TrainingArguments:
    """The Trainer's arguments.

    They must exist before the model is loaded: under ZeRO-3 they make `from_pretrained` load only each rank's share.

    Raises:
        TrainingError: The Trainer sees another number of ranks than the launcher started.
    """
    train = job.recipe.train
    gpu = torch.cuda.is_available()
    config = deepspeed_config(job.recipe, precision, layout.world)
    if config is not None:
        require(f"train.deepspeed: {train.deepspeed}", "deepspeed", "deepspeed")
        avoid_compilation()
    arguments = TrainingArguments(
        output_dir=str(job.steps),
        max_steps=1,
        per_device_train_batch_size=layout.micro,
        gradient_accumulation_steps=layout.accumulation,
        **{name: getattr(train, name) for name in SAME_NAMES},
        optim="adamw_torch_fused",
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not gpu,  # without it, accelerate under DeepSpeed on a CPU takes every rank for the only process
        ddp_backend=None if gpu or layout.world == 1 else "gloo",
        ddp_timeout=int(job.recipe.compute.hang_timeout_s),
        deepspeed=config,
        ddp_find_unused_parameters=False,
        activation_checkpointing=train.gradient_checkpointing,
        neftune_noise_alpha=train.neftune_noise_alpha or None,
        logging_nan_inf_filter=False,
        save_strategy="steps" if train.save_steps else "no",
        save_steps=train.save_steps or 1,
        save_total_limit=train.save_total_limit or None,
        report_to=list(train.report_to),
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=gpu,
        use_liger_kernel=choose_kernels(train, precision, gpu=gpu).liger,
        liger_kernel_config=LIGER,
        seed=job.seed,
    )
    if arguments.world_size != layout.world:
        raise TrainingError(
            f"the launcher started {layout.world} ranks, but this one sees {arguments.world_size}: every rank would train on "
            "the same data; start with `evoltune train`, torchrun or deepspeed"
        )
    return arguments
