"""Measures a policy on held-out prompts: greedy answers, judged by the verifier alone, so that no reward model can lift them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

BATCH = 32
REFERENCE = "ref"
"""TRL's name for the frozen copy of an adapter."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the held-out answers show."""

    solved: Sequence[float] = ()
    """The verifier's score of each prompt, in a fixed order; an answer that could not be judged counts 0."""
    length: float = 0.0
    """Mean tokens of an answer."""
    kl: float | None = None
    """Mean divergence from the reference (nats of an answer's token); None: not measured."""


class HeldOut:
    """The held-out prompts of one run. `measure(model)` gives the same figures for the same weights."""

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        tokenizer: Any,
        verifier: Callable[..., Sequence[float | None]],
        new_tokens: int,
        *,
        with_kl: bool = False,
        reference: Any = None,
    ) -> None:
        """`with_kl`: also measure the divergence, for a trainer that does not. `reference`: a whole model's frozen copy; an adapter
        carries its own."""
        self._rows, self._tokenizer, self._verifier, self._new_tokens = rows, tokenizer, verifier, new_tokens
        self._with_kl, self._reference = with_kl, reference

    def measure(self, model: Any) -> Measured:
        if not self._rows:
            return Measured()
        texts: list[str] = []
        lengths: list[int] = []
        divergences: list[float] = []
        was_training = model.training
        model.eval()
        prompts = [row["prompt"] for row in self._rows]
        for start in range(0, len(prompts), BATCH):
            for ids, prompt_length in self._answers(model, prompts[start : start + BATCH]):
                answer = ids[prompt_length:]
                texts.append(self._tokenizer.decode(answer, skip_special_tokens=True))
                lengths.append(len(answer))
                if self._with_kl and len(answer):
                    divergences += self._divergences(model, ids, len(answer))
        model.train(was_training)
        columns = {name: [row[name] for row in self._rows] for name in self._rows[0] if name != "prompt"}
        scores = self._verifier(texts, prompts, **columns)
        return Measured(
            solved=[score or 0.0 for score in scores],
            length=sum(lengths) / len(lengths),
            kl=math.fsum(divergences) / len(divergences) if divergences else None,
        )

    def _answers(self, model: Any, prompts: Sequence[Any]) -> Iterator[tuple[Any, int]]:
        """(ids of prompt and answer without padding, length of the prompt) for each prompt."""
        batch = self._tokenizer.apply_chat_template(
            prompts, add_generation_prompt=True, tokenize=True, return_dict=True, padding=True, return_tensors="pt"
        ).to(model.device)
        with torch.inference_mode():
            out = model.generate(
                **batch,
                max_new_tokens=self._new_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                use_cache=True,
            )
        width = batch["input_ids"].shape[1]
        named = model.generation_config.eos_token_id
        ends = torch.tensor(named if isinstance(named, list) else [named], device=out.device)
        for mask, ids in zip(batch["attention_mask"], out, strict=True):
            answer = ids[width:]
            stops = torch.isin(answer, ends).nonzero()
            length = int(stops[0]) + 1 if len(stops) else len(answer)
            prompt = ids[:width][mask.bool()]
            yield torch.cat([prompt, answer[:length]]), len(prompt)

    def _divergences(self, model: Any, ids: Any, answer: int) -> list[float]:
        """For each token of an answer `r - log r - 1` with r = reference / policy, TRL's estimate of the divergence."""
        policy = _log_probabilities(model, ids, answer)
        with _frozen(model, self._reference) as reference:
            before = _log_probabilities(reference, ids, answer)
        gap = before - policy
        return (gap.exp() - gap - 1).tolist()  # type: ignore[no-any-return]


def _log_probabilities(model: Any, ids: Any, answer: int) -> Any:
    with torch.inference_mode():
        logits = model(input_ids=ids[None], use_cache=False, logits_to_keep=answer + 1).logits[0, -answer - 1 : -1]
    return torch.log_softmax(logits.float(), -1).gather(-1, ids[-answer:, None])[:, 0]


@contextmanager
def _frozen(model: Any, reference: Any) -> Iterator[Any]:
    """The frozen copy of a whole model, or the model with that of its adapter."""
    if reference is not None:
        yield reference
        return
    active = model.active_adapter
    model.set_adapter(REFERENCE)
    try:
        yield model
    finally:
        model.set_adapter(active)
