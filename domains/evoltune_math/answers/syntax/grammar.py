"""What the parts of the parser share: Token, how tightly each operator binds, and the Cursor.

`parser.Parser` implements Cursor. The parts (brackets, commands, quantities, scripts) are functions that take a Cursor,
read what they know and return a node, so that no part imports the parser.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple, Protocol

from evoltune_math.answers.nodes import Node

FUNCTION_LETTERS = frozenset(["f", "g", "h", "F", "G", "H", "P", "phi", "varphi", "psi", "Phi", "Pr", "Q"])
"""Names that are functions if brackets follow: `f(x+1)` is a call, `a(x+1)` a product."""
TIMES = frozenset(["cdot", "times", "ast", "bullet", "star"])
FRACTIONS = ("frac", "dfrac", "tfrac", "cfrac", "nicefrac", "sfrac", "flatfrac")


class Unreadable(Exception):
    """The text is outside of the grammar or over a size limit; the message says which."""


class Token(NamedTuple):
    kind: str  # num, sym, word, cmd, op, text, sep, end
    text: str
    space: bool = False  # whether white space stands before it
    value: Fraction | None = None
    note: str = ""  # num: `decimal` if it was written with a decimal point; sym: `v` if it is bold, as vectors are

    def is_op(self, *texts: str) -> bool:
        return self.kind == "op" and self.text in texts

    def is_cmd(self, *texts: str) -> bool:
        return self.kind == "cmd" and self.text in texts


END = Token("end", "")
Closed = Callable[[Token], bool]  # whether a token ends a list


class Bind:
    """Binding powers; a higher one binds more tightly. Juxtaposition has that of PRODUCT: `1/2x` is half of x."""

    RELATION, UNION, RATIO, SUM, PRODUCT, POWER, POSTFIX = 10, 15, 18, 20, 30, 50, 60
    SIGNED = PRODUCT - 1  # what a sign, a sum or a limit applies to: a whole product


class Cursor(Protocol):
    """A position in a list of tokens."""

    tokens: list[Token]
    at: int
    closers: list[str]
    """Signs that close the innermost bracket although elsewhere they are operators: `|`, `:`, `>`, `[`."""
    integrals: int  # how many integrals are open: inside, `d` before a symbol is the differential

    def peek(self, ahead: int = 0) -> Token: ...
    def take(self) -> Token: ...
    def accept(self, kind: str, *texts: str) -> Token | None: ...  # takes the next token if it is one of these
    def expect(self, kind: str, text: str) -> None: ...  # takes the next token; another one raises `Unreadable`
    def items(self, closed: Closed) -> Node: ...  # everything up to a closing token, which is not taken
    def expression(self, power: int) -> Node: ...  # with all operators that bind more tightly than `power`
    def prefix(self) -> Node: ...  # the operand, without the operators after it
    def argument(self) -> Node: ...  # of a command: a group, or the next character (`\\frac12` has 1 and 2)
    def binary(self, left: Node, op: str, bind: int, power: int) -> Node | None: ...
    def product(self, left: Node, power: int) -> Node | None: ...
    def juxtapose(self, left: Node, power: int) -> Node | None: ...


def closes(*texts: str) -> Closed:
    """A test for operators that end a list."""
    return lambda token: token.kind == "op" and token.text in texts
