"""Adapter plus base into one model, shown to be the same function: `evoltune merge CHECKPOINT --out DIR`.

The bound: on the template's probes, logits of the merged model, loaded from disk, differ from those of base + adapter (both
computed in fp32) by at most BOUND of the largest logit. bf16 has 8 bits of mantissa, so a merged weight is off by up to 0.4%.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

from evoltune.errors import DataError, MissingExtraError, TrainingError
from evoltune.models.base import resolve_base
from evoltune.models.proof import FILE, Template, read_template
from evoltune.rows.files import file_digest, write_json
from evoltune.train.card import write_card
from evoltune.train.job import CERTIFICATE, MANIFEST

BOUND = {"float32": 1e-4, "bfloat16": 5e-2}
Dtype = Literal["float32", "bfloat16"]


def merge(checkpoint: Path, out: Path, dtype: Dtype = "bfloat16") -> dict[str, Any]:
    """Writes a whole model; returns its manifest with `merge: {bound, difference}`. Raises TrainingError if the bound breaks."""
    template = _adapter_template(checkpoint)
    try:
        import torch
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "train", "merging") from error
    if (out / MANIFEST).exists():
        raise TrainingError(f"{out}: holds a finished model already: give another --out")
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    adapted = load_adapted(checkpoint, template, torch.float32, len(tokenizer))
    before = _probe_logits(adapted, template)
    _refuse_untrained(adapted, checkpoint)
    merged = adapted.merge_and_unload().to(getattr(torch, dtype))
    staging = out.with_name(f".{out.name}.merging")
    shutil.rmtree(staging, ignore_errors=True)
    merged.save_pretrained(staging)
    tokenizer.save_pretrained(staging)
    for name in (FILE, "generation_config.json", CERTIFICATE):
        if (checkpoint / name).is_file():
            shutil.copyfile(checkpoint / name, staging / name)
    difference = _difference(staging, template, before)
    if not difference <= BOUND[dtype]:
        raise TrainingError(
            f"{checkpoint}: the merged model is another function than base + adapter: logits differ by {difference:.2g} of the "
            f"largest, allowed {BOUND[dtype]}: nothing was published; try --dtype float32"
        )
    manifest: dict[str, Any] = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
    manifest |= {"merge": {"bound": BOUND[dtype], "difference": difference, "dtype": dtype}}
    _publish(staging, out, manifest)
    return manifest


def _adapter_template(checkpoint: Path) -> Template:
    template = read_template(checkpoint)
    if template is None or not (checkpoint / "adapter_config.json").is_file():
        raise DataError(
            f"{checkpoint}: holds no adapter of ours (adapter_config.json and template.json): nothing to merge"
        )
    return template


def load_adapted(checkpoint: Path, template: Template, dtype: Any, tokens: int) -> Any:
    """Base + adapter, with rows for tokens that training added."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from evoltune.models.load import grow_embeddings

    base = AutoModelForCausalLM.from_pretrained(
        resolve_base(template.base), revision=template.base_revision, dtype=dtype
    )
    grow_embeddings(base, tokens)
    return PeftModel.from_pretrained(base, checkpoint).eval()


def _probe_logits(model: Any, template: Template) -> list[Any]:
    import torch

    with torch.inference_mode():
        return [model(input_ids=torch.tensor([ids])).logits.float() for _, ids in template.golden]


def _refuse_untrained(adapted: Any, checkpoint: Path) -> None:
    if not any(p.abs().max() > 0 for name, p in adapted.named_parameters() if "lora_B" in name):
        raise TrainingError(
            f"{checkpoint}: the adapter is all zeros: it was never trained, or was saved empty"
        )


def _difference(folder: Path, template: Template, before: list[Any]) -> float:
    """Largest difference of logits, as a share of the largest logit."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    pairs = list(zip(before, _probe_logits(model, template), strict=True))
    return float(max(((a - b).abs().max() / a.abs().max()).item() for a, b in pairs))


def _publish(staging: Path, out: Path, manifest: dict[str, Any]) -> None:
    write_card(staging, manifest, json.loads((staging / FILE).read_text(encoding="utf-8")))
    manifest["files"] = {p.name: file_digest(p) for p in sorted(staging.iterdir()) if p.is_file()}
    write_json(staging / MANIFEST, manifest)
    if out.exists():
        shutil.rmtree(out)
    staging.replace(out)
