"""A generation job: the samples to make, the settings that decide a text, the model, and how a backend is called.

source = find_model("runs/mine/checkpoint")       # also a hub id, a local model, an adapter, a packaged model
source.fingerprint                                # the same wherever the files lie
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evoltune.errors import EvoltuneError
from evoltune.models.locate import ModelRef, download_model, locate_model
from evoltune.models.proof import read_template
from evoltune.recipe import Eval
from evoltune.record import digest
from evoltune.run.paths import MANIFEST, user_path

_SUFFIXES = (".safetensors", ".json", ".bin", ".model", ".jinja")
_NOT_WEIGHTS = frozenset({MANIFEST, "trainer_state.json"})
_ENDS = 2**20  # bytes hashed at either end of a file: hashing all of a 7B model takes half a minute


class GenerationError(EvoltuneError):
    """A generator died or cannot load the model; finished samples are kept."""

    exit_code = 1


class GeneratorLost(GenerationError):
    """A generator was lost with its node; its batch can be generated again elsewhere."""


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """Everything that a text depends on besides its problem."""

    model: str
    weights: str
    """Fingerprint of the model's files."""
    template: str
    """`chat`, a plain template of evoltune.models.template, or `raw`: the prompt is sent as it is."""
    system: str = ""
    prompt: str | None = None
    """The profile's format string, for `raw`."""
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
        """Names the settings in files; without `n`, which may grow, and `model`, as `weights` identifies it."""
        return digest({k: v for k, v in asdict(self).items() if k not in ("n", "model")})


@dataclass(frozen=True, kw_only=True)
class SampleRequest:
    """One sample to generate."""

    suite: str
    problem: str
    sample: int
    prompt: str
    history: tuple[tuple[str, str], ...] = ()
    """Earlier turns: (role, content)."""

    def seed(self, settings: GenerationSettings) -> int:
        """Seed of this sample alone, so that its text does not depend on other samples."""
        return int(digest([settings.seed, self.suite, self.problem, self.sample]), 16) % 2**63

    def message(self, settings: GenerationSettings) -> dict[str, Any]:
        """The request as a generator process reads it."""
        return {"prompt": self.prompt, "history": self.history, "seed": self.seed(settings)}


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """Where a model is: base weights, an adapter over them, the tokenizer; or a server."""

    model: str
    adapter: str = ""
    tokenizer: str = ""
    checkpoint: str = ""
    """Folder with the template proof of a training run; the proof is repeated before anything is generated."""
    fingerprint: str = ""
    endpoint: str = ""
    """URL of an OpenAI-compatible server that serves `model`; nothing is loaded here."""
    api_key_env: str = ""
    concurrency: int = 16
    gpus_each: int = 1
    """GPUs that hold one copy."""


Batches = Sequence[Sequence[SampleRequest]]
Save = Callable[[SampleRequest, Mapping[str, Any]], None]
"""Called once for each finished sample, with its text, tokens, stop (eos, stop, length) and prompt_tokens."""
Engine = Callable[[Batches, GenerationSettings, ModelSource, Save], dict[str, Any]]
"""A backend: generates the batches and returns the template proof."""


def find_model(model: str, chosen: Eval | None = None, revision: str = "main") -> ModelSource:
    """The files of a checkpoint, local model, hub id or packaged model; for `engine: http`, a server's model name.

    `revision`: that of a hub id; an adapter names its base's own.
    """
    if chosen and chosen.engine == "http":
        return ModelSource(
            model=model, endpoint=chosen.endpoint or "", api_key_env=chosen.api_key_env or "",
            concurrency=chosen.batch_size or 16, fingerprint=digest(["server", model]),
        )  # fmt: skip
    folder, gpus_each = user_path(model), chosen.gpus_each if chosen else 1
    adapter = folder / "adapter_config.json"
    template = read_template(folder)
    checkpoint = str(folder) if template else ""
    if not adapter.is_file():
        base = _weights(ModelRef(model, revision))
        mark = fingerprint(Path(base)) or digest(base)
        return ModelSource(model=base, tokenizer=base, checkpoint=checkpoint, fingerprint=mark, gpus_each=gpus_each)
    base = _weights(template.base if template else _base_of(adapter))
    tokenizer = str(folder) if (folder / "tokenizer_config.json").is_file() else base
    mark = digest([fingerprint(folder), fingerprint(Path(base)) or base])
    return ModelSource(
        model=base,
        adapter=str(folder),
        tokenizer=tokenizer,
        checkpoint=checkpoint,
        fingerprint=mark,
        gpus_each=gpus_each,
    )


def _base_of(adapter: Path) -> ModelRef:
    config = json.loads(adapter.read_text(encoding="utf-8"))
    return ModelRef(str(config["base_model_name_or_path"]), config.get("revision") or "main")


def _weights(model: ModelRef) -> str:
    """A folder or a hub id. Generators load by it alone, so another revision than the hub's own choice is downloaded here."""
    found = locate_model(model.name)
    return str(found if isinstance(found, Path) or model.revision == "main" else download_model(model))


def fingerprint(folder: Path) -> str:
    """16 hex digits over names, sizes, and the first and last MiB of each weight and JSON file; "" for no folder."""
    if not folder.is_dir():
        return ""
    found: list[Any] = []
    for file in sorted(folder.glob("*")):
        if file.suffix in _SUFFIXES and file.name not in _NOT_WEIGHTS:
            size = file.stat().st_size
            with file.open("rb") as opened:
                head = opened.read(_ENDS)
                opened.seek(max(0, size - _ENDS))
                found.append([file.name, size, digest([head.hex(), opened.read(_ENDS).hex()])])
    return digest(found)
