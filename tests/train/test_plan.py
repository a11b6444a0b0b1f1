"""A plan's arithmetic against real models: parameters and states to the byte, activations within 15%."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from evoltune.errors import RecipeError
from evoltune.models.memory import activations, memory_of
from evoltune.models.shapes import Shape, from_config, shape_of
from evoltune.recipe import Train

torch = pytest.importorskip("torch", reason="needs evoltune[train]")
transformers = pytest.importorskip("transformers", reason="needs evoltune[train]")

SMALL: dict[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 176, "num_attention_heads": 4, "vocab_size": 320,
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": SMALL,
    "llama-grouped": SMALL | {"model_type": "llama", "num_key_value_heads": 2, "head_dim": 32},
    "qwen2": SMALL | {"num_key_value_heads": 2, "tie_word_embeddings": True},
    "qwen3": SMALL | {"num_key_value_heads": 2, "head_dim": 16},
    "mistral": SMALL | {"num_key_value_heads": 2},
    "starcoder2": SMALL | {"num_key_value_heads": 2},
    "gpt_bigcode": {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 320, "n_positions": 256,
                    "resid_pdrop": 0.0, "attn_pdrop": 0.0, "embd_pdrop": 0.0},
}  # fmt: skip


def config_of(name: str) -> Any:
    values = dict(CONFIGS[name])
    family = values.pop("model_type", name)
    special = {"bos_token_id": 1, "eos_token_id": 2}
    return transformers.AutoConfig.for_model(family, **values, **special)


def model_of(name: str, dtype: Any) -> Any:
    return transformers.AutoModelForCausalLM.from_config(config_of(name), attn_implementation="sdpa").to(
        dtype
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_equal_those_of_the_real_model(name: str):
    config = config_of(name)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    assert from_config(config.to_dict()).parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", ["llama-grouped", "qwen2", "gpt_bigcode"])
def test_lora_parameters_equal_those_of_peft(name: str):
    peft = pytest.importorskip("peft", reason="needs evoltune[train]")
    model = peft.get_peft_model(
        model_of(name, torch.float32), peft.LoraConfig(r=8, target_modules="all-linear")
    )
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert from_config(config_of(name).to_dict()).lora_parameters(8) == trained


def test_a_named_target_counts_only_that_layer_and_a_wrong_name_is_refused():
    shape = from_config(config_of("llama").to_dict())
    assert shape.lora_parameters(8, ("q_proj",)) == 2 * 8 * (64 + 64)
    with pytest.raises(RecipeError, match="did you mean 'q_proj'"):
        shape.lora_parameters(8, ("q_pro",))


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_states_equal_those_of_a_real_step(kind: str):
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
    name: str, precision: str, sharded: bool, kind: str
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
    for zero, parameters, gradients in (
        ("zero1", 2 * n, 2 * n),
        ("zero2", 2 * n, None),
        ("zero3", None, None),
    ):
        m = memory_of(shape, Train(), precision="bf16", world=world, micro=1, tokens=16, zero=zero)
        assert 12 * n <= m.optimizer * world < 12 * n + world
        assert m.parameters == parameters if parameters else 2 * n <= m.parameters * world < 2 * n + world
        assert m.gradients == gradients if gradients else 2 * n <= m.gradients * world < 2 * n + world


def test_an_unknown_base_says_how_to_give_its_shape(tmp_path):
    with pytest.raises(RecipeError, match=r"config\.json"):
        shape_of("somebody/unknown")
    (tmp_path / "config.json").write_text(msgspec.json.encode(config_of("llama").to_dict()).decode())
    assert isinstance(shape_of(str(tmp_path)), Shape)
