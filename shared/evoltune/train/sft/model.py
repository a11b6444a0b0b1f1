"""The model that a job trains: the loaded base, with rows for added tokens, residual dropout, and its adapter."""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from torch.nn import functional

from evoltune.errors import RecipeError, TrainingError, nearest, require
from evoltune.models.load import Precision, grow_embeddings, load_model
from evoltune.recipe import Train

_ATTENTION = ("self_attn", "attn", "attention", "self_attention")
_MLP = ("mlp", "feed_forward", "block_sparse_moe")


def prepare_model(base: str, train: Train, precision: Precision, tokenizer: Any, added: list[str]) -> Any:
    """The model to train. `added`: tokens that training adds to the base's."""
    model = load_model(base, train, precision)
    grown = grow_embeddings(model, len(tokenizer), tokenizer.convert_tokens_to_ids(added))
    if train.residual_dropout:
        add_residual_dropout(model, train.residual_dropout)
    if train.finetuning_type == "full":
        return model
    return add_lora(model, train, embeddings=bool(added or grown))


def add_lora(model: Any, train: Train, *, embeddings: bool = False) -> Any:
    """The model with a trainable adapter; everything else is frozen.

    With `embeddings` (tokens were added) the embedding matrices are trained whole, since an adapter cannot reach new rows.
    """
    require(f"train.finetuning_type: {train.finetuning_type}", "train", "peft")
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    if train.finetuning_type == "qlora":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=train.gradient_checkpointing)
    targets, whole = train.lora_targets, list(train.lora_modules_to_save)
    tables = _tables(model)
    tied = len({id(module.weight) for module in tables.values()}) == 1
    _check_names("lora_modules_to_save", whole, model)
    if targets != "all-linear":  # which leaves out the output layer
        _check_targets(targets, model, tables if tied else {})
    if embeddings or (tied and set(whole) & set(tables)):
        whole = [*whole, *tables]
    if tied:  # two names of one matrix: PEFT trains it under the first, and ties the other to it
        whole = [name for name in whole if name not in list(tables)[1:]]
    config = LoraConfig(
        r=train.lora_r,
        lora_alpha=train.lora_alpha,
        lora_dropout=train.lora_dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        modules_to_save=sorted(set(whole)) or None,
        ensure_weight_tying=bool(whole) and tied,
        task_type="CAUSAL_LM",
    )
    try:
        # Under ZeRO-3 with bf16 the adapter keeps the model's dtype: mixed dtypes cannot be gathered together.
        adapted = get_peft_model(model, config, autocast_adapter_dtype=train.deepspeed == "none")
    except ValueError as error:
        raise RecipeError(f"train.lora_target_modules: {targets!r}: {str(error).splitlines()[0]}") from error
    return saved_as_trained(adapted)


def saved_as_trained(adapted: Any) -> Any:
    """Makes an adapted model save what it trains and no more.

    By default PEFT adds the embeddings wherever they were grown, also where they are not trained, as they were and as a copy that
    nothing loads.
    """
    adapted.save_pretrained = partial(adapted.save_pretrained, save_embedding_layers=False)
    return adapted


def _tables(model: Any) -> dict[str, Any]:
    """The embeddings and the output layer by their last names, in this order."""
    wanted = [m for m in (model.get_input_embeddings(), model.get_output_embeddings()) if m is not None]
    names = {id(module): name.rpartition(".")[2] for name, module in model.named_modules()}
    return {names[id(module)]: module for module in wanted}


def _check_names(key: str, names: Iterable[str], model: Any) -> None:
    """Raises RecipeError for a name that no layer has; PEFT would leave it out without a word."""
    paths = [name for name, _ in model.named_modules()]
    for name in names:
        if not any(path == name or path.endswith(f".{name}") for path in paths):
            known = {path.rpartition(".")[2] for path, module in model.named_modules() if hasattr(module, "weight")}
            raise RecipeError(f"train.{key}: no layer is named {name!r}: {nearest(name, known)}")


def _check_targets(targets: str | tuple[str, ...], model: Any, tied: Mapping[str, Any]) -> None:
    """Raises RecipeError for targets that are no layers, and for one of two tied matrices."""
    if not isinstance(targets, str):
        _check_names("lora_target_modules", targets, model)
    for name in tied:
        paths = [path for path, _ in model.named_modules() if path.rpartition(".")[2] == name]
        hit = any(re.fullmatch(targets, path) for path in paths) if isinstance(targets, str) else name in targets
        if hit:
            raise RecipeError(
                f"train.lora_target_modules: {name!r}: this base uses one matrix for embeddings and output layer, and an adapter "
                "on one of the two cannot be merged: remove it, or name it under train.lora_modules_to_save"
            )


def add_residual_dropout(model: Any, top: float) -> None:
    """LIMA's dropout on what each block adds to the residual stream, while training (2305.11206, section 3).

    The rate rises linearly from 0.0 at the bottom layer to `top` at the top layer.
    """
    layers = next(
        (m for m in model.modules() if type(m).__name__ == "ModuleList" and len(m) == model.config.num_hidden_layers),
        (),
    )
    blocks = [_branches(layer) for layer in layers]
    if not blocks or any(len(b) != 2 for b in blocks):
        raise TrainingError(
            f"train.residual_dropout: the layers of {type(model).__name__} have no attention and MLP branch under a known name: "
            "set it to 0"
        )
    for depth, branches in enumerate(blocks):
        rate = top * depth / max(1, len(blocks) - 1)

        def drop(module: Any, inputs: Any, output: Any, rate: float = rate) -> Any:
            first = output[0] if isinstance(output, tuple) else output
            dropped = functional.dropout(first, rate, training=module.training)
            return (dropped, *output[1:]) if isinstance(output, tuple) else dropped

        for branch in branches:
            branch.register_forward_hook(drop)


def _branches(layer: Any) -> list[Any]:
    found = (next((getattr(layer, n) for n in names if hasattr(layer, n)), None) for names in (_ATTENTION, _MLP))
    return [branch for branch in found if branch is not None]
