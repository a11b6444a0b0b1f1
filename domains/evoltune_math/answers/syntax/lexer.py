"""The text of an answer -> tokens. Every character is accepted; the time is linear in the length of the text.

`\\frac{1}{2}\\text{ cm}` -> cmd frac, op {, num 1, op }, op {, num 2, op }, text cm
"""

import re
from fractions import Fraction

from evoltune_math.answers.syntax.grammar import Token, Unreadable
from evoltune_math.answers.syntax.numerals import NumeralReader
from evoltune_math.answers.vocabulary import FUNCTIONS, MODIFIERS, SEPARATOR_WORDS, word_set

MAX_CHARS, MAX_TOKENS, MAX_TEXT_DEPTH = 12_000, 2_500, 6
_TOKEN = re.compile(
    r"(?P<space>(?:\s|~|\\[,;:!> \n\t])+)"
    r"|(?P<cmd>\\[A-Za-z]+\*?|\\[^A-Za-z])"
    r"|(?P<digit>[0-9]|\.[0-9])"
    r"|(?P<word>[A-Za-z]+|[^\W\d_]+)"
    r"|(?P<op>\*\*|\+/-|<=|>=|==|!=|<>|=<|:=|->|\.\.\.|.|\n)"
)
_TIMES_TEN = re.compile(r"\s*[xX]?\s*10\s*(?:\^|\*\*)|\s[xX]\s\d")
_STYLE = word_set(
    "displaystyle textstyle scriptstyle limits nolimits left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr "
    "Biggl Biggr bigm middle mathstrut strut nonumber hfill hline allowbreak protect bf it rm sf tt cal em bfseries "
    "itshape null relax large Large centering displaylimits euro pounds yen rupee par noindent boxed fbox ensuremath"
)
"""Commands that only change how the text looks; currency signs are ignored too."""
_TEXT_COMMANDS = word_set(
    "text textrm textbf textit textsf texttt textnormal mbox hbox mathrm mathbf mathit mathsf "
    "mathtt boldsymbol bm emph textup mathnormal textsc rm pmb underline operatorname"
)
_WORDS_TOO = word_set("max min sign root abs pow log2 comb floor factorial")
_BOLD = ("mathbf", "boldsymbol", "bm", "textbf")
_IGNORED_WITH_ARGUMENT = word_set(
    "phantom hspace vspace hphantom vphantom color label tag mspace hskip kern textcolor ref cite"
)
_SIGNS = {"lbrace": "\\{", "rbrace": "\\}", "lbrack": "[", "rbrack": "]", "colon": ":"}
_LETTER = re.compile(r"\(?([A-Za-z])\)?\.?")
_LETTERS = re.compile(r"[A-Z](?:(?:, ?|,? and )[A-Z])+\.?")
_REMARK = re.compile(r"\([A-Za-z][A-Za-z ,.-]{2,60}\)")
_MATHEMATICAL = re.compile(r"[\d\\=<>+*/^_{}()|]|[^\x00-\x7f]")
_TRAILING_CONJUNCTION = re.compile(r"(.*?)[\s,]*\b(and|or)\s*", re.S)


def _brace_pairs(text: str) -> dict[int, int]:
    """Position of each `{` that is closed -> position of its `}`. One pass, so that no text takes quadratic time."""
    found: dict[int, int] = {}
    stack: list[int] = []
    if "{" in text:
        for at, char in enumerate(text):
            if char == "{":
                stack.append(at)
            elif char == "}" and stack:
                found[stack.pop()] = at
    return found


def _is_addition(words: list[str]) -> bool:
    """Whether a remark in brackets changes the answer: `5 (or more)`, `5 (not 6)`."""
    return words[0] in SEPARATOR_WORDS or not MODIFIERS.isdisjoint(words)


