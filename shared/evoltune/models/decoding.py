"""Answers of one model to several prompts at once, each with its own sampling, stop strings and end.

    decode(model, tokenizer, [Prompt(ids=ids, sampling=Sampling(temperature=0.7, stop=("\\n\\n",)), emit=print)], stop_id=2)

One forward pass draws a token for every prompt of the batch. Drawing is by Gumbel noise from a generator of the prompt's own seed, so
that a text does not depend on which others are decoded beside it (up to the rounding of the batch). Invariant: the pieces that are
emitted, joined, are the text of the reply; a stop string is in neither.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

TOP_LOGPROBS = 20
"""The most alternatives that are reported for a token."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are drawn, by the names of OpenAI's API; temperature 0 is greedy decoding."""

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    """0: all."""
    stop: tuple[str, ...] = ()
    """The text ends before the first of these."""
    seed: int | None = None
    """None: another one each time."""
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    """Of CTRL (1909.05858), over prompt and answer; 1: none."""
    logprobs: int | None = None
    """Alternatives that are reported for each token, up to 20; None: no log probabilities at all."""


@dataclass(frozen=True, kw_only=True)
class TokenLogprob:
    """The natural logarithm of a token's probability before temperature and penalties, and the likeliest tokens there."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A whole answer. `finish_reason`: stop (the stop token, or a stop string), length, or cancelled."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(eq=False, kw_only=True)
class Prompt:
    """A prompt and what becomes of it. `emit` is called with each piece of text, then with the Reply, or with an exception."""

    ids: Sequence[int]
    sampling: Sampling
    emit: Callable[[str | Reply | Exception], None]
    is_cancelled: bool = False
    """Set by whoever no longer waits: decoding of this prompt ends with the next token."""


class TextPieces:
    """The text of a growing list of tokens, piece by piece: no broken characters, and nothing that may be part of a stop string."""

    def __init__(self, tokenizer: Any, stop: Sequence[str]) -> None:
        self._tokenizer, self._stop = tokenizer, [text for text in stop if text]
        self._ids: list[int] = []
        self._known = self._read = 0  # tokens that the next piece is decoded with, and of these the ones that are told
        self._held, self.text, self.is_stopped = "", "", False

    def add(self, token: int) -> str:
        """The text that is certain after one more token."""
        self._ids.append(token)
        return self._told(self._decoded(at_end=False), at_end=False)

    def end(self) -> str:
        """What was held back."""
        return self._told(self._decoded(at_end=True), at_end=True)

    def _decoded(self, *, at_end: bool) -> str:
        """New text. Some tokens depend on the one before, and some are parts of a character, so a few are decoded again."""
        before, after = (
            self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            for ids in (self._ids[self._known : self._read], self._ids[self._known :])
        )
        if len(after) <= len(before) or (after.endswith("\ufffd") and not at_end):
            return ""
        self._known, self._read = self._read, len(self._ids)
        return str(after[len(before) :])

    def _told(self, new: str, *, at_end: bool) -> str:
        if self.is_stopped:
            return ""
        text = self._held + new
        found = [at for at in (text.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self.is_stopped, self._held, text = True, "", text[: min(found)]
        else:
            kept = 0 if at_end else max((_overlap(text, stop) for stop in self._stop), default=0)
            text, self._held = text[: len(text) - kept], text[len(text) - kept :]
        self.text += text
        return text


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text may begin the stop string."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)


@dataclass(eq=False)
class _Row:
    """The state of one prompt in a batch."""

    prompt: Prompt
    pieces: TextPieces
    noise: Any
    tokens: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    drawn: int = 0
    is_done: bool = False


def decode(model: Any, tokenizer: Any, prompts: Sequence[Prompt], *, stop_id: int) -> None:
    """Answers every prompt. An exception of the model goes to all that have no reply yet."""
    import torch
    from transformers import GenerationConfig

    rows = [_row(tokenizer, prompt) for prompt in prompts]
    width = max(len(prompt.ids) for prompt in prompts)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else stop_id
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, prompt in enumerate(prompts):  # on the left, so that all answers begin in one column
        ids[i, width - len(prompt.ids) :] = torch.tensor(prompt.ids)
        mask[i, width - len(prompt.ids) :] = 1
    how = GenerationConfig(
        do_sample=False, max_new_tokens=max(p.sampling.max_tokens for p in prompts), pad_token_id=pad
    )
    model.generation_config = (
        GenerationConfig()
    )  # else the base's own penalties, stop tokens and limits fill what `how` leaves out
    try:
        with torch.inference_mode():
            model.generate(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device), generation_config=how,
                logits_processor=[lambda seen, scores: _drawn(rows, scores)],
                stopping_criteria=[lambda seen, scores: _told(rows, seen, stop_id)],
            )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - the model is anybody's; whoever waits for an answer must hear of it
        for row in rows:
            if not row.is_done:
                row.prompt.emit(error)


def _row(tokenizer: Any, prompt: Prompt) -> _Row:
    import torch

    noise = torch.Generator()
    seed = prompt.sampling.seed
    noise.manual_seed(random.SystemRandom().getrandbits(63) if seed is None else seed % 2**63)
    return _Row(prompt, TextPieces(tokenizer, prompt.sampling.stop), noise)


def _drawn(rows: Sequence[_Row], scores: Any) -> Any:
    """Scores under which each row's greatest is the token that is drawn for it."""
    import torch

    chosen = torch.full_like(scores, -math.inf)
    for i, row in enumerate(rows):
        if row.is_done:
            chosen[i, 0] = 0.0
            continue
        raw = scores[i].float().cpu()
        row.drawn = int(_sampled(row, raw).argmax())
        chosen[i, row.drawn] = 0.0
        if row.prompt.sampling.logprobs is not None:
            row.logprobs.append(_logprob(raw, row.drawn, row.prompt.sampling.logprobs))
    return chosen


