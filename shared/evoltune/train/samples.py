"""Answers of a run's checkpoint to prompts, drawn by the engine that evaluation uses: what reward models and pairs are made of.

sample_answers(work, prompts, Sampling(n=4, temperature=0.8, max_new_tokens=256), Path("samples.jsonl"))

Samples are journalled like those of an evaluation: the same call after a kill goes on where it stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evoltune.dataset.rl_prompts import VerifiablePrompt
from evoltune.errors import DataError
from evoltune.generate.completions import finished_samples, generate
from evoltune.generate.job import GenerationSettings, SampleRequest, find_model
from evoltune.models.proof import read_template
from evoltune.run.run import Run


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How many answers are drawn of each prompt, and how."""

    n: int
    temperature: float
    max_new_tokens: int
    top_p: float = 1.0
    engine: str = "transformers"
    suite: str = "reward"
    """Names the samples in their file, and seeds them."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One answer of the checkpoint."""

    text: str
    cut: bool
    """It reached `max_new_tokens` before its end."""


def sample_answers(
    work: Run, prompts: Sequence[VerifiablePrompt], sampling: Sampling, file: Path
) -> list[list[Sample]]:
    """For each prompt the answers of `work.checkpoint`. Raises DataError where it is not trained yet."""
    source, template = find_model(str(work.checkpoint)), read_template(work.checkpoint)
    if template is None:
        raise DataError(f"{work.checkpoint}: no finished training: run `evoltune train` first")
    chosen = GenerationSettings(
        model=str(work.checkpoint), weights=source.fingerprint, template=template.template, system=template.system_prompt,
        n=sampling.n, temperature=sampling.temperature, top_p=sampling.top_p, max_new_tokens=sampling.max_new_tokens,
        seed=work.recipe.seed, engine=sampling.engine,
    )  # fmt: skip
    requests = [
        SampleRequest(
            suite=sampling.suite, problem=prompt.id, sample=i, prompt=prompt.messages[-1]["content"],
            history=tuple((m["role"], m["content"]) for m in prompt.messages[:-1]),
        )
        for prompt in prompts
        for i in range(sampling.n)
    ]  # fmt: skip
    generate(requests, chosen, source, file, batch_size=work.recipe.eval.batch_size)
    done = finished_samples(file, chosen.key)
    rows = ([done[prompt.id, i] for i in range(sampling.n)] for prompt in prompts)
    return [[Sample(text=row["text"], cut=row["stop"] == "length") for row in found] for found in rows]
