"""The model that a job trains: the loaded base, with rows for added tokens, residual dropout, and its adapter."""

from functools import partial
from typing import Any

from torch.nn import functional

from evoltune.errors import TrainingError, require
from evoltune.models.load import Precision, grow_embeddings, load_model
from evoltune.recipe import Train

_ATTENTION = ("self_attn", "attn", "attention", "self_attention")
_MLP = ("mlp", "feed_forward", "block_sparse_moe")


def prepare_model(base: str, train: Train, precision: Precision, tokenizer: Any, added: list[str]) -> Any:
    """The model to train. `added`: tokens that training adds to the base's."""
    model = load_model(base, train, precision)
    grown = grow_embeddings(model, len(tokenizer))
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
    targets, whole = train.lora_target_modules, list(train.lora_modules_to_save)
    tied = bool(model.config.tie_word_embeddings)
    if embeddings:
        wanted = [model.get_input_embeddings()] + ([] if tied else [model.get_output_embeddings()])
        whole += [n.rpartition(".")[2] for n, m in model.named_modules() if any(m is w for w in wanted)]
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
        raise TrainingError(f"train.lora_target_modules: {targets!r}: {str(error).splitlines()[0]}") from error
    # By default PEFT saves grown embeddings three times: as trained, as they were, and as a copy that nothing loads.
    adapted.save_pretrained = partial(adapted.save_pretrained, save_embedding_layers=False)
    return adapted


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
