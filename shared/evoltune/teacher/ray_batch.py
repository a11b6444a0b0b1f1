"""Batch files answered on one's own GPUs: vLLM engines on a Ray cluster (`ray.data.llm`), no server and no rate limits.

    evoltune batch export RECIPE runs/b requests.jsonl
    evoltune batch run RECIPE requests.jsonl results.jsonl --ray-address auto
    evoltune batch import RECIPE runs/b results.jsonl

Invariant: a result is appended as soon as all its samples are there, and a request with a result is not run again: a run
that was killed continues.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from evoltune.errors import EngineError, require
from evoltune.rows.files import Journal, repair
from evoltune.run.store import Usage
from evoltune.teacher.batch_files import read_lines, read_requests, result_line
from evoltune.teacher.protocol import Reply

BATCH = 64
"""Rows that an engine takes at a time, and at most loses."""


def run_batch(model: str, requests: Path, results: Path, *, replicas: int = 1, gpus_each: int = 1) -> tuple[int, int]:
    """Answers what `requests` asks and `results` does not hold yet. Needs a Ray connection (`cluster.engine.using`).

    Returns (answered, failed); a failed request has no line in `results`, and the next run asks it again. Raises
    MissingExtraError, EngineError (too few GPUs), DataError (a file is no batch file).
    """
    for extra in ("ray", "vllm"):
        require("evoltune batch run", extra, extra)
    import ray
    from ray.data import from_items
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    rows = list(open_samples(requests, answered_keys(results)))
    if not rows:
        return 0, 0
    if (gpus := int(ray.cluster_resources().get("GPU", 0))) < replicas * gpus_each:
        raise EngineError(
            f"batch run: {replicas} engines of {gpus_each} GPUs each, and the cluster has {gpus}: lower --replicas or "
            "--gpus-each, or give the --ray-address of a larger one"
        )
    config = vLLMEngineProcessorConfig(
        model_source=model, engine_kwargs={"tensor_parallel_size": gpus_each}, concurrency=replicas, batch_size=BATCH,
        should_continue_on_error=True, log_engine_metrics=False,  # the metrics would need Ray Serve
    )  # fmt: skip
    process = build_processor(config, preprocess=to_engine, postprocess=from_engine)
    return append_results(process(from_items(rows)).iter_rows(), results)


def answered_keys(results: Path) -> set[str]:
    """The custom_ids that a results file holds; a last line that a kill left incomplete is removed from it."""
    repair(results)
    return {key for _, key, _ in read_lines(results)} if results.exists() else set()


def open_samples(requests: Path, answered: Collection[str]) -> Iterator[dict[str, Any]]:
    """A row for each sample that is still to be made: n for a request, with consecutive seeds."""
    for key, body in read_requests(requests):
        n = body.get("n", 1)
        for i in range(n if key not in answered else 0):
            yield {"id": key, "sample": i, "samples": n, "body": orjson.dumps(body).decode()}


def to_engine(row: Mapping[str, Any]) -> dict[str, Any]:
    """A sample as vLLM takes it. Every row has every key, because a column of parameters must have one type."""
    body = orjson.loads(row["body"])
    parameters = {
        "temperature": float(body.get("temperature", 1.0)),
        "top_p": float(body.get("top_p", 1.0)),
        "frequency_penalty": float(body.get("frequency_penalty", 0.0)),
        "max_tokens": int(body.get("max_tokens") or body["max_completion_tokens"]),
        "seed": (int(body.get("seed", 0)) + row["sample"]) % 2**31,
        "stop": list(body.get("stop", [])),
    }
    return {"messages": body["messages"], "sampling_params": parameters, "limit": parameters["max_tokens"], **row}


def from_engine(row: Mapping[str, Any]) -> dict[str, Any]:
    """A sample with its text; truncated when it used all the tokens that it may have."""
    tokens = int(row["num_generated_tokens"])
    return {
        "id": row["id"], "sample": row["sample"], "samples": row["samples"], "text": row["generated_text"],
        "prompt_tokens": int(row["num_input_tokens"]), "completion_tokens": tokens, "truncated": tokens >= row["limit"],
    }  # fmt: skip


def append_results(rows: Iterable[Mapping[str, Any]], results: Path) -> tuple[int, int]:
    """Appends a result for each request as soon as all its samples are there. Returns (answered, failed)."""
    incomplete: dict[str, list[Mapping[str, Any]]] = {}
    failed: set[str] = set()
    answered = 0
    with Journal(results) as journal:
        for row in rows:
            key = str(row["id"])
            if row.get("__inference_error__"):
                failed.add(key)
                continue
            incomplete.setdefault(key, []).append(row)
            if len(incomplete[key]) == row["samples"]:
                journal.append(result_line(key, _joined(incomplete.pop(key))))
                answered += 1
    return answered, len(failed)


def _joined(samples: list[Mapping[str, Any]]) -> Reply:
    """The reply that the samples of one request make."""
    samples = sorted(samples, key=lambda row: int(row["sample"]))
    completion_tokens = sum(int(row["completion_tokens"]) for row in samples)
    usage = Usage(prompt_tokens=int(samples[0]["prompt_tokens"]), completion_tokens=completion_tokens)
    truncated = tuple(i for i, row in enumerate(samples) if row["truncated"])
    return Reply(texts=tuple(row["text"] for row in samples), usage=usage, truncated=truncated)
