"""Backends that load the model: Transformers and vLLM, in processes on this machine or on a Ray cluster.

    with closing(GeneratorProcess("evoltune.generate.transformers_worker", job)) as generator:
        completions = generator.ask([{"prompt": "2 + 2 = ?", "history": [], "seed": 1}])

Every generator takes the next batch when it is free. A batch whose generator is lost with its node goes to another one.
On a cluster one generator runs for each GPU, or for each core where there is none, and every node must see the weights
at the same path. Invariant: the texts of a batch do not depend on the process or node that generates it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import IO, Any

from evoltune.cluster import engine
from evoltune.cluster.gpus import gpu_count
from evoltune.cluster.ray_engine import import_ray
from evoltune.errors import EngineError, EvoltuneError, RecipeError, require
from evoltune.generate.job import Batches, GenerationError, GenerationSettings, GeneratorLost, ModelSource, Save
from evoltune.interrupts import TURN_S
from evoltune.orphans import module_with_parent, tethered
from evoltune.sandbox.pool import default_workers

VLLM = "evoltune.generate.vllm_worker"
"""It starts processes of its own."""
ATTEMPTS = 4
"""How often a lost generator is started again."""
START_S = 900.0
"""How long a generator may wait for room on the cluster and load its weights."""


class GeneratorProcess:
    """A module that calls `worker_protocol.serve`: started with a job, then asked batch by batch.

    The process ends with `close`, and when this process dies, which closes its standard input.
    """

    def __init__(self, module: str, job: Mapping[str, Any]) -> None:
        self._job, self._module = job, module
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._process = subprocess.Popen(
            tethered([sys.executable, "-m", module]) if module == VLLM else module_with_parent(module),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, encoding="utf-8",
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},  # spinning threads starve each other on a busy machine
        )  # fmt: skip
        try:
            self._proof: dict[str, Any] = self.ask(job)
        except BaseException:
            self.close()
            raise

    def proof(self) -> dict[str, Any]:
        return self._proof

    def take(self, job: Mapping[str, Any]) -> None:
        """Gives it another job for the model that it has loaded; after `unload`, for any model."""
        if job != self._job:
            self._job, self._proof = job, self.ask(job)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def unload(self) -> bool:
        """Has the process drop its model; False where only its end gives the memory back. Then `take` loads another one."""
        self._job = {}
        return bool(self.ask(None))

    def ask(self, message: Any) -> Any:
        """Sends one line and reads one. Raises GenerationError with the last line of the process's standard error."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin and stdout
        try:
            stdin.write(json.dumps(message) + "\n")
            stdin.flush()
            line = stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise GenerationError(self._exit_report())
        return json.loads(line)

    def _exit_report(self) -> str:
        code = self._process.wait(timeout=30)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else "no error message"
        memory = " (killed: out of memory? lower eval.batch_size)" if code in (-9, 128 + 9) else ""
        return f"the generator ended with code {code}{memory}: {last}; run the same command again to resume"

    def kill(self) -> None:
        """Ends the process; vLLM's by the signal on which those that it started end too, or they would hold their memory."""
        self._process.terminate() if self._module == VLLM else self._process.kill()

    def close(self) -> None:
        self.kill()
        self._process.communicate()
        self._errors.close()


class RayGenerator:
    """A generator process on the node that Ray chooses.

    Raises GenerationError as the process does, GeneratorLost when its node died, EngineError when no node has room.
    """

    def __init__(self, module: str, job: Mapping[str, Any]) -> None:
        self._ray = import_ray()
        gpus = job["gpus_each"] if self._ray.cluster_resources().get("GPU") else 0
        options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        actor = self._ray.remote(**options)(GeneratorProcess)
        self._actor = actor.remote(module, {**job, "rank": 0, "threads": 1})
        self._proof: dict[str, Any] = self._result(self._actor.proof.remote(), START_S)

    def proof(self) -> dict[str, Any]:
        return self._proof

    def ask(self, message: Any) -> Any:
        return self._result(self._actor.ask.remote(message))

    def _result(self, reference: Any, timeout_s: float | None = None) -> Any:
        try:
            return self._ray.get(reference, timeout=timeout_s)
        except self._ray.exceptions.GetTimeoutError as error:
            raise EngineError(
                f"ray: no node took a generator in {START_S:g} s: see `ray status`; the cluster may be full"
            ) from error
        except self._ray.exceptions.RayActorError as error:
            cause = error.__cause__ or getattr(error, "cause", None)
            if isinstance(cause, EvoltuneError):
                raise cause from None
            raise GeneratorLost(f"ray: a generator's node died ({str(error).splitlines()[0][:200]})") from error
        except self._ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, EvoltuneError) else error) from None

    def kill(self) -> None:
        self._ray.kill(self._actor)

    close = kill