def _sampled(row: _Row, raw: Any) -> Any:
    import torch

    how, scores = row.prompt.sampling, raw.clone()
    if how.repetition_penalty != 1.0:
        seen = torch.tensor(sorted({*row.prompt.ids, *row.tokens}))
        old = scores[seen]
        scores[seen] = torch.where(old > 0, old / how.repetition_penalty, old * how.repetition_penalty)
    if row.tokens and (how.frequency_penalty or how.presence_penalty):
        seen, times = torch.tensor(row.tokens).unique(return_counts=True)
        scores[seen] -= how.presence_penalty + how.frequency_penalty * times
    if how.temperature <= 0:
        return scores
    scores = scores / how.temperature
    if 0 < how.top_k < len(scores):
        scores[scores < scores.topk(how.top_k).values[-1]] = -math.inf
    if how.top_p < 1:
        ordered, places = scores.sort(descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(
            -1
        )  # of the likelier ones; the likeliest always stays
        scores[places[before >= how.top_p]] = -math.inf
    uniform = torch.rand(len(scores), generator=row.noise, dtype=torch.float64).clamp_min(1e-300)
    return scores.double() - (-uniform.log()).log()


def _logprob(raw: Any, token: int, alternatives: int) -> TokenLogprob:
    logs = raw.log_softmax(-1)
    values, places = logs.topk(min(alternatives, len(logs))) if alternatives else ((), ())
    top = tuple((int(place), float(value)) for place, value in zip(places, values, strict=True))
    return TokenLogprob(token=token, logprob=float(logs[token]), top=top)


def _told(rows: Sequence[_Row], seen: Any, stop_id: int) -> Any:
    """Emits what the new tokens say, and which rows are done."""
    import torch

    for row in rows:
        if not row.is_done:
            _take(row, stop_id)
    return torch.tensor([row.is_done for row in rows], device=seen.device)


def _take(row: _Row, stop_id: int) -> None:
    row.tokens.append(row.drawn)
    reason, piece = "", ""
    if row.prompt.is_cancelled:
        reason = "cancelled"
    elif row.drawn == stop_id:
        reason = "stop"
    else:
        piece = row.pieces.add(row.drawn)
        reason = (
            "stop" if row.pieces.is_stopped else "length" if len(row.tokens) >= row.prompt.sampling.max_tokens else ""
        )
    if reason:
        piece += row.pieces.end()
        if row.pieces.is_stopped and reason == "length":
            reason = "stop"
    if piece:
        row.prompt.emit(piece)
    if reason:
        row.is_done = True
        reply = Reply(
            text=row.pieces.text, finish_reason=reason, prompt_tokens=len(row.prompt.ids), completion_tokens=len(row.tokens),
            logprobs=tuple(row.logprobs),
        )  # fmt: skip
        row.prompt.emit(reply)
