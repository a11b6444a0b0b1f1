"""Tokens -> Node: a Pratt parser for what people write as an answer, in LaTeX or plain text.

    parse("x=-2,6")  ->  seq "" of (rel = (x, neg 2), 6)
    parse("11 5/12") ->  add(11, div(5, 12))          parse("2\\\\pi r^2") -> mul(2, pi, pow(r, 2))

Binding powers, loosest first: separators < relation < union < ratio < sum < product = juxtaposition < sign < power < postfix.
Juxtaposition binds as tightly as `/`: `1/2x` is half of x. Nothing is evaluated here. Raises `Unreadable`.
"""

from __future__ import annotations

from collections.abc import Callable

from evoltune_math.answers.nodes import EULER, HALF, IMAGINARY, Node, const, num, rel, seq, sym, walk
from evoltune_math.answers.syntax import commands, quantities, scripts
from evoltune_math.answers.syntax.lexer import END, Token, Unreadable, tokenize
from evoltune_math.answers.vocabulary import (
    CONSTANTS,
    DROPPED_BEFORE_NUMBER,
    FUNCTIONS,
    GREEK,
    LETTER_UNITS,
    NUMBER_SETS,
    RELATIONS,
    TEXT_WORDS,
)

MAX_NESTING = 64
RELATION, UNION, RATIO, SUM, PRODUCT, SIGN, POWER, POSTFIX = 10, 15, 18, 20, 30, 35, 50, 60
_CLOSERS = frozenset([")", "]", "}", "\\}", "&"])
_CLOSING_COMMANDS = frozenset(["rfloor", "rceil", "rangle", "rvert", "rVert", "\\", "cr", "choose", "over"])
_TIMES = frozenset(["cdot", "times", "ast", "bullet", "star"])
_SETS = {
    "cup": "union",
    "bigcup": "union",
    "cap": "inter",
    "bigcap": "inter",
    "setminus": "minus",
    "backslash": "minus",
    "smallsetminus": "minus",
}
_FUNCTION_LETTERS = frozenset(
    ["f", "g", "h", "F", "G", "H", "P", "phi", "varphi", "psi", "Phi", "Pr", "q", "Q"]
)


