"""Backends that load the model: Transformers and vLLM, in processes on this machine or on a Ray cluster.

Every generator takes the next batch when it is free. A batch whose generator is lost with its node goes to another one.
"""

import importlib.util
import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evoltune.cluster import engine
from evoltune.cluster.gpus import gpu_count
from evoltune.errors import MissingExtraError, RecipeError
from evoltune.generate.generator_process import GeneratorProcess
from evoltune.generate.on_ray import RayGenerator, generator_slots
from evoltune.generate.types import Batches, GenerationSettings, GeneratorLost, ModelSource, SampleRequest, Save

ATTEMPTS = 4
"""How often a lost generator is started again."""
Generator = GeneratorProcess | RayGenerator


def transformers_engine(todo: Batches, settings: GenerationSettings, model: ModelSource, save: Save) -> dict[str, Any]:
    """One process per GPU; on a CPU one per core, as far as the memory allows."""
    for module in ("torch", "transformers"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, "train", "generation with Transformers")
    module = "evoltune.generate.transformers_worker"
    return _Dispatcher(todo, settings, model, save, module).run(process_count(model))


def vllm_engine(todo: Batches, settings: GenerationSettings, model: ModelSource, save: Save) -> dict[str, Any]:
    """One process: vLLM makes batches of its own, each message is a large one of ours."""
    if importlib.util.find_spec("vllm") is None:
        raise RecipeError("eval.engine: 'vllm' is not installed: pip install vllm, or use transformers or http")
    return _Dispatcher(todo, settings, model, save, "evoltune.generate.vllm_worker").run(1)


class _Dispatcher:
    """Hands batches to generators of one module, a thread for each."""

    def __init__(
        self, todo: Batches, settings: GenerationSettings, model: ModelSource, save: Save, module: str
    ) -> None:
        self.settings, self.model, self.save, self.module = settings, model, save, module
        self.waiting = deque(todo)
        self.probe = todo[0][0].prompt
        self.lock = threading.Lock()
        self.started: list[Generator] = []

    def run(self, local: int) -> dict[str, Any]:
        """Generates everything; `local` is the number of processes when this machine is used. Returns the proof."""
        open_generator: type[Generator] = GeneratorProcess
        if engine.current() == "ray":
            open_generator, local = RayGenerator, generator_slots()
        count, threads = min(len(self.waiting), local), max(1, cores() // local)
        with ThreadPoolExecutor(count) as pool:
            futures = [pool.submit(self._work, open_generator, rank, threads) for rank in range(count)]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                self.waiting.clear()
                for generator in self.started:
                    generator.kill()  # an interrupt need not wait for the batches that are being generated
                raise
        return self.started[0].proof

    def _work(self, open_generator: type[Generator], rank: int, threads: int) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._serve(open_generator, rank, threads)
            except GeneratorLost:
                if attempt == ATTEMPTS:
                    raise

    def _serve(self, open_generator: type[Generator], rank: int, threads: int) -> None:
        with open_generator(self.module, self._job(rank, threads)) as generator:
            self.started.append(generator)
            while batch := self._next():
                try:
                    completions = generator.ask([r.message(self.settings) for r in batch])
                except GeneratorLost:
                    self.waiting.appendleft(batch)
                    raise
                with self.lock:
                    for request, completion in zip(batch, completions, strict=True):
                        self.save(request, completion)

    def _next(self) -> list[SampleRequest]:
        with self.lock:
            return list(self.waiting.popleft()) if self.waiting else []

    def _job(self, rank: int, threads: int) -> dict[str, Any]:
        """What a generator process reads first."""
        names = ("template", "system", "temperature", "top_p", "repetition_penalty", "max_new_tokens", "stops")
        where = {k: v for k, v in asdict(self.model).items() if k != "fingerprint"}
        settings = {name: getattr(self.settings, name) for name in names}
        return {**where, **settings, "probe": self.probe, "rank": rank, "threads": threads}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def process_count(model: ModelSource) -> int:
    """Generator processes: one per GPU; on a CPU one per core, as far as three quarters of the free memory allow."""
    if count := gpu_count():
        return count
    size = sum(file.stat().st_size for file in Path(model.model).glob("*.safetensors"))
    each = 1.5 * size + 1.2e9  # weights, their loading, torch, and the cache of one batch
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        free = int(8e9)
    return max(1, min(cores(), int(0.75 * free / each)))
