"""The part of a model's response that is its answer: without the thoughts before it and without what follows its end.

Thoughts are cut first (evoltune/text/reasoning.py), so that a draft in them is never taken for the answer; thoughts that never
end leave no answer. Then the text is cut at the first end mark of a chat template, which servers without the right stop tokens
leave in.

    final_text("<think>\\nMaybe 4?\\n</think>\\nIt is 5.<|im_end|>\\n<|im_start|>user\\nThanks")    # "It is 5."

Invariant: a text without such marks comes back unchanged. Marks inside a string or a closed fence are the answer's own: programs
about chat templates contain them too.
"""

import json
import re
from typing import Any

from evoltune.text.reasoning import is_unfinished, split_reasoning

_START = re.compile(
    r"\A(?:\s*(?:<\|im_start\|>(?:assistant)?(?:<\|im_sep\|>)?|<\|start_header_id\|>assistant<\|end_header_id\|>|<start_of_turn>model|"
    r"<\|turn>model|<\|start_of_role\|>assistant<\|end_of_role\|>|<\|start\|>assistant|<\|im_sep\|>|\[BEGIN\](?=\s)|"
    r"<\|assistant\|>|\[\|assistant\|\]|<｜Assistant｜>|<｜begin▁of▁sentence｜>|<\|begin_of_text\|>|<bos>|<s>|\[/INST\]))+[ \t]*\n?"
)
_OPENS = r"(?!/?(?i:begin|channel\||message\||constrain|python_tag|think|tool_call|start_of_(?!turn|role)|end_of_(?:box|thought|solution|role))|START_|END_T)"
_END = re.compile(
    rf"<\|{_OPENS}/?[A-Za-z▁][\w▁/]{{2,40}}\|>|<\|/s\|>|<｜{_OPENS}[^<>｜\n]{{2,40}}｜>|\[\|(?:endofturn|user|assistant|system)\|\]|"
    r"<(?:\|turn|turn\||(?:start|end)_of_turn|end_of_text|eos|eo[adpt]|EOT|EOS_TOKEN|seed:eos)>|</s>|\[/?INST\]|^\[DONE\]|"
    r"<(?:fim_(?:prefix|middle|suffix|pad)|file_sep|repo_?name|gh_stars|jupyter_\w+|issue_\w+|commit_\w+|empty_output)>|"
    r"</(?P<tag>answer|solution|response|code)>\s*\Z", re.M,
)  # fmt: skip
"""Special tokens: any `<|name|>` but those that open a part of the answer, and what families write in other forms."""
_ENDED = re.compile(r"(?:[^\w\s,;:(\[{=<-]|\n\s*)\Z")
"""The end of a sentence, a line or a block: a mark in the middle of a sentence is a word that the sentence speaks of."""
_FENCE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[^`\n]*$", re.M)
_QUOTES = frozenset("\"'`\\")
_QUOTE_AFTER = re.compile(r"[\"']|`(?!``)|\\(?:[nrt](?![a-z])|[\"'])")
"""A quotation mark or an escape; the backslash of `\\boxed` or `\\[` is mathematics."""


def final_text(response: str) -> str:
    """The response from the end of its last thought up to its first end mark; "" where thoughts never end."""
    if not ("<" in response or "[" in response or "◁" in response or response.startswith("analysis")):
        return response  # every mark has one of these signs
    text = _START.sub("", response) if response.lstrip()[:1] in "<[" else response
    if is_unfinished(text):
        return ""
    return _up_to_end_mark(split_reasoning(text)[0])


def json_object(text: str, *, number: type | None = None) -> dict[str, Any] | None:
    """The fields of structured output: a text that is one JSON object, alone or in a fence. `number`: what numbers become (str:
    as they are written)."""
    inside = text.strip()
    if inside.startswith("```"):
        inside = inside.partition("\n")[2].removesuffix("```").rstrip()
    if not (inside.startswith("{") and inside.endswith("}")):
        return None
    try:
        fields: dict[str, Any] = json.loads(inside, parse_int=number, parse_float=number, parse_constant=number)
    except (ValueError, RecursionError):
        return None
    return fields


def without_frame(text: str) -> str:
    """The text without the marks of its own turn, which servers with a wrong template leave round it: `<|im_start|>assistant`
    before it and `<|im_end|>` behind it. What goes on with another turn comes back as it is."""
    stripped = text.strip()
    if stripped[:1] not in ("<", "[") and stripped[-1:] not in (">", "]"):
        return text
    opening = _START.match(stripped)
    is_framed = opening is not None and opening[0].strip() != "<s>"  # that alone strikes a word out
    inside = stripped[opening.end() :] if opening is not None and is_framed else stripped
    kept = _up_to_end_mark(inside)
    behind = _END.sub("", inside[len(kept) :])
    if behind.strip() or not (is_framed or _ENDED.search(kept)):
        return text
    return kept.strip() if is_framed or len(kept) < len(inside) else text


def _up_to_end_mark(text: str) -> str:
    fences: list[tuple[int, int]] | None = None
    for mark in _END.finditer(text):
        before = text[: mark.start()]
        if _is_quoted(text, mark) or before.count('"""') % 2 or before.count("'''") % 2:
            continue
        if mark[0] == "</s>" and "<s>" in before.rpartition("\n")[2]:
            continue  # struck-out text
        if mark["tag"] and f"<{mark['tag']}" in before:
            continue  # a tag round the answer or in it; only one whose beginning stood in the prompt is an end
        fences = fences if fences is not None else _closed_fences(text)
        if not _is_within(mark.start(), fences):
            return before
    return text


def _is_quoted(text: str, found: re.Match[str]) -> bool:
    """Whether the match stands beside a quotation mark or an escape, or in a comment, as in a program."""
    before, after = text[max(0, found.start() - 3) : found.start()], text[found.end() : found.end() + 1]
    if (before[-1:] in _QUOTES and before != "```") or _QUOTE_AFTER.match(text, found.end()):
        return True
    line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()].lstrip()
    return line.startswith(("# ", "//")) and after not in ("", "\n")


def _closed_fences(text: str) -> list[tuple[int, int]]:
    """The places of fenced blocks that are closed again. A fence with a tag opens a block and never closes one."""
    found: list[tuple[int, int]] = []
    start, mark = -1, ""
    for fence in _FENCE.finditer(text):
        line = fence[0].strip()
        if start < 0 or line.strip(mark[:1]):
            start, mark = fence.start(), line[: len(line) - len(line.lstrip(line[0]))]
        elif line.startswith(mark):
            found.append((start, fence.end()))
            start = -1
    return found


def _is_within(position: int, places: list[tuple[int, int]]) -> bool:
    return any(start <= position < end for start, end in places)
