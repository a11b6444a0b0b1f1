"""Generate completions: find out which samples are missing, batch them, and give them to a backend. Imports no torch.

    generate(requests, settings, find_model("runs/mine/checkpoint"), Path("gsm8k.jsonl"))

Invariant: a sample is named by (problem, sample, settings). One that is in the file is never generated again, and batches
are cut from the whole list, not from what is missing, so a resumed file holds the texts of an uninterrupted one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from evoltune.cluster.gpus import gpu_count
from evoltune.generate.http import http_engine
from evoltune.generate.job import Engine, GenerationSettings, ModelSource, SampleRequest
from evoltune.generate.processes import transformers_engine, vllm_engine
from evoltune.rows.files import Journal, read_journal
from evoltune.sandbox.pool import default_workers
from evoltune.terminal import progress

LOADING: dict[str, Engine] = {"transformers": transformers_engine, "vllm": vllm_engine}
"""`eval.engine` -> backend that loads the model; on a Ray cluster they run on its nodes. `http` asks a server."""
CACHE_BYTES = 4e9
MIN_BATCH = 8
MAX_BATCH = 128
VLLM_BATCH = 4096
"""vLLM fills its own batches from all that it is given; what a kill loses of it is generated again."""


def generate(
    requests: Sequence[SampleRequest],
    settings: GenerationSettings,
    model: ModelSource,
    out: Path,
    *,
    batch_size: int = 0,
) -> dict[str, Any]:
    """Adds the missing samples to the journal `out`; returns the template proof, or {} when nothing was missing.

    `batch_size`: prompts decoded together; 0: as many as the key-value cache allows. Raises GenerationError when the
    generator died; finished samples are kept, so the same call resumes.
    """
    with Journal(out) as journal:
        done = set(finished_samples(out, settings.key))
        alone = settings.engine == "vllm"
        size = batch_size or (VLLM_BATCH if alone else batch_that_fits(model, requests, settings))
        at_once = 1 if alone else max(1, (gpu_count() or default_workers()) // (model.gpus_each if gpu_count() else 1))
        todo = [b for b in batches(requests, size, at_once) if any((r.problem, r.sample) not in done for r in b)]
        if not todo:
            return {}
        label = f"generating {requests[0].suite} with {settings.model}"
        with progress(label, sum(map(len, todo))) as advance:

            def save(request: SampleRequest, completion: Mapping[str, Any]) -> None:
                if (request.problem, request.sample) not in done:
                    name = {"suite": request.suite, "problem": request.problem, "sample": request.sample}
                    journal.append({**name, "settings": settings.key, "prompt": request.prompt, **completion})
                advance(1)

            if settings.engine == "http":
                return http_engine(todo, settings, model, save, out.parent)
            return LOADING[settings.engine](todo, settings, model, save)


def generate_later_turns(
    requests: Sequence[SampleRequest],
    later: Mapping[str, Sequence[str]],
    settings: GenerationSettings,
    model: ModelSource,
    out: Path,
    *,
    batch_size: int = 0,
) -> None:
    """Asks the later turns of dialogues whose first turns stand in the journal `out`, each after the model's own answers.

    Args:
        requests: those of the first turns.
        later: problem -> its user's later turns.

    The second turn of problem `p` is named `p#2`, and so on.
    """
    for turn in range(max((len(turns) for turns in later.values()), default=0)):
        done = finished_samples(out, settings.key)
        following = []
        for first in requests:
            if turn < len(asked := later.get(first.problem, ())):
                before = [first.problem, *(turn_name(first.problem, n) for n in range(2, turn + 2))]
                prompts = [first.prompt, *asked[:turn]]
                history = [
                    part
                    for name, prompt in zip(before, prompts, strict=True)
                    for part in (("user", prompt), ("assistant", done[name, first.sample]["text"]))
                ]
                following.append(
                    replace(first, problem=turn_name(first.problem, turn + 2), prompt=asked[turn], history=(*first.history, *history))
                )  # fmt: skip
        generate(following, settings, model, out, batch_size=batch_size)


def turn_name(problem: str, turn: int | str) -> str:
    """The name of a dialogue's turn; the first has the problem's own."""
    return problem if turn in (1, "1") else f"{problem}#{turn}"


def finished_samples(path: Path, key: str) -> dict[tuple[str, int], dict[str, Any]]:
    """(problem, sample) -> row, for the samples of a file that were generated under the settings with this key."""
    return {(row["problem"], row["sample"]): row for row in read_journal(path) if row.get("settings") == key}


def batches(requests: Sequence[SampleRequest], size: int, generators: int) -> list[list[SampleRequest]]:
    """The whole list in equal batches of at most `size`, longest prompts first: little padding, slow batches early.

    Their number is a multiple of the generators, so that all of them work to the end. A short list goes to fewer of them, with at
    least MIN_BATCH prompts for each.
    """
    if not requests:
        return []
    ordered = sorted(requests, key=lambda r: (-len(r.prompt), r.problem, r.sample))
    at_once = max(1, min(generators, len(ordered) // MIN_BATCH))
    count = at_once * -(-len(ordered) // (size * at_once))
    cuts = [len(ordered) * i // count for i in range(count + 1)]
    return [ordered[a:b] for a, b in pairwise(cuts)]


def batch_that_fits(model: ModelSource, requests: Sequence[SampleRequest], settings: GenerationSettings) -> int:
    """Prompts whose key-value caches (2 bytes a number) fit into CACHE_BYTES, at most MAX_BATCH.

    Depends on the model's shape alone, not on free memory, so that batches are the same on every run. Larger batches are
    faster up to about 128: 460 tokens per CPU second with 64 rows, 530 with 120 (SmolLM2-135M).
    """
    try:
        shape = json.loads((Path(model.model) / "config.json").read_text(encoding="utf-8"))
        heads = int(shape["num_attention_heads"])
        width = int(shape.get("head_dim") or shape["hidden_size"] // heads)
        token = 4 * int(shape["num_hidden_layers"]) * int(shape.get("num_key_value_heads") or heads) * width
    except (OSError, ValueError, KeyError, TypeError):
        token = 500_000  # a 7B model without grouped heads
    length = max(len(r.prompt) for r in requests) // 3 + settings.max_new_tokens
    return max(1, min(MAX_BATCH, int(CACHE_BYTES / (token * length))))
