"""Where a model's files are: a local folder, the Hugging Face hub, or an installed Python package. Imports no torch.

locate_model("HuggingFaceTB/SmolLM2-135M-Instruct")     # a folder, or a hub id that `from_pretrained` downloads
download_model(ModelRef("Qwen/Qwen2.5-7B", "main"))   # always a folder
"""

from dataclasses import dataclass
from pathlib import Path

from evoltune.errors import TrainingError
from evoltune.models.packaged import converted, packaged_weights
from evoltune.rows import hub

DOWNLOADED_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py"]
"""Patterns of what is downloaded: no second copy of the weights in another format."""


@dataclass(frozen=True)
class ModelRef:
    """A model as a user names it: a folder or a hub id, and the hub's branch, tag or commit (ignored for a folder)."""

    name: str
    revision: str = "main"


def locate_model(name: str) -> Path | str:
    """Returns a folder that `from_pretrained` can load, or the hub id if only the hub has the model.

    Searched in this order: an existing folder, the hub's local cache, weights in an installed package (converted on the
    first call, which takes about 20 s), the hub.

    Raises:
        TrainingError: The name can only be a path and nothing is there, or the hub cannot be reached.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if hub.has_local_model(name):
        return name
    if gguf := packaged_weights(name):
        return converted(gguf)
    if _is_path(name):
        raise TrainingError(
            f"model {name!r}: no such folder: give the folder of a checkpoint or a model, or a hub id (OWNER/NAME)"
        )
    if reason := hub.unreachable():
        raise TrainingError(
            f"model {name!r}: neither a folder nor in the hub's local copy, and the hub cannot be asked ({reason}): "
            "check the name, or the network"
        )
    return name


def download_model(model: ModelRef) -> Path:
    """Returns a folder with the model's files; called before the ranks start, so that they do not download it each.

    Processes that share the hub's cache, on one machine or many, download each file once: the hub's client locks it.
    A gated model needs a login or HF_TOKEN, which is never stored.

    Raises:
        TrainingError: The hub refuses, or has no such model.
    """
    found = locate_model(model.name)
    if isinstance(found, Path):
        return found
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(found, revision=model.revision, allow_patterns=DOWNLOADED_FILES))
    except (HfHubHTTPError, OSError) as error:
        raise TrainingError(
            f"model {model.name!r} cannot be downloaded from the hub: {str(error).splitlines()[0][:300]}: check name and "
            "revision; for a gated model accept its terms and log in (`hf auth login`) or set HF_TOKEN"
        ) from error


def _is_path(name: str) -> bool:
    """Whether no hub id looks like this: absolute, relative, deeper than OWNER/NAME, a weights file, or in a local folder."""
    outside = name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") > 1
    weights = name.endswith((".gguf", ".safetensors", ".bin", ".pt", ".json"))
    return outside or weights or ("/" in name and Path(name).parent.is_dir()) or Path(name).exists()
