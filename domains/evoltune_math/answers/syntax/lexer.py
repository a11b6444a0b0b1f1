"""Text of an answer -> tokens. Tolerant: every character becomes something; linear in the length of the text.

`\\frac{1}{2}\\text{ cm}` -> cmd frac, op {, num 1, op }, op {, num 2, op }, text cm
Numbers keep the conventions of their writers: `1,234`, `1{,}234`, `1\\,234`, `1 234`, `1.234,5`, `0.1\\overline{6}`, `2.8e4`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from evoltune_math.answers.vocabulary import SEPARATOR_WORDS, word_set

MAX_CHARS, MAX_TOKENS, MAX_DIGITS, MAX_TEXT_DEPTH = 12_000, 2_500, 4_000, 6


class Unreadable(Exception):
    """The text is outside the grammar, or too large for the static budget; the message says which."""


class Token(NamedTuple):
    kind: str
    """num, sym, word, cmd, op, text, sep, end"""
    text: str
    space: bool = False
    """White space stood before it."""
    value: Fraction | None = None
    note: str = ""
    """num: `decimal` for a number written with a decimal point."""


END = Token("end", "")
_TOKEN = re.compile(
    r"(?P<space>(?:\s|~|\\[,;:!> \n\t])+)"
    r"|(?P<cmd>\\[A-Za-z]+\*?|\\[^A-Za-z])"
    r"|(?P<digit>[0-9]|\.[0-9])"
    r"|(?P<word>[A-Za-z]+|[^\W\d_]+)"
    r"|(?P<op>\*\*|\+/-|<=|>=|==|!=|<>|=<|:=|->|\.\.\.|.|\n)"
)
_SEPARATOR = r"\ ?\{,\ ?\}\ ?|,\\!\ ?|,|\\[,;:! ]|~|'|_|\ "
_RUN = re.compile(rf"\d+(?P<sep>{_SEPARATOR})\d+(?:(?P=sep)\d+)*")
_DIGITS = re.compile(r"\d+")
_DOTTED = re.compile(r"\d{1,3}(?:\.\d{3})+,\d+(?![\d,])|\d{1,3}(?:\.\d{3}){2,}(?![\d.])")
_FRACTION = re.compile(r"\.(\d*)")
_REPEAT = re.compile(r"\\(?:overline|bar|overbar|dot)\s*(?:\{(\d+)\}|(\d))|\((\d+)\)(?![\d(])")
_EXPONENT = re.compile(r"[eE]([+-]?\d+)(?![A-Za-z_^])")
_ELLIPSIS = re.compile(r"\s*(?:\.\.\.|\\[lc]?dots)")
_BY = re.compile(r"\s*[xX]?\s*10\s*(?:\^|\*\*)|\s[xX]\s\d")
_CURRENCY = re.compile(r"\s*(?:\\?\$|\\(?:euro|pounds|yen|rupee))")

_STYLE = word_set(
    "displaystyle textstyle scriptstyle limits nolimits left right big Big bigg Bigg bigl bigr "
    "Bigl Bigr biggl biggr Biggl Biggr bigm middle mathstrut strut nonumber hfill hline "
    "allowbreak protect bf it rm sf tt cal em bfseries itshape null relax large Large centering "
    "displaylimits euro pounds yen rupee par noindent boxed fbox ensuremath"
)
_TEXTUAL = word_set(
    "text textrm textbf textit textsf texttt textnormal mbox hbox mathrm mathbf mathit mathsf "
    "mathtt boldsymbol bm emph textup mathnormal textsc rm pmb underline operatorname"
)
_SKIP_ARGUMENT = word_set(
    "phantom hspace vspace hphantom vphantom color label tag mspace hskip kern textcolor ref cite"
)
_SPACES = frozenset(["quad", "qquad"])
_LETTER = re.compile(r"\(?([A-Za-z])\)?\.?")
_REMARK = re.compile(r"\([A-Za-z][A-Za-z ,.-]{2,60}\)")
_LETTERS = re.compile(r"[A-Z](?:(?:, ?|,? and )[A-Z])+\.?")
_TAIL = re.compile(r"(.*?)[\s,]*\b(and|or)\s*", re.S)


def _closers(text: str) -> dict[int, int]:
    """Position of each brace that is closed -> position of its partner. One pass, so that no text is quadratic."""
    found: dict[int, int] = {}
    stack: list[int] = []
    if "{" in text:
        for at, char in enumerate(text):
            if char == "{":
                stack.append(at)
            elif char == "}" and stack:
                found[stack.pop()] = at
    return found


class _Lexer:
    def __init__(self, text: str, depth: int = 0) -> None:
        if len(text) > MAX_CHARS:
            raise Unreadable(f"{len(text)} characters, the limit is {MAX_CHARS}")
        if depth > MAX_TEXT_DEPTH:
            raise Unreadable(f"\\text in \\text deeper than {MAX_TEXT_DEPTH}")
        self.text, self.pos, self.out, self.space = text, 0, list[Token](), False
        self.depth, self.closers = depth, _closers(text)
        self.paired = text.count("$") % 2 == 0 and "\\$" not in text
        self.brackets: list[str] = []
        self.refused = (0, "")

    def emit(self, kind: str, text: str, value: Fraction | None = None, note: str = "") -> None:
        if len(self.out) > MAX_TOKENS:
            raise Unreadable(f"more than {MAX_TOKENS} tokens")
        self.out.append(Token(kind, text, self.space, value, note))
        self.space = False

    def run(self) -> list[Token]:
        while self.pos < len(self.text):
            found = _TOKEN.match(self.text, self.pos)
            if found is None:  # a lone backslash at the end
                self.pos += 1
                continue
            kind, piece = found.lastgroup, found[0]
            if kind == "digit":
                self.number()
                continue
            self.pos = found.end()
            if kind == "space":
                self.space = True
            elif kind == "cmd":
                self.command(piece[1:])
            elif kind == "word":
                self.word(piece)
            else:
                self.operator(piece)
        return self.out

    def operator(self, piece: str) -> None:
        if piece in "([{":
            self.brackets.append(piece)
        elif piece in ")]}" and self.brackets:
            self.brackets.pop()
        if piece == "$" or piece == "`" or piece == '"':
            self.space = True
        elif piece == "+/-" or (piece == "+" and not self.out and self.text[self.pos : self.pos + 1] == "-"):
            self.pos += piece == "+"
            self.emit("cmd", "pm")
        elif piece == "**":
            self.emit("op", "^")
        elif piece == "\\":
            pass
        else:
            self.emit("op", piece)

    def word(self, word: str) -> None:
        if len(word) == 1 and word.isascii():
            before = self.out[-1] if self.out else None
            if (
                word in "xX"
                and before is not None
                and before.kind == "num"
                and _BY.match(self.text, self.pos - (1 if self.space else 0))
            ):
                self.emit("cmd", "times")
                return
            self.emit("sym", word)
        elif word in SEPARATOR_WORDS and len(word) > 1:
            self.emit("sep", word)
        elif word[:2] == "or" and word[2:3].isupper() and not word.isupper():
            self.emit("sep", "or")
            self.word(word[2:])
        else:
            self.emit("word", word)

    def command(self, name: str) -> None:
        name = name.rstrip("*")
        if name in _STYLE:
            self.space = self.space or name not in ("left", "right")
            if name in ("left", "right") and self.text[self.pos : self.pos + 1] == ".":
                self.pos += 1
        elif name in _TEXTUAL:
            self.textual(name)
        elif name in _SKIP_ARGUMENT:
            self.group()
            self.space = True
        elif name in _SPACES:
            self.emit("sep", "quad")
        elif name[:5] == "qquad" or name[:4] == "quad":
            self.emit("sep", "quad")
            self.pos -= len(name) - (5 if name[:5] == "qquad" else 4)
        elif name in ("begin", "end"):
            env = self.group() or ""
            self.emit("cmd", f"{name}:{env.strip().rstrip('*')}")
        elif name in "{}":
            self.emit("op", "\\" + name)
            self.brackets.append("{") if name == "{" else (self.brackets and self.brackets.pop())
        elif name in ("lbrace", "rbrace", "lbrack", "rbrack"):
            self.operator({"lbrace": "\\{", "rbrace": "\\}", "lbrack": "[", "rbrack": "]"}[name])
        elif name in ("lor", "land"):
            self.emit(
                "sep",
                name[1:].replace("land", "and").replace("lor", "or")
                if False
                else {"lor": "or", "land": "and"}[name],
            )
        elif name == "%":
            self.emit("op", "%")
        elif name in "$&#_()[]":
            self.space = True
        else:
            self.emit("cmd", name)

    def group(self) -> str | None:
        """The text of the `{...}` that follows, consumed; None when there is none or it never ends."""
        start = self.pos
        while start < len(self.text) and self.text[start] == " ":
            start += 1
        if start >= len(self.text) or self.text[start] != "{":
            return None
        end = self.closers.get(start)
        if end is None:
            return None
        self.pos = end + 1
        return self.text[start + 1 : end]

    def textual(self, name: str) -> None:
        content = self.group()
        if content is None:
            return
        plain = content.replace("~", " ").replace("\\ ", " ").replace("\\,", " ").strip().strip("$")
        if not plain:
            self.space = True
        elif name == "operatorname":
            self.emit("cmd", plain) if plain.isalpha() else self.emit("text", plain)
        elif _REMARK.fullmatch(plain) and "mod" not in plain:
            self.space = True
        elif plain in SEPARATOR_WORDS or plain in (",", ";"):
            self.emit("sep" if plain.isalpha() else "op", plain)
        elif plain in ("-", "+"):
            self.emit("op", plain)
        elif _LETTER.fullmatch(plain):
            self.space = True
            note = "v" if name in ("mathbf", "boldsymbol", "bm", "textbf") and len(plain) == 1 else ""
            for char in plain.rstrip("."):
                self.emit("sym" if char.isalpha() else "op", char, note=note)
        elif _LETTERS.fullmatch(plain):
            for letter in re.findall(r"\b[A-Z]\b", plain):
                self.emit("sym", letter)
                self.emit("sep", "and")
        elif re.search(r"[\d\\=<>+*/^_{}()|]|[^\x00-\x7f]", plain) or (
            name[:4] == "math" and not plain.isalpha()
        ):
            self.space = True
            for token in _Lexer(plain, self.depth + 1).run():
                kind = "text" if token.kind == "word" and name[:4] != "math" else token.kind
                self.emit(kind, token.text, token.value, token.note)
        else:
            tail = _TAIL.fullmatch(plain)
            if tail and tail[1]:
                self.emit("text", tail[1].strip(" ,"))
            self.emit("sep", tail[2]) if tail else self.emit("text", plain)

    def number(self) -> None:
        text, start = self.text, self.pos
        whole, decimals = self.integer()
        exact = decimals is None
        if decimals is None:
            point = _FRACTION.match(text, self.pos)
            if point and not (point[1] == "" and text[self.pos : self.pos + 3] == "..."):
                decimals, self.pos, exact = point[1], point.end(), point[1] == ""
        if len(whole) + len(decimals or "") > MAX_DIGITS:
            raise Unreadable(f"a number of more than {MAX_DIGITS} digits")
        tail = decimals or ""
        value = Fraction(int(whole or "0") * 10 ** len(tail) + int(tail or "0"), 10 ** len(tail))
        repeat = _REPEAT.match(text, self.pos) if decimals is not None else None
        if repeat:
            digits = repeat[1] or repeat[2] or repeat[3]
            value += Fraction(int(digits), (10 ** len(digits) - 1) * 10 ** len(tail))
            self.pos, exact = repeat.end(), True
        elif not exact and _ELLIPSIS.match(text, self.pos):
            value, exact = _continued(whole, tail, value)
            self.pos = _ELLIPSIS.match(text, self.pos).end()  # type: ignore[union-attr]
        exponent = _EXPONENT.match(text, self.pos)
        if exponent:
            power = int(exponent[1][:9])
            if abs(power) > MAX_DIGITS:
                raise Unreadable(f"a power of ten over {MAX_DIGITS}")
            value, self.pos = value * Fraction(10) ** power, exponent.end()
        literal = whole + ("" if exact else "." + tail)
        self.emit(
            "num",
            literal if not repeat and not exponent else text[start : self.pos],
            value,
            "" if exact else "decimal",
        )

    def integer(self) -> tuple[str, str | None]:
        """The digits before the point, separators taken out; and the digits after a decimal comma."""
        text, start = self.text, self.pos
        dotted = _DOTTED.match(text, start)
        if dotted:
            whole, comma, tail = dotted[0].partition(",")
            self.pos = dotted.end()
            return whole.replace(".", ""), tail if comma else None
        plain = _DIGITS.match(text, start)
        whole = plain[0] if plain else ""
        known = start < self.refused[0] and text.startswith(self.refused[1], start + len(whole))
        run = None if known else _RUN.match(text, start)
        if run:
            mark = run["sep"]
            groups = run[0].split(mark)
            if self.grouped(mark, groups, run.end()):
                self.pos = run.end()
                return "".join(groups), None
            spaced = mark.isspace() and text[run.end() : run.end() + 1] == "/"
            if spaced and len(groups) > 2 and self.grouped(mark, groups[:-1], start):  # 1 000 4/9
                self.pos = run.end() - len(groups[-1]) - len(mark)
                return "".join(groups[:-1]), None
            if self.decimal_comma(mark, groups, run.end()):
                self.pos = run.end()
                return groups[0], groups[1]
            self.refused = run.end(), mark  # the rest of this run is no number either
        self.pos = start + len(whole)
        return whole, None

    def grouped(self, mark: str, groups: list[str], end: int) -> bool:
        """Whether `groups` are the thousands of one number."""
        if len(groups[0]) > 3 or any(len(g) != 3 for g in groups[1:]) or groups[0][0] == "0":
            return False
        if mark in (" ", "~", "\\ ", "\\;", "\\:") and self.text[end : end + 1] == "/":
            return False  # 11 125/126 is a mixed number
        if mark != ",":
            return True
        if not self.brackets:
            return True
        if any(g[0] == "0" for g in groups[1:]) and "000" in groups[1:]:
            return True
        return self.brackets[-1] != "{" and bool(
            re.match(r"[^()\[\]]{0,120}?,\s", self.text[end : end + 130])
        )

    def decimal_comma(self, mark: str, groups: list[str], end: int) -> bool:
        """`1000,99`, `0,111`, `2,74 $` and `2{,}5`; never `1,2`, which is a list."""
        if len(groups) != 2:
            return False
        if "{" in mark:
            return True
        if mark != "," or self.brackets:
            return False
        if len(groups[0]) > 3 and len(groups[1]) <= 2:
            return True
        if groups[0] == "0" and len(groups[1]) > 1:
            return True
        return len(groups[1]) == 2 and not self.paired and bool(_CURRENCY.match(self.text, end))


def _continued(whole: str, tail: str, value: Fraction) -> tuple[Fraction, bool]:
    """`0.333...` is one third: the shortest block that fills the tail at least three times (twice when two long)."""
    for start in range(min(4, len(tail))):
        for size in range(1, 7):
            block, rest = tail[start : start + size], tail[start:]
            if len(rest) < max(3, 2 * size) or not block.strip("0"):
                continue
            if (block * (len(rest) // size + 1)).startswith(rest):
                shift = 10**start
                head = Fraction(int(whole or "0") * shift + int(tail[:start] or "0"), shift)
                return head + Fraction(int(block), (10**size - 1) * shift), True
    return value, False


def tokenize(text: str) -> list[Token]:
    """Tokens of `text`, which is already in the lexer's alphabet (`charset.to_ascii`). Raises `Unreadable` on sizes."""
    return _Lexer(text).run()
