"""Tokens -> Node: a Pratt parser for what people write as an answer, in LaTeX or plain text.

    parse("x=-2,6")  ->  seq "" of (rel = (x, neg 2), 6)
    parse("11 5/12") ->  add(11, div(5, 12))          parse("2\\\\pi r^2") -> mul(2, pi, pow(r, 2))

Nothing is evaluated. What cannot be parsed raises `Unreadable`.
"""

from fractions import Fraction

from evoltune_math.answers.nodes import EULER, IMAGINARY, Node, add, const, dot, mul, neg, num, rel, seq, size, sym
from evoltune_math.answers.syntax import brackets, commands, quantities, scripts
from evoltune_math.answers.syntax.grammar import END, TIMES, Bind, Closed, Token, Unreadable
from evoltune_math.answers.syntax.lexer import tokenize
from evoltune_math.answers.units import CURRENCY_CODES, LETTER_UNITS
from evoltune_math.answers.vocabulary import CONSTANTS, FUNCTIONS, GREEK, NUMBER_SETS, RELATIONS, TEXT_WORDS, word_set

MAX_NESTING = 64
MAX_HALF_OPEN = 4  # how often `[2, 5[` is tried when `[` finds no partner; each try parses the rest again
_BINARY_COMMANDS = {
    name: (op, power)
    for op, power, names in (
        ("union", Bind.UNION, "cup bigcup"),
        ("inter", Bind.UNION, "cap bigcap"),
        ("minus", Bind.UNION, "setminus backslash smallsetminus"),
        ("pm", Bind.SUM, "pm"),
        ("mp", Bind.SUM, "mp"),
        ("div", Bind.PRODUCT, "div"),
        ("mod", Bind.PRODUCT, "bmod"),
    )
    for name in names.split()
}
_ENDING_COMMANDS = word_set("rfloor rceil rangle rvert rVert \\ cr choose over ldots dots cdots wedge vee Vert mid")
"""Commands that no operand follows: the expression before them is complete."""
_WHOLE_WORDS = frozenset([*CONSTANTS, *FUNCTIONS, *GREEK])
DOTS = ("ldots", "dots", "cdots")
_LETTERS = {"e": EULER, "i": IMAGINARY}
_WORDS = {"and": "and", "or": "or", "wedge": "and", "vee": "or"}
_SEPARATORS = {"op": (",", "\n"), "cmd": ("wedge", "vee")}
_ENDING_SIGNS = frozenset([")", "]", "}", "\\}", "&", "\\", ",", ";", "\n"])


