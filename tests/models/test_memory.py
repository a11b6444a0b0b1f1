"""The memory of a rank equals that of a real step: states to the byte, activations within 15%."""

from __future__ import annotations

from typing import Any

import pytest

from evoltune.models.memory import activations, memory_of
from evoltune.models.shapes import from_config, shape_of
from evoltune.recipe import Train

torch = pytest.importorskip("torch", reason="needs evoltune[train]")


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_states_equal_those_of_a_real_step(kind, config_of, model_of):
    """Bytes of parameters, gradients and Adam's moments after one optimizer step."""
    peft = pytest.importorskip("peft", reason="needs evoltune[train]")
    train = Train(finetuning_type=kind, lora_r=8)
    model = model_of("llama", torch.bfloat16 if kind == "lora" else torch.float32)
    if kind == "lora":
        model = peft.get_peft_model(model, peft.LoraConfig(r=8, target_modules="all-linear"))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(input_ids=torch.ones(1, 8, dtype=torch.long)).logits.float().sum().backward()
    optimizer.step()
    moments = [v for state in optimizer.state.values() for v in state.values() if v.numel() > 1]
    shape = from_config(config_of("llama").to_dict())
    plan = memory_of(shape, train, precision="bf16", world=1, micro=1, tokens=8)
    assert plan.parameters == sum(p.numel() * p.element_size() for p in model.parameters())
    assert plan.gradients == sum(p.grad.numel() * p.grad.element_size() for p in trained)
    assert plan.optimizer == sum(v.numel() * v.element_size() for v in moments)


def saved_bytes(model: Any, tokens: int, micro: int, autocast: bool) -> int:
    """Unique bytes that autograd keeps for the blocks, parameters aside."""
    fixed = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    seen: dict[int, int] = {}
    alive = []

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in fixed:
            seen[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)  # or its address is used again
        return tensor

    body = model.get_base_model() if hasattr(model, "get_base_model") else model
    body = getattr(body, body.base_model_prefix)
    model.train()
    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t),
        torch.autocast("cpu", torch.bfloat16, enabled=autocast),
    ):
        body(input_ids=torch.randint(3, 300, (micro, tokens)), use_cache=False)
    return sum(seen.values())


@pytest.mark.parametrize("name", ["llama", "llama-grouped", "qwen2", "starcoder2", "gpt_bigcode"])
@pytest.mark.parametrize(
    ("precision", "sharded", "kind"),
    [("fp32", False, "full"), ("bf16", False, "full"), ("bf16", True, "full"), ("bf16", False, "lora")],
    ids=["fp32", "autocast", "deepspeed bf16", "lora"],
)
def test_activations_are_within_fifteen_percent_of_what_autograd_saves(
    name, precision, sharded, kind, config_of, model_of
):
    peft = pytest.importorskip("peft", reason="needs evoltune[train]")
    train = Train(finetuning_type=kind, lora_r=8)
    low = sharded or kind == "lora"
    model = model_of(name, torch.bfloat16 if low and precision == "bf16" else torch.float32)
    if kind == "lora":
        model = peft.get_peft_model(model, peft.LoraConfig(r=8, target_modules="all-linear"))
    real = saved_bytes(model, tokens=128, micro=2, autocast=precision == "bf16" and not sharded)
    shape = from_config(config_of(name).to_dict())
    planned = activations(shape, train, precision=precision, sharded=sharded, micro=2, tokens=128)
    assert 0.85 <= planned / real <= 1.15, f"planned {planned}, real {real}, ratio {planned / real:.3f}"


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_zero_shards_add_up_to_the_whole(world: int):
    shape = shape_of("HuggingFaceTB/SmolLM2-135M-Instruct")
    n = shape.parameters
    for zero, parameters, gradients in (("zero1", 2 * n, 2 * n), ("zero2", 2 * n, None), ("zero3", None, None)):
        m = memory_of(shape, Train(), precision="bf16", world=world, micro=1, tokens=16, zero=zero)
        assert 12 * n <= m.optimizer * world < 12 * n + world
        assert m.parameters == parameters if parameters else 2 * n <= m.parameters * world < 2 * n + world
        assert m.gradients == gradients if gradients else 2 * n <= m.gradients * world < 2 * n + world