class _Lexer:
    def __init__(self, text: str, depth: int = 0) -> None:
        if len(text) > MAX_CHARS:
            raise Unreadable(f"{len(text)} characters, the limit is {MAX_CHARS}")
        if depth > MAX_TEXT_DEPTH:
            raise Unreadable(f"\\text in \\text deeper than {MAX_TEXT_DEPTH}")
        self.text, self.pos, self.tokens, self.space = text, 0, list[Token](), False
        self.depth, self.closers = depth, _brace_pairs(text)
        self.numerals = NumeralReader(text)
        self.brackets: list[str] = []

    def emit(self, kind: str, text: str, value: Fraction | None = None, note: str = "") -> None:
        if len(self.tokens) > MAX_TOKENS:
            raise Unreadable(f"more than {MAX_TOKENS} tokens")
        self.tokens.append(Token(kind, text, self.space, value, note))
        self.space = False

    def run(self) -> list[Token]:
        while self.pos < len(self.text):
            found = _TOKEN.match(self.text, self.pos)
            assert found is not None  # the last alternatives match any character
            kind, piece = found.lastgroup, found[0]
            if kind == "digit":
                numeral = self.numerals.read(self.pos, self.brackets[-1] if self.brackets else "")
                self.pos = numeral.end
                self.emit("num", numeral.literal, numeral.value, "decimal" if numeral.decimal else "")
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
        return self.tokens

    def operator(self, piece: str) -> None:
        if piece in "([{":
            self.brackets.append(piece)
        elif piece in ")]}" and self.brackets:
            self.brackets.pop()
        if piece in ("$", "`", '"'):
            self.space = True
        elif piece == "+/-" or (piece == "+" and not self.tokens and self.text[self.pos : self.pos + 1] == "-"):
            self.pos += piece == "+"
            self.emit("cmd", "pm")
        elif piece != "\\":
            self.emit("op", "^" if piece == "**" else piece)

    def word(self, word: str) -> None:
        if len(word) == 1 and word.isascii():
            before = self.tokens[-1].kind if self.tokens else ""
            times = word in "xX" and before == "num" and _TIMES_TEN.match(self.text, self.pos - self.space)
            self.emit(*("cmd", "times") if times else ("sym", word))
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
        elif name in _TEXT_COMMANDS:
            self.text_command(name)
        elif name in _IGNORED_WITH_ARGUMENT:
            self.group()
            self.space = True
        elif name[:5] == "qquad" or name[:4] == "quad":  # `\\quadx` is a space, then x
            self.emit("sep", "quad")
            self.pos -= len(name) - (5 if name[:5] == "qquad" else 4)
        elif name in ("begin", "end"):
            environment = self.group() or ""
            self.emit("cmd", f"{name}:{environment.strip().rstrip('*')}")
        elif name in "{}":
            self.emit("op", "\\" + name)
            self.brackets.append("{") if name == "{" else (self.brackets and self.brackets.pop())
        elif name in _SIGNS:
            self.operator(_SIGNS[name])
        elif name in ("lor", "land"):
            self.emit("sep", "or" if name == "lor" else "and")
        elif name == "%":
            self.emit("op", "%")
        elif name == "#" and not self.text[self.pos : self.pos + 1].isdigit():
            self.emit("op", name)  # how many members a set has
        elif name in "$&#_()[]":
            self.space = True
        else:
            self.emit("cmd", name)

    def group(self) -> str | None:
        """Consumes the `{...}` that follows and returns its text; None if there is none or it is never closed."""
        start = self.pos
        while start < len(self.text) and self.text[start] == " ":
            start += 1
        end = self.closers.get(start)
        if end is None:
            return None
        self.pos = end + 1
        return self.text[start + 1 : end]

    def text_command(self, name: str) -> None:
        content = self.group()
        if content is None:
            return
        plain = content.replace("~", " ").replace("\\ ", " ").replace("\\,", " ").strip().strip("$")
        if not plain:
            self.space = True
        elif name == "operatorname":
            self.emit("cmd" if plain.isalpha() else "text", plain)
        elif _REMARK.fullmatch(plain) and "mod" not in plain and not _is_addition(plain[1:-1].split()):
            self.space = True
        elif plain in FUNCTIONS and len(plain) > 1 and plain not in _WORDS_TOO:
            self.emit("cmd", plain)
        elif plain in SEPARATOR_WORDS or plain in (",", ";"):
            self.emit("sep" if plain.isalpha() else "op", plain)
        elif plain in ("-", "+"):
            self.emit("op", plain)
        elif _LETTER.fullmatch(plain):
            self.space = True
            note = "v" if name in _BOLD and len(plain) == 1 else ""
            for char in plain.rstrip("."):
                self.emit("sym" if char.isalpha() else "op", char, note=note)
        elif _LETTERS.fullmatch(plain):
            for letter in re.findall(r"\b[A-Z]\b", plain):
                self.emit("sym", letter)
                self.emit("sep", "and")
        else:
            self.text_or_mathematics(plain, name[:4] == "math")

    def text_or_mathematics(self, plain: str, math_font: bool) -> None:
        """Text that holds mathematics (`\\text{5 cm}`, `\\mathrm{x+1}`) is lexed; other text is one token."""
        if _MATHEMATICAL.search(plain) or (math_font and not plain.isalpha()):
            self.space = True
            for token in _Lexer(plain, self.depth + 1).run():
                kind = "text" if token.kind == "word" and not math_font else token.kind
                self.emit(kind, token.text, token.value, token.note)
            return
        ending = _TRAILING_CONJUNCTION.fullmatch(plain)
        if ending is None:
            self.emit("text", plain)
            return
        if ending[1]:
            self.emit("text", ending[1].strip(" ,"))
        self.emit("sep", ending[2])


def tokenize(text: str) -> list[Token]:
    """The tokens of `text`, whose signs are ASCII or LaTeX (`cleanup.to_ascii`). Raises `Unreadable` on sizes."""
    return _Lexer(text).run()
