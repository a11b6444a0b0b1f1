"""Merges an adapter into its base and shows that the function stays the same: `evoltune model merge CHECKPOINT --out DIR`.

On the template's probe prompts, the logits of the merged model, loaded from disk, differ from those of base + adapter (both
computed in fp32) by at most BOUND, as a share of the largest logit. bf16 has 8 bits of mantissa, so a merged weight may be
off by 0.4%.
"""

import shutil
from pathlib import Path
from typing import Any, Literal

from evoltune.errors import DataError, TrainingError, require
from evoltune.models.card import write_card
from evoltune.models.load import language_model, load_adapted
from evoltune.models.proof import Template, read_template
from evoltune.rows.files import file_digest, read_json, write_json
from evoltune.run.paths import CERTIFICATE, MANIFEST, TEMPLATE

BOUND = {"float32": 1e-4, "bfloat16": 5e-2}
Dtype = Literal["float32", "bfloat16"]


def merge(checkpoint: Path, out: Path, dtype: Dtype = "bfloat16") -> dict[str, Any]:
    """Writes the whole model to `out`; returns its manifest, with `merge: {bound, difference, dtype}`.

    Raises DataError if the checkpoint is not a finished adapter of Evoltune, and TrainingError if the bound is broken,
    the adapter is all zeros, or `out` holds a finished model.
    """
    template, manifest = read_template(checkpoint), read_json(checkpoint / MANIFEST)
    if template is None or manifest is None or not (checkpoint / "adapter_config.json").is_file():
        raise DataError(
            f"{checkpoint}: is not a finished adapter of Evoltune (adapter_config.json, template.json, manifest.json): "
            "nothing to merge"
        )
    if (out / MANIFEST).exists():
        raise TrainingError(f"{out}: holds a finished model already: give another --out")
    require("merging", "train", "torch", "transformers")
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    adapted = load_adapted(checkpoint, template, torch.float32, len(tokenizer))
    before = _probe_logits(adapted, template)
    if not any(p.abs().max() > 0 for name, p in adapted.named_parameters() if "lora_B" in name):
        raise TrainingError(f"{checkpoint}: the adapter is all zeros: it was never trained, or was saved empty")
    merged = adapted.merge_and_unload().to(getattr(torch, dtype))
    staging = out.with_name(f".{out.name}.merging")
    shutil.rmtree(staging, ignore_errors=True)
    merged.save_pretrained(staging)
    tokenizer.save_pretrained(staging)
    for name in (TEMPLATE, "generation_config.json", CERTIFICATE):
        if (checkpoint / name).is_file():
            shutil.copyfile(checkpoint / name, staging / name)
    difference = _difference(staging, template, before)
    if not difference <= BOUND[dtype]:
        raise TrainingError(
            f"{checkpoint}: the merged model is another function than base + adapter: logits differ by {difference:.2g} of the "
            f"largest, allowed {BOUND[dtype]}: nothing was published; try --dtype float32"
        )
    manifest |= {"merge": {"bound": BOUND[dtype], "difference": difference, "dtype": dtype}}
    _publish(staging, out, manifest)
    return manifest


def _probe_logits(model: Any, template: Template) -> list[Any]:
    import torch

    with torch.inference_mode():
        return [model(input_ids=torch.tensor([ids])).logits.float() for _, ids in template.golden]


def _difference(folder: Path, template: Template, before: list[Any]) -> float:
    """Largest difference of logits, as a share of the largest logit."""
    import torch

    model = language_model(folder, dtype=torch.float32).eval()
    pairs = list(zip(before, _probe_logits(model, template), strict=True))
    return float(max(((a - b).abs().max() / a.abs().max()).item() for a, b in pairs))


def _publish(staging: Path, out: Path, manifest: dict[str, Any]) -> None:
    write_card(staging, manifest)
    manifest["files"] = {p.name: file_digest(p) for p in sorted(staging.iterdir()) if p.is_file()}
    write_json(staging / MANIFEST, manifest)
    if out.exists():
        shutil.rmtree(out)
    staging.replace(out)
