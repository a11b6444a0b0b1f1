"""MultiPL-E's translations of HumanEval: rows of `name, language, prompt, tests`, in the file's own language.

The tests are source that follows the completion. Where they begin with the brace that closes the function (C++), that
brace is left out behind an answer that is a whole function.

    task({"name": "HumanEval_0_f", "language": "js", "prompt": "function f(){", "tests": "..."}).fields["language"]
"""

import re
from collections.abc import Mapping
from typing import Any

from evoltune.record import Task

LANGUAGES = {"js": "javascript", "cpp": "cpp", "c": "c", "sh": "bash", "py": "python"}
_OPENING = re.compile(r"(\w+)\s*\([^()]*\)\s*(?:->[^{]*)?\{?\s*$")


def task(row: Mapping[str, Any]) -> Task:
    language = LANGUAGES.get(row["language"], row["language"])
    prompt = row["prompt"]
    fields = {"entry_point": entry_point(prompt, row["name"]), "prompt": prompt, "language": language}
    return Task(instruction=prompt, tests=row["tests"], fields=fields, name=row["name"])


def entry_point(prompt: str, name: str) -> str:
    """The function that the prompt opens in its last line, else the end of the problem's name."""
    opened = _OPENING.search(prompt.rstrip().rpartition("\n")[2].rstrip("{ \n"))
    return opened[1] if opened else re.sub(r"^HumanEval_\d+_", "", name)


def without_brace(tests: str) -> str:
    """The tests without the brace that would close the function of a bare body."""
    return re.sub(r"\A\s*\}\n?", "", tests)
