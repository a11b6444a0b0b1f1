"""What every generator process shares: prompt ids, stop tokens, the template proof, and the line protocol.

Invariant: prompts are rendered as in training, and a checkpoint's template proof is repeated with this tokenizer before
anything is generated. Imports no torch.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from evoltune.models.proof import check_golden
from evoltune.models.template import prompt_ids, stop_of

LEAST_ROOM = 4
"""A prompt stays whole where it leaves one in so many of the context's tokens to the answer."""


class Prompter:
    """Turns prompts into token ids with a job's tokenizer and template. `eos`: stop tokens of the model's config."""

    def __init__(self, job: Mapping[str, Any], tokenizer: Any, config: Any, eos: int | Sequence[int] | None) -> None:
        self.job, self.tokenizer = job, tokenizer
        self.context = int(getattr(config, "max_position_embeddings", 0) or 0)  # in tokens; 0: unknown
        self.trained = check_golden(Path(job["checkpoint"]), tokenizer) if job["checkpoint"] else None
        stops = {*([eos] if isinstance(eos, int) else eos or ()), tokenizer.eos_token_id} - {None}
        if self.trained:
            stops.add(self.trained.stop.id)
        if job["template"] != "raw":
            stops.add(stop_of(job["template"], tokenizer).id)
        self.stop_ids: list[int] = sorted(stops)

    def ids(self, prompt: str, history: Sequence[Sequence[str]] = ()) -> list[int]:
        """Rendered with the template, or as it is for `raw`. One that leaves too little of the context is cut at its beginning."""
        turns = [{"role": role, "content": content} for role, content in (*history, ("user", prompt))]
        if self.job["template"] == "raw":
            found: list[int] = self.tokenizer("\n\n".join(str(turn["content"]) for turn in turns))["input_ids"]
        else:
            found = prompt_ids(self.job["template"], turns, self.tokenizer, self.job["system"])
        longest = self.context - min(int(self.job["max_new_tokens"]), max(1, self.context // LEAST_ROOM))
        return found[-longest:] if 0 < longest < len(found) else found

    def room(self, ids: Sequence[int]) -> int:
        """How many tokens may be generated after these: `max_new_tokens`, or what the context leaves."""
        wanted = int(self.job["max_new_tokens"])
        return min(wanted, max(1, self.context - len(ids))) if self.context else wanted

    def proof(self, device: str, dtype: str) -> dict[str, Any]:
        """What the model is sent: hash and number of the ids of the first prompt, and the stop tokens."""
        ids = self.ids(self.job["probe"])
        return {
            "template": self.job["template"],
            "prompt_ids_sha256": hashlib.sha256(json.dumps(ids).encode()).hexdigest(),
            "prompt_tokens": len(ids),
            "stop_ids": self.stop_ids,
            "golden_checked": len(self.trained.golden) if self.trained else 0,
            "device": device,
            "dtype": dtype,
        }


class Generator(Protocol):
    """What a generator process serves."""

    def take(self, job: Mapping[str, Any]) -> None:
        """Another job for the model that is loaded: other settings, template or first prompt."""

    def proof(self) -> dict[str, Any]: ...

    def answer(self, batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """`{"text", "tokens", "stop", "prompt_tokens"}` of each `{"prompt", "history", "seed"}`, in order."""


def serve(make: Callable[[Mapping[str, Any]], Generator], free: Callable[[], None] | None = None) -> None:
    """Answers each line of standard input with one line until it closes: a job (an object) with its proof, a batch (a list)
    with completions, null with whether the process has dropped its model, so that the next job may name another.

    Args:
        make: loads the model of a job. A job that follows one is for the same model.
        free: gives back the memory of a dropped model; None where only the end of the process does.
    """
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not mix with the protocol
    generator: Generator | None = None
    for line in sys.stdin:
        message: Any = json.loads(line)
        answer: Any
        if message is None:
            answer = free is not None
            if free:
                generator = None
                free()
        elif isinstance(message, dict):
            if generator is None:
                generator = make(message)
            else:
                generator.take(message)
            answer = generator.proof()
        else:
            assert generator, "a batch before the first job"
            answer = generator.answer(message)
        print(json.dumps(answer), file=out, flush=True)
