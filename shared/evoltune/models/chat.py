"""A checkpoint ready to answer, under the template proof: what `chat` and `serve` share.

    model = open_model(Path("runs/smoke-math/checkpoint"))
    for piece in model.stream([{"role": "user", "content": "What is 17 + 25?"}]): ...

Prompts are built by the one renderer from the checkpoint's template.json, whose golden ids are checked as it opens.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoltune.errors import MissingExtraError, TrainingError
from evoltune.models.base import resolve_base
from evoltune.models.proof import Template, check_golden
from evoltune.models.template import Message, prompt_ids, stop_of


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """temperature 0: greedy."""

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A whole answer. `finish`: stop (the stop token came) or length."""

    text: str
    finish: str
    prompt_tokens: int
    completion_tokens: int


class ChatModel:
    """One model in memory; answers one request at a time."""

    def __init__(self, model: Any, tokenizer: Any, template: Template) -> None:
        self._model, self._tokenizer, self._template = model, tokenizer, template
        self._lock = threading.Lock()

    @property
    def template(self) -> Template:
        return self._template

    def stream(self, messages: Sequence[Message], sampling: Sampling | None = None) -> Iterator[str | Reply]:
        """Pieces of text as they come, then the whole Reply. The stop token is not part of the text."""
        from transformers import TextIteratorStreamer

        sampling = sampling or Sampling()
        ids = prompt_ids(self._template.template, messages, self._tokenizer, self._template.system_prompt)
        streamer = TextIteratorStreamer(self._tokenizer, skip_prompt=True, skip_special_tokens=True)
        found: list[Any] = []
        with self._lock:
            worker = threading.Thread(
                target=self._generate, args=(ids, sampling, streamer, found), daemon=True
            )
            worker.start()
            text = ""
            for piece in streamer:
                text += piece
                if piece:
                    yield piece
            worker.join()
        if not found:
            raise TrainingError("the model failed while it answered: see the trace above")
        new = found[0][len(ids) :]
        stopped = bool(new) and new[-1] == self._template.stop.id
        yield Reply(
            text=text,
            finish="stop" if stopped else "length",
            prompt_tokens=len(ids),
            completion_tokens=len(new),
        )

    def answer(self, messages: Sequence[Message], sampling: Sampling | None = None) -> Reply:
        *_, last = self.stream(messages, sampling)
        assert isinstance(last, Reply)
        return last

    def _generate(self, ids: list[int], sampling: Sampling, streamer: Any, found: list[Any]) -> None:
        import torch

        how: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if sampling.temperature > 0:
            how = {
                "do_sample": True,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": 0,
            }
        tokens = torch.tensor([ids], device=self._model.device)
        try:
            with torch.inference_mode():
                out = self._model.generate(
                    input_ids=tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=sampling.max_tokens,
                    eos_token_id=self._template.stop.id, pad_token_id=self._tokenizer.pad_token_id, streamer=streamer, **how,
                )  # fmt: skip
            found.append(out[0].tolist())
        finally:
            streamer.end()


def open_model(checkpoint: str | Path) -> ChatModel:
    """A checkpoint of ours (whole or adapter), or any base with its own chat template. Raises TrainingError."""
    place = resolve_base(str(checkpoint))
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "train", "answering") from error
    from evoltune.models.load import precision_of
    from evoltune.models.merge import load_adapted

    low = precision_of("auto")
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[low]
    tokenizer = AutoTokenizer.from_pretrained(place)
    template = check_golden(Path(place), tokenizer)
    if template is None:
        template = Template(template="chat", stop=stop_of("chat", tokenizer), base=str(checkpoint))
    if (Path(place) / "adapter_config.json").is_file():
        model = load_adapted(Path(place), template, dtype, len(tokenizer)).merge_and_unload().to(dtype)
    else:
        model = AutoModelForCausalLM.from_pretrained(place, dtype=dtype)
    model.config.use_cache = True
    return ChatModel(model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer, template)
