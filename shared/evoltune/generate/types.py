"""What the backends share: the samples to make, the settings that decide a text, the model, and the errors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evoltune.errors import EvoltuneError
from evoltune.record import digest


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
        """Hash that names these settings in files.

        Leaves out `n`, so that samples can be added later, and `model`: the fingerprint identifies the model
        wherever it lies.
        """
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


Batches = Sequence[Sequence[SampleRequest]]
Save = Callable[[SampleRequest, Mapping[str, Any]], None]
"""Called once for each finished sample, with its text, tokens, stop (eos, stop, length) and prompt_tokens."""
Engine = Callable[[Batches, GenerationSettings, ModelSource, Save], dict[str, Any]]
"""A backend: generates the batches and returns the template proof."""
