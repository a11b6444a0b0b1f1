"""The loss of completions: logits are computed only where there are labels, and at most a chunk of them at a time.

A hook on the output layer passes it only the hidden states whose next token carries loss: 1.1x to 1.4x the speed on a 135M
model, and gigabytes less memory for large vocabularies. Where there are more label tokens than a chunk, the head runs chunk
by chunk, and again in the backward pass. This works for every architecture whose head is one module, under PEFT and under
DeepSpeed (chunks: not under ZeRO-3). Invariant: the loss is the sum of token losses over `items`, so it is the same for any
split into chunks, micro-batches and ranks.
"""

from typing import Any

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from evoltune.models.memory import logit_chunk
from evoltune.models.template import IGNORED

AFTER_HEAD = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Config keys of models that change the logits after the head: these are never chunked."""


class LabelledHead:
    """Attach it once, then call `loss`. Outside of `loss` the model behaves as before."""

    def __init__(self, model: Any, chunk: int = 0) -> None:
        """`chunk`: label tokens whose logits are held at once; 0: as many as 1 GiB holds."""
        self._labelled: torch.Tensor | None = None
        self._hidden: torch.Tensor | None = None
        self._head = model.get_output_embeddings()
        config = model.config.get_text_config()
        whole = any(getattr(config, key, None) not in (None, 1, 1.0) for key in AFTER_HEAD)
        self._chunk = 1 << 62 if whole else logit_chunk(config.vocab_size, chunk)
        self._head.register_forward_pre_hook(self._select)

    def _select(self, module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """(batch, length, hidden) -> (labelled tokens, hidden).

        More than a chunk is kept for later, and one row is passed on, because the head must return something.
        """
        if self._labelled is None:
            return None
        hidden = inputs[0][self._labelled]
        # Under ZeRO-3 the head's weights are whole only during its own forward pass, so it cannot run a second time.
        if len(hidden) > self._chunk and not hasattr(module.weight, "ds_id"):
            self._hidden, hidden = hidden, hidden[:1].detach()
        return (hidden, *inputs[1:])

    def loss(self, model: Any, batch: dict[str, torch.Tensor], items: Any) -> torch.Tensor:
        """Sum of the token losses over `items`, the label tokens of the whole step."""
        labels = batch["labels"]
        inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
        labelled = functional.pad(labels[:, 1:] != IGNORED, (0, 1))
        self._labelled, self._hidden = labelled, None
        try:
            logits = model(**inputs, use_cache=False).logits
        finally:
            self._labelled, hidden, self._hidden = None, self._hidden, None
        targets = labels[:, 1:][labelled[:, :-1]]
        if hidden is None:
            return functional.cross_entropy(logits.float(), targets, reduction="sum") / items
        return self._chunked(hidden, targets) / items

    def _chunked(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        def part(states: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return functional.cross_entropy(self._head(states).float(), labels, reduction="sum")

        parts = zip(hidden.split(self._chunk), targets.split(self._chunk), strict=True)
        return torch.stack([checkpoint(part, h, t, use_reentrant=False) for h, t in parts]).sum()
