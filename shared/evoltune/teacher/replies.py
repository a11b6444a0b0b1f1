"""A chat completion into a `Reply`: the answer apart from its reasoning, each way to end, and what it cost.

    reply = parse_reply(response_body, request)

Raises FailedReply for an error inside HTTP 200, GivenUpError for what the model or a filter would not say, ValueError for a
body without a text. Invariant: nothing but the answer is in `Reply.texts`.
"""

from collections.abc import Mapping
from typing import Any

from evoltune.run.store import Usage
from evoltune.teacher.bodies import json_of
from evoltune.teacher.protocol import RAW_PROMPT, GivenUpError, Reply, Request
from evoltune.teacher.refusals import ServerError, error_in_reply
from evoltune.text.reasoning import split_reasoning
from evoltune.text.responses import without_frame
from evoltune.text.unicode import clean, without_surrogates

CUT = {"length", "max_tokens", "model_length", "max_output_tokens", "token_limit", "model_context_window_exceeded"}
FAILED = {"error", "abort", "aborted", "cancelled", "canceled", "insufficient_system_resource", "network_error"}
ENDED = {"", "stop", "eos", "end_turn", "stop_sequence", "complete", "finish", "done"}
"""Ends that a model chose itself; behind these an empty text is its answer."""
TOOLS = {"tool_calls", "tool_call", "tool_use", "function_call", "malformed_function_call"}
FILTERED = (
    "filter",
    "safety",
    "block",
    "prohibit",
    "recitation",
    "sensitive",
    "moderat",
    "refus",
    "policy",
    "spii",
    "guardrail",
    "toxic",
)
"""Parts of finish reasons with which a text was stopped for its content."""
Choice = tuple[str, str, bool]
"""(answer, thought, whether it ended at the token limit)."""
_TEXT_PARTS = {"text", "output_text", "input_text", ""}
MAX_NESTING = 20
"""Of parts in parts: a reply that is nested more deeply is made to exhaust the stack."""
MAX_COUNT = 2**31
"""A larger number of tokens is no count, and as many would not fit into the store."""
_THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking", "thought", "reasoning_text")


class FailedReply(ValueError):
    """HTTP 200 with an error in its body."""

    def __init__(self, error: ServerError) -> None:
        super().__init__(str(error))
        self.error = error


def parse_reply(body: bytes, request: Request) -> Reply:
    """The reply in the body of a response."""
    return reply_of(json_of(body), is_raw_text=request.messages[0][0] == RAW_PROMPT)


def reply_of(completion: object, *, is_raw_text: bool = False) -> Reply:
    """The reply in a chat completion that is already parsed, as a line of a batch file holds it.

    is_raw_text: a prompt that we rendered ourselves; its text is taken as it is, tags of reasoning included.
    """
    if isinstance(completion, list) and len(completion) == 1:  # as a batch of one
        completion = completion[0]
    if not isinstance(completion, dict):
        raise ValueError("the reply has no choices")
    completion = _unwrapped(completion)
    if error := error_in_reply(completion):
        raise FailedReply(error)
    choices = completion.get("choices")
    if not choices and (reason := _why_blocked(completion)):
        raise GivenUpError("content filter", f"the prompt was blocked: {reason}")
    if not isinstance(choices, list) or not choices or not all(isinstance(c, dict) for c in choices):
        raise ValueError("the reply has no choices")
    if len(choices) > 1 and all(isinstance(c.get("index"), int) for c in choices):
        choices = sorted(choices, key=lambda c: c["index"])
    found = [_choice(choice, is_raw_text) for choice in choices]
    usage = usage_of(completion.get("usage"))
    if _made_nothing(completion, found):
        raise ValueError("the reply is empty, and by its usage no token was made")
    withheld = [one for one in found if isinstance(one, GivenUpError)]
    if len(withheld) == len(found):
        withheld[0].usage = usage
        raise withheld[0]
    kept = [("", "", False) if isinstance(one, GivenUpError) else one for one in found]
    texts, thoughts = tuple(text for text, _, _ in kept), tuple(thought for _, thought, _ in kept)
    truncated = tuple(i for i, (_, _, is_cut) in enumerate(kept) if is_cut)
    return Reply(texts=texts, usage=usage, truncated=truncated, thoughts=thoughts if any(thoughts) else ())


def _unwrapped(completion: dict[str, Any]) -> dict[str, Any]:
    """The completion inside an envelope of a gateway: `{"code": 0, "data": {"choices": [...]}}`."""
    if completion.get("choices"):
        return completion
    inside = [value for value in completion.values() if isinstance(value, dict) and value.get("choices")]
    return inside[0] if len(inside) == 1 else completion


def _why_blocked(completion: Mapping[str, Any]) -> str:
    """The reason for which Gemini, and gateways before it, take no prompt: `promptFeedback: {blockReason: SAFETY}`."""
    feedback = completion.get("promptFeedback") or completion.get("prompt_feedback")
    reason = (feedback.get("blockReason") or feedback.get("block_reason")) if isinstance(feedback, dict) else None
    return reason if isinstance(reason, str) else ""


