"""Pairs of answers to one prompt for preference training: the verifier passed the one that is chosen and failed the other.

    write_pairs(Run(recipe=recipe, folder=folder), prompts, Path("pairs.jsonl"))     # {"repair": 31, "recorded": 120, "sampled": 410}

| origin | chosen | rejected |
|---|---|---|
| repair | the answer that passed after the teacher was told what failed | what failed |
| recorded | another verified answer of the run | another one that the verifier failed |
| sampled | an answer of the checkpoint, or a recorded one where none passed | an answer of the checkpoint, or a recorded one where none failed |

A prompt gets `rl.pairs_per_prompt` of them in this order, and the checkpoint is asked only for prompts whose recorded answers give
fewer. Invariants: every answer is used before one is used again; held-out prompts have no pairs. Imports no torch.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evoltune.dataset.repairs import repairs_in
from evoltune.dataset.rl_prompts import VerifiablePrompt, trained_records
from evoltune.errors import DataError
from evoltune.generate.job import find_model
from evoltune.record import Record, digest
from evoltune.rows.files import jsonl_writer, read_json, write_json
from evoltune.run.run import Run
from evoltune.train.rl.guards import is_held_out_prompt
from evoltune.train.rl.sampled import judged_samples, sampling_of

Origin = Literal["repair", "recorded", "sampled"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two answers to one prompt."""

    chosen: str
    rejected: str
    origin: Origin
    cut: bool = False
    """The rejected one was cut off, so it has no end that could be trained away."""


def write_pairs(work: Run, prompts: Sequence[VerifiablePrompt], target: Path) -> Mapping[str, int]:
    """Writes {id, prompt, chosen, rejected, origin, cut} as JSONL; returns how many pairs each origin gave.

    Pairs of the same checkpoint, prompts and settings are left as they are. Raises DataError where the verifier could not
    judge more samples than `rl.max_unjudged`, or the pairs are fewer than one step takes.
    """
    rl = work.recipe.rl
    assert rl is not None
    key = digest([
        find_model(str(work.checkpoint)).fingerprint, work.source if rl.prompts else work.verify_step.version, work.recipe.seed,
        [[p.id, p.messages, p.truth] for p in prompts], rl.held_out, rl.pairs_per_prompt, *sampling_of(rl).values(),
    ])  # fmt: skip
    note = target.with_suffix(".json")
    done = read_json(note) or {}
    if done.get("key") != key or not target.is_file():
        found = pairs_of(work, [p for p in prompts if not is_held_out_prompt(p.messages, rl)], target)
        with jsonl_writer(target) as write:
            for prompt, pairs in found:
                for i, pair in enumerate(pairs):
                    write(_row(prompt, pair, i))
        counts = Counter(pair.origin for _, pairs in found for pair in pairs)
        done = {"key": key, "pairs": dict(counts), "without": sum(not pairs for _, pairs in found)}
        write_json(note, done)
    total = sum(done["pairs"].values())
    told = ", ".join(f"{count} {origin}" for origin, count in sorted(done["pairs"].items()))
    print(
        f"  rl: {total} pairs in {target} ({told or 'none'}); {done['without']} prompts have none (answers that all pass, all fail or were cut off)",
        file=sys.stderr,
    )
    if total < rl.prompts_per_step:
        raise DataError(
            f"{target}: {total} pairs, and a step takes rl.prompts_per_step {rl.prompts_per_step}: draw more answers "
            "(rl.num_generations), record more (evolve.answers, evolve.repair), or use rl.algorithm: grpo"
        )
    return done["pairs"]  # type: ignore[no-any-return]


def pairs_of(
    work: Run, prompts: Sequence[VerifiablePrompt], target: Path
) -> list[tuple[VerifiablePrompt, tuple[Pair, ...]]]:
    """The pairs of each prompt. Samples are journalled beside `target`."""
    rl = work.recipe.rl
    assert rl is not None
    records = {} if rl.prompts else {record.id: record for record in trained_records(work)}
    found = {p.id: recorded_pairs(records[p.id]) if p.id in records else [] for p in prompts}
    few = [p for p in prompts if len(found[p.id]) < rl.pairs_per_prompt]
    if few:
        judged = judged_samples(work, few, target.with_suffix(".samples.jsonl"))
        for prompt, (samples, record) in zip(few, judged, strict=True):
            cuts = {sample.text for sample in samples if sample.cut}
            found[prompt.id] += sampled_pairs(record, records.get(prompt.id), cuts)
    return [(p, tuple(dict.fromkeys(found[p.id]))[: rl.pairs_per_prompt]) for p in prompts]


def recorded_pairs(record: Record) -> list[Pair]:
    """Of a verified record: its repairs first, then its other answers."""
    pairs = [Pair(chosen=r.passed, rejected=r.failed, origin="repair") for r in repairs_in(record)]
    used = {text for pair in pairs for text in (pair.chosen, pair.rejected)}
    passed, failed = (
        sorted(texts, key=lambda text: text in used) for texts in (_texts(record, 1.0), _texts(record, 0.0))
    )
    known = {(pair.chosen, pair.rejected) for pair in pairs}
    others = (Pair(chosen=a, rejected=b, origin="recorded") for a, b in matched(passed, failed) if (a, b) not in known)
    return [*pairs, *others]


def sampled_pairs(samples: Record, recorded: Record | None, cuts: set[str]) -> list[Pair]:
    """Of verified samples: among themselves, else with recorded answers on the side that they lack."""
    passed = [text for text in _texts(samples, 1.0) if text not in cuts]
    failed = _texts(samples, 0.0)
    if recorded is not None:
        passed = passed or _texts(recorded, 1.0)
        failed = failed or (_texts(recorded, 0.0) if passed else [])
    return [Pair(chosen=a, rejected=b, origin="sampled", cut=b in cuts) for a, b in matched(passed, failed)]


def matched(passed: Sequence[str], failed: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs in which every answer is used before one is used again."""
    if passed and failed:
        for i in range(max(len(passed), len(failed))):
            yield passed[i % len(passed)], failed[i % len(failed)]


def _texts(record: Record, score: float) -> list[str]:
    """Its answers with this score, each once."""
    scored = (answer for answer in record.answers if answer.verdict and answer.verdict.score == score)
    return list(dict.fromkeys(answer.text for answer in scored if answer.text.strip()))


def _row(prompt: VerifiablePrompt, pair: Pair, number: int) -> dict[str, Any]:
    return {
        "id": f"{prompt.id}.{number}", "prompt": list(prompt.messages),
        "chosen": [{"role": "assistant", "content": pair.chosen}],
        "rejected": [{"role": "assistant", "content": pair.rejected}], "origin": pair.origin, "cut": pair.cut,
    }  # fmt: skip