class Parser:
    """The Cursor over the tokens of one answer."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.at, self.depth = tokens, 0, 0
        self.closers: list[str] = []
        self.integrals = self.half_open = 0

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

    # ---- lists and expressions -----------------------------------------------------------------------------------

    def items(self, closed: Closed) -> Node:
        """Everything up to a closing token: one node, or a list without brackets. `;` separates groups of `,`."""
        groups: list[list[Node]] = [[]]
        word = ""
        while not closed(token := self.peek()):
            kind, text = token.kind, token.text
            if kind == "end":
                raise Unreadable("a bracket is not closed")
            if kind == "op" and text == ";":
                self.at += 1
                groups.append([])
            elif kind == "sep" or text in _SEPARATORS.get(kind, ()):
                self.at += 1
                word = _WORDS.get(text, word)
            else:
                groups[-1].append(self.expression(0))
        full = [g for g in groups if g]
        if not full:
            return seq("", ())
        if len(full) > 1 and any(len(g) > 1 for g in full):
            return seq("", tuple(_list(g, "") for g in full))
        return _list([n for g in full for n in g], word)

    def expression(self, power: int) -> Node:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise Unreadable(f"nested deeper than {MAX_NESTING}")
        left = self.prefix()
        while (extended := self.infix(left, power)) is not None:
            left = extended
        self.depth -= 1
        return left

    def argument(self) -> Node:
        token = self.peek()
        if token.kind == "num" and token.note == "" and len(token.text) > 1 and token.text.isdigit():
            self.tokens[self.at] = Token("num", token.text[1:], False, Fraction(int(token.text[1:])))
            return num(int(token.text[0]))
        if token.is_op("{"):
            self.take()
            return self.bracketed("{")
        if token.kind == "word" and token.text.isascii() and token.text not in _WHOLE_WORDS:  # `\\frac xy`
            rest = token.text[1:]
            self.tokens[self.at] = Token("sym" if len(rest) == 1 else "word", rest)
            return _LETTERS.get(token.text[0]) or sym(token.text[0])
        if token.kind == "sym":
            self.take()
            return _LETTERS.get(token.text) or sym(token.text, token.note)
        if token.kind == "end":
            raise Unreadable("a command without its argument")
        return self.expression(Bind.POSTFIX)

    # ---- operators -----------------------------------------------------------------------------------------------

    def infix(self, left: Node, power: int) -> Node | None:
        """`left` extended by the operator at the cursor, or None if that does not bind more tightly than `power`."""
        token = self.peek()
        if token.kind in ("end", "sep"):
            return None
        if token.kind == "op":
            return self.operator(left, token, power)
        if token.kind in ("text", "word"):
            return quantities.after_word(self, left, token, power)
        if token.kind == "cmd":
            return self.command_operator(left, token.text, power)
        return self.juxtapose(left, power)

    def command_operator(self, left: Node, name: str, power: int) -> Node | None:
        if "\\" + name in RELATIONS or name == "not":
            return self.relation(left) if power < Bind.RELATION else None
        if name in _BINARY_COMMANDS:
            return self.binary(left, *_BINARY_COMMANDS[name], power)
        if name == "mod":
            return quantities.modulo(self, left, power)
        if name in TIMES:
            return self.product(left, power)
        if name in ("pmod", "pod"):
            if power >= Bind.RELATION:
                return None
            self.at += 1
            return Node("pmod", (left, self.argument()))
        if name == "degree":
            self.at += 1
            return scripts.degrees(self, left)
        if name == "prime":
            return scripts.prime(self, left)
        if name in DOTS and self.dots_are_a_factor():
            return self.juxtapose(left, power)
        if name in _ENDING_COMMANDS or name[:4] == "end:" or (name in ("vert", "lvert", "|") and self.closers):
            return None
        return self.juxtapose(left, power)

    def dots_are_a_factor(self) -> bool:
        """`(x-1)(x-2) \\cdots (x-n)`: more factors follow the dots."""
        return (
            self.peek(1).kind in ("sym", "num", "word")
            or self.peek(1).is_op("(", "{")
            or self.peek(1).is_cmd("frac", "left", "cdot")
        )

    def operator(self, left: Node, token: Token, power: int) -> Node | None:
        text = token.text
        if text in ("+", "-"):
            return self.sum(left, power)
        if text == "*":
            return self.product(left, power)
        if text == "/" and quantities.is_rate(self, left):
            return quantities.with_unit(self, left)
        if text == "/":
            return self.binary(left, "div", Bind.PRODUCT, power)
        if text == "^":
            return scripts.power(self, left) if power <= Bind.POWER else None
        if text in ("!", "%"):
            if power >= Bind.POSTFIX:
                return None
            self.at += 1
            twice = text == "!" and self.accept("op", "!")
            return Node("pct", (left,)) if text == "%" else Node("fact", (left,), "!!" if twice else "!")
        innermost = self.closers[-1] if self.closers else ""
        if text == ":":
            return self.binary(left, "ratio", Bind.RATIO, power) if innermost != ":" else None
        if text == "_":  # the 2 of v^2_0 takes no subscript
            in_power = power >= Bind.POWER - 1 and left.op in ("num", "dec")
            return None if in_power else scripts.subscript(self, left)
        if text == "'":
            return scripts.prime(self, left)
        if text in (">", "[") and innermost == text:
            return None
        if text in RELATIONS:
            return self.relation(left) if power < Bind.RELATION else None
        if text == "|" and self.closers:
            return None
        if text == "|" and self.peek(1).is_op("_"):
            if power > Bind.RELATION:
                return None
            self.at += 1
            return brackets.between_bounds(self, left)
        if text in ("(", "[", "{", "\\{", "|"):
            return self.juxtapose(left, power)
        if text in _ENDING_SIGNS:
            return None
        if text == "." and self.peek(1).kind == "end":
            self.at += 1
            return left
        if text == "..." and self.dots_are_a_factor():
            return self.juxtapose(left, power)
        raise Unreadable(f"unexpected {text!r}")

    def sum(self, left: Node, power: int) -> Node | None:
        if power >= Bind.SUM or (self.integrals and commands.ends_integral(left)):
            return None
        terms = [left]
        while self.peek().is_op("+", "-") and not (self.integrals and commands.ends_integral(terms[-1])):
            minus = self.take().text == "-"
            right = self.expression(Bind.SUM)
            terms.append(neg(right) if minus else right)
        return add(*terms)

    def product(self, left: Node, power: int) -> Node | None:
        if power >= Bind.PRODUCT:
            return None
        is_dot = self.take().is_cmd("cdot")
        right = self.expression(Bind.PRODUCT)
        return (dot(left, right) if is_dot else None) or _times(left, right)

    def binary(self, left: Node, op: str, bind: int, power: int) -> Node | None:
        if power >= bind:
            return None
        self.at += 1
        right = self.expression(bind)
        if op == "mp":
            return Node("pm", (left, neg(right)))
        if op in ("ratio", "union") and left.op == op:
            return Node(op, (*left.args, right))
        return Node(op, (left, right))

    def relation(self, left: Node) -> Node:
        """`a < b <= c` as one node with all its members."""
        signs, members = [], [left]
        while (sign := self.relation_sign()) is not None:
            signs.append(sign)
            following = self.peek()
            has_more = following.is_op("=") or (following.kind == "cmd" and "\\" + following.text in RELATIONS)
            if sign == "=" and has_more:
                signs.pop()  # `=\\approx` and `= =` are one sign
                continue
            members.append(self.expression(Bind.RELATION))
        if len(members) < 2:
            raise Unreadable("a relation with one side")
        return rel(" ".join(signs), *members)

    def relation_sign(self) -> str | None:
        negated = self.peek().text == "not"
        if negated:
            self.at += 1
        token = self.peek()
        written = {"cmd": "\\" + token.text, "op": token.text}.get(token.kind, "")
        sign = RELATIONS.get(written)
        if sign is None:
            return None
        self.at += 1
        if sign in ("<", ">") and self.accept("op", "="):
            sign += "="
        return {"=": "!=", "in": "notin"}.get(sign, sign) if negated else sign

    def juxtapose(self, left: Node, power: int) -> Node | None:
        """The product without a sign, the mixed number, and a number before a unit of one letter."""
        if power >= Bind.PRODUCT:
            return None
        token = self.peek()
        if left.op == "num" and left.value is not None and not left.note:
            mixed = quantities.mixed_number(self, left)
            if mixed is not None:
                return mixed
        if token.kind == "num" and left.op in ("num", "dec"):
            raise Unreadable("two numbers side by side")
        may_be_unit = token.kind == "sym" and token.text in LETTER_UNITS
        if (
            ((may_be_unit and (token.space or self.peek(1).kind == "num")) or token.is_cmd("mu"))
            and quantities.is_numeric(left)
            and quantities.unit_ahead(self)
        ):
            return quantities.with_unit(self, left)
        if token.is_cmd("Omega") and quantities.is_numeric(left):
            return quantities.with_unit(self, left)
        right = self.expression(Bind.PRODUCT)
        if may_be_unit and token.space and right.op in ("sym", "pow", "div") and quantities.is_numeric(left):
            return Node("mul", (left, right), None, "unit?")
        return _times(left, right)

    # ---- operands ------------------------------------------------------------------------------------------------

    def prefix(self) -> Node:
        token = self.take()
        kind, text = token.kind, token.text
        if kind == "num":
            if token.note:
                return Node("dec", (), token.value, text)
            return Node("num", (), token.value, text if text[:1] == "0" and len(text) > 1 else "")
        if kind == "sym":
            constant = _LETTERS.get(text) if token.note != "v" else None
            return constant or scripts.maybe_call(self, sym(text, token.note))
        if kind == "cmd":
            return commands.command(self, text)
        if kind == "word":
            return self.word(text)
        if kind == "text":
            return Node("text", (), text)
        if kind == "op":
            return self.opened(text)
        raise Unreadable(f"unexpected {text or 'end'!r}")

    def word(self, word: str) -> Node:
        """A plain word: a constant, a function, a name, text, or letters that are multiplied."""
        if word == "Rs":
            self.accept("op", ".")
        if word in CURRENCY_CODES and self.peek().kind == "num":
            return self.prefix()
        if word in CONSTANTS:
            return const(CONSTANTS[word])
        if word in FUNCTIONS and (self.peek().kind != "end" or FUNCTIONS[word] == "gamma"):
            return commands.command(self, word)
        if word in GREEK and word not in ("xi", "nu", "mu", "ell"):
            return sym(word)
        if word in NUMBER_SETS and len(word) > 1:
            return const(NUMBER_SETS[word])
        if _is_text(word):
            return Node("text", (), word)
        if word.isupper() or not word.isascii():
            return scripts.maybe_call(self, sym(word))
        factors = [_LETTERS.get(char) or sym(char) for char in word[:-1]]
        self.at -= 1
        self.tokens[self.at] = Token("sym", word[-1])
        return mul(*factors, self.expression(Bind.PRODUCT))

    def opened(self, sign: str) -> Node:
        """An operand that starts with a sign or a bracket."""
        if sign == "-":
            return neg(self.expression(Bind.SIGNED))
        if sign == "+":
            return self.expression(Bind.SIGNED)
        if sign in ("(", "[", "{", "\\{"):
            return self.bracketed(sign)
        if sign == "|":
            if self.peek().text == "|":
                self.at += 1
                return brackets.bars(self, "norm", "||")
            return brackets.bars(self, "abs", "|")
        if sign == "]":
            return brackets.half_open(self, "]")
        if sign == "<" and self.at == 1:
            return brackets.vector(self)
        if sign == "...":
            return Node("text", (), sign)
        raise Unreadable(f"unexpected {sign!r}")

    def bracketed(self, opener: str) -> Node:
        """A bracket with its content; if `[` finds no partner, `[2, 5[` is tried."""
        start, depth, closers = self.at, self.depth, list(self.closers)
        try:
            return brackets.bracketed(self, opener)
        except Unreadable:
            if opener != "[" or self.half_open >= MAX_HALF_OPEN:
                raise
            self.at, self.depth, self.closers = start, depth, closers
            self.half_open += 1
            return brackets.half_open(self, "[")


def _list(nodes: list[Node], word: str) -> Node:
    return nodes[0] if len(nodes) == 1 else Node("seq", tuple(nodes), "", word)


def _times(left: Node, right: Node) -> Node:
    left_factors = left.args if left.op == "mul" and left.note != "unit?" else (left,)
    return mul(*left_factors, *(right.args if right.op == "mul" else (right,)))


def _is_text(word: str) -> bool:
    """Whether a word is text and not a product of its letters."""
    is_product = word.islower() and (not set(word) & set("aeiou") or word in "abcdefgh")  # `abcd`, `xyzw`
    if len(word) > 3 and not is_product:
        return True
    known = word.lower() in TEXT_WORDS
    return word in TEXT_WORDS or (len(word) > 2 and known) or (word.istitle() and (len(word) > 2 or known))


def parse(text: str) -> Node:
    """The tree of `text`, whose signs are ASCII or LaTeX. Raises `Unreadable`."""
    return parse_tokens(tokenize(text))


def parse_tokens(tokens: list[Token]) -> Node:
    """The tree of the tokens, which the parser may change. Raises `Unreadable`."""
    parser = Parser(tokens)
    node = parser.items(lambda t: t.kind == "end" or brackets.is_divider(t, "("))
    if parser.peek() is not END:
        node = brackets.divided(parser, node, "(", ends=True)
    if size(node) > 4 * len(tokens) + 8:
        raise Unreadable("the tree is much larger than its text")
    return node
