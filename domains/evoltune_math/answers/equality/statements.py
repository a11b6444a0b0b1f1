"""Rules for named values, relations, families and approximations."""

from dataclasses import replace

from evoltune_math.answers.equality.comparison import KINDS, Comparison, Rules, before
from evoltune_math.answers.equality.decimals import both_round_one_value
from evoltune_math.answers.equality.families import same_family
from evoltune_math.answers.equality.relations import same_relation
from evoltune_math.answers.kinds import Answer, Either, Family, Group, Named, Region, Relation, Value
from evoltune_math.answers.nodes import substitute, sym


def _relation_relation(comparison: Comparison, a: Relation, b: Relation) -> bool:
    return same_relation(comparison.expressions, a, b)


def _named_named(comparison: Comparison, a: Named, b: Named) -> bool:
    b = _with_arguments_of(a, b)
    if a.name == b.name or comparison.expressions.equal(a.name, b.name):
        return comparison.same(a.value, b.value)
    reordered = _reordered(a, b)
    if reordered is not None:
        return comparison.same(a.value, reordered)
    ops = {a.name.op, b.name.op}
    if comparison.policy.variables == "ignore" and ops == {"sym"}:
        return comparison.same(a.value, b.value)
    is_function = ops == {"sym", "fn"} and "y" in (a.name.value, b.name.value)  # `y = 2x` is `f(x) = 2x`
    if is_function and comparison.same(a.value, b.value):
        return True
    left, right = _equation(a), _equation(b)
    return left is not None and right is not None and same_relation(comparison.expressions, left, right)


def _with_arguments_of(a: Named, b: Named) -> Named:
    """`f(y) = y` beside `f(x) = x`: the arguments' names do not matter."""
    x, y = a.name, b.name
    if x.op != "fn" or y.op != "fn" or x.value != y.value or len(x.args) != len(y.args) or x.args == y.args:
        return b
    if any(n.op != "sym" for n in (*x.args, *y.args)):
        return b
    if not isinstance(b.value, Value):
        return Named(x, b.value)
    node = b.value.node
    for k, arg in enumerate(y.args):
        node = substitute(node, str(arg.value), sym(f"?{k}"))
    for k, arg in enumerate(x.args):
        node = substitute(node, f"?{k}", arg)
    return Named(x, replace(b.value, node=node))


def _reordered(a: Named, b: Named) -> Group | None:
    """The values of `(y, x) = (2, 1)` in the order of `(x, y) = (1, 2)`; None if the names are not such tuples."""
    x, y = a.name, b.name
    if x.op != "seq" or y.op != "seq" or len(x.args) != len(y.args) or set(x.args) != set(y.args):
        return None
    if not isinstance(b.value, Group) or len(b.value.items) != len(x.args):
        return None
    return replace(b.value, items=tuple(b.value.items[y.args.index(n)] for n in x.args))


def _equation(named: Named) -> Relation | None:
    return Relation(("=",), (named.name, named.value.node)) if isinstance(named.value, Value) else None


def _any_named(comparison: Comparison, a: Answer, b: Named) -> bool:
    policy, name = comparison.policy, str(b.name.value)
    if isinstance(a, Relation):
        if isinstance(b.value, Relation):
            return comparison.same(b.value, a)
        equation = _equation(b)
        return equation is not None and same_relation(comparison.expressions, equation, a)
    if policy.assignment == "required" and not (isinstance(a, Region) and a.variable == name):
        return False
    if isinstance(a, Region):
        is_variable = b.name.op == "sym" and not name[:1].isupper()
        if a.variable and is_variable and a.variable != name and policy.variables == "strict":
            return False
        if isinstance(b.value, Region):
            a = replace(a, variable="")
    return comparison.same(b.value, a)


def _any_family(comparison: Comparison, a: Answer, b: Family) -> bool:
    other = a.answer if isinstance(a, Family) else a
    return comparison.same(b.answer, other) or same_family(b.answer, other, declared=True)


def _any_either(comparison: Comparison, a: Answer, b: Either) -> bool:
    if isinstance(a, Either):
        return comparison.same(a.exact, b.exact) and _compatible(comparison, a.rounded, b.rounded)
    if comparison.same(b.exact, a):
        return True
    return comparison.policy.approximation == "either" and comparison.same(b.rounded, a)


def _compatible(comparison: Comparison, a: Answer, b: Answer) -> bool:
    """Two roundings of one value: equal, or apart by at most the last digit of the coarser one."""
    verdict = None
    if isinstance(a, Value) and isinstance(b, Value):
        verdict = both_round_one_value(a.node, b.node)
    return comparison.same(a, b) if verdict is None else verdict


RULES: Rules = {
    (Relation, Relation): _relation_relation,
    **{(kind, Named): _any_named for kind in before(Named)},
    (Named, Named): _named_named,
    **{(kind, Family): _any_family for kind in (*before(Family), Family)},
    **{(kind, Either): _any_either for kind in KINDS},
}
