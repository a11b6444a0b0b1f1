"""The model that is trained: residual dropout."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")


def test_residual_dropout_grows_from_the_bottom_to_the_top_and_only_while_training(tiny_base):
    from transformers import AutoModelForCausalLM

    from evoltune.train.sft.model import add_residual_dropout

    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    ids = torch.arange(5, 60)[None]
    plain = model.eval()(ids).logits
    add_residual_dropout(model, 0.5)
    assert torch.equal(model(ids).logits, plain)
    zeros = {}
    for depth, layer in enumerate(model.model.layers):
        layer.mlp.register_forward_hook(lambda m, i, o, d=depth: zeros.update({d: (o == 0).float().mean().item()}))
    model.train()(ids)
    assert zeros[0] == 0.0 and 0.4 < zeros[1] < 0.6