class Parser:
    """A cursor over tokens. `commands` holds the commands that read arguments of their own."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.at, self.depth = tokens, 0, 0
        self.bars: list[str] = []
        self.french = self.integrals = 0

    def peek(self, ahead: int = 0) -> Token:
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else END

    def take(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def accept(self, kind: str, *texts: str) -> Token | None:
        token = self.peek()
        if token.kind == kind and token.text in texts:
            self.at += 1
            return token
        return None

    def expect(self, kind: str, text: str) -> None:
        if self.accept(kind, text) is None:
            raise Unreadable(f"expected {text!r}, found {self.peek().text!r}")

    # ---- lists ---------------------------------------------------------------------------------------------------

    def items(self, closed: Callable[[Token], bool]) -> Node:
        """Everything up to a closer: one node, or a bare seq. `;` separates groups of `,`."""
        groups: list[list[Node]] = [[]]
        word = ""
        while not closed(token := self.peek()):
            if token.kind == "end":
                raise Unreadable("a bracket is not closed")
            if token.kind == "op" and token.text == ";":
                self.at += 1
                groups.append([])
            elif (
                token.kind == "sep"
                or (token.kind == "op" and token.text in (",", "\n"))
                or (token.kind == "cmd" and token.text in ("wedge", "vee"))
            ):
                self.at += 1
                word = token.text if token.text in ("and", "or") else word
            else:
                groups[-1].append(self.expression(0))
        full = [g for g in groups if g]
        if not full:
            return seq("", ())
        if len(full) > 1 and any(len(g) > 1 for g in full):
            return seq("", tuple(_bare(g, "") for g in full))
        return _bare([n for g in full for n in g], word)

    # ---- expressions ---------------------------------------------------------------------------------------------

    def expression(self, power: int) -> Node:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise Unreadable(f"nested deeper than {MAX_NESTING}")
        left = self.prefix()
        while True:
            grown = self.infix(left, power)
            if grown is None:
                self.depth -= 1
                return left
            left = grown

    def infix(self, left: Node, power: int) -> Node | None:
        """`left` extended by the operator under the cursor, or None when that binds no tighter than `power`."""
        token = self.peek()
        kind, text = token.kind, token.text
        if kind in ("end", "sep"):
            return None
        if kind == "op":
            return self.operator(left, token, power)
        if kind in ("text", "word"):
            return quantities.words(self, left, token, power)
        if kind == "cmd":
            name = "\\" + text
            if name in RELATIONS:
                return self.relation(left, power) if power < RELATION else None
            if text in ("not", "neq"):
                return self.relation(left, power) if power < RELATION else None
            if text in _SETS:
                return self.binary(left, _SETS[text], UNION, power)
            if text in ("pm", "mp"):
                return self.binary(left, "pm" if text == "pm" else "mp", SUM, power)
            if text in _TIMES:
                return self.product(left, power)
            if text == "div":
                return self.binary(left, "div", PRODUCT, power)
            if text in ("bmod", "mod"):
                return self.binary(left, "mod", PRODUCT, power)
            if text in ("pmod", "pod"):
                return self.modulus(left, power)
            if text == "mid" or text == "vert" or text == "lvert":
                return None if text == "mid" or self.bars else self.juxtapose(left, power)
            if text == "degree":
                self.at += 1
                return scripts.degrees(self, left)
            if (
                text in _CLOSING_COMMANDS
                or text[:4] == "end:"
                or text in ("ldots", "dots", "cdots", "wedge", "vee", "Vert")
            ):
                return None
            if text in ("prime",):
                self.at += 1
                return left
        return self.juxtapose(left, power)

    def operator(self, left: Node, token: Token, power: int) -> Node | None:
        text = token.text
        if text in ("+", "-"):
            return self.sum(left, power)
        if text in ("*",):
            return self.product(left, power)
        if text == "/":
            return self.binary(left, "div", PRODUCT, power)
        if text == "^":
            return scripts.power(self, left) if power <= POWER else None
        if text in ("!", "%") and power >= POSTFIX:
            return None
        if text == "!":
            self.at += 1
            double = self.accept("op", "!") is not None
            return Node("fact", (left,), "!!" if double else "!")
        if text == "%":
            self.at += 1
            return Node("pct", (left,))
        if text == ":":
            return self.binary(left, "ratio", RATIO, power) if not self.bars or self.bars[-1] != ":" else None
        if text == "_":  # the 2 of v^2_0 takes no subscript
            return None if power >= POWER - 1 and left.op in ("num", "dec") else scripts.subscript(self, left)
        if text == "'":
            self.at += 1
            return scripts.called(self, left._replace(value=f"{left.value}'")) if left.op == "sym" else left
        if text in (">", "[") and self.bars and self.bars[-1] == text:
            return None
        if text in RELATIONS:
            return self.relation(left, power) if power < RELATION else None
        if text == "|":
            return None if self.bars else self.juxtapose(left, power)
        if text in ("(", "[", "{", "\\{"):
            return self.juxtapose(left, power)
        if text == "\\" or text in _CLOSERS or text in (",", ";", "\n"):
            return None
        if text == "." and self.peek(1).kind == "end":
            self.at += 1
            return left
        raise Unreadable(f"unexpected {text!r}")

    def sum(self, left: Node, power: int) -> Node | None:
        if power >= SUM:
            return None
        minus = self.take().text == "-"
        right = self.expression(SUM)
        right = Node("neg", (right,)) if minus else right
        return (
            Node("add", (*left.args, right))
            if left.op == "add" and left.note == "open"
            else Node("add", (left, right), None, "open")
        )

    def product(self, left: Node, power: int) -> Node | None:
        if power >= PRODUCT:
            return None
        self.at += 1
        return _times(left, self.expression(PRODUCT))

    def binary(self, left: Node, op: str, bind: int, power: int) -> Node | None:
        if power >= bind:
            return None
        self.at += 1
        right = self.expression(bind)
        if op == "mp":
            return Node("pm", (left, Node("neg", (right,))))
        if op in ("ratio", "union") and left.op == op:
            return Node(op, (*left.args, right))
        return Node(op, (left, right))

    def relation(self, left: Node, power: int) -> Node:
        signs, members = [], [left]
        while True:
            token = self.peek()
            negated = token.text == "not"
            if negated:
                self.at += 1
                token = self.peek()
            sign = (
                RELATIONS.get("\\" + token.text if token.kind == "cmd" else token.text)
                if token.kind in ("op", "cmd")
                else None
            )
            if sign is None:
                break
            self.at += 1
            if sign in ("<", ">") and self.accept("op", "="):
                sign += "="
            signs.append({"=": "!=", "in": "notin"}.get(sign, sign) if negated else sign)
            nxt = self.peek()
            if sign == "=" and (
                (nxt.kind == "op" and nxt.text == "=") or ("\\" + nxt.text in RELATIONS and nxt.kind == "cmd")
            ):
                signs.pop()
                continue
            members.append(self.expression(RELATION))
        if len(members) < 2:
            raise Unreadable("a relation with one side")
        return rel(" ".join(signs), *members)

    def modulus(self, left: Node, power: int) -> Node | None:
        if power >= RELATION:
            return None
        self.at += 1
        return Node("pmod", (left, self.argument()))

    def juxtapose(self, left: Node, power: int) -> Node | None:
        """The product without a sign, and the mixed number."""
        if power >= PRODUCT:
            return None
        token = self.peek()
        if left.op == "num" and left.value is not None and not left.note:
            mixed = commands.mixed(self, left)
            if mixed is not None:
                return mixed
        if token.kind == "num" and left.op in ("num", "dec"):
            raise Unreadable("two numbers side by side")
        if (
            token.kind == "sym"
            and (token.space or self.peek(1).kind == "num")
            and token.text in LETTER_UNITS
            and commands.numeric(left)
            and quantities.unit_ahead(self)
        ):
            return quantities.unit(self, left)
        if (
            token.kind == "cmd"
            and (token.text == "Omega" or (token.text == "mu" and quantities.unit_ahead(self)))
            and commands.numeric(left)
        ):
            return quantities.unit(self, left)
        right = self.expression(PRODUCT)
        if (
            token.kind == "sym"
            and token.space
            and right.op in ("sym", "pow", "div")
            and token.text in LETTER_UNITS
            and commands.numeric(left)
        ):
            return Node("mul", (left, right), None, "unit?")
        return _times(left, right)

    # ---- prefix --------------------------------------------------------------------------------------------------

    def prefix(self) -> Node:
        token = self.take()
        kind, text = token.kind, token.text
        if kind == "num":
            assert token.value is not None
            return (
                Node("dec", (), token.value, text)
                if token.note
                else Node("num", (), token.value, text if text[:1] == "0" and len(text) > 1 else "")
            )
        if kind == "sym":
            return self.symbol(token)
        if kind == "cmd":
            return commands.command(self, text)
        if kind == "word":
            return self.word(token)
        if kind == "text":
            return Node("text", (), text)
        if kind == "op":
            return self.opened(token)
        raise Unreadable(f"unexpected {text or 'end'!r}")

    def symbol(self, token: Token) -> Node:
        if token.text == "e" and token.note != "v":
            return EULER
        if token.text == "i" and token.note != "v":
            return IMAGINARY
        return scripts.called(self, sym(token.text, token.note))

    def word(self, token: Token) -> Node:
        word = token.text
        if word == "Rs":
            self.accept("op", ".")
        if word in DROPPED_BEFORE_NUMBER and self.peek().kind == "num":
            return self.prefix()
        if word in CONSTANTS:
            return const(CONSTANTS[word])
        if word in FUNCTIONS and (self.peek().kind != "end" or FUNCTIONS[word] == "gamma"):
            return commands.command(self, word)
        if word in GREEK and word not in ("xi", "nu", "mu", "ell"):
            return sym(word)
        if word in NUMBER_SETS and len(word) > 1:
            return const(NUMBER_SETS[word])
        if (
            (len(word) > 3 and not _product_like(word))
            or word in TEXT_WORDS
            or (word.istitle() and (len(word) > 2 or word.lower() in TEXT_WORDS))
            or (len(word) > 2 and word.lower() in TEXT_WORDS)
        ):
            return Node("text", (), word)
        if word.isupper() or not word.isascii():
            return scripts.called(self, sym(word))
        factors = []
        for char in word[:-1]:
            factors.append(EULER if char == "e" else IMAGINARY if char == "i" else sym(char))
        self.tokens[self.at - 1] = Token("sym", word[-1])
        self.at -= 1
        return Node("mul", (*factors, self.expression(PRODUCT)))

    def opened(self, token: Token) -> Node:
        text = token.text
        if text == "-":
            return Node("neg", (self.expression(PRODUCT - 1),))
        if text == "+":
            return self.expression(PRODUCT - 1)
        if text in ("(", "[", "{", "\\{"):
            return self.bracketed(text)
        if text == "|":
            if self.peek().text == "|":
                self.at += 1
                return commands.bars(self, "norm", "||")
            return commands.bars(self, "abs", "|")
        if text == "]":  # French open intervals: ]a, b[
            self.bars.append("[")
            inside = self.items(lambda t: t.kind == "op" and t.text in ("[", "]", ")"))
            self.bars.pop()
            closer = self.take().text
            if inside.op == "seq" and len(inside.args) == 2:
                return seq("(" + ("]" if closer == "]" else ")"), inside.args)
        if text == "<" and self.at == 1:
            self.bars.append(">")
            inside = self.items(_is(">"))
            self.bars.pop()
            self.take()
            return seq("<>", inside.args if inside.op == "seq" and inside.value == "" else (inside,))
        if text == ":" or text in ("<", ">", "="):
            raise Unreadable(f"{text!r} without a left side")
        raise Unreadable(f"unexpected {text!r}")

    def bracketed(self, opener: str) -> Node:
        """A group, a tuple, a set or an interval; `[2, 5[` is tried when `[` finds no partner, a few times in an answer."""
        start, depth, bars = self.at, self.depth, list(self.bars)
        try:
            return self._bracketed(opener)
        except Unreadable:
            if opener != "[" or self.french > 3:
                raise
            self.at, self.depth, self.french = start, depth, self.french + 1
            self.bars = [*bars, "["]
            inside = self.items(lambda t: t.kind == "op" and t.text in ("[", "]", ")"))
            self.bars = bars
            return seq("[)" if self.take().text == "[" else "[]", inside.args)

    def _bracketed(self, opener: str) -> Node:
        bars, self.bars = self.bars, ([":"] if opener == "\\{" else [])
        inside = self.items(
            lambda t: (
                (t.kind == "op" and t.text in (_CLOSERS if opener != "(" else (")", "]")))
                or commands.splits(t, opener)
            )
        )
        if commands.splits(self.peek(), opener):
            inside = commands.split_group(self, inside, opener)
        closer = self.take().text
        self.bars = bars
        wanted = {"(": ")]", "[": ")][", "{": "}", "\\{": "\\}"}[opener]
        if closer not in wanted:
            raise Unreadable(f"{opener!r} closed by {closer!r}")
        if opener == "{":
            return _closed(inside)
        if opener == "\\{":
            return (
                inside
                if inside.op == "builder"
                else seq(
                    "{}",
                    inside.args
                    if inside.op == "seq" and inside.value == ""
                    else (inside,)
                    if inside != seq("", ())
                    else (),
                )
            )
        if inside.op == "seq" and inside.value == "":
            return seq(opener + closer, inside.args)
        if closer == "]" or opener == "[":
            return seq(opener + closer, (inside,))
        return _closed(inside)

    def skip(self) -> None:
        """Past a group or one token, unread: subscripts are names."""
        level = 0
        while True:
            token = self.take()
            if token.kind == "end":
                raise Unreadable("a subscript is not closed")
            level += (token.text == "{") - (token.text == "}") if token.kind == "op" else 0
            if level <= 0:
                return

    def argument(self) -> Node:
        """The argument of a command: a group, or the next character (`\\\\frac12` has 1 and 2)."""
        token = self.peek()
        if token.kind == "num" and token.note == "" and len(token.text) > 1 and token.text.isdigit():
            self.tokens[self.at] = Token("num", token.text[1:], False, commands.fraction(token.text[1:]))
            return num(int(token.text[0]))
        if token.text == "{" and token.kind == "op":
            self.take()
            return self.bracketed("{")
        if token.kind == "sym":
            self.take()
            return (
                EULER
                if token.text == "e"
                else IMAGINARY
                if token.text == "i"
                else sym(token.text, token.note)
            )
        if token.kind == "end":
            raise Unreadable("a command without its argument")
        return self.expression(POSTFIX)


def _digits(node: Node) -> str:
    return node.note or str(node.value)


def _is(closer: str) -> Callable[[Token], bool]:
    return lambda token: token.kind == "op" and token.text == closer


def _closed(node: Node) -> Node:
    return node._replace(note="") if node.note in ("open", "unit?") else node


def _bare(nodes: list[Node], word: str) -> Node:
    return nodes[0] if len(nodes) == 1 else Node("seq", tuple(nodes), "", word)


def _times(left: Node, right: Node) -> Node:
    left_factors = left.args if left.op == "mul" and left.note != "unit?" else (left,)
    return Node("mul", (*left_factors, *(right.args if right.op == "mul" else (right,))))


def _product_like(word: str) -> bool:
    """`abcd`, `xyzw`: four or more letters that are a product, not a word."""
    return word.islower() and (not set(word) & set("aeiou") or word in "abcdefgh")


def parse(text: str) -> Node:
    """The tree of `text` (in the lexer's alphabet). Raises `Unreadable`."""
    return parse_tokens(tokenize(text))


def parse_tokens(tokens: list[Token]) -> Node:
    parser = Parser(tokens)
    node = parser.items(lambda t: t.kind == "end" or commands.splits(t, "("))
    if parser.peek() is not END:
        node = commands.split_group(parser, node, "(", ends=True)
    if sum(1 for _ in walk(node)) > 4 * len(tokens) + 8:
        raise Unreadable("the tree outgrew its text")
    return node


__all__ = ["HALF", "Parser", "parse", "parse_tokens"]
