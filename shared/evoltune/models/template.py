"""Renders prompts: training, evaluation and serving all use these functions. Imports no torch.

    render_prompt("alpaca", "Add 2 and 3.")                        # text, ends where the answer begins
    encode("chat", messages, tokenizer).ids, .labels               # for training
    prompt_ids("chat", messages[:-1], tokenizer)                   # for evaluation, chat and serve

Messages are `{"role": "system" | "user" | "assistant", "content": ...}`; a user message may carry `input` (Alpaca's
second field). Invariant: `encode(...).ids` starts with `prompt_ids(...)` of the same conversation, its last id is the stop
token, and no token of a prompt carries a label. The format strings are published facts: Stanford Alpaca, WizardCoder
(2306.08568, appendix), WizardMath (2308.09583, section 3), LIMA (2305.11206, section 3: an end-of-turn token of its own).
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evoltune.errors import DataError, TrainingError
from evoltune.text.prompts import fill_slots

Message = Mapping[str, Any]
Spans = list[tuple[int, int]]
"""Character spans of answers in a text, each with its stop token."""
_CLOCK_CALL = re.compile(r"""strftime_now\(\s*(['"])((?:(?!\1).)*)\1\s*\)""")
IGNORED = -100
"""Label of a token without loss; PyTorch's default `ignore_index`."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """A published plain-text template. `{instruction}` and `{input}` are filled in, and the answer follows directly."""

    preamble: str = ""
    turn: str
    preamble_input: str = ""
    turn_input: str = ""
    """For a message with an input; empty: the input becomes a second paragraph of the instruction."""
    between: str = "\n\n"
    """Between a finished answer and the next instruction."""
    end_of_turn: str = ""
    """A special token after each utterance; empty: the tokenizer's end-of-sequence token, after answers only."""


_TASK = "Below is an instruction that describes a task"
_REQUEST = "Write a response that appropriately completes the request.\n\n"
_INSTRUCTION = "### Instruction:\n{instruction}\n\n"
ALPACA = Format(
    preamble=f"{_TASK}. {_REQUEST}",
    turn=_INSTRUCTION + "### Response:",
    preamble_input=f"{_TASK}, paired with an input that provides further context. {_REQUEST}",
    turn_input=_INSTRUCTION + "### Input:\n{input}\n\n### Response:",
)
FORMATS: dict[str, Format] = {
    "alpaca": ALPACA,
    "wizardcoder": Format(preamble=ALPACA.preamble, turn=ALPACA.turn),
    "wizardmath": Format(preamble=ALPACA.preamble, turn=ALPACA.turn + " Let's think step by step."),
    "lima": Format(turn="{instruction}", between="", end_of_turn="<|eot|>"),
}
TEMPLATES = ("chat", *FORMATS)


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """One conversation as ids; `labels[i]` is `ids[i]` if the token carries loss, else IGNORED. Both lists have one length."""

    ids: list[int]
    labels: list[int]


@dataclass(frozen=True, kw_only=True)
class Stop:
    """The token that ends an answer: trained, and written to generation_config.json."""

    token: str
    id: int


def as_messages(messages: str | Sequence[Message]) -> list[Message]:
    """The messages, or one user message made from an instruction."""
    return [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)


def render_prompt(template: str, messages: str | Sequence[Message], system: str = "", tokenizer: Any = None) -> str:
    """The text of a prompt. `chat`, and conversations with earlier answers, need the tokenizer."""
    return render(template, as_messages(messages), system, tokenizer, spans=False)[0]


def render(
    template: str, messages: Sequence[Message], system: str = "", tokenizer: Any = None, *,
    spans: bool = True, at: datetime | None = None,
) -> tuple[str, Spans]:  # fmt: skip
    """A prompt, and the spans of the earlier answers in it that carry loss (all without `"trained": False`).

    Args:
        messages: They must end with a user's turn; their own system message takes precedence over `system`.
        spans: Whether the spans are wanted. A chat template that rewrites earlier answers has none: DataError.
        at: The time that a chat template with a clock writes; by default now.
    """
    messages = list(messages)
    if messages and messages[0]["role"] == "system":
        system, messages = str(messages[0]["content"]), messages[1:]
    roles = [m["role"] for m in messages]
    if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        raise DataError(f"a prompt is user, assistant, ..., user: these roles are {roles}")
    if template == "chat":
        text = _apply_chat_template(messages, system, tokenizer, True, at)
        return text, _chat_spans(text, messages, system, tokenizer, at) if spans else []
    if template not in FORMATS:
        raise TrainingError(f"template {template!r}: allowed: {', '.join(TEMPLATES)}")
    return _render_plain(FORMATS[template], messages, system, tokenizer)


def _render_plain(form: Format, messages: Sequence[Message], system: str, tokenizer: Any) -> tuple[str, Spans]:
    with_input = bool(form.turn_input and messages[0].get("input"))
    text = (f"{system}\n\n" if system else "") + (form.preamble_input if with_input else form.preamble)
    spans = []
    for message in messages:
        if message["role"] == "assistant":
            start = len(text)
            text += str(message["content"]) + stop_of_format(form, tokenizer).token
            if message.get("trained", True):
                spans.append((start, len(text)))
            text += form.between
        else:
            text += _turn(form, message) + form.end_of_turn
    return text, spans


def _turn(form: Format, message: Message) -> str:
    instruction, given = str(message["content"]), str(message.get("input") or "")
    if not given:
        return fill_slots(form.turn, instruction=instruction)
    if not form.turn_input:
        return fill_slots(form.turn, instruction=f"{instruction}\n\n{given}")
    return fill_slots(form.turn_input, instruction=instruction, input=given)


def _chat_spans(text: str, messages: Sequence[Message], system: str, tokenizer: Any, at: datetime | None) -> Spans:
    """The spans of earlier answers in a rendered prompt: each follows the very text that asked for it."""
    spans = []
    for i, message in enumerate(messages):
        if message["role"] != "assistant" or not message.get("trained", True):
            continue
        before, answer = (
            _apply_chat_template(messages[:i], system, tokenizer, True, at),
            str(message["content"]).strip(),
        )
        rest = text[len(before) :]
        if not (text.startswith(before) and rest.lstrip().startswith(answer)):
            raise DataError(
                f"the chat template rewrites earlier turns ({answer[:40]!r}), so several answers cannot be trained in one "
                "row: train on single turns, mark earlier answers with weight 0, or use train.template: alpaca"
            )
        behind, stop = rest.lstrip().removeprefix(answer), stop_of("chat", tokenizer).token
        if behind.lstrip().startswith(stop):
            behind = behind.lstrip().removeprefix(stop)
        spans.append((len(before), len(text) - len(behind)))
    return spans


def chat_turns(messages: Sequence[Message], system: str) -> list[dict[str, str]]:
    """Messages as `apply_chat_template` takes them: a system turn first, an `input` as a second paragraph."""
    turns = [{"role": "system", "content": system}] if system else []
    for m in messages:
        text = f"{m['content']}\n\n{m['input']}" if m.get("input") else str(m["content"])
        turns.append({"role": m["role"], "content": text})
    return turns


def _apply_chat_template(
    messages: Sequence[Message], system: str, tokenizer: Any, generation: bool, at: datetime | None = None
) -> str:
    if getattr(tokenizer, "chat_template", None) is None:
        raise TrainingError(
            "train.template: chat needs a tokenizer with a chat template, and this base has none: "
            "use alpaca, wizardcoder, wizardmath or lima"
        )
    from jinja2 import TemplateError

    turns = chat_turns(messages, system)
    try:
        return _applied(tokenizer, turns, generation, at)
    except (TemplateError, TypeError) as error:
        reason = " ".join(str(error).split())
    if system:
        with suppress(TemplateError, TypeError):
            _applied(tokenizer, turns[1:], generation, at)
            raise DataError(
                f"this base's chat template takes no system message ({reason}): remove it (in the row, or "
                "train.system_prompt), put it into the question, or use train.template: alpaca"
            )
    raise DataError(f"this base's chat template refuses the conversation: {reason}")


def _applied(tokenizer: Any, turns: Sequence[Mapping[str, str]], generation: bool, at: datetime | None) -> str:
    text: str = tokenizer.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=generation, **clock_of(tokenizer, at)
    )  # fmt: skip
    return text


def clock_of(tokenizer: Any, at: datetime | None) -> dict[str, Any]:
    """Arguments of `apply_chat_template` that set the clock of a template that writes a date.

    Transformers passes only plain data to a template, so the calls of `strftime_now` are replaced in its text.
    """
    if at is None or not has_clock(tokenizer):
        return {}
    fixed = _CLOCK_CALL.sub(lambda call: _quoted(at.strftime(call[2])), tokenizer.chat_template)
    if "strftime_now(" in fixed:
        raise DataError(
            "the base's chat template writes the date in a format that it computes, so its prompts cannot be repeated on "
            "another day: give the tokenizer a template with a fixed date, or use train.template: alpaca"
        )
    return {"chat_template": fixed}


def has_clock(tokenizer: Any) -> bool:
    """Whether the tokenizer's chat template writes today's date."""
    return "strftime_now" in str(getattr(tokenizer, "chat_template", None) or "")


def _refuse_lost_text(text: str, messages: Sequence[Message], system: str) -> None:
    """Raises DataError for a system or user text that the chat template leaves out of the prompt."""
    for turn in chat_turns(messages, system):
        if turn["role"] != "assistant" and turn["content"].strip() not in text:
            raise DataError(
                f"the chat template loses the {turn['role']} text {turn['content'][:60]!r}: it does not stand in the prompt, "
                "so training, evaluation and serving would all be without it: remove it, or use another train.template"
            )


_CONTROL = re.compile(r"</?[A-Za-z_]\w*>|<[|\uff5c][^>]{1,40}[|\uff5c]>")
"""What is written like a control token: `<|im_end|>`, `<end_of_turn>`, `</s>`."""


def stop_of(template: str, tokenizer: Any) -> Stop:
    """The token that ends an answer under this template."""
    if template != "chat":
        return stop_of_format(FORMATS[template], tokenizer)
    probe: list[Message] = [{"role": "user", "content": "ping"}, {"role": "assistant", "content": "pong"}]
    before = _apply_chat_template(probe[:1], "", tokenizer, True)
    after = _apply_chat_template(probe, "", tokenizer, False)
    if not after.startswith(before) or "pong" not in after[len(before) :]:
        raise TrainingError(
            "the chat template renders a finished turn differently from a prompt plus an answer, so training and serving would differ: "
            f"prompt {before!r}, turn {after!r}"
        )
    rest = after[len(before) :].rpartition("pong")[2].lstrip()
    for token, id_ in sorted(tokenizer.get_added_vocab().items(), key=lambda item: -len(item[0])):
        if rest.startswith(token):
            return Stop(token=token, id=id_)
    eos = _eos(tokenizer)
    mark = _CONTROL.match(rest)
    if mark and not rest.startswith(eos.token) and mark[0] not in tokenizer.get_vocab():
        raise TrainingError(
            f"the chat template ends an answer with {mark[0]!r}, which is no token of this tokenizer: it belongs to another family, and "
            "the model could not stop by it: use the base's own template, add the token to the tokenizer, or choose another train.template"
        )
    return eos


def stop_of_format(form: Format, tokenizer: Any) -> Stop:
    if not form.end_of_turn:
        return _eos(tokenizer)
    id_ = tokenizer.get_vocab().get(form.end_of_turn) if tokenizer is not None else None
    if id_ is None:
        raise TrainingError(
            f"the tokenizer has no {form.end_of_turn!r} token: it is added when training starts; "
            "give the tokenizer of a checkpoint trained with this template"
        )
    return Stop(token=form.end_of_turn, id=id_)


def _eos(tokenizer: Any) -> Stop:
    if tokenizer is None:
        raise TrainingError("this prompt has earlier answers, and their stop token is the tokenizer's: pass tokenizer=")
    if tokenizer.eos_token_id is None:
        raise TrainingError(
            "the tokenizer has no end-of-sequence token: answers would never stop; set eos_token in tokenizer_config.json"
        )
    return Stop(token=tokenizer.eos_token, id=tokenizer.eos_token_id)


def as_chat_template(template: str, system: str, *, bos: bool) -> str:
    """A plain format as a Jinja chat template for the saved tokenizer, so that any server builds the same prompts.

    `bos`: whether the tokenizer adds a BOS token to plain text, which the template must then write. Chat messages have no
    `input`, so the template has no place for one.
    """
    form = FORMATS[template]
    end, after_turn = (f"'{form.end_of_turn}'", f" + '{form.end_of_turn}'") if form.end_of_turn else ("eos_token", "")
    head, tail = (_quoted(part) for part in form.turn.split("{instruction}"))
    return (
        ("{{ bos_token }}" if bos else "") + f"{{% set ns = namespace(system={_quoted(system)}) %}}"
        "{% if messages[0]['role'] == 'system' %}{% set ns.system = messages[0]['content'] %}{% endif %}"
        "{% if ns.system %}{{ ns.system + '\\n\\n' }}{% endif %}"
        f"{{{{ {_quoted(form.preamble)} }}}}"
        "{% for m in messages %}"
        f"{{% if m['role'] == 'user' %}}{{{{ {head} + m['content'] + {tail}{after_turn} }}}}"
        f"{{% elif m['role'] == 'assistant' %}}{{{{ m['content'] + {end} + {_quoted(form.between)} }}}}{{% endif %}}"
        "{% endfor %}"
    )


def _quoted(text: str) -> str:
    """A Jinja string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def prompt_ids(
    template: str, messages: str | Sequence[Message], tokenizer: Any, system: str = "", at: datetime | None = None
) -> list[int]:
    """The ids of a prompt: what evaluation, chat and serve send, and what training sees before the last answer."""
    text, _ = render(template, as_messages(messages), system, tokenizer, spans=False, at=at)
    # A chat template writes its own BOS.
    ids: list[int] = tokenizer(text, add_special_tokens=template != "chat")["input_ids"]
    return ids


def encode(
    template: str, messages: Sequence[Message], tokenizer: Any, system: str = "", stop: Stop | None = None,
    at: datetime | None = None,
) -> Encoded:  # fmt: skip
    """Ids and labels of a conversation that ends with an answer; each trained answer and its stop token carry loss.

    The prompt is tokenized as a whole, as a server does it, and earlier answers are found in it by character offsets; the
    last answer is tokenized separately, as a model generates it. `stop` saves finding the stop token for each row.

    Raises DataError where the template loses or rewrites a text, or an answer holds the stop token.
    """
    *before, last = messages
    if last["role"] != "assistant":
        raise DataError("the conversation does not end with an answer (role assistant): nothing would be trained")
    stop = stop or stop_of(template, tokenizer)
    for message in messages:
        if message["role"] == "assistant" and message.get("trained", True) and stop.token in str(message["content"]):
            raise DataError(
                f"an answer holds {stop.token!r}, the token that ends an answer: the model would learn to stop there: remove "
                "it from the text"
            )
    text, spans = render(template, before, system, tokenizer, at=at)
    if template == "chat":
        own = before[0]["role"] == "system"
        _refuse_lost_text(text, before, "" if own else system)
    # Offsets only where they are needed.
    out = tokenizer(text, add_special_tokens=template != "chat", return_offsets_mapping=bool(spans))
    ids, labels = out["input_ids"], [IGNORED] * len(out["input_ids"])
    if spans:
        labels = [
            token if any(start <= a and b <= end and a < b for start, end in spans) else IGNORED
            for token, (a, b) in zip(ids, out["offset_mapping"], strict=True)
        ]
    answer = [*tokenizer(str(last["content"]), add_special_tokens=False)["input_ids"], stop.id]
    return Encoded(ids=[*ids, *answer], labels=[*labels, *answer])
