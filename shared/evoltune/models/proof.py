"""The template proof: shows, before training, that training sees the ids that evaluation and a server will send.

    proof = prove("chat", tokenizer, conversations, stop=stop)     # raises TrainingError with the reason
    check_golden(folder, AutoTokenizer.from_pretrained(folder))    # the same check when a checkpoint is loaded

A server has only the saved tokenizer, so the proof saves it, loads it again and compares ids. Invariant: a checkpoint with a
template.json has passed the proof, and its golden ids let anybody repeat it. Imports no torch.
"""

import json
import tempfile
import unicodedata
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

from evoltune.errors import TrainingError, located
from evoltune.models.locate import ModelRef
from evoltune.models.template import (
    IGNORED,
    Encoded,
    Message,
    Stop,
    as_chat_template,
    chat_turns,
    clock_of,
    encode,
    has_clock,
    prompt_ids,
    render_prompt,
)
from evoltune.run.paths import TEMPLATE

PROBES: tuple[tuple[Message, ...], ...] = (
    ({"role": "user", "content": "What is 17 + 25?"},),
    ({"role": "user", "content": "Sort {x} and \\frac{1}{2}.\n\n    x = [3, 1]\n"},),
    (
        {"role": "user", "content": "Name a prime."},
        {"role": "assistant", "content": "7"},
        {"role": "user", "content": "Another one, with a reason: é, 漢, 🙂?"},
    ),
)


@dataclass(frozen=True, kw_only=True)
class Template:
    """How a checkpoint is prompted: the content of its `template.json`."""

    template: str
    stop: Stop
    base: ModelRef
    system_prompt: str = ""
    golden: tuple[tuple[list[Message], list[int]], ...] = ()
    """(messages, the prompt's ids) of each probe."""
    clock: datetime | None = None
    """When the golden ids were made, if the chat template writes the date into each prompt."""

    def prompt_ids(self, messages: str | Sequence[Message], tokenizer: Any, at: datetime | None = None) -> list[int]:
        return prompt_ids(self.template, messages, tokenizer, self.system_prompt, at)


def read_template(folder: Path) -> Template | None:
    """The template of a checkpoint; None for a model that Evoltune has not trained."""
    path = folder / TEMPLATE
    if not path.is_file():
        return None
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Template(
            template=raw["template"],
            stop=Stop(token=raw["stop_token"], id=raw["stop_id"]),
            system_prompt=raw["system_prompt"],
            base=ModelRef(_folder_of_base(folder) or raw["base"], raw["base_revision"]),
            golden=tuple((g["messages"], g["ids"]) for g in raw["golden"]),
            clock=datetime.fromisoformat(raw["clock"]) if raw.get("clock") else None,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path}: damaged ({error!r}): save the checkpoint again") from error


def _folder_of_base(folder: Path) -> str:
    """Where an adapter's base was when it was trained; "" for a base of the hub, and where that folder is gone: it is then looked
    for by the recipe's name, from the working directory."""
    adapter = folder / "adapter_config.json"
    name = json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"] if adapter.is_file() else ""
    return str(name) if name and Path(name).is_absolute() and Path(name).is_dir() else ""


def check_golden(folder: Path, tokenizer: Any) -> Template | None:
    """The checkpoint's template. Raises TrainingError if this tokenizer builds other ids than in training."""
    found = read_template(folder)
    if found is None:
        return None
    for messages, ids in found.golden:
        now = found.prompt_ids(messages, tokenizer, found.clock)
        if now != ids:
            raise TrainingError(
                f"{folder}: the tokenizer builds other ids than training saw for {messages[-1]['content']!r} "
                f"({_difference(ids, now)}): it was changed after training, or is read by another version of its library"
            )
    return found


