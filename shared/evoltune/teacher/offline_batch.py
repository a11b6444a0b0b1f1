"""Batch files answered on one's own GPUs: vLLM engines on a Ray cluster (`ray.data.llm`), no server and no rate limits.

    evoltune batch export RECIPE runs/b requests.jsonl
    evoltune batch run RECIPE requests.jsonl results.jsonl --ray-address auto
    evoltune batch import RECIPE runs/b results.jsonl

Invariant: a result is appended to its file as soon as all its samples are there, and a request with a result is never
run again: a killed run goes on.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from evoltune.cluster.engine import EngineError
from evoltune.errors import DataError, MissingExtraError

BATCH = 64
"""Rows that an engine takes at a time; a lost engine costs as many."""


def run_batch(
    model: str, requests: Path, results: Path, *, replicas: int = 1, gpus_each: int = 1
) -> tuple[int, int]:
    """Answers what `requests` asks and `results` does not hold yet. Returns (answered, failed); what failed has no line and
    is asked again by the next run. Needs a connection to Ray (`evoltune.cluster.engine.using`).

    Raises MissingExtraError without Ray or vLLM, EngineError without the GPUs, DataError for files that are no batch files.
    """
    for module, extra in (("ray", "ray"), ("vllm", "vllm")):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, extra, "evoltune batch run")
    import ray
    from ray.data import from_items
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    rows = list(samples(requests, finished(results)))
    if not rows:
        return 0, 0
    if (have := int(ray.cluster_resources().get("GPU", 0))) < replicas * gpus_each:
        raise EngineError(
            f"batch run: {replicas} engines of {gpus_each} GPUs each, and the cluster has {have}: lower --replicas or "
            "--gpus-each, or give the --ray-address of a larger one"
        )
    config = vLLMEngineProcessorConfig(
        model_source=model,
        engine_kwargs={"tensor_parallel_size": gpus_each},
        concurrency=replicas,
        batch_size=BATCH,
        should_continue_on_error=True,
        log_engine_metrics=False,  # they would need Ray Serve
    )
    answered = build_processor(config, preprocess=to_engine, postprocess=from_engine)(from_items(rows))
    return collect(answered.iter_rows(), results)


def finished(results: Path) -> set[str]:
    """The ids that a results file holds; a line that a kill cut short is taken off it."""
    if not results.exists():
        return set()
    body = results.read_bytes()
    whole = body.rfind(b"\n") + 1
    if whole < len(body):
        with results.open("r+b") as file:
            file.truncate(whole)
    return {
        _id(line, f"{results}:{n}") for n, line in enumerate(body[:whole].splitlines(), 1) if line.strip()
    }


def samples(requests: Path, known: set[str]) -> Iterator[dict[str, Any]]:
    """A row for each sample that is still to be made: n of a request, with seeds in a row."""
    try:
        lines = requests.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"{requests}: cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{requests}:{number}"
        key = _id(line, where)
        body = orjson.loads(line).get("body")
        if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
            raise DataError(f"{where}: not a batch request: body.messages must be a list")
        for i in range(body.get("n", 1) if key not in known else 0):
            yield {"id": key, "sample": i, "samples": body.get("n", 1), "body": orjson.dumps(body).decode()}


def to_engine(row: Mapping[str, Any]) -> dict[str, Any]:
    """A sample as vLLM takes it. Every row has every key: a column of parameters has one type."""
    body = orjson.loads(row["body"])
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    parameters = {
        "temperature": float(body.get("temperature", 1.0)),
        "top_p": float(body.get("top_p", 1.0)),
        "frequency_penalty": float(body.get("frequency_penalty", 0.0)),
        "max_tokens": int(body["max_tokens"]),
        "seed": (int(body.get("seed", 0)) + row["sample"]) % 2**31,
        "stop": list(body.get("stop", [])),
    }
    if schema is not None:
        parameters["structured_outputs"] = {"json": orjson.dumps(schema).decode()}
    return {
        "messages": body["messages"],
        "sampling_params": parameters,
        "limit": parameters["max_tokens"],
        **row,
    }


def from_engine(row: Mapping[str, Any]) -> dict[str, Any]:
    """A sample with its text; cut, where it has all the tokens that it may have."""
    made = int(row["num_generated_tokens"])
    return {
        "id": row["id"], "sample": row["sample"], "samples": row["samples"], "text": row["generated_text"],
        "prompt_tokens": int(row["num_input_tokens"]), "completion_tokens": made, "cut": made >= row["limit"],
    }  # fmt: skip


def collect(rows: Iterable[Mapping[str, Any]], results: Path) -> tuple[int, int]:
    """Appends a result for each request whose samples are all there, as they come. Returns (answered, failed)."""
    waiting: dict[str, list[Mapping[str, Any]]] = {}
    failed: set[str] = set()
    answered = 0
    with results.open("ab") as out:
        for row in rows:
            key = str(row["id"])
            if row.get("__inference_error__"):
                failed.add(key)
                continue
            waiting.setdefault(key, []).append(row)
            if len(waiting[key]) == row["samples"]:
                out.write(orjson.dumps(result(key, waiting.pop(key)), option=orjson.OPT_APPEND_NEWLINE))
                out.flush()
                answered += 1
    return answered, len(failed)


def result(key: str, made: list[Mapping[str, Any]]) -> dict[str, Any]:
    """A line of a results file, in the format that `evoltune batch import` reads."""
    made = sorted(made, key=lambda row: int(row["sample"]))
    choices = [
        {
            "index": i,
            "message": {"role": "assistant", "content": row["text"]},
            "finish_reason": "length" if row["cut"] else "stop",
        }
        for i, row in enumerate(made)
    ]
    usage = {
        "prompt_tokens": int(made[0]["prompt_tokens"]),
        "completion_tokens": sum(int(row["completion_tokens"]) for row in made),
    }
    body = {"choices": choices, "usage": usage}
    return {"custom_id": key, "response": {"status_code": 200, "body": body}, "error": None}


def _id(line: bytes, where: str) -> str:
    try:
        raw = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error}") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("custom_id"), str):
        raise DataError(f"{where}: not a line of a batch file: has no custom_id")
    return str(raw["custom_id"])
