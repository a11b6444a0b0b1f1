"""Scores by a finished reward model, between 0 and 1.

    with Scorer("runs/x/reward-steps") as steps:
        steps.solutions(["Add 1 and 2."], ["1 + 2 = 3\\n#### 3"])        # [[0.98, 0.97]]: one score a step

Invariants: prompts are built as in training (the folder says how); texts are batched by length and come back in order; any
text is scored, whatever JSON let into it; an instance can be pickled and forked, and each process loads the model at its first
call.
"""

import os
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from evoltune.errors import DataError, require
from evoltune.models.load import language_model, load_tokenizer, precision_of, prepare_tokenizer, torch_dtype
from evoltune.rows.files import read_json
from evoltune.run.paths import MANIFEST, SCORER
from evoltune.text.unicode import without_surrogates
from evoltune.train.reward.encode import Prompting, Scored, encode_instruction, encode_solution
from evoltune.train.reward.evidence import logit, write_out
from evoltune.train.reward.held_out import sigmoid
from evoltune.train.reward.steps import HALF, split_steps


class Scorer:
    """A finished reward model. `threads`: of torch on a CPU; 0: its own choice."""

    def __init__(self, folder: str | Path, *, batch_size: int = 32) -> None:
        self.folder, self.batch_size = str(Path(folder).resolve()), batch_size
        facts = read_json(Path(folder) / SCORER)
        if facts is None or read_json(Path(folder) / MANIFEST) is None:
            raise DataError(
                f"{folder}: no finished reward model: needs {SCORER} and {MANIFEST}; train it with `reward:`"
            )
        self.facts = facts
        self._lock = threading.Lock()
        self._opened: tuple[int, Any, Prompting] | None = None

    @property
    def kind(self) -> str:
        """`steps` or `instructions`."""
        return str(self.facts["kind"])

    def solutions(self, prompts: Sequence[str], texts: Sequence[str]) -> list[list[float]]:
        """For each solution the scores of its steps, as `split_steps` finds them; none for a text without a step."""
        model, prompting = self._open()
        prompts = [without_surrogates(prompt) for prompt in prompts]
        parts = [split_steps(without_surrogates(text)) for text in texts]
        if self.facts.get("method") == "likelihood":
            return self._likelihoods(model, prompting, prompts, parts)
        documents = [
            encode_solution(prompting, prompt, steps, [0.0] * len(steps), separator)
            for prompt, (steps, separator) in zip(prompts, parts, strict=True)
            if steps
        ]
        scores = iter(self._scores(model, prompting, documents))
        return [next(scores) if steps else [] for steps, _ in parts]

    def _likelihoods(
        self, model: Any, prompting: Prompting, prompts: Sequence[str], parts: Sequence[tuple[Sequence[str], str]]
    ) -> list[list[float]]:
        from evoltune.train.reward.likelihood import step_evidence

        limit, weights = int(self.facts["max_length"]), self.facts["weights"]
        written = [
            write_out(prompting, prompt, steps, [0.0] * len(steps), separator, limit)
            for prompt, (steps, separator) in zip(prompts, parts, strict=True)
        ]
        with self._lock:
            rows = step_evidence(model, written, self.batch_size)
        heard = {kind for kind, weight in enumerate(weights[:-1]) if weight > 0}
        # A solution without a token that counts, such as one in words alone, has nothing against it and nothing for it.
        scores = [
            [sigmoid(logit(evidence, weights)) if heard & set(solution.kinds) else HALF for evidence in row]
            for row, solution in zip(rows, written, strict=True)
        ]
        # A step beyond the model's length has the score of the last one before it, as with a head.
        return [
            row + [row[-1] if row else HALF] * (len(steps) - len(row))
            for row, (steps, _) in zip(scores, parts, strict=True)
        ]

    def instructions(self, prompts: Sequence[str]) -> list[float]:
        """For each instruction its score; equal instructions are scored once."""
        model, prompting = self._open()
        prompts = [without_surrogates(prompt) for prompt in prompts]
        distinct = list(dict.fromkeys(prompts))
        scores = self._scores(model, prompting, [encode_instruction(prompting, prompt) for prompt in distinct])
        found = {prompt: row[0] for prompt, row in zip(distinct, scores, strict=True)}
        return [found[prompt] for prompt in prompts]

    def _scores(self, model: Any, prompting: Prompting, documents: Sequence[Scored]) -> list[list[float]]:
        from evoltune.train.reward.model import logits_at

        limit, centre = int(self.facts["max_length"]), float(self.facts["centre"])
        cut = [document.cut(limit) for document in documents]
        pad = prompting.tokenizer.pad_token_id or 0
        with self._lock:
            rows = logits_at(model, cut, pad, self.batch_size)
        return [
            # A step beyond the model's length has the score of the last one before it.
            [sigmoid(logit - centre) for logit in row] + [sigmoid((row or [0.0])[-1] - centre)] * (len(d.places) - len(row))
            for row, d in zip(rows, documents, strict=True)
        ]  # fmt: skip

    def _open(self) -> tuple[Any, Prompting]:
        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                self._opened = (os.getpid(), *self._load())
            return self._opened[1], self._opened[2]

    def _load(self) -> tuple[Any, Prompting]:
        require("a reward model", "train", "torch", "transformers")
        import torch
        from transformers import AutoModelForTokenClassification

        if self.facts.get("method") == "likelihood":
            dtype = torch_dtype(precision_of("auto"))
            model = language_model(self.folder, dtype=dtype).eval()
        else:
            model = AutoModelForTokenClassification.from_pretrained(self.folder, dtype=torch.float32).eval()
        if torch.cuda.is_available():
            model = model.to("cuda")
        tokenizer, template = load_tokenizer(self.folder), str(self.facts["template"])
        stop, _ = prepare_tokenizer(tokenizer, template)
        return model, Prompting(
            template=template, tokenizer=tokenizer, stop=stop, system=self.facts["system_prompt"], at=datetime.now()
        )

    def close(self) -> None:
        """Frees the model. A later call loads it again."""
        with self._lock:
            self._opened = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())
