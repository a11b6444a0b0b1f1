"""The model that a job trains: the loaded base, with rows for added tokens, residual dropout, and its adapter."""

from typing import Any

from torch.nn import functional

from evoltune.errors import TrainingError
from evoltune.models.load import Precision, grow_embeddings, load_model
from evoltune.models.lora import add_lora
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