def _made_nothing(completion: Mapping[str, Any], found: list[Choice | GivenUpError]) -> bool:
    """Empty texts of which the server says itself that they cost nothing: a provider behind it failed."""
    usage = completion.get("usage")
    made = usage.get("completion_tokens", usage.get("output_tokens")) if isinstance(usage, dict) else None
    return made == 0 and not usage.get("total_tokens") and all(c == ("", "", False) for c in found)  # type: ignore[union-attr]


def _choice(choice: Mapping[str, Any], is_raw_text: bool) -> Choice | GivenUpError:
    """What one choice says, or why it says nothing. Raises ValueError: worth another attempt."""
    message = choice.get("message", choice.get("delta"))
    if message is None and "message" in choice:
        message = {}  # of a text that a filter took away
    end = _end_of(choice)
    if message is None and isinstance(choice.get("text"), str):
        answer, thought = choice["text"], ""  # of a raw prompt
        if not is_raw_text:
            answer, thought = split_reasoning(answer)
    elif isinstance(message, dict):
        answer, thought = _message(message)
    else:
        raise ValueError("the reply's content is null")
    if not is_raw_text:
        answer = without_frame(answer)
    to_store = without_surrogates if is_raw_text else clean
    answer, thought = to_store(answer), to_store(thought)
    if end != "stop" and any(part in end for part in FILTERED):
        return GivenUpError("content filter", f"the reply ended with finish_reason {end!r}")
    if end in FAILED or end.startswith("error"):
        raise ValueError(f"the reply ended with finish_reason {end!r}")
    if not answer.strip() and (refusal := _refusal_in(message)):
        return GivenUpError("refusal", without_surrogates(refusal[:300]))
    if not answer.strip() and (end in TOOLS or (isinstance(message, dict) and message.get("tool_calls"))):
        return GivenUpError("tool call", "the model called a tool in place of an answer")
    if end in CUT:
        return answer, thought, True
    if isinstance(message, dict) and not isinstance(message.get("content"), str) and not answer:
        raise ValueError("there is no answer after the reasoning" if thought else "the reply's content is null")
    if not answer.strip() and end not in ENDED:
        raise ValueError(f"the reply is empty and ended with finish_reason {end!r}")
    return answer, thought, False


def _end_of(choice: Mapping[str, Any]) -> str:
    """Its finish reason in lower case; some servers send an object (`{"type": "length"}`), or spell the field as Gemini does."""
    end = choice.get("finish_reason") or choice.get("finishReason")
    if isinstance(end, dict):
        end = end.get("type") or end.get("reason")
    return str(end or "").lower()


def _refusal_in(message: object) -> str:
    """What the model says in place of an answer, in a field or a part made for that."""
    if not isinstance(message, dict):
        return ""
    parts = message.get("content")
    found = [message, *(part for part in parts if isinstance(part, dict))] if isinstance(parts, list) else [message]
    said = (one.get("refusal") for one in found)
    return next((text.strip() for text in said if isinstance(text, str) and text.strip()), "")


def _message(message: Mapping[str, Any]) -> tuple[str, str]:
    """(answer, thought) of a message whose content is a text, or parts."""
    content = message.get("content")
    if isinstance(content, dict):
        content = [content]
    parts: list[str] = []
    thoughts = [text for name in _THOUGHT_FIELDS if message.get(name) and (text := _all_text(message[name]))][:1]
    if isinstance(content, str):
        parts.append(content)
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, str):
                parts.append(part)
            elif isinstance(part, dict):
                is_text = str(part.get("type", "")).lower() in _TEXT_PARTS and not part.get("thought")
                (parts if is_text else thoughts).append(_all_text(part))
    answer, inside = split_reasoning("".join(parts))
    if not thoughts:
        thoughts = [_all_text(message.get("reasoning_details"))]
    return answer, "\n\n".join(t for t in (*thoughts, inside) if t.strip()).strip()


def _all_text(value: object, depth: int = MAX_NESTING) -> str:
    """The text in a part that may hold parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and depth:
        return "".join(_all_text(item, depth - 1) for item in value)
    if isinstance(value, dict) and depth:
        keys = ("text", "thinking", "reasoning", "summary", "content")
        return next((text for key in keys if (text := _all_text(value.get(key), depth - 1))), "")
    return ""


# ---- what it cost


def usage_of(raw: object) -> Usage:
    """The usage that a server reports; zero where it reports none. Reasoning counts: some leave it out of
    `completion_tokens` and have it in `total_tokens` alone."""
    if not isinstance(raw, dict):
        return Usage()

    def count(name: str, other: str) -> int:
        found = count_of(raw.get(name))
        return (count_of(raw.get(other)) if found is None else found) or 0

    prompt = count("prompt_tokens", "input_tokens")
    completion = count("completion_tokens", "output_tokens")
    return Usage(prompt_tokens=prompt, completion_tokens=max(completion, count("total_tokens", "") - prompt))


def count_of(value: object) -> int | None:
    """A number of tokens, also as a float or as digits in a text; None for anything that cannot be one."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:20])
    if isinstance(value, int | float) and not isinstance(value, bool) and value < MAX_COUNT:
        return max(0, int(value))
    return None