Generator = GeneratorProcess | RayGenerator
_idle: dict[str, list[GeneratorProcess]] | None = None
"""Inside `models_kept`: processes without a job, by what they have loaded."""
_empty: list[GeneratorProcess] | None = None
"""Inside `processes_kept`: processes that have dropped their model."""
_SETTINGS = ("template", "system", "temperature", "top_p", "repetition_penalty", "max_new_tokens", "stops")


@contextmanager
def processes_kept() -> Iterator[Callable[[], None]]:
    """Inside the block a process outlives its model, and the next one is loaded in it: importing torch and Transformers takes
    five CPU seconds a process. Yields what ends those that are idle."""
    global _empty
    outer, _empty = _empty, []

    def end_idle() -> None:
        while _empty:
            _empty.pop().close()

    try:
        yield end_idle
    finally:
        end_idle()
        _empty = outer


@contextmanager
def models_kept() -> Iterator[None]:
    """Inside the block the processes of this machine keep their model: suites that follow load it once."""
    global _idle
    outer, _idle = _idle, {}
    try:
        yield
    finally:
        for generator in chain.from_iterable(_idle.values()):
            _without_model(generator)
        _idle = outer


def _without_model(generator: GeneratorProcess) -> None:
    """Keeps the process for another model, or ends it. An idle one holds no weights: other programs may need the memory."""
    with suppress(GenerationError):
        if _empty is not None and generator.unload():
            _empty.append(generator)
            return
    generator.close()


def _opened(open_generator: type[Generator], module: str, job: Mapping[str, Any]) -> Generator:
    """A generator with the model of the job: in a process that has dropped another one, else in a new one."""
    empty = _empty_one() if open_generator is GeneratorProcess else None
    if empty is None:
        return open_generator(module, job)
    try:
        empty.take(job)
    except BaseException:
        empty.close()
        raise
    return empty


def _empty_one() -> GeneratorProcess | None:
    """A process that has dropped its model and is still there: an idle one may have been killed for its memory."""
    while _empty:
        with suppress(IndexError):  # another thread was faster
            if (found := _empty.pop()).is_alive:
                return found
            found.close()
    return None


