"""A recipe's text for another folder: its comments and order as they are, its relative paths rewritten.

text = text_beside(Path("mine/exp.yaml"), Path("other"))        # seeds: {path: rows.jsonl}  ->  {path: ../mine/rows.jsonl}
"""

import json
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from evoltune.recipe.load import line_of, read_nodes, shipped
from evoltune.recipe.relative import located, relocated
from evoltune.recipe.sections import Recipe

_PLAIN = re.compile(r"[\w./-]*[A-Za-z_/][\w./-]*")


def text_beside(source: Path, folder: Path) -> str:
    """The text of the recipe `source` as it must be in `folder`. Shipped recipes name nothing beside them."""
    text, node, tree, lines = read_nodes(source)
    if source in shipped().values() or source.resolve().parent == folder.resolve():
        return text
    base = tree.get("extends")
    moved = relocated(located(tree, Recipe, partial(line_of, lines=lines)), Recipe, folder)
    if isinstance(base, str) and not Path(base).is_absolute() and (beside := source.parent / base).is_file():
        moved["extends"] = os.path.relpath(beside.resolve(), folder.resolve())
    changes = {node.start_mark.index: (node.end_mark.index, new) for node, new in _changed(node, tree, moved)}
    for start, (end, new) in sorted(changes.items(), reverse=True):
        end = start + len(text[start:end].rstrip())  # a block scalar takes the line's end with it
        text = text[:start] + (new if _PLAIN.fullmatch(new) else json.dumps(new, ensure_ascii=False)) + text[end:]
    return text


def _changed(node: yaml.Node, old: Any, new: Any) -> Iterator[tuple[yaml.Node, str]]:
    """(where it stands, new value) of each text that differs."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value in old and key.value in new:
                yield from _changed(value, old[key.value], new[key.value])
    elif isinstance(node, yaml.SequenceNode):
        for item, before, after in zip(node.value, old, new, strict=True):
            yield from _changed(item, before, after)
    elif isinstance(new, str) and old != new:
        yield node, new