def attach_chat_template(tokenizer: Any, template: str, system: str = "") -> bool:
    """Gives the tokenizer a chat template that builds the ids of a plain format; none if the ids would differ.

    Otherwise a server would render the prompts of an Alpaca-trained model with the base's own chat template. Returns
    whether the tokenizer's chat template builds the ids of training.
    """
    if template == "chat":
        return True
    bos = tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
    tokenizer.chat_template = as_chat_template(template, system, bos=bos)
    same = all(
        _server_ids("chat", probe, tokenizer, "") == prompt_ids(template, probe, tokenizer, system) for probe in PROBES
    )
    if not same:
        tokenizer.chat_template = None
    return same


# ---- the proof itself


def prove(
    template: str, tokenizer: Any, conversations: Sequence[Sequence[Message]], *, stop: Stop, system: str = "",
    places: Sequence[str] = (), at: datetime | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Checks a sample of the rows, and the probes; returns the part of template.json that the proof establishes.

    Args:
        places: Where each conversation stands (file:line); an error about one begins with it.
        at: The time that a chat template with a clock writes; by default now.

    Raises TrainingError (DataError with `places`) if training, evaluation and a server would not see the same ids, or the
    loss would fall elsewhere.
    """
    at = at or datetime.now()
    _check_specials(tokenizer, stop)
    with tempfile.TemporaryDirectory(prefix="evoltune-proof-") as folder:
        server = _saved_and_loaded(tokenizer, folder)
    for conversation, where in zip_longest(conversations, places):
        with located(where) if where else nullcontext():
            example = encode(template, conversation, tokenizer, system, stop, at)
            _check_ids(template, conversation[:-1], tokenizer, server, system, at, example)
            _check_labels(conversation, example, tokenizer, stop)
    golden = [(list(probe), _check_ids(template, probe, tokenizer, server, system, at)) for probe in PROBES]
    bos = tokenizer.bos_token_id
    return {
        "stop_token": stop.token,
        "stop_id": stop.id,
        "bos_id": bos if all(ids[:1] == [bos] for _, ids in golden) else None,
        "pad_id": tokenizer.pad_token_id,
        "pad_differs_from_stop": tokenizer.pad_token_id != stop.id,
        "conversations_checked": len(conversations),
        "clock": at.isoformat() if template == "chat" and has_clock(tokenizer) else "",
        "golden": [{"messages": messages, "ids": ids} for messages, ids in golden],
    }


def _check_specials(tokenizer: Any, stop: Stop) -> None:
    known = tokenizer.convert_tokens_to_ids(stop.token)
    if known != stop.id or tokenizer.convert_ids_to_tokens(stop.id) != stop.token:
        raise TrainingError(
            f"the stop token {stop.token!r} has id {stop.id}, but the tokenizer maps it to {known!r}: its files contradict each other"
        )
    if tokenizer.unk_token_id == stop.id and tokenizer.unk_token != stop.token:
        raise TrainingError(f"the stop token {stop.token!r} is unknown to the tokenizer: it could never be trained")
    written = tokenizer(f"a{stop.token}", add_special_tokens=False)["input_ids"]
    if written[-1] != stop.id:
        raise TrainingError(
            f"the tokenizer splits its stop token {stop.token!r} into pieces when it occurs in a text ({written[-4:]}): "
            "mark it as special in tokenizer_config.json"
        )
    ended = tokenizer("a")["input_ids"]
    if len(ended) > 1 and ended[-1] == tokenizer.eos_token_id:
        raise TrainingError(
            "the tokenizer appends the end-of-sequence token to every text, so prompts would end before the answer: "
            "set add_eos_token to false"
        )


def _saved_and_loaded(tokenizer: Any, folder: str) -> Any:
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(folder)
    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"the tokenizer cannot be loaded after saving: {error}") from error


def _check_ids(
    template: str, messages: Sequence[Message], tokenizer: Any, server: Any, system: str, at: datetime,
    example: Encoded | None = None,
) -> list[int]:  # fmt: skip
    """Checks that training, evaluation and a server see the same ids, with one BOS. Returns the prompt's ids."""
    ours = prompt_ids(template, messages, tokenizer, system, at)
    served = _server_ids(template, messages, server, system, at)
    if ours != served:
        raise TrainingError(
            f"the saved tokenizer builds other ids than the one in memory ({_difference(ours, served)}): "
            "its settings do not survive saving"
        )
    if example is not None and example.ids[: len(ours)] != ours:
        raise TrainingError(f"training would see another prompt than evaluation ({_difference(example.ids, ours)})")
    bos = tokenizer.bos_token_id
    if ours[:2] == [bos, bos]:
        raise TrainingError(
            f"two BOS tokens ({tokenizer.bos_token!r}) at the start of each prompt: the template writes one and the tokenizer "
            "adds another: remove one of them"
        )
    return ours


def _server_ids(
    template: str, messages: Sequence[Message], server: Any, system: str, at: datetime | None = None
) -> list[int]:
    """The ids that an OpenAI-compatible server builds: chat through the tokenizer's template, plain text through its encoder."""
    if template == "chat":
        own = messages[0]["role"] == "system"
        turns = chat_turns(messages, "" if own else system)
        out = server.apply_chat_template(
            turns, tokenize=True, add_generation_prompt=True, return_dict=True, **clock_of(server, at)
        )  # fmt: skip
    else:
        out = server(render_prompt(template, messages, system, server))
    ids: list[int] = out["input_ids"]
    return ids


def _check_labels(conversation: Sequence[Message], example: Encoded, tokenizer: Any, stop: Stop) -> None:
    """Checks that the labels, decoded, are the answers and their stop tokens, and nothing else."""
    if example.labels[-1] != stop.id:
        raise TrainingError(
            f"the stop token {stop.token!r} would not be trained: the last label is {example.labels[-1]}"
        )
    trained = [m for m in conversation if m["role"] == "assistant" and m.get("trained", True)]
    answers = [str(m["content"]) + stop.token for m in trained]
    labelled = [label for label in example.labels if label != IGNORED]
    texts = (tokenizer.decode(labelled), "".join(answers))
    decoded, expected = ("".join(text.split()) for text in texts)
    if decoded not in _forms(expected, tokenizer):
        raise TrainingError(
            f"the loss would fall on {decoded[:80]!r}..., not on the answer {expected[:80]!r}...: "
            "the mask is wrong, or the tokenizer cannot write this text"
        )


def _forms(text: str, tokenizer: Any) -> set[str]:
    """The forms in which a tokenizer may write a text: families such as Qwen compose it (NFC), others use a map of their own."""
    forms = {text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC"))}
    own = getattr(getattr(tokenizer, "backend_tokenizer", None), "normalizer", None)
    return forms | ({"".join(own.normalize_str(text).split())} if own is not None else set())


def check_batch(batch: dict[str, Any], documents: Sequence[Encoded], stop: Stop) -> None:
    """Checks that the collated tensors carry the labels of the documents, stop tokens included, and no others."""
    ids, labels = batch["input_ids"].flatten().tolist(), batch["labels"].flatten().tolist()
    found = [label for label in labels if label != IGNORED]
    expected = [label for document in documents for label in document.labels if label != IGNORED]
    stops = expected.count(stop.id)
    if found.count(stop.id) < stops:
        raise TrainingError(
            f"{stops - found.count(stop.id)} of {stops} stop tokens lost their label on the way into the batch (padding masked "
            "by id while pad equals the stop token?): answers would never stop"
        )
    if found != expected:
        raise TrainingError(
            f"the batch has {len(found)} label tokens, its rows {len(expected)}: the loss would fall on prompts or padding"
        )
    if any(label not in (IGNORED, token) for token, label in zip(ids, labels, strict=True)):
        raise TrainingError("a label differs from the token at its position: labels are shifted twice or mixed up")


def _difference(one: Sequence[int], other: Sequence[int]) -> str:
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return f"from token {at}: {list(one[at : at + 4])} and {list(other[at : at + 4])}"