@contextmanager
def _with_model(open_generator: type[Generator], module: str, job: Mapping[str, Any]) -> Iterator[Generator]:
    """A generator for the job: an idle one with this model, else a new one. It is kept for the next job or closed."""
    loaded = json.dumps([module, {k: v for k, v in job.items() if k not in (*_SETTINGS, "probe")}], sort_keys=True)
    idle = _idle.setdefault(loaded, []) if _idle is not None and open_generator is GeneratorProcess else None
    try:
        generator: Generator = idle.pop() if idle else _opened(open_generator, module, job)
    except IndexError:  # another thread was faster
        generator = _opened(open_generator, module, job)
    try:
        if isinstance(generator, GeneratorProcess):
            generator.take(job)
        yield generator
    except BaseException:
        generator.close()
        raise
    if idle is not None and isinstance(generator, GeneratorProcess):
        idle.append(generator)
    elif isinstance(generator, GeneratorProcess):
        _without_model(generator)
    else:
        generator.close()


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
            open_generator, local = RayGenerator, generator_slots(self.model.gpus_each)
        count, threads = min(len(self.waiting), local), max(1, default_workers() // local)
        with ThreadPoolExecutor(count) as pool:
            futures = {pool.submit(self._work, open_generator, rank, threads) for rank in range(count)}
            try:
                while futures:
                    done, futures = wait(futures, timeout=TURN_S, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
            except BaseException:
                self.waiting.clear()
                for generator in self.started:
                    generator.kill()  # an interrupt need not wait for the batches that are being generated
                raise
        return self.started[0].proof()

    def _work(self, open_generator: type[Generator], rank: int, threads: int) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._serve(open_generator, rank, threads)
            except GeneratorLost:
                if attempt == ATTEMPTS:
                    raise

    def _serve(self, open_generator: type[Generator], rank: int, threads: int) -> None:
        with _with_model(open_generator, self.module, self._job(rank, threads)) as generator:
            self.started.append(generator)
            while True:
                with self.lock:
                    if not self.waiting:
                        return
                    batch = self.waiting.popleft()
                try:
                    completions = generator.ask([r.message(self.settings) for r in batch])
                except GeneratorLost:
                    self.waiting.appendleft(batch)
                    raise
                with self.lock:
                    for request, completion in zip(batch, completions, strict=True):
                        self.save(request, completion)

    def _job(self, rank: int, threads: int) -> dict[str, Any]:
        """What a generator process reads first."""
        where = {k: v for k, v in asdict(self.model).items() if k != "fingerprint"}
        settings = {name: getattr(self.settings, name) for name in _SETTINGS}
        return {**where, **settings, "probe": self.probe, "rank": rank, "threads": threads}


def generator_slots(gpus_each: int) -> int:
    """How many generators the cluster holds: by its GPUs, or its cores. The GPUs of one must be of one node."""
    ray = import_ray()
    resources = ray.cluster_resources()
    if resources.get("GPU"):
        nodes = [int(node["Resources"].get("GPU", 0)) for node in ray.nodes() if node["Alive"]]
        return copies(gpus_each, sum(gpus // gpus_each for gpus in nodes), max(nodes, default=0))
    found = int(resources.get("CPU", 0))
    if not found:
        raise EngineError("ray: the cluster has neither a GPU nor a core to give: see `ray status`")
    return found


def copies(gpus_each: int, count: int, gpus: int) -> int:
    """How many copies of a model the GPUs hold. Raises RecipeError where they hold none."""
    if not count:
        raise RecipeError(
            f"eval.gpus_each: {gpus_each}: a machine has {gpus} GPUs here: lower it, or use a larger machine"
        )
    return count


def transformers_engine(todo: Batches, settings: GenerationSettings, model: ModelSource, save: Save) -> dict[str, Any]:
    """One process per GPU; on a CPU one per core, as far as the memory allows."""
    require("generation with Transformers", "train", "torch", "transformers")
    worker = "evoltune.generate.transformers_worker"
    return _Dispatcher(todo, settings, model, save, worker).run(process_count(model))


def vllm_engine(todo: Batches, settings: GenerationSettings, model: ModelSource, save: Save) -> dict[str, Any]:
    """One process: vLLM makes batches of its own, of all that it is given at once."""
    if importlib.util.find_spec("vllm") is None:
        raise RecipeError("eval.engine: 'vllm' is not installed: pip install vllm, or use transformers or http")
    if gpus := gpu_count():
        copies(model.gpus_each, gpus // model.gpus_each, gpus)
    return _Dispatcher(todo, settings, model, save, VLLM).run(1)


def process_count(model: ModelSource) -> int:
    """Generator processes: one per GPU, or per `gpus_each` of them; on a CPU one per core, as far as three quarters of the free
    memory allow. Raises RecipeError where there are fewer GPUs than one copy takes."""
    if gpus := gpu_count():
        return copies(model.gpus_each, gpus // model.gpus_each, gpus)
    size = sum(file.stat().st_size for file in Path(model.model).glob("*.safetensors"))
    each = 1.5 * size + 1.2e9  # weights, their loading, torch, and the cache of one batch
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        free = int(8e9)
    return max(1, min(default_workers(), int(0.75 * free / each)))
