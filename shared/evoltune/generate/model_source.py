"""Find a model to generate with, and identify it by its files.

source = find_model("runs/mine/checkpoint")       # also a hub id, a local model, an adapter, a packaged model
source.fingerprint                                # the same wherever the files lie
"""

import json
from pathlib import Path
from typing import Any

from evoltune.generate.types import ModelSource
from evoltune.models.locate import locate_model
from evoltune.models.proof import read_template
from evoltune.recipe import Eval
from evoltune.record import digest

_SUFFIXES = (".safetensors", ".json", ".bin", ".model", ".jinja")
_NOT_WEIGHTS = frozenset({"manifest.json", "trainer_state.json"})
_ENDS = 2**20  # bytes hashed at either end of a file: hashing all of a 7B model takes half a minute


def find_model(model: str, chosen: Eval | None = None) -> ModelSource:
    """The files of a checkpoint (merged or adapter), local model, hub id or packaged model.

    With `eval.engine: http`, `model` is the name under which the server knows it.
    """
    if chosen and chosen.engine == "http":
        return ModelSource(
            model=model, endpoint=chosen.endpoint or "", api_key_env=chosen.api_key_env or "",
            concurrency=chosen.batch_size or 16, fingerprint=digest(["server", model]),
        )  # fmt: skip
    folder = Path(model).expanduser()
    adapter = folder / "adapter_config.json"
    checkpoint = str(folder) if read_template(folder) else ""
    if not adapter.is_file():
        base = str(locate_model(model))
        mark = fingerprint(Path(base)) or digest(base)
        return ModelSource(model=base, tokenizer=base, checkpoint=checkpoint, fingerprint=mark)
    named = str(json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"])
    base = str(locate_model(named))
    tokenizer = str(folder) if (folder / "tokenizer_config.json").is_file() else base
    mark = digest([fingerprint(folder), fingerprint(Path(base)) or base])
    return ModelSource(model=base, adapter=str(folder), tokenizer=tokenizer, checkpoint=checkpoint, fingerprint=mark)


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
