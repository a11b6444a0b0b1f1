"""Which kernels a job takes: decided without a GPU, from what is installed."""

from __future__ import annotations

import pytest

from evoltune.models.kernels import LIGER, Kernels, choose_kernels
from evoltune.recipe import Train


def test_without_a_gpu_only_the_recipe_decides():
    packed = Train(packing=True, max_length=2048)
    assert choose_kernels(packed, "bf16", gpu=False, installed=lambda _: True) == Kernels(None, liger=False)
    chosen = Train(attn_implementation="eager")
    assert choose_kernels(chosen, "fp32", gpu=False) == Kernels("eager", liger=False)


@pytest.mark.parametrize(
    ("length", "precision", "attention"), [(512, "bf16", "eager"), (513, "bf16", None), (512, "fp32", None)]
)
def test_on_a_cpu_short_rows_in_bf16_take_plain_attention(length: int, precision: str, attention: str | None):
    assert choose_kernels(Train(max_length=length), precision, gpu=False).attention == attention


@pytest.mark.parametrize(
    ("train", "precision", "attention"),
    [
        (Train(packing=True), "bf16", "flash_attention_2"),
        (Train(packing=True), "fp32", None),  # flash-attention has no fp32
        (Train(packing=False), "bf16", None),
        (Train(packing=True, attn_implementation="sdpa"), "bf16", "sdpa"),
    ],
)
def test_on_a_gpu_what_is_installed_is_taken(train: Train, precision: str, attention: str | None):
    assert choose_kernels(train, precision, gpu=True, installed=lambda _: True) == Kernels(attention, liger=True)


def test_what_is_missing_is_named_with_the_command():
    found = choose_kernels(Train(packing=True), "bf16", gpu=True, installed=lambda _: False)
    assert (found.attention, found.liger) == (None, False)
    assert [line.partition(" ")[0] for line in found.missing] == ["flash-attn", "liger-kernel"]
    assert all("pip install" in line for line in found.missing)


def test_the_loss_stays_ours():
    assert not LIGER["cross_entropy"]
    assert not LIGER["fused_linear_cross_entropy"]
