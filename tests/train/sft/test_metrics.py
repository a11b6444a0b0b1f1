"""The floating-point operations that MFU counts."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")


def test_mfu_counts_six_per_trained_and_four_per_frozen_weight(tiny_base):
    from transformers import AutoModelForCausalLM

    from evoltune.train.sft.metrics import flops_per_token, peak_flops

    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    body = sum(p.numel() for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n and "head" not in n)
    head = model.get_output_embeddings().weight.numel()
    assert flops_per_token(model) == (6 * body, 6 * head)
    assert flops_per_token(model.requires_grad_(False)) == (4 * body, 4 * head)
    assert peak_flops("fp32") > 1e8
