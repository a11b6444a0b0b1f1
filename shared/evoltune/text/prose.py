"""The sentences of a text, without the code, formulas, markup and addresses that stand between them.

    sentences_of("下面的函数返回总和。\n```python\ndef total(xs): ...\n```")   ->  "下面的函数返回总和。"

Code and formulas are written in the same letters whatever the language of the text, so they say nothing about it.
Invariant: a text of sentences alone comes back with the same words.
"""

import re

_BLOCKS = re.compile(
    r"\"\"\".*?(?:\"\"\"|\Z)|(?P<fence>```|~~~).*?(?:(?P=fence)|\Z)|\$\$.*?\$\$|\\\[.*?\\\]|\\\(.*?\\\)|\\begin\{(?P<env>[a-z]+\*?)\}.*?\\end\{(?P=env)\}"
    r"|<(?P<tag>script|style|svg|math|html)\b.*?</(?P=tag)>",
    re.DOTALL | re.IGNORECASE,
)
_INLINE = re.compile(
    r"`[^`\n]+`|\$[^$\n]+\$|\b(?:https?|ftp)://\S+|\bwww\.\S+|\S+@\S+\.\w+|</?[A-Za-z][^<>\n]*>|\\[A-Za-z]+|[\w./~-]+/[\w./-]+"
    r"|\b\w*(?:_\w+)+\b|\b[A-Za-z]\w*(?:\.\w+)*\([^()\n]*\)"
)
_QUERY_VERBS = "|".join("select insert update delete create from where join group order".upper().split())
_CODE_LINE = re.compile(
    r"^\s*(?:def |class |import |from [\w.]+ import|return\b|elif\b|else\s*[:{]|try\s*[:{]|except\b|while\b.*[:{]\s*$|(?:if|for)\b.*[:{]\s*$"
    r"|print\b|function\b|(?:var|let|const|int|float|double|char|bool|string|void|public|private|static) |#include|package |using "
    rf"|(?:{_QUERY_VERBS})\b|[$>]{{1,3}} |sudo |@\w+|//|#+\s|/\*|--\s)"
    r"|[{};]\s*$|=>|->|==|!=|:=|<=|>=|&&|\|\||^\s*[\w.\[\]]+\s*[-+*/|&]?=\s*\S|^\s*\w+\s*\(.*\)\s*$"
)
_FORMULA_SIGN = re.compile(r"[=+*/^<>≤≥≈√∑∫×÷±]")
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
_WORD = re.compile(r"[^\W\d_]{3,}")


def sentences_of(text: str) -> str:
    """The text without fenced and inline code, formulas, tags, addresses, and lines that are code or formulas."""
    text = _INLINE.sub(" ", _BLOCKS.sub("\n", text))
    return "\n".join(line for line in text.splitlines() if not _is_code_or_formula(line))


def _is_code_or_formula(line: str) -> bool:
    """Also a list item that is nothing but a name or a title ("2. The Lord of the Rings")."""
    letters = line if line.isascii() else "".join(c for c in line if ord(c) < 0x250)
    if 2 * sum(map(str.isalpha, letters)) < sum(map(str.isalpha, line)):  # mostly another script: a sentence
        return False
    long_words = _LONG_WORD.findall(line)
    if line.isascii() and 0 < len(long_words) <= 8 and all(word[0].isupper() for word in long_words):
        return True
    return bool(_CODE_LINE.search(line)) or (bool(_FORMULA_SIGN.search(line)) and len(_WORD.findall(line)) < 4)
