"""Generator processes on the nodes of a Ray cluster, with the interface of `GeneratorProcess`.

One runs for each GPU of the cluster, or for each core where it has none. Every node must see the weights at the same path.
Invariant: the texts of a batch do not depend on the node that generates it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evoltune.cluster.ray_engine import import_ray
from evoltune.cluster.worker_pool import EngineError
from evoltune.errors import EvoltuneError
from evoltune.generate.generator_process import GeneratorProcess
from evoltune.generate.types import GeneratorLost

START_S = 900.0
"""How long a generator may wait for room on the cluster and load its weights."""


class GeneratorActor:
    """The Ray actor: one generator process on its node."""

    def __init__(self, module: str, job: Mapping[str, Any]) -> None:
        self.process = GeneratorProcess(module, job)

    def proof(self) -> dict[str, Any]:
        return self.process.proof

    def ask(self, message: Any) -> Any:
        return self.process.ask(message)


class RayGenerator:
    """A generator on the node that Ray chooses.

    Raises GenerationError as the process does, GeneratorLost when its node died, EngineError when no node has room.
    """

    def __init__(self, module: str, job: Mapping[str, Any]) -> None:
        self._ray = import_ray()
        gpus = 1 if self._ray.cluster_resources().get("GPU") else 0
        options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        actor = self._ray.remote(**options)(GeneratorActor)
        self._actor = actor.remote(module, {**job, "rank": 0, "threads": 1})
        self.proof: dict[str, Any] = self._result(self._actor.proof.remote(), START_S)

    def ask(self, message: Any) -> Any:
        """Sends one message and waits for the answer."""
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

    def __enter__(self) -> RayGenerator:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def generator_slots() -> int:
    """How many generators the cluster holds: its GPUs, or its cores."""
    resources = import_ray().cluster_resources()
    found = int(resources.get("GPU", 0)) or int(resources.get("CPU", 0))
    if not found:
        raise EngineError("ray: the cluster has neither a GPU nor a core to give: see `ray status`")
    return found
