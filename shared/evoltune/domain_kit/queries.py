"""Changes to a SQL query: some after which it nearly always gives another result, and some after which it gives the same.

Nothing is run here. The changes are of the form alone, so that they hold on any database that the domain's tasks may have.
"""

import re

_QUERY = re.compile(r"\s*(select|with)\s.*\sfrom\s", re.IGNORECASE | re.DOTALL)
_KEYWORDS = re.compile(
    r"\b(?:select|from|where|and|or|group|order|by|having|join|on|as|in|count|sum|avg|min|max|distinct|limit)\b",
    re.IGNORECASE,
)
_ORDERED = re.compile(r"(\border\s+by\s+[\w.]+)(\s+asc|\s+desc)?(?=\s*(?:,[\w.,\s]*)?\Z)", re.IGNORECASE)
_COMPUTED = re.compile(r"select\s+(?:count|sum|avg|total)\s*\(", re.IGNORECASE)
_QUOTED = re.compile(r"""('(?:[^']|'')*'|"[^"]*")""")
_STAR = re.compile(r"(?:\A|[\s,.])\*\s*(?:,|\Z)")


def other_results(text: str) -> dict[str, str]:
    """kind of change -> a query that nearly always gives something else than `text`; none where `text` is no query."""
    if not _QUERY.match(text):
        return {}
    query = text.strip().rstrip(";")
    found = {
        "each row twice": f"select * from ({query}) union all select * from ({query})",
        "other values in as many rows": f"select 'zq' from ({query})",
        "no row": f"select * from ({query}) where 1 = 0",
        "a row lost": f"select * from ({query}) limit (select count(*) - 1 from ({query}))",
    }
    if order := _ORDERED.search(query):
        other = "asc" if (order.group(2) or "").strip().lower() == "desc" else "desc"
        found["rows in the other order"] = f"{query[: order.end(1)]} {other}{query[order.end() :]}"
    names = [f"c{i}" for i in range(_columns(query))]
    if names:
        given = f"with t({', '.join(names)}) as ({query}) select"
        if _COMPUTED.match(query):
            found["a number a little larger"] = f"{given} {', '.join(['c0 + 0.4', *names[1:]])} from t"
            found["a number's sign changed"] = f"{given} {', '.join(['-c0', *names[1:]])} from t"
    if len(names) > 1:
        found["columns in the other order"] = f"{given} {', '.join(names[::-1])} from t"
    return found


def equal_forms(text: str) -> dict[str, str]:
    """kind of change -> a query that gives what `text` gives; none where `text` is no query."""
    if not _QUERY.match(text):
        return {}
    query = text.strip().rstrip(";")
    parts = _QUOTED.split(query)
    small = "".join(
        part if i % 2 else _KEYWORDS.sub(lambda word: word.group().lower(), part) for i, part in enumerate(parts)
    )
    found = {"keywords in small letters": small, "a semicolon at its end": f"{query};"}
    if not re.search(r"\b(?:order|limit)\b", query, re.IGNORECASE):
        found |= {
            "a query of its rows": f"select * from ({query})",
            "its rows in another order, where none is asked for": f"select * from ({query}) order by 1 desc",
        }
    return {kind: form for kind, form in found.items() if form != text}


def _columns(query: str) -> int:
    """The number of columns that a plain SELECT names; 0 where a star or another form leaves it open."""
    start = re.match(r"select\s+(?:distinct\s+)?", query, re.IGNORECASE)
    if not start:
        return 0
    depth, listed = 0, ""
    for part in re.split(r"([()]|\bfrom\b)", "''".join(_QUOTED.split(query[start.end() :])[::2]), flags=re.IGNORECASE):
        if part.lower() == "from" and not depth:
            break
        depth += {"(": 1, ")": -1}.get(part, 0)
        listed += "" if depth or part in "()" else part
    return 0 if _STAR.search(listed) else listed.count(",") + 1
