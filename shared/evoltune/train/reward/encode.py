"""Texts as a reward model reads them: the ids of training and serving, and a label on the tokens that carry a score.

A step's score stands on its last token, an instruction's on the last token of its prompt. Invariant: the ids are those of
`evoltune.models.template`, which SFT, evaluation and servers use, so training and scoring cannot differ. Imports no torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evoltune.models.template import Stop, prompt_ids

UNLABELLED = -100.0
"""Label of a token without a score; as a whole number it is what Transformers' Trainer does not count."""


@dataclass(frozen=True, kw_only=True)
class Prompting:
    """How the model is prompted."""

    template: str
    tokenizer: Any
    stop: Stop
    system: str = ""
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A text as ids, and where its scores stand. `values[i]` is the label at `places[i]`."""

    ids: list[int]
    places: tuple[int, ...]
    values: tuple[float, ...]

    def cut(self, length: int) -> "Scored":
        """The first `length` ids, with the scores among them."""
        kept = sum(place < length for place in self.places)
        return Scored(ids=self.ids[:length], places=self.places[:kept], values=self.values[:kept])


def encode_solution(
    prompting: Prompting, prompt: str, steps: Sequence[str], values: Sequence[float | None], separator: str
) -> Scored:
    """A solution with a score at the end of each step; a step whose value is None carries no loss."""
    before, ids, spans = solution_ids(prompting, prompt, steps, separator)
    return Scored(
        ids=[*before, *ids, prompting.stop.id],
        places=tuple(len(before) + place for place in last_tokens(steps, separator, spans)),
        values=tuple(UNLABELLED if value is None else value for value in values),
    )


def solution_ids(
    prompting: Prompting, prompt: str, steps: Sequence[str], separator: str
) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """(ids of the prompt, ids of the solution, the characters of the solution that each of them stands for)."""
    before = prompt_ids(prompting.template, prompt, prompting.tokenizer, prompting.system, prompting.at)
    out = prompting.tokenizer(separator.join(steps), add_special_tokens=False, return_offsets_mapping=True)
    return before, list(out["input_ids"]), [(begin, end) for begin, end in out["offset_mapping"]]


def last_tokens(steps: Sequence[str], separator: str, spans: Sequence[tuple[int, int]]) -> list[int]:
    """The index of the token that each step ends in."""
    places, token, at = [], 0, 0
    for step in steps:
        end = at + len(step)
        while token < len(spans) - 1 and spans[token][1] < end:
            token += 1
        places.append(token)
        at = end + len(separator)
    return places


def encode_instruction(prompting: Prompting, instruction: str, value: float = 1.0) -> Scored:
    """An instruction's prompt, with the score on its last token."""
    ids = prompt_ids(prompting.template, instruction, prompting.tokenizer, prompting.system, prompting.at)
    return Scored(ids=ids, places=(len(ids) - 1,), values=(value,))
