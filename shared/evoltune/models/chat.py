"""A checkpoint that is ready to answer; `evoltune model chat` and `evoltune model serve` use it.

    model = open_model("runs/smoke-math/checkpoint")
    for piece in model.stream([{"role": "user", "content": "What is 17 + 25?"}]): ...

Invariant: prompts are rendered from the checkpoint's template.json, whose golden ids are checked when it is opened.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoltune.errors import TrainingError, require
from evoltune.models.load import load_adapted, precision_of, torch_dtype
from evoltune.models.locate import ModelRef, locate_model
from evoltune.models.proof import Template, check_golden
from evoltune.models.template import Message, stop_of


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How tokens are drawn; temperature 0 is greedy decoding."""

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A whole answer. `finish_reason`: stop (the stop token was generated) or length."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


class ChatModel:
    """One model in memory; it answers one request at a time."""

    def __init__(self, model: Any, tokenizer: Any, template: Template) -> None:
        self._model, self._tokenizer, self.template = model, tokenizer, template
        self._lock = threading.Lock()

    def stream(self, messages: Sequence[Message], sampling: SamplingConfig | None = None) -> Iterator[str | Reply]:
        """Yields pieces of text as they are generated, then the whole Reply. The stop token is not part of the text."""
        from transformers import TextIteratorStreamer

        ids = self.template.prompt_ids(messages, self._tokenizer)
        streamer = TextIteratorStreamer(self._tokenizer, skip_prompt=True, skip_special_tokens=True)
        outputs: list[list[int]] = []
        arguments = (ids, sampling or SamplingConfig(), streamer, outputs)
        worker = threading.Thread(target=self._generate, args=arguments, daemon=True)
        text = ""
        with self._lock:
            worker.start()
            for piece in streamer:
                text += piece
                if piece:
                    yield piece
            worker.join()
        if not outputs:
            raise TrainingError("the model failed while it answered: see the traceback above")
        generated = outputs[0][len(ids) :]
        reason = "stop" if generated[-1:] == [self.template.stop.id] else "length"
        yield Reply(text=text, finish_reason=reason, prompt_tokens=len(ids), completion_tokens=len(generated))

    def _generate(self, ids: list[int], sampling: SamplingConfig, streamer: Any, outputs: list[list[int]]) -> None:
        """Runs in a thread of its own; appends prompt and answer to `outputs`, or nothing if the model fails."""
        import torch

        how: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if sampling.temperature > 0:
            how = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        tokens = torch.tensor([ids], device=self._model.device)
        try:
            with torch.inference_mode():
                out = self._model.generate(
                    input_ids=tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=sampling.max_tokens,
                    eos_token_id=self.template.stop.id, pad_token_id=self._tokenizer.pad_token_id, streamer=streamer, **how,
                )  # fmt: skip
            outputs.append(out[0].tolist())
        finally:
            streamer.end()


def open_model(checkpoint: str | Path) -> ChatModel:
    """Loads a checkpoint of Evoltune (whole or adapter), or any base that has a chat template.

    Raises TrainingError if the model does not exist, or its tokenizer was changed after training.
    """
    place = locate_model(str(checkpoint))
    require("answering", "train", "torch", "transformers")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = torch_dtype(precision_of("auto"))
    tokenizer = AutoTokenizer.from_pretrained(place)
    template = check_golden(Path(place), tokenizer) or Template(
        template="chat", stop=stop_of("chat", tokenizer), base=ModelRef(str(checkpoint))
    )
    if (Path(place) / "adapter_config.json").is_file():
        model = load_adapted(Path(place), template, dtype, len(tokenizer)).merge_and_unload().to(dtype)
    else:
        model = AutoModelForCausalLM.from_pretrained(place, dtype=dtype)
    model.config.use_cache = True
    return ChatModel(model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer, template)
