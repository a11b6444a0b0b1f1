"""Answers that are nearly right, made from right ones; and answers that no domain should accept or stumble over."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from evoltune.domain_kit.queries import other_results

SWAPS = (
    ("==", "!="), ("<", ">"), (" + ", " - "), ("return ", "return not "), (" and ", " or "), ("True", "False"),
    ("SELECT", "SELECT DISTINCT"),
)  # fmt: skip
HOSTILE = (
    "", " ", "\x00", "\ud800", "\u202e\u200b", "A" * 1_000_000, "(" * 5_000, "9" * 4_000, "9" * 5_000, "9**9**9**9", "{" * 999 + "}" * 999,
    "__import__('os').system('exit 3')", "\\frac{" * 400, "```python\nwhile True: pass\n```", "'; DROP TABLE t; --", "<script>1</script>",
    "1/0", "0/0", "1e999999999", "1e-999999999", "{}", "[]", '{"answer": null}', '{"answer": [1]}', "[1, 2]", "[{}]", "<a>", "2023-02-30", "25:61", "\u00b2", "\u0663", "\u00bd", "\u0663\u00b2\u00bd\u4e00",
    *"*+?\\%$={}<>'\"().-,e:;/|&^~#@!", "--1", "1..2", "1,,2", "$$", "\\boxed{", "\\frac{}{}", "**", "()", ",", "0x", "1e", "=1", "1=", "A", "z",
    "with t(x) as (values (1), (2), (3), (4), (5), (6), (7), (8), (9)) select count(*) from t a, t b, t c, t d, t e, t f, t g, t h, t i, t j", "None", "null", "nan", "inf", "-1e309", "0x1p-1074", "%s%n{0}", "[" * 3_000, "\n" * 10_000,
    "9" * 64 + "x", "a" * 64 + "!", "1," * 40 + "x", " " * 64 + "x", "-9" * 40 + "x", "(a" * 40 + "!", "a\r\nb\u2028c", "😀" * 50,
)  # fmt: skip
SHORT_HOSTILE = tuple(text for text in HOSTILE if 0 < len(text) < 30)
UNRELATED = ("I would rather talk about the weather today.", "...", "I do not know.")
MOST_GROWN = 12
"""Characters of an answer that are repeated."""
MORE = ("more at its end", "more at its start")
STRUCTURED = (
    "a value lost",
    "a value null",
    "a value of another type",
    "two values swapped",
    "a value too many",
    "inside another",
)
"""Kinds of change to a JSON object or list."""
CUT_OFF = (
    "its last bracket cut off",
    "its last brackets cut off",
    "its last quote and brackets cut off",
    "its last bracket cut off, with another key at its end",
)
"""Kinds of an object or list whose end a token limit took: it is no JSON, and whoever closes it judges what nobody wrote."""
RIGHT_AT_TIMES = frozenset((
    *(f"{old.strip()!r} swapped" for old, _ in SWAPS), "words in reverse order", "a word lost",
    "two values swapped", "a value of another type", "a value too many",
))  # fmt: skip
"""Kinds of change after which many an answer is still right (`SELECT DISTINCT`): they prove nothing by themselves."""
_NUMBER = re.compile(r"\d+")
_SIGNED = re.compile(r"(?<![\w.)\]}-])(?=\d)")


def near_misses(text: str) -> dict[str, str]:
    """kind of change -> an answer near to `text` and nearly always wrong. Kinds that do not apply are left out."""
    structured = _of_structure(text)
    if structured:  # a reader of JSON may well find it between other words, "not {...}" too
        found: dict[str, str] = structured
    else:
        found = {"denied": f"not {text}", "doubted": f"I do not know; perhaps {text}, perhaps not"}
    pieces = re.findall(r"\S+", text)
    if len(pieces) > 3:
        middle = len(pieces) // 2
        found["a word lost"] = " ".join([*pieces[:middle], *pieces[middle + 1 :]])
        found["a word replaced"] = " ".join([*pieces[:middle], "zq", *pieces[middle + 1 :]])
    if len(pieces) > 2 and not set(text) & set(",;"):
        found["words in reverse order"] = " ".join(pieces[::-1])
    found |= _of_content(text) | _of_letters(text)
    for kind in MORE if structured else ():
        found.pop(kind, None)
    return {kind: wrong for kind, wrong in found.items() if wrong.strip() and wrong != text}


def _of_structure(text: str) -> dict[str, str]:
    """Changes to a JSON object or list, after which it is still JSON; none where the text is something else."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(whole, dict | list) or not whole:
        return {}
    keys: list[Any] = [*whole] if isinstance(whole, dict) else [*range(len(whole))]
    first, last = keys[0], keys[-1]
    changed = dict(zip(STRUCTURED, _changed(whole, first, last), strict=True))
    found = {kind: json.dumps(value, ensure_ascii=False) for kind, value in changed.items() if value != whole}
    return found | cut_off(text)


def cut_off(text: str) -> dict[str, str]:
    """The beginnings of a JSON object or list of which only brackets are gone, or these and the sign before them."""
    whole, written = json.loads(text), text.rstrip()
    bare = written.rstrip("]} \t\r\n")
    found = [written[:-1], bare, bare[:-1] if bare.endswith('"') else ""]
    plain = [k for k, v in whole.items() if not isinstance(v, dict | list)] if isinstance(whole, dict) else []
    turned = {**{k: v for k, v in whole.items() if k != plain[0]}, plain[0]: whole[plain[0]]} if plain else {}
    found.append(json.dumps(turned, ensure_ascii=False)[:-1] if turned else "")
    return dict(zip(CUT_OFF, found, strict=True))


