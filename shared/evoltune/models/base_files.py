"""What the files of a base say before it is loaded: weights, tokenizer, chat template. Imports neither torch nor Transformers.

    why_unusable(Path("my-model"), "alpaca")     # "holds no weights (...)", or "" where nothing speaks against it

Of a base on the hub the small files and the names of the others are enough (`small_files` in models/locate.py). What only
loading can tell is left to loading.
"""

from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatch
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from evoltune.rows.files import read_json

_WEIGHTS = ("*.safetensors", "*.bin", "*.gguf", "*.pt", "*.pth")
_DOWNLOADED_WEIGHTS = ("*.safetensors", "*.bin")
_QUANTISED = ("quantize_config.json", "quant_config.json")
"""Files beside weights that older tools of GPTQ and AWQ wrote."""
_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_TOKENIZERS = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt", "*.tiktoken", "tekken.json", "*.gguf")
_NO_LANGUAGE_MODEL = (
    "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice",
    "ForPreTraining", "ForImageClassification",
)  # fmt: skip
"""Ends of an architecture's name: such files lack the output layer over the vocabulary, or look at both sides of a word."""
_GENERAL_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend", "PreTrainedTokenizer")
"""Tokenizers without special tokens of their own; others have them where no file names one."""
_BY_TRANSFORMERS_ONLY = ("generation", "break", "continue")


def why_unusable(folder: Path, template: str, method: str = "full", on_hub: Collection[str] = ()) -> str:
    """Why a base's folder cannot be trained. `template`: train.template; `method`: train.finetuning_type.

    Args:
        on_hub: names of all files of a repository of which the folder holds only the small ones.
    """
    names = on_hub or [file.name for file in folder.iterdir()]
    config = read_json(folder / "config.json")
    if config is None:
        merge = "but an adapter: merge it into its base first (`evoltune model merge`)"
        is_adapter = "adapter_config.json" in names
        wrong = (
            f"holds no model {merge}" if is_adapter else "holds no config.json: give the folder of a model, or a hub id"
        )
        return "" if _matching(names, ("*.gguf",)) and not on_hub else wrong
    return next(filter(None, (
        _architecture(config), _quantised(config, names, method), _weights(folder, names, _DOWNLOADED_WEIGHTS if on_hub else _WEIGHTS),
        _tokenizer(folder, names, template), _chat_template(folder, template),
    )), "")  # fmt: skip


def _matching(names: Collection[str], patterns: Collection[str]) -> list[str]:
    return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]


def _quantised(config: Mapping[str, Any], names: Collection[str], method: str) -> str:
    """Weights of few bits cannot be trained; of bitsandbytes' they are what QLoRA would make of the others."""
    given = config.get("quantization_config")
    kind = str(given.get("quant_method") or "") if isinstance(given, Mapping) else ""
    if not kind and not any(name in names for name in _QUANTISED):
        return ""
    if kind == "bitsandbytes":
        return (
            ""
            if method == "qlora"
            else "holds 4-bit weights of bitsandbytes: set train.finetuning_type: qlora, or name the base that they were made of"
        )
    return (
        f"holds quantised weights ({kind or 'GPTQ or AWQ'}), which cannot be trained: name the base that they were made of, "
        "with train.finetuning_type: qlora for 4 bits in memory"
    )


def _architecture(config: Mapping[str, Any]) -> str:
    named = [str(name) for name in config.get("architectures") or ()]
    if named and all(name.endswith(_NO_LANGUAGE_MODEL) for name in named):
        return f"is no language model that writes on: its config.json says {', '.join(named)}"
    kind, known = str(config.get("model_type") or ""), _model_types()
    if kind and known and f'"{kind}"' not in known:
        return f"is of the model type {kind!r}, which the installed Transformers does not know: update it, or take another base"
    return ""


@cache
def _model_types() -> str:
    """The source in which Transformers lists its model types; importing it would take seconds."""
    found = find_spec("transformers")
    places = (found.submodule_search_locations if found else None) or []
    sources = [file for place in places for file in sorted((Path(place) / "models" / "auto").glob("*.py"))]
    return "\n".join(file.read_text(encoding="utf-8") for file in sources)


def _weights(folder: Path, names: Collection[str], kinds: Collection[str]) -> str:
    found = _matching(names, kinds)
    if not found:
        return f"holds no weights ({', '.join(_WEIGHTS[:2])})"
    indexes = (read_json(folder / name) for name in _INDEXES)
    if "model.safetensors" not in names and (index := next(filter(None, indexes), None)):
        parts = {str(part) for part in index.get("weight_map", {}).values()}
        if missing := sorted(part for part in parts if part not in names):
            return f"lacks {len(missing)} of {len(parts)} files of its weights: {', '.join(missing[:3])}"
    here = (folder / name for name in found if name.endswith(".safetensors"))
    return next((f"holds a file of weights that is cut off: {f.name}" for f in here if f.is_file() and _is_cut(f)), "")


def _is_cut(file: Path) -> bool:
    """Whether a safetensors file ends before its last tensor, as its header places it."""
    size = file.stat().st_size
    with file.open("rb") as raw:
        length = int.from_bytes(raw.read(8), "little")
        if length > size:
            return True
        try:
            header = orjson.loads(raw.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, IndexError):
            return True
    return size < 8 + length + max(ends, default=0)


def _tokenizer(folder: Path, names: Collection[str], template: str) -> str:
    if not _matching(names, _TOKENIZERS):
        return f"holds no tokenizer ({', '.join(_TOKENIZERS[:3])})"
    config = read_json(folder / "tokenizer_config.json")
    if config is None or template in ("chat", "lima") or config.get("tokenizer_class") not in _GENERAL_CLASSES:
        return ""
    named = (config.get("eos_token"), (read_json(folder / "special_tokens_map.json") or {}).get("eos_token"))
    if not any(named):
        return "has a tokenizer without an end-of-sequence token, so that answers would never stop: set eos_token in tokenizer_config.json"
    return ""


def _chat_template(folder: Path, template: str) -> str:
    """A chat template that is no Jinja. Transformers adds tags to the language, which are not judged here."""
    if template != "chat":
        return ""
    try:
        from jinja2 import Environment, TemplateSyntaxError
    except ImportError:
        return ""
    for text in _templates(folder):
        try:
            Environment(extensions=["jinja2.ext.loopcontrols"]).parse(text)
        except TemplateSyntaxError as error:
            if not any(tag in str(error.message) for tag in _BY_TRANSFORMERS_ONLY):
                return f"has a chat template that is not valid: {error.message} (line {error.lineno})"
    return ""


def _templates(folder: Path) -> Iterator[str]:
    if (file := folder / "chat_template.jinja").is_file():
        yield file.read_text(encoding="utf-8", errors="replace")
        return
    found = (read_json(folder / "tokenizer_config.json") or {}).get("chat_template")
    if isinstance(found, str):
        yield found
    elif isinstance(found, list):
        yield from (str(entry["template"]) for entry in found if isinstance(entry, Mapping) and "template" in entry)
