"""The model of a reward: a language model's layers and a head that gives each token one logit.

It starts from a base model with the SFT adapter merged in, is trained in full or with an adapter of its own, and is saved as a
full model, so that any library for token or sequence classification can load it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from evoltune.errors import TrainingError
from evoltune.models.load import Precision, choose_kernels, grow_embeddings, torch_dtype
from evoltune.recipe import Train
from evoltune.train.reward.encode import UNLABELLED, Scored

HEAD = "score"


def load_model(base: str, start: str, train: Train, precision: Precision, tokens: int) -> Any:
    """The base's layers with the adapter of `start` merged into them (or `start`'s own), and a new head."""
    from peft import LoraConfig, PeftModel
    from transformers import AutoModelForTokenClassification

    has_adapter = bool(start) and (Path(start) / "adapter_config.json").is_file()
    source = base if has_adapter or not start else start
    extra: dict[str, Any] = {}
    if attention := choose_kernels(train, precision, gpu=torch.cuda.is_available()).attention:
        extra["attn_implementation"] = attention
    try:
        model = AutoModelForTokenClassification.from_pretrained(source, num_labels=1, dtype=torch.float32, **extra)
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(
            f"{source}: no head for scores can be put on this model: {str(error).splitlines()[0]}"
        ) from error
    head = getattr(model, HEAD, None)
    if head is None:
        raise TrainingError(f"{source}: {type(model).__name__} has no layer {HEAD!r}: use a decoder of the Llama kind")
    grow_embeddings(model, tokens)
    if has_adapter:
        config = LoraConfig.from_pretrained(start)
        config.task_type = None  # this is no language model any more
        model = PeftModel.from_pretrained(model, start, config=config).merge_and_unload()
    with torch.no_grad():  # every score is one half at first, so that the first steps do not disturb the layers
        for parameter in head.parameters():
            parameter.zero_()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return _adapted(model, train, precision) if train.finetuning_type != "full" else model


def _adapted(model: Any, train: Train, precision: Precision) -> Any:
    """With a trainable adapter on the layers, and the head trained whole."""
    from peft import LoraConfig, get_peft_model

    chosen = train.lora_targets
    if chosen == "all-linear":
        linear = (name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear))
        chosen = tuple(sorted({name.rpartition(".")[2] for name in linear} - {HEAD}))
    config = LoraConfig(
        r=train.lora_r, lora_alpha=train.lora_alpha, lora_dropout=train.lora_dropout, modules_to_save=[HEAD],
        target_modules=chosen if isinstance(chosen, str) else list(chosen),
    )  # fmt: skip
    if precision == "bf16":  # frozen weights in bf16, as in SFT
        model = model.to(torch_dtype(precision))
    adapted = get_peft_model(model, config)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
    return adapted


def merged(model: Any) -> Any:
    """The whole model without adapters, in fp32: scores near 0 and 1 have few bits in bf16."""
    if hasattr(model, "merge_and_unload"):
        model = model.to(torch.float32).merge_and_unload()
    return model.to(torch.float32)


def collate(rows: Sequence[Sequence[Scored]], pad: int) -> dict[str, torch.Tensor]:
    """The documents of all rows as (documents, longest) tensors; padding is on the right, where causal attention sees none."""
    documents = [document for row in rows for document in row]
    width = max(len(document.ids) for document in documents)
    ids = torch.full((len(documents), width), pad)
    labels = torch.full((len(documents), width), UNLABELLED)
    for i, document in enumerate(documents):
        ids[i, : len(document.ids)] = torch.tensor(document.ids)
        for place, value in zip(document.places, document.values, strict=True):
            labels[i, place] = value
    return {"input_ids": ids, "labels": labels}


def step_loss(model: Any, batch: dict[str, torch.Tensor], items: Any) -> torch.Tensor:
    """Cross entropy of each labelled step, soft labels as they are; the sum over `items`, the step's labels in all."""
    labels = batch["labels"]
    labelled = labels != UNLABELLED
    logits = model(input_ids=batch["input_ids"]).logits[..., 0].float()
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits[labelled], labels[labelled], reduction="sum")
    return losses / items


def pair_loss(model: Any, batch: dict[str, torch.Tensor], items: Any) -> torch.Tensor:
    """Bradley-Terry: -log sigma(chosen - rejected), for rows that alternate; each pair has two labels."""
    labels = batch["labels"]
    logits = model(input_ids=batch["input_ids"]).logits[..., 0].float()
    scores = logits[labels != UNLABELLED]
    return -torch.nn.functional.logsigmoid(scores[0::2] - scores[1::2]).sum() / (items / 2)


@torch.inference_mode()  # type: ignore[untyped-decorator]
def logits_at(model: Any, documents: Sequence[Scored], pad: int, batch: int) -> list[list[float]]:
    """The logits at each document's places, `batch` documents of similar length at a time."""
    found: list[list[float]] = [[]] * len(documents)
    order = sorted(range(len(documents)), key=lambda i: len(documents[i].ids))
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        ids = collate([[documents[i]] for i in chosen], pad)["input_ids"].to(model.device)
        logits = model(input_ids=ids).logits[..., 0].float().cpu()
        for row, i in enumerate(chosen):
            found[i] = logits[row, list(documents[i].places)].tolist()
    return found
