"""Commands of version 0.1 under their present names. Each works for one more version, with a warning.

present_words(["eval", "--rescore", "f.jsonl", "--suite", "gsm8k"], {})   # ["rescore", "f.jsonl", "--suite", "gsm8k"]
"""

import re
import sys
from collections.abc import Mapping, Sequence

_SPLIT_FROM_EVAL = ("suites", "profiles", "compare", "judge")


def present_words(argv: Sequence[str], renamed: Mapping[str, str]) -> list[str]:
    """The command line as it is written today; warns when it is written the old way.

    Args:
        renamed: old first word -> present words.
    """
    first, *rest = argv or [""]
    if first in renamed:
        old, new = first, [*renamed[first].split(), *rest]
    elif first == "eval" and rest[:1] and rest[0] in _SPLIT_FROM_EVAL:
        old, new = f"eval {rest[0]}", _split_from_eval(rest)
    elif first == "eval" and any(word.split("=")[0] == "--rescore" for word in rest):
        words = (word.removeprefix("--rescore=") for word in rest if word != "--rescore")
        old, new = "eval --rescore", ["rescore", *words]
    elif first == "report" and sum(not word.startswith("-") for word in rest) == 2:
        old, new = "report with two runs", ["compare", *rest, "--page"]
    else:
        return list(argv)
    now = renamed.get(first) or " ".join(new)
    print(f"evoltune {old} is now `evoltune {now}`; the old form will go in the next version", file=sys.stderr)
    return new


def _split_from_eval(words: Sequence[str]) -> list[str]:
    new = [re.sub(r"^(size|seed)=", r"--\1=", word) for word in words]
    if new[:2] == ["judge", "page"]:
        return ["judge", *new[2:], "--page"]
    if new[:2] == ["profiles", "lock"]:
        return ["profiles", "--lock", *(new[2:] or ["tests/profiles.lock.json"])]
    return new
