"""A checkpoint that is ready to answer; `evoltune model chat` and `evoltune model serve` use it.

    with open_model("runs/smoke-math/checkpoint") as model:
        for piece in model.stream([{"role": "user", "content": "What is 17 + 25?"}]): ...

Invariant: prompts are rendered from the checkpoint's template.json, whose golden ids are checked when it is opened.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evoltune.errors import TrainingError, require
from evoltune.models.decoding import Prompt, Reply, Sampling, decode
from evoltune.models.load import language_model, load_adapted, precision_of, torch_dtype, with_contiguous_rows
from evoltune.models.locate import ModelRef, locate_model
from evoltune.models.proof import Template, check_golden
from evoltune.models.template import Message, stop_of

MAX_BATCH = 16
"""Prompts that are decoded together."""


class ChatModel:
    """One model in memory. A thread of its own decodes whatever waits, up to MAX_BATCH prompts at once; what comes meanwhile is
    in the next batch."""

    def __init__(self, model: Any, tokenizer: Any, template: Template) -> None:
        self.model, self.tokenizer, self.template = model, tokenizer, template
        self.context = int(getattr(model.config, "max_position_embeddings", 0) or 0) or None
        """Tokens of prompt and answer together; None where the model names no limit."""
        self._waiting: queue.Queue[Prompt | None] = queue.Queue()
        self._is_closed, self._closing = False, threading.Lock()
        self._worker = threading.Thread(target=self._decode_all, name="decoding", daemon=True)
        self._worker.start()

    def __enter__(self) -> "ChatModel":
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def close(self) -> None:
        """Waits until the thread has decoded what waits, which is at most one step for prompts that were cancelled; takes no prompt
        from then on. A process must not end before: what torch still does then aborts it."""
        with self._closing:
            self._is_closed = True
            self._waiting.put(None)
        self._worker.join()

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        return self.template.prompt_ids(messages, self.tokenizer)

    def submit(self, prompt: Prompt) -> None:
        """Queues a prompt; its `emit` is called from the decoding thread. Raises TrainingError after `close`: nothing would
        decode it."""
        with self._closing:
            if self._is_closed:
                raise TrainingError("the model was closed and answers nothing more: open it again with open_model")
            self._waiting.put(prompt)

    def stream(self, messages: Sequence[Message], sampling: Sampling | None = None) -> Iterator[str | Reply]:
        """Yields pieces of text as they are generated, then the whole Reply. The stop token is not part of the text."""
        said: queue.Queue[str | Reply | Exception] = queue.Queue()
        prompt = Prompt(ids=self.prompt_ids(messages), sampling=sampling or Sampling(), emit=said.put)
        self.submit(prompt)
        try:
            while True:
                piece = said.get()
                if isinstance(piece, Exception):
                    raise TrainingError(f"the model failed while it answered: {piece!r}") from piece
                yield piece
                if isinstance(piece, Reply):
                    return
        finally:
            prompt.is_cancelled = True

    def _decode_all(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, is_last = [first], False
            while len(batch) < MAX_BATCH and not self._waiting.empty():
                more = self._waiting.get()
                if more is None:
                    is_last = True
                    break
                batch.append(more)
            batch = [prompt for prompt in batch if not prompt.is_cancelled]
            if batch:
                decode(self.model, self.tokenizer, batch, stop_id=self.template.stop.id)
            if is_last:
                return


def open_model(checkpoint: str | Path) -> ChatModel:
    """Loads a checkpoint of Evoltune (whole or adapter), or any base that has a chat template.

    Raises TrainingError if the model does not exist, or its tokenizer was changed after training.
    """
    place = locate_model(str(checkpoint))
    require("answering", "train", "torch", "transformers")
    import torch
    from transformers import AutoTokenizer

    dtype = torch_dtype(precision_of("auto"))
    try:
        tokenizer = AutoTokenizer.from_pretrained(place)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise TrainingError(
            f"{checkpoint}: no tokenizer loads from there ({reason}): give the folder of a finished checkpoint or of a model"
        ) from error
    template = check_golden(Path(place), tokenizer) or Template(
        template="chat", stop=stop_of("chat", tokenizer), base=ModelRef(str(checkpoint))
    )
    if (Path(place) / "adapter_config.json").is_file():
        model = load_adapted(Path(place), template, dtype, len(tokenizer)).merge_and_unload().to(dtype)
    else:
        model = language_model(place, dtype=dtype)
    model.config.use_cache = True
    model = with_contiguous_rows(model.to("cuda" if torch.cuda.is_available() else "cpu").eval())
    return ChatModel(model, tokenizer, template)
