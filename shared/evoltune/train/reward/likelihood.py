"""The log probability of each token of written solutions under a language model: what `evidence` is read from.

    least(model, [write_out(...), ...], batch=32)

The solutions of one prompt are computed together after one pass over the prompt: eight answers to a question cost a third of
eight prompts with an answer each.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from evoltune.errors import TrainingError
from evoltune.models.load import grow_embeddings, language_model, load_adapted
from evoltune.models.proof import read_template
from evoltune.train.reward.evidence import Evidence, Written, evidence_of


def load_language_model(base: str, start: str, tokens: int) -> Any:
    """The checkpoint `start` as a whole model in fp32, its adapter merged into it; `base` where there is no checkpoint."""
    if start and (Path(start) / "adapter_config.json").is_file():
        template = read_template(Path(start))
        if template is None:
            raise TrainingError(f"{start}: an adapter without template.json: not a finished checkpoint of Evoltune")
        return load_adapted(Path(start), template, torch.float32, tokens).merge_and_unload()
    model = language_model(start or base, dtype=torch.float32)
    grow_embeddings(model, tokens)
    return model


def by_prompt(solutions: Sequence[Written]) -> list[list[int]]:
    """The indices of the solutions, those of one prompt together."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, written in enumerate(solutions):
        groups.setdefault(written.prompt, []).append(i)
    return list(groups.values())


def step_evidence(model: Any, solutions: Sequence[Written], batch: int) -> list[list[Evidence]]:
    """The evidence of each solution's steps, at most `batch` solutions of one prompt at a time."""
    found: list[list[Evidence]] = [[]] * len(solutions)
    for group in by_prompt(solutions):
        order = sorted(group, key=lambda i: len(solutions[i].ids))
        for start in range(0, len(order), batch):
            part = [i for i in order[start : start + batch] if solutions[i].ids]
            logs = token_logs(model, solutions[part[0]].prompt, [solutions[i].ids for i in part]) if part else []
            for i, row in zip(part, logs, strict=True):
                found[i] = evidence_of(solutions[i], row)
    return found


@torch.inference_mode()  # type: ignore[untyped-decorator]
def token_logs(model: Any, prompt: Sequence[int], texts: Sequence[Sequence[int]]) -> list[list[float]]:
    """For each text behind the prompt the log probability of each of its tokens."""
    width = max(map(len, texts))
    # Padding is on the right, where causal attention sees none.
    ids = torch.tensor([[*text, *[0] * (width - len(text))] for text in texts], device=model.device)
    before = model(input_ids=torch.tensor([list(prompt)], device=model.device), use_cache=True, logits_to_keep=1)
    cache = before.past_key_values
    cache.batch_repeat_interleave(len(texts))
    logits = model(input_ids=ids, past_key_values=cache, use_cache=True).logits
    logits = torch.cat([before.logits.expand(len(texts), -1, -1), logits[:, :-1]], 1).float()
    logs = (logits.gather(-1, ids[..., None])[..., 0] - logits.logsumexp(-1)).cpu()
    return [row[: len(text)].tolist() for row, text in zip(logs, texts, strict=True)]