def is_structured(text: str) -> bool:
    """Whether a text is a JSON object or list."""
    return bool(_of_structure(text))


def _changed(whole: Any, first: Any, last: Any) -> Iterator[Any]:
    """The value with each of the changes of `STRUCTURED`, in their order."""

    def copied(*changes: tuple[Any, Any]) -> Any:
        copy = whole.copy()
        for key, value in changes:
            copy[key] = value
        return copy

    lost = whole.copy()
    del lost[last]
    yield lost
    yield copied((first, None))
    yield copied((first, [whole[first]]))
    yield copied((first, whole[last]), (last, whole[first]))
    yield {**whole, "zq": whole[last]} if isinstance(whole, dict) else [*whole, whole[last]]
    yield {"zq": whole} if isinstance(whole, dict) else [whole]


def _of_content(text: str) -> dict[str, str]:
    """Changes after which a text says something else, though it is of the same form."""
    found: dict[str, str] = {}
    digits = list(re.finditer(r"\d", text))
    for kind, place in (("last digit changed", -1), ("first digit changed", 0)):
        if digits:
            at = digits[place]
            found[kind] = text[: at.start()] + str((int(at.group()) + 1) % 10) + text[at.end() :]
    for old, new in SWAPS:
        if old in text:
            found[f"{old.strip()!r} swapped"] = text.replace(old, new, 1)
    found |= other_results(text)
    signed = _SIGNED.sub("-", text, count=1)
    if signed != text and re.search(r"[1-9]", text):
        found["sign changed"] = signed
    if _NUMBER.fullmatch(text.strip()) and int(text) > 0:
        number = text.strip()
        found |= {"fraction added": f"{number}.4", "ten times": f"{number}0"}
    return found


def _of_letters(text: str) -> dict[str, str]:
    """Changes of the form: something lost, swapped or added."""
    found: dict[str, str] = {}
    words, letters = text.split(" "), [m.start() for m in re.finditer(r"\w", text)]
    if len(words) > 2:
        found["second half cut off"] = " ".join(words[: len(words) // 2])
    elif len(text) > 1:
        found["second half cut off"] = text[: (len(text) + 1) // 2]
    if len(letters) > 2:
        middle = letters[len(letters) // 2]
        found["character lost"] = text[:middle] + text[middle + 1 :]
        at_letter = set(letters)
        pairs = [i for i in letters if i + 1 in at_letter and text[i] != text[i + 1]]
        if pairs:
            first = min(pairs, key=lambda i: abs(i - middle))
            found["characters swapped"] = text[:first] + text[first + 1] + text[first] + text[first + 2 :]
    if letters:
        if any(word != word[::-1] for word in re.findall(r"\w+", text)):
            found["read from behind"] = text[::-1]
        found[MORE[0]] = text + ("7" if text[-1].isdigit() else "zq")
        found[MORE[1]] = ("7" if text[0].isdigit() else "zq") + text
    return found


def several_answers(candidate: str, other: str) -> dict[str, str]:
    """kind -> a text that gives two answers, of which one is right: whoever gives several has not answered. None for JSON, which
    may well be the last object of a text."""
    if _of_structure(candidate):
        return {}
    found = {
        "several answers": f"{candidate} or {other}",
        "several answers, the right one last": f"{other}, {candidate}",
    }
    if "\n" not in candidate + other and not python_functions(candidate):
        found |= {
            "several answers, one on each line": f"{other}\n{candidate}",
            "several answers between semicolons": f"{candidate}; {other}",
        }
    return found


def grown(text: str) -> Iterator[str]:
    """Answers of the shape of a right one in which one character goes on and on: what a pattern or a parser of this shape meets
    there is deep nesting, and a repetition that fails at its end."""
    for char in list(dict.fromkeys(text.strip()))[:MOST_GROWN]:
        before, _, after = text.partition(char)
        yield f"{before}{char * 40}!{after}"
        yield f"{before}{char * 5_000}{after}"


def python_functions(candidate: str) -> list[str]:
    """The names of the functions that a Python program defines; none where it is no program."""
    try:
        return [node.name for node in ast.parse(candidate).body if isinstance(node, ast.FunctionDef)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def in_place(response: str, candidate: str, other: str) -> str:
    """The response with `other` where it states `candidate`; `other` alone where it does not."""
    before, stated, after = response.rpartition(candidate)
    return before + other + after if stated else other


def other_responses(response: str, candidate: str) -> dict[str, str]:
    """kind of change -> a response of the same form that states something else than `candidate`, which `response` states."""
    changes = _of_content(candidate)
    found = {kind: in_place(response, candidate, wrong) for kind, wrong in changes.items() if wrong.strip()}
    if is_structured(candidate) and candidate in response:  # nothing follows where a token limit struck
        before = response.rpartition(candidate)[0]
        found |= {kind: before + begun for kind, begun in cut_off(candidate).items() if begun.strip()}
    return found


def spoilt(response: str, candidate: str) -> list[str]:
    """Responses of the same form in which something near to `candidate` stands in its place."""
    return [in_place(response, candidate, wrong) for wrong in near_misses(candidate).values()]


def mutants(text: str) -> list[str]:
    """The near misses of a text, without their kinds."""
    return list(dict.fromkeys(near_misses(text).values()))
