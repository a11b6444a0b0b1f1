"""The turns of a conversation as dumps have them: names of roles and of fields, marks without loss, order.

    read_turns([{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello", "weight": 0}], "conversations")
    # Turns(turns=(Turn("user", "Hi"), Turn("assistant", "Hello", trained=False)))

Reading is lenient, so that odd conversations can be audited; `Turns.problem` says why one cannot be trained on.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_NAMES = {
    "system": "system developer",
    "user": "user human prompter",
    "assistant": "assistant gpt bot chatbot model ai chatgpt gpt4 gpt-4 gpt-3.5-turbo claude bard bing",
}
_ROLES = {name: role for role, names in _NAMES.items() for name in names.split()}
_ROLE_KEYS = ("role", "from")
_TEXT_KEYS = ("content", "value", "text")
_LOSS_KEYS = (
    "weight", "train", "training", "trainable", "loss", "train_on_turn", "trained", "loss_weight", "loss_scale", "loss_mask",
)  # fmt: skip
"""Marks of OpenAI's fine-tuning files, axolotl and ms-swift: 0 or false keeps a turn as context without loss."""
_CALL_KEYS = ("tool_calls", "function_call")
_TRUTH = {"0": False, "1": True, "false": False, "true": True, "0.0": False, "1.0": True}


@dataclass(frozen=True)
class Turn:
    """One message. `trained`: whether an answer carries loss."""

    role: str
    content: str
    trained: bool = True


@dataclass(frozen=True, kw_only=True)
class Turns:
    """A conversation without empty system messages, the message keys that were not read, and why it is not trainable."""

    turns: tuple[Turn, ...]
    unread: tuple[str, ...] = ()
    problem: str = ""


def as_turns(value: Any) -> list[Any] | None:
    """A column's value as a list of turns: a list, one as JSON text (CSV), or lists by key (`datasets`' old Sequence).

    None when it is no conversation: another type, or nothing in it.
    """
    if isinstance(value, str) and value.lstrip()[:2] in ("[{", "[ ", "[\n"):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if isinstance(value, Mapping) and value and all(isinstance(part, list) for part in value.values()):
        value = [dict(zip(value, parts, strict=False)) for parts in zip(*value.values(), strict=False)]
    return value if isinstance(value, list) and value else None


def read_turns(messages: Sequence[Any], column: str) -> Turns | str:
    """The messages of a column, or the reason why they are none. LIMA's `conversations` are plain texts, user first."""
    if column.startswith("conversation") and all(isinstance(message, str) for message in messages):
        messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(messages)]
    turns: list[Turn] = []
    unread: dict[str, None] = {}
    problems: list[str] = []
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, Mapping):
            return f"column {column!r}: a turn is a {type(message).__name__}, must be an object"
        found = _turn(message, number, problems)
        if isinstance(found, str):
            return f"column {column!r}: {found}"
        known = {_first(message, _ROLE_KEYS), _first(message, _TEXT_KEYS), *_LOSS_KEYS}
        unread |= dict.fromkeys(
            f"{column}[].{k}" for k, value in message.items() if k not in known and not is_nothing(value)
        )
        if found.role != "system" or found.content.strip():
            turns.append(found)
    problem = next(iter(problems), "") or problem_of(turns)
    return Turns(turns=tuple(turns), unread=tuple(unread), problem=f"column {column!r}: {problem}" if problem else "")


def is_nothing(value: Any) -> bool:
    """Whether a column or key holds nothing; false and 0 are something: they may say what is not to be learnt."""
    return value is None or value == "" or value == [] or value == {} or value != value


def _first(message: Mapping[str, Any], keys: Iterable[str]) -> str:
    """The first of the keys that holds something."""
    return next((key for key in keys if message.get(key) is not None), "")


def _turn(message: Mapping[str, Any], number: int, problems: list[str]) -> Turn | str:
    name, content = message.get(_first(message, _ROLE_KEYS)), message.get(_first(message, _TEXT_KEYS))
    if calls := [key for key in _CALL_KEYS if message.get(key)]:
        problems.append(f"turn {number} has {calls[0]}: calls of tools are not supported")
        content = "" if content is None else content
    if isinstance(content, list):
        content = _text_of_parts(content, number, problems)
    if not isinstance(name, str) or not isinstance(content, str):
        keys = ", ".join(map(str, message)) or "none"
        return f"turn {number} has no role and content (or from and value) as text: its keys are {keys}"
    role = _ROLES.get(name.strip().lower(), name)
    trained, problem = _trained(message, role)
    if role not in _NAMES:
        problem = (
            f"role {name!r} (turn {number}) is not supported: allowed: system, user, assistant, human, gpt and such"
        )
    if problem:
        problems.append(problem if "turn" in problem else f"turn {number} ({role}): {problem}")
    return Turn(role, content, trained)


def _text_of_parts(parts: Sequence[Any], number: int, problems: list[str]) -> str:
    """The text of `[{"type": "text", "text": ...}]`."""
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            problems.append(f"turn {number} has a part of type {kind!r}: only text is supported")
    return "".join(texts)


def _trained(message: Mapping[str, Any], role: str) -> tuple[bool, str]:
    """(whether the turn carries loss, what is wrong with its mark)."""
    for key in _LOSS_KEYS:
        if (value := message.get(key)) is None:
            continue
        mark = _TRUTH.get(str(value).strip().lower())
        if mark is None:
            return True, f"{key}: {value!r} must be 0 or 1 (false or true)"
        if mark and role == "user":
            return True, f"{key}: {value!r} asks for loss on a question: only answers carry loss"
        return mark, ""
    return True, ""


def problem_of(turns: Iterable[Turn]) -> str:
    """Why turns are no conversation to train on: [system,] user, assistant, ..., user, assistant, none of them empty."""
    turns = list(turns)
    roles = [turn.role for turn in turns]
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    if spoken != ["user", "assistant"] * (len(spoken) // 2) or not spoken:
        end = "" if spoken[-1:] == ["assistant"] else "; it must end with an answer"
        order = f"the order of roles is {', '.join(roles) or 'empty'}"
        return f"{order}: must be user, assistant, user, assistant, ... after at most one system{end}"
    for number, turn in enumerate(turns, start=1):
        if not turn.content.strip() and turn.role == "user":
            return f"turn {number} (user) is empty"
        if not turn.content.strip() and turn.trained:
            todo = "remove the row or answer it, or mark the turn with weight 0"
            return f"turn {number} (assistant): the answer is empty, so only the stop token would carry loss: {todo}"
    if not any(turn.trained for turn in turns if turn.role == "assistant"):
        return "every answer is marked as not to be trained: remove the row"
    return ""
