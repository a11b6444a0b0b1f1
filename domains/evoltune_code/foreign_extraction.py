"""From a response to the candidate in a language other than Python, told by the patterns of `evoltune.sandbox.languages`.

The last block that defines the entry point counts; without one, the last that is a whole program. It is preceded by what it uses
of the other blocks: their headers, and the functions that it lacks.

    extract("First:\\n```cpp\\nint f(){return 1;}\\n```\\nBetter:\\n```cpp\\nint f(){return 2;}\\n```", "cpp", "f")    # the second
"""

import re
from collections.abc import Sequence

from evoltune.sandbox import languages
from evoltune.sandbox.languages import LANGUAGES
from evoltune_code.containers import in_html
from evoltune_code.fences import blocks, opened_by_prompt

_WORD = re.compile(r"[A-Za-z_]\w*")
_SENTENCE = re.compile(r"^[A-Z*#][^;{}=\[\]<>|$]* [^;{}=\[\]<>|$]*[.:!?]\**$")


def extract(text: str, language: str, entry_point: str) -> str | None:
    """The candidate, or None when there is no code in this language."""
    found, tags = blocks(text), languages.tags(language)
    own = [b.code for b in found if b.tag in tags] or [b.code for b in found if not b.tag]
    own = [code for code in own if code.strip()]
    head = opened_by_prompt(text)
    if head is not None and (
        not own or (entry_point and not any(languages.defines(language, c, entry_point) for c in own))
    ):
        own = [head]
    shown = [] if own else in_html(text, language)
    if any(_answers(code, language, entry_point) for code in shown):  # a string of bare code may hold HTML too
        own = shown
    if not own:
        return None if found or not text.strip() else _without_prose(text)
    last = _last_answer(own, language, entry_point)
    return _with_needed(own[last], own[:last], own[last + 1 :], language)


def _last_answer(codes: Sequence[str], language: str, entry_point: str) -> int:
    fitting = [i for i, code in enumerate(codes) if _answers(code, language, entry_point)]
    return fitting[-1] if fitting else len(codes) - 1


def _answers(code: str, language: str, entry_point: str) -> bool:
    """Whether code defines what is asked for; without an entry point, whether it is a whole program."""
    if entry_point:
        return languages.defines(language, code, entry_point)
    return bool(re.search(LANGUAGES[language].program if language in LANGUAGES else r"\bmain\b", code))


def _with_needed(code: str, before: Sequence[str], after: Sequence[str], language: str) -> str:
    if language not in LANGUAGES or not (before or after):
        return code
    header, main = re.compile(LANGUAGES[language].header), re.compile(LANGUAGES[language].program)
    own, used = languages.defined_names(language, code), {*_WORD.findall(code)}
    parts: list[str] = []
    for other in (*before, *after):
        defined = languages.defined_names(language, other)
        if defined & used - own and not defined & own and not ("main" in main.pattern and main.search(other)):
            parts.append(other)
            used |= {*_WORD.findall(other)}
        elif other in before:
            parts += [line for line in other.splitlines() if header.match(line)]
    has_header = any(header.match(line) for line in code.splitlines())
    lines = [part for part in parts if part not in code and ("\n" in part or not has_header or part not in code)]
    return "\n".join([*dict.fromkeys(lines), code]) if lines else code


def _without_prose(text: str) -> str:
    """Bare code without the sentences before and after it."""
    lines = text.split("\n")
    plain = [not line.strip() or bool(_SENTENCE.match(line)) for line in lines]
    if all(plain):
        return text
    first, last = plain.index(False), len(lines) - plain[::-1].index(False)
    sentences = any(line.strip() for line in (*lines[:first], *lines[last:]))
    return "\n".join(lines[first:last]) if sentences else text
