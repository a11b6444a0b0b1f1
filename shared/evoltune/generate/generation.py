"""Generation for evaluation: which samples are wanted, which are there, and the processes that make the rest. No torch.

    generate(wanted, settings, model, path, batch_size=64)

Invariant: a sample is named by (problem, sample, settings); one that is in the file is never made again, and batches are
cut from the whole list, not from what is missing, so a resumed file holds the very texts of an uninterrupted one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from evoltune.cluster import engine
from evoltune.errors import EvoltuneError, MissingExtraError, RecipeError
from evoltune.recipe import Eval
from evoltune.record import digest
from evoltune.rows.journal import Journal, rows


class GenerationError(EvoltuneError):
    """The generator died or cannot load the model; what was generated is kept."""

    exit_code = 1


class Lost(GenerationError):
    """A generator on another machine went with that machine; its batch is done again elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that a text depends on besides its problem; `key` names it in files."""

    model: str
    weights: str
    """Fingerprint of the model's files."""
    template: str
    """`chat`, a plain template of evoltune.models.template, or `raw`: the profile's own text."""
    system: str = ""
    prompt: str | None = None
    """The profile's format string for `raw`."""
    n: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    max_new_tokens: int = 512
    stops: tuple[str, ...] = ()
    seed: int = 0
    engine: str = "transformers"

    @property
    def key(self) -> str:
        """Hash of what decides a sample: not the number of samples, so that more can be added later, nor the path."""
        return digest({k: v for k, v in asdict(self).items() if k not in ("n", "model")})


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One sample to make."""

    suite: str
    problem: str
    sample: int
    prompt: str
    history: tuple[tuple[str, str], ...] = ()
    """Earlier turns: (role, content)."""

    def seed(self, settings: Settings) -> int:
        return int(digest([settings.seed, self.suite, self.problem, self.sample]), 16) % 2**63


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Where a model is: its folder or hub id, an adapter over it, the tokenizer."""

    model: str
    adapter: str = ""
    tokenizer: str = ""
    checkpoint: str = ""
    """A folder that holds the template proof of a training run, to be checked again before anything is generated."""
    fingerprint: str = ""
    endpoint: str = ""
    """URL of an OpenAI-compatible server that serves `model`; then nothing is loaded here."""
    api_key_env: str = ""
    concurrency: int = 16


