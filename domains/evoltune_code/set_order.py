"""A program in which sets are read in another order: what changes with it is no property of the task.

    in_other_order("def f(words):\n    return list(set(words))")    # the same, but f(["a", "b"]) has the other order
    in_other_order("def f(n):\n    return n")                        # "": it uses no set

The sandbox fixes the hash seed, so that a program gives the same each time; in another process, or by another solution, the order
of a set and the hash of a text are others. Invariant: no source raises here; results that have no order stay as they are.
"""

import ast

from evoltune_code.syntax import parse

_NAMES = frozenset({"set", "frozenset", "hash"})
_PRELUDE = ast.parse("""
def _in_other_order(plain):
    class Kind(type):
        def __instancecheck__(self, value):
            return isinstance(value, plain)

    class Turned(plain, metaclass=Kind):
        order = ()

        def __iter__(self):
            is_known = len(self.order) == len(self) and all(x in self for x in self.order)
            return iter([*(self.order if is_known else plain.__iter__(self))][::-1])

        def pop(self):
            if not self:
                raise KeyError("pop from an empty set")
            item = next(iter(self))
            self.remove(item)
            return item

        def __repr__(self):
            return "{" + ", ".join(map(repr, self)) + "}" if self else "set()"

    def turned(name):
        method = getattr(plain, name)

        def call(*args):
            found = method(*args)
            if found is NotImplemented:
                return found
            result = Turned(found)
            result.order = tuple(found)  # a copy may have another
            return result

        return call

    for name in ("and", "or", "sub", "xor", "rand", "ror", "rsub", "rxor"):
        setattr(Turned, f"__{name}__", turned(f"__{name}__"))
    for name in ("union", "intersection", "difference", "symmetric_difference", "copy"):
        setattr(Turned, name, turned(name))
    return Turned


set, frozenset, hash = _in_other_order(set), _in_other_order(frozenset), lambda value, plain=hash: ~plain(value)
""").body


class _Calls(ast.NodeTransformer):
    """Displays and comprehensions of sets become calls of `set`, which a name can stand for."""

    def visit_Set(self, node: ast.Set) -> ast.AST:
        self.generic_visit(node)
        return self._call(ast.List(elts=node.elts, ctx=ast.Load()))

    def visit_SetComp(self, node: ast.SetComp) -> ast.AST:
        self.generic_visit(node)
        return self._call(ast.ListComp(elt=node.elt, generators=node.generators))

    @staticmethod
    def _call(items: ast.expr) -> ast.Call:
        return ast.Call(func=ast.Name(id="set", ctx=ast.Load()), args=[items], keywords=[])


def in_other_order(source: str) -> str:
    """The program with its sets in reverse order and other hashes; "" where it uses neither, or does not parse."""
    tree = parse(source)
    if tree is None or not any(_reads_order(node) for node in ast.walk(tree)):
        return ""
    head = next((i for i, node in enumerate(tree.body) if not _must_be_first(node)), len(tree.body))
    body = [ast.fix_missing_locations(_Calls().visit(node)) for node in tree.body]
    try:
        return ast.unparse(ast.Module(body=[*body[:head], *_PRELUDE, *body[head:]], type_ignores=[]))
    except (ValueError, RecursionError):
        return ""


def _reads_order(node: ast.AST) -> bool:
    return isinstance(node, ast.Set | ast.SetComp) or (isinstance(node, ast.Name) and node.id in _NAMES)


def _must_be_first(node: ast.stmt) -> bool:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_text or (isinstance(node, ast.ImportFrom) and node.module == "__future__")
