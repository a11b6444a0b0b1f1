"""The checkpoint's own answers to prompts, drawn and verified before RL: what pairs are made of, and which prompts still teach.

judged = judged_samples(work, prompts, Path("pairs.samples.jsonl"))    # [(samples, the record with their verdicts), ...]
kept, counts = prompts_in_band(work, prompts, Path("band.jsonl"))      # {"too easy": 80, "too hard": 240, "in the band": 260}
"""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evoltune.dataset.rl_prompts import VerifiablePrompt, as_record
from evoltune.errors import DataError
from evoltune.recipe import RL
from evoltune.record import Record
from evoltune.run.run import Run
from evoltune.train.rl.guards import is_held_out_prompt
from evoltune.train.samples import Sample, Sampling, sample_answers


def sampling_of(rl: RL) -> dict[str, Any]:
    """How the checkpoint is asked, as keywords of `Sampling`."""
    return {
        "n": rl.num_generations, "temperature": rl.temperature, "top_p": rl.top_p, "max_new_tokens": rl.max_completion_length,
        "engine": "vllm" if rl.use_vllm else "transformers", "suite": "rl",
    }  # fmt: skip


def judged_samples(work: Run, prompts: Sequence[VerifiablePrompt], journal: Path) -> list[tuple[list[Sample], Record]]:
    """`rl.num_generations` answers to each prompt, and a record with the verdict on each different text. Samples are kept in
    `journal`. Raises DataError where more of them could not be judged than `rl.max_unjudged`."""
    rl = work.recipe.rl
    assert rl is not None
    drawn = sample_answers(work, prompts, Sampling(**sampling_of(rl)), journal)
    asked = [as_record(work.domain, p, [s.text for s in samples]) for p, samples in zip(prompts, drawn, strict=True)]
    with work.checker() as checker:
        judged = list(checker.verify(asked))
    scores = [answer.verdict.score if answer.verdict else None for record in judged for answer in record.answers]
    share = sum(score is None for score in scores) / len(scores) if scores else 0.0
    if share > rl.max_unjudged:
        raise DataError(
            f"rl: {share:.0%} of {len(scores)} sampled answers could not be judged (rl.max_unjudged {rl.max_unjudged:g}): see "
            "`evoltune verify` on a few of them for the reason"
        )
    return list(zip(drawn, judged, strict=True))


def pass_rate(samples: Sequence[Sample], record: Record) -> float:
    """The share of the samples that the verifier passed."""
    passed = {answer.text for answer in record.answers if answer.verdict and answer.verdict.score == 1.0}
    return sum(sample.text in passed for sample in samples) / len(samples)


def prompts_in_band(
    work: Run, prompts: Sequence[VerifiablePrompt], journal: Path
) -> tuple[list[VerifiablePrompt], Mapping[str, int]]:
    """The prompts whose pass rate lies in `rl.band`, and all that are held out, in their order; and how many were left out and why.

    Raises DataError where fewer are left than a step takes.
    """
    rl = work.recipe.rl
    assert rl is not None and rl.band is not None
    low, high = rl.band
    counts = Counter({"too easy": 0, "too hard": 0, "in the band": 0})
    trained = [p for p in prompts if not is_held_out_prompt(p.messages, rl)]
    left_out = set[str]()
    for prompt, (samples, record) in zip(trained, judged_samples(work, trained, journal), strict=True):
        rate = pass_rate(samples, record)
        fate = "too easy" if rate > high else "too hard" if rate < low else "in the band"
        counts[fate] += 1
        if fate != "in the band":
            left_out.add(prompt.id)
    told = f"{counts['in the band']} of {len(trained)} prompts are solved in {low:.0%} to {high:.0%} of {rl.num_generations} answers"
    line = f"{told} (rl.band); {counts['too easy']} are too easy, {counts['too hard']} too hard"
    if counts["in the band"] < rl.prompts_per_step:
        raise DataError(
            f"rl: {line}: a step takes rl.prompts_per_step {rl.prompts_per_step}: widen rl.band, or give other prompts"
        )
    print(f"  rl: {line}", file=sys.stderr)
    return [p for p in prompts if p.id not in left_out], counts