def find_weights(model: str, chosen: Eval | None = None) -> Weights:
    """A checkpoint folder (merged or adapter), a local model, a hub id or a packaged model, with its fingerprint;
    with `eval.engine: http` the server's name for a model."""
    if chosen and chosen.engine == "http":
        return Weights(
            model=model, endpoint=chosen.endpoint or "", api_key_env=chosen.api_key_env or "",
            concurrency=chosen.batch_size or 16, fingerprint=digest(["server", model]),
        )  # fmt: skip
    from evoltune.models.base import resolve_base
    from evoltune.models.proof import read_template

    folder = Path(model).expanduser()
    adapter = folder / "adapter_config.json"
    checkpoint = str(folder) if read_template(folder) else ""
    if not adapter.is_file():
        base = str(resolve_base(model))
        mark = fingerprint(Path(base)) or digest(base)
        return Weights(model=base, tokenizer=base, checkpoint=checkpoint, fingerprint=mark)
    named = str(json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"])
    base = str(resolve_base(named))
    tokenizer = str(folder) if (folder / "tokenizer_config.json").is_file() else base
    mark = digest([fingerprint(folder), fingerprint(Path(base)) or base])
    return Weights(
        model=base, adapter=str(folder), tokenizer=tokenizer, checkpoint=checkpoint, fingerprint=mark
    )


def fingerprint(folder: Path) -> str:
    """16 hex digits over a model folder: names, sizes, and the first and last MiB of each weight and JSON file."""
    if not folder.is_dir():
        return ""
    found: list[Any] = []
    for file in sorted(folder.glob("*")):
        if (
            file.suffix not in (".safetensors", ".json", ".bin", ".model", ".jinja")
            or file.name in _NOT_WEIGHTS
        ):
            continue
        size = file.stat().st_size
        with file.open("rb") as opened:
            head = opened.read(2**20)
            opened.seek(max(0, size - 2**20))
            found.append([file.name, size, digest([head.hex(), opened.read(2**20).hex()])])
    return digest(found)


_NOT_WEIGHTS = frozenset({"manifest.json", "trainer_state.json"})


CACHE_BYTES = 4e9
ATTEMPTS = 4
"""How often a lost generator is started again."""
SMALL = 8
Keep = Callable[[Wanted, Mapping[str, Any]], None]
Engine = Callable[[Sequence[list[Wanted]], Settings, Weights, Keep, Callable[[int], None]], dict[str, Any]]
"""(batches, settings, weights, keep, advance) -> template proof"""


def present(path: Path, key: str) -> dict[tuple[str, int], dict[str, Any]]:
    """The samples of a generations file that were made under these settings, by (problem, sample)."""
    return {(row["problem"], row["sample"]): row for row in rows(path) if row.get("settings") == key}


def generate(
    wanted: Sequence[Wanted], settings: Settings, weights: Weights, out: Path, *, batch_size: int = 0
) -> dict[str, Any]:
    """Adds what is missing to `out`; returns the template proof, empty when nothing was missing.

    Raises GenerationError (exit code 1) when the generator dies; what it had answered is kept.
    """
    with Journal(out) as journal:
        done = set(present(out, settings.key))

        def keep(sample: Wanted, made: Mapping[str, Any]) -> None:
            if (sample.problem, sample.sample) not in done:
                place = {"suite": sample.suite, "problem": sample.problem, "sample": sample.sample}
                journal.append({**place, "settings": settings.key, "prompt": sample.prompt, **made})

        size = batch_size or batch_that_fits(weights, wanted, settings)
        todo = [b for b in batches(wanted, size) if any((w.problem, w.sample) not in done for w in b)]
        if not todo:
            return {}
        label = f"generating {wanted[0].suite} with {settings.model}"
        with progress(label, sum(map(len, todo))) as advance:
            return ENGINES[settings.engine](todo, settings, weights, keep, advance)


def batches(wanted: Sequence[Wanted], size: int) -> list[list[Wanted]]:
    """The whole list by falling length in equal batches of at most `size`: little padding, the slowest first.

    A short list is spread over the machine's processors, at least SMALL prompts to each.
    """
    ordered = sorted(wanted, key=lambda w: (-len(w.prompt), w.problem, w.sample))
    count = max(-(-len(ordered) // size), min(gpus() or cores(), len(ordered) // SMALL))
    cuts = [len(ordered) * i // count for i in range(count + 1)]
    return [ordered[a:b] for a, b in pairwise(cuts)]


def batch_that_fits(weights: Weights, wanted: Sequence[Wanted], settings: Settings) -> int:
    """Prompts whose key-value caches (2 bytes a number) fit CACHE_BYTES; from the model's shape alone, so that a batch
    is the same on every run. Larger is faster up to about 128: 64 rows 460, 120 rows 530 tokens per CPU second."""
    try:
        shape = json.loads((Path(weights.model) / "config.json").read_text(encoding="utf-8"))
        heads = int(shape["num_attention_heads"])
        width = int(shape.get("head_dim") or shape["hidden_size"] // heads)
        token = 4 * int(shape["num_hidden_layers"]) * int(shape.get("num_key_value_heads") or heads) * width
    except (OSError, ValueError, KeyError, TypeError):
        token = 500_000  # a 7B model without grouped heads
    length = max(len(w.prompt) for w in wanted) // 3 + settings.max_new_tokens
    return max(1, min(128, int(CACHE_BYTES / (token * length))))


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, else one line at the end; the block calls what it is given with the number done."""
    started = time.monotonic()
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task(label, total=total)
            yield lambda count: bar.update(task, advance=count)
    else:
        yield lambda count: None
    print(f"  {label}: {total} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


# ---- engine: Transformers, in processes of their own


def transformers_engine(
    todo: Sequence[list[Wanted]],
    settings: Settings,
    weights: Weights,
    keep: Keep,
    advance: Callable[[int], None],
) -> dict[str, Any]:
    """One process per GPU, or per core: each takes the next batch when it is free. Returns the template proof."""
    for module in ("torch", "transformers"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, "train", "generation with Transformers")
    return _in_processes(
        todo, settings, weights, keep, advance, "evoltune.generate.transformers_worker", processes(weights)
    )


def vllm_engine(
    todo: Sequence[list[Wanted]],
    settings: Settings,
    weights: Weights,
    keep: Keep,
    advance: Callable[[int], None],
) -> dict[str, Any]:
    """One process with vLLM, which batches for itself: each line is a large batch of ours."""
    if importlib.util.find_spec("vllm") is None:
        raise RecipeError(
            "eval.engine: 'vllm' is not installed: pip install vllm, or use transformers or http"
        )
    return _in_processes(todo, settings, weights, keep, advance, "evoltune.generate.vllm_worker", 1)


def _in_processes(
    todo: Sequence[list[Wanted]], settings: Settings, weights: Weights, keep: Keep, advance: Callable[[int], None],
    module: str, most: int,
) -> dict[str, Any]:  # fmt: skip
    """Batches to `most` processes of `module`, each taking the next when it is free; on Ray to as many as it has room for."""
    open_worker: Any = Worker
    if engine.current() == "ray":
        from evoltune.generate.on_ray import FarWorker, places

        open_worker, most = FarWorker, places()
    waiting, count = deque(todo), min(len(todo), most)
    lock, proofs, started = threading.Lock(), list[dict[str, Any]](), list[Any]()

    def take() -> list[Wanted] | None:
        with lock:
            return waiting.popleft() if waiting else None

    def work(rank: int) -> None:
        for attempt in range(ATTEMPTS):
            try:
                return serve(rank)
            except Lost:
                if attempt == ATTEMPTS - 1:
                    raise

    def serve(rank: int) -> None:
        with open_worker(module, _job(settings, weights, todo[0][0].prompt, rank, cores() // most)) as worker:
            proofs.append(worker.proof)
            started.append(worker)
            while batch := take():
                try:
                    made = worker.ask([asked(w, settings) for w in batch])
                except Lost:
                    waiting.appendleft(batch)
                    raise
                with lock:
                    for sample, text in zip(batch, made, strict=True):
                        keep(sample, text)
                    advance(len(batch))

    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(work, rank) for rank in range(count)]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            waiting.clear()
            for worker in started:
                worker.kill()  # an interrupt need not wait for the batches in flight
            raise
    return proofs[0]


def asked(sample: Wanted, settings: Settings) -> dict[str, Any]:
    """A sample as the worker reads it."""
    return {"prompt": sample.prompt, "history": sample.history, "seed": sample.seed(settings)}


def _job(settings: Settings, weights: Weights, probe: str, rank: int, threads: int) -> dict[str, Any]:
    chosen = asdict(settings)
    names = ("template", "system", "temperature", "top_p", "repetition_penalty", "max_new_tokens", "stops")
    where = {k: v for k, v in asdict(weights).items() if k != "fingerprint"}
    return {
        **where,
        **{k: chosen[k] for k in names},
        "probe": probe,
        "rank": rank,
        "threads": max(1, threads),
    }


class Worker:
    """A generator process (`python -m MODULE`); ends with the block, or when this process dies."""

    def __init__(self, module: str, job: Mapping[str, Any]) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, encoding="utf-8",
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},  # spinning threads starve each other on a busy machine
        )  # fmt: skip
        try:
            self.proof: dict[str, Any] = self.ask(job)
        except BaseException:
            self.close()
            raise

    def ask(self, message: Any) -> Any:
        """Sends one line and waits for one. Raises GenerationError with the last line of the worker's complaint."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin and stdout
        try:
            stdin.write(json.dumps(message) + "\n")
            stdin.flush()
            line = stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise GenerationError(self._complaint())
        return json.loads(line)

    def _complaint(self) -> str:
        code = self._process.wait(timeout=30)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else "it said nothing"
        memory = " (killed: out of memory? lower eval.batch_size)" if code == -9 else ""
        return f"the generator ended with code {code}{memory}: {last}; run the same command again to go on"

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self.kill()
        self._process.communicate()
        self._errors.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> int:
    """GPUs that this process may use, without loading CUDA."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([v for v in visible.split(",") if v.strip() not in ("", "-1")])
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


def processes(weights: Weights) -> int:
    """Generator processes: one per GPU; on a CPU one per core, as far as half of the free memory holds."""
    if gpus():
        return gpus()
    size = sum(file.stat().st_size for file in Path(weights.model).glob("*.safetensors"))
    each = 1.5 * size + 1.2e9  # weights, their loading, torch, and the cache of one batch
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        free = int(8e9)
    return max(1, min(cores(), int(0.75 * free / each)))


def http_engine(
    todo: Sequence[list[Wanted]],
    settings: Settings,
    weights: Weights,
    keep: Keep,
    advance: Callable[[int], None],
) -> dict[str, Any]:
    """A server; see evoltune.generate.http."""
    from evoltune.generate import http as engines

    return engines.http_engine(todo, settings, weights, keep, advance)


ENGINES: dict[str, Engine] = {"transformers": transformers_engine, "vllm": vllm_engine, "http": http_engine}
