"""Renders prompts: training, evaluation and serving all use these functions. Imports no torch.

    render_prompt("alpaca", "Add 2 and 3.")                        # text, ends where the answer begins
    encode("chat", messages, tokenizer).ids, .labels               # for training
    prompt_ids("chat", messages[:-1], tokenizer)                   # for evaluation, chat and serve

Messages are `{"role": "system" | "user" | "assistant", "content": ...}`; a user message may carry `input` (Alpaca's
second field). Invariant: `encode(...).ids` starts with `prompt_ids(...)` of the same conversation, its last id is the stop
token, and no token of a prompt carries a label. The format strings are published facts: Stanford Alpaca, WizardCoder
(2306.08568, appendix), WizardMath (2308.09583, section 3), LIMA (2305.11206, section 3: an end-of-turn token of its own).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evoltune.errors import DataError, TrainingError
from evoltune.text.prompts import fill_slots

Message = Mapping[str, Any]
Spans = list[tuple[int, int]]
"""Character spans of answers in a text, each with its stop token."""
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
    return render(template, as_messages(messages), system, tokenizer)[0]


def render(template: str, messages: Sequence[Message], system: str = "", tokenizer: Any = None) -> tuple[str, Spans]:
    """A prompt, and the spans of the earlier answers in it.

    `messages` must end with a user's turn; their own system message takes precedence over `system`.
    """
    messages = list(messages)
    if messages and messages[0]["role"] == "system":
        system, messages = str(messages[0]["content"]), messages[1:]
    roles = [m["role"] for m in messages]
    if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        raise DataError(f"a prompt is user, assistant, ..., user: these roles are {roles}")
    if template == "chat":
        return _render_chat(messages, system, tokenizer)
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


def _render_chat(messages: Sequence[Message], system: str, tokenizer: Any) -> tuple[str, Spans]:
    text = _apply_chat_template(messages, system, tokenizer, True)
    stop = stop_of("chat", tokenizer)
    spans = []
    for i, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = _apply_chat_template(messages[:i], system, tokenizer, True)
        after = _apply_chat_template(messages[: i + 1], system, tokenizer, False)
        if not (after.startswith(before) and text.startswith(after.rstrip())):
            raise TrainingError(
                "the chat template rewrites earlier turns, so several turns cannot be trained in one row: "
                "train on single turns, or use train.template: alpaca"
            )
        at = after.find(stop.token, len(before) + len(str(message["content"]).strip()))
        spans.append((len(before), at + len(stop.token) if at >= 0 else len(after.rstrip())))
    return text, spans


def chat_turns(messages: Sequence[Message], system: str) -> list[dict[str, str]]:
    """Messages as `apply_chat_template` takes them: a system turn first, an `input` as a second paragraph."""
    turns = [{"role": "system", "content": system}] if system else []
    for m in messages:
        text = f"{m['content']}\n\n{m['input']}" if m.get("input") else str(m["content"])
        turns.append({"role": m["role"], "content": text})
    return turns


def _apply_chat_template(messages: Sequence[Message], system: str, tokenizer: Any, generation: bool) -> str:
    if getattr(tokenizer, "chat_template", None) is None:
        raise TrainingError(
            "train.template: chat needs a tokenizer with a chat template, and this base has none: "
            "use alpaca, wizardcoder, wizardmath or lima"
        )
    turns = chat_turns(messages, system)
    text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=generation)
    return text


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
            f"prompt {before[-40:]!r}, turn {after[-60:]!r}"
        )
    rest = after[len(before) :].rpartition("pong")[2].lstrip()
    for token, id_ in sorted(tokenizer.get_added_vocab().items(), key=lambda item: -len(item[0])):
        if rest.startswith(token):
            return Stop(token=token, id=id_)
    return _eos(tokenizer)


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


def as_chat_template(template: str, system: str = "", *, bos: bool = False) -> str:
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


def prompt_ids(template: str, messages: str | Sequence[Message], tokenizer: Any, system: str = "") -> list[int]:
    """The ids of a prompt: what evaluation, chat and serve send, and what training sees before the last answer."""
    text, _ = render(template, as_messages(messages), system, tokenizer)
    # A chat template writes its own BOS.
    ids: list[int] = tokenizer(text, add_special_tokens=template != "chat")["input_ids"]
    return ids


def encode(
    template: str, messages: Sequence[Message], tokenizer: Any, system: str = "", stop: Stop | None = None
) -> Encoded:
    """Ids and labels of a conversation that ends with an answer; each answer and its stop token carry loss.

    The prompt is tokenized as a whole, as a server does it, and earlier answers are found in it by character offsets; the
    last answer is tokenized separately, as a model generates it. `stop` saves finding the stop token for each row.
    """
    *before, last = messages
    if last["role"] != "assistant":
        raise DataError("the conversation does not end with an answer (role assistant): nothing would be trained")
    text, spans = render(template, before, system, tokenizer)
    # Offsets only where they are needed.
    out = tokenizer(text, add_special_tokens=template != "chat", return_offsets_mapping=bool(spans))
    ids, labels = out["input_ids"], [IGNORED] * len(out["input_ids"])
    if spans:
        labels = [
            token if any(start <= a and b <= end and a < b for start, end in spans) else IGNORED
            for token, (a, b) in zip(ids, out["offset_mapping"], strict=True)
        ]
    answer = tokenizer(str(last["content"]), add_special_tokens=False)["input_ids"]
    answer = [*answer, (stop or stop_of(template, tokenizer)).id]
    return Encoded(ids=[*ids, *answer], labels=[*labels, *answer])
