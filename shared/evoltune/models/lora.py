"""LoRA adapters: adding one to a model that is to be trained, and loading a trained one over its base."""

from functools import partial
from pathlib import Path
from typing import Any

from evoltune.errors import MissingExtraError, TrainingError
from evoltune.models.load import grow_embeddings
from evoltune.models.locate import locate_model
from evoltune.models.proof import Template
from evoltune.recipe import Train


def add_lora(model: Any, train: Train, *, embeddings: bool = False) -> Any:
    """The model with a trainable adapter; everything else is frozen.

    With `embeddings` (tokens were added) the embedding matrices are trained whole, since an adapter cannot reach new rows.
    """
    try:
        from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
    except ImportError as error:
        raise MissingExtraError("peft", "train", f"train.finetuning_type: {train.finetuning_type}") from error
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


def load_adapted(checkpoint: Path, template: Template, dtype: Any, tokens: int) -> Any:
    """The base that `template` names, with the checkpoint's adapter, for inference.

    `tokens`: size of the checkpoint's tokenizer, since training may have added tokens.
    """
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(
        locate_model(template.base.name), revision=template.base.revision, dtype=dtype
    )
    grow_embeddings(base, tokens)
    return PeftModel.from_pretrained(base, checkpoint).eval()
