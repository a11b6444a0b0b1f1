"""Preference training of one job by TRL's DPO (2305.18290), on pairs that the verifier made (`evoltune.train.rl.pairs`).

The reference is the checkpoint that training starts from: a frozen copy of its adapter, or of the whole model. Invariant: a pair is
SFT's ids of either answer, by the same function, so the loss ends with the stop token.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import DPOTrainer

from evoltune.errors import DataError
from evoltune.models.load import Precision, load_model
from evoltune.models.template import Stop, encode, prompt_ids
from evoltune.rows.readers import read_json_lines
from evoltune.train.job import Job
from evoltune.train.sft.examples import Counts

Ids = dict[str, list[int]]


class PairTrainer(DPOTrainer):  # type: ignore[misc]
    """Takes rows of ids. TRL would tokenize messages by the chat template, and train what that writes after the stop token."""

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset


def read_pairs(job: Job, tokenizer: Any, stop: Stop) -> tuple[list[Ids], Counts]:
    """The pairs as ids, and their number. A pair with an answer beyond `train.max_length` is left out, as half an answer is no
    verified one. Raises DataError where too few are left."""
    counts = Counts()
    kept = []
    for example in _encoded(job, tokenizer, stop):
        counts.rows += 1
        answers = max(len(example["chosen_ids"]), len(example["rejected_ids"]))
        length = len(example["prompt_ids"]) + answers
        counts.longest = max(counts.longest, length)
        if length > job.recipe.train.max_length:
            counts.dropped_too_long += 1
            continue
        kept.append(example)
    counts.kept = len(kept)
    counts.tokens = sum(len(ids) for example in kept for ids in example.values())
    counts.label_tokens = sum(len(example["chosen_ids"]) + len(example["rejected_ids"]) for example in kept)
    needed = job.recipe.rl.prompts_per_step if job.recipe.rl else 1
    if len(kept) < needed:
        raise DataError(
            f"{job.pairs}: {len(kept)} pairs of {counts.rows} fit into train.max_length {job.recipe.train.max_length} (the longest "
            f"has {counts.longest} tokens), and a step takes rl.prompts_per_step {needed}: raise train.max_length"
        )
    return kept, counts


def _encoded(job: Job, tokenizer: Any, stop: Stop) -> Iterator[Ids]:
    train = job.recipe.train
    for _, row in read_json_lines(Path(job.pairs)):
        before = prompt_ids(train.template, row["prompt"], tokenizer, train.system_prompt)
        chosen, rejected = (
            encode(train.template, [*row["prompt"], *row[side]], tokenizer, train.system_prompt, stop).ids[
                len(before) :
            ]
            for side in ("chosen", "rejected")
        )
        yield {"prompt_ids": before, "chosen_ids": chosen, "rejected_ids": rejected[:-1] if row["cut"] else rejected}


def reference_of(job: Job, precision: Precision) -> Any:
    """The frozen copy of a whole model; None where the checkpoint is an adapter, of which TRL makes a copy."""
    if (Path(job.start) / "adapter_config.json").is_file():
        return None
    return load_model(job.start, job.recipe.train, precision)
