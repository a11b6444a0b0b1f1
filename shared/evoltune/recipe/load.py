"""Reads a recipe: YAML with `extends:`, overrides from the command line, and errors that name file, line and key.

recipe = load_recipe("smoke/math", overrides=["train.max_steps=10"])
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import msgspec
import yaml
from msgspec import Struct

from evoltune.errors import RecipeError, nearest
from evoltune.recipe.bounds import MAX_DEPTH, MAX_SIZE, refuse_bombs, reject_values
from evoltune.recipe.sections import Recipe


class _Loader(yaml.SafeLoader):
    """Safe YAML with 2e-5 read as a float (YAML 1.2; PyYAML's 1.1 makes it a string) and duplicate keys refused."""


_Loader.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)
Lines = dict[tuple[str, ...], str]


def load_recipe(ref: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """A checked recipe from a file or a shipped name (`smoke/math`), with `a.b=c` overrides.

    Raises RecipeError, one line: file:line, key path, the value, what is allowed.
    """
    tree, lines = _read(find_recipe(ref), seen=())
    for text in overrides:
        _override(tree, lines, text)
    default_name = (
        Path(ref).stem
        if not isinstance(ref, str) or ref.endswith((".yaml", ".yml"))
        else ref.replace("/", "-")
    )
    tree.setdefault("name", default_name)
    _reject_unknown(Recipe, tree, lines, ())
    reject_values(tree, lines, (), str(ref))
    try:
        return msgspec.convert(tree, Recipe, strict=True)
    except msgspec.ValidationError as error:
        raise RecipeError(_located(str(error), tree, lines, str(ref))) from error


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML, with every default written out; `load_recipe` reads it back."""
    return yaml.safe_dump(msgspec.to_builtins(recipe), sort_keys=False, allow_unicode=True)


def recipes_root() -> Path:
    """The shipped recipes: inside the wheel, else beside the sources."""
    packaged = Path(str(files("evoltune"))) / "recipes"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "recipes"


def shipped() -> dict[str, Path]:
    """Names of the shipped recipes (`code/wizardcoder-starcoder-15b`); `base/` holds what others extend."""
    root = recipes_root()
    return {str(p.relative_to(root).with_suffix("")): p for p in sorted(root.rglob("*.yaml"))}


def find_recipe(ref: str | Path, beside: Path | None = None) -> Path:
    """The file of a recipe: a path (also relative to the file that extends it), else a shipped name."""
    for candidate in [Path(ref).expanduser(), *([beside.parent / ref] if beside else [])]:
        if _is_file(candidate):
            return candidate
    name = re.sub(r"\.ya?ml$", "", str(ref)).removeprefix("recipes/")
    known = shipped()
    if name in known:
        return known[name]
    raise RecipeError(f"recipe {str(ref)!r} is neither a file nor a shipped recipe: {nearest(name, known)}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long a name, a folder that may not be entered, NUL
        return False


def _read(path: Path, seen: tuple[Path, ...]) -> tuple[dict[str, Any], Lines]:
    path = path.resolve()
    if path in seen:
        raise RecipeError(f"{path}: extends itself: {' -> '.join(p.name for p in (*seen, path))}")
    try:
        text = path.read_text(encoding="utf-8")
        if len(text) > MAX_SIZE:
            raise RecipeError(
                f"{path}: {len(text)} characters, at most {MAX_SIZE} are read: is this a recipe?"
            )
        node = yaml.compose(text, Loader=_Loader)
        refuse_bombs(node, path)
        tree = yaml.load(text, Loader=_Loader)
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise RecipeError(f"{path}: nested too deeply: a recipe has at most {MAX_DEPTH} levels") from error
    except ValueError as error:  # a date such as 2020-99-99, an integer of too many digits
        raise RecipeError(f"{path}: a value cannot be read: {error}: put it in quotes") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise RecipeError(
            f"{where}: not YAML: {getattr(error, 'problem', None) or getattr(error, 'reason', '')}"
        ) from error
    if not isinstance(node, yaml.MappingNode):
        raise RecipeError(f"{path}: a recipe is a mapping of sections, e.g. `domain: math`")
    lines: Lines = {}
    _mark(node, (), lines, path)
    base = tree.pop("extends", None)
    if base is None:
        return tree, lines
    if not isinstance(base, str):
        raise RecipeError(f"{lines[('extends',)]}: extends: {base!r} must be the name or path of one recipe")
    parent, parent_lines = _read(find_recipe(base, beside=path), (*seen, path))
    return _merge(parent, tree), {**parent_lines, **lines}


def _mark(node: yaml.Node, path: tuple[str, ...], lines: Lines, file: Path) -> None:
    lines.setdefault(path, f"{file}:{node.start_mark.line + 1}")
    if isinstance(node, yaml.MappingNode):
        here = set()
        for key, value in node.value:
            name = str(key.value)
            where = f"{file}:{key.start_mark.line + 1}"
            if name in here:
                raise RecipeError(f"{where}: {'.'.join((*path, name))} stands twice: remove one")
            here.add(name)
            lines[(*path, name)] = where
            _mark(value, (*path, name), lines, file)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            _mark(item, (*path, str(i)), lines, file)


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = _merge(out[key], value) if both else value
    return out


def _override(tree: dict[str, Any], lines: Lines, text: str) -> None:
    path, sign, raw = text.partition("=")
    if not sign or not path:
        raise RecipeError(f"override {text!r}: must be key.path=value, e.g. train.learning_rate=1e-5")
    value = parse_value(text, raw)
    *parents, last = path.split(".")
    here: Any = tree
    for name in parents:
        here = here.setdefault(name, {})
        if not isinstance(here, dict):
            raise RecipeError(f"override {text!r}: {name!r} is not a section")
    here[last] = value
    lines[tuple(path.split("."))] = "command line"


def parse_value(text: str, raw: str) -> Any:
    """The value `raw` of an override `text`, read as in a recipe. Raises RecipeError."""
    try:
        refuse_bombs(yaml.compose(raw, Loader=_Loader), Path("command line"))
        return yaml.load(raw, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"override {text!r}: the value is not YAML: put it in quotes") from error


def struct_of(annotation: Any) -> type[Struct] | None:
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return annotation
    return next((s for a in get_args(annotation) if (s := struct_of(a))), None)


def _reject_unknown(section: type[Struct], tree: Any, lines: Lines, path: tuple[str, ...]) -> None:
    if not isinstance(tree, Mapping):
        return
    fields = {f.name: f.type for f in msgspec.structs.fields(section)}
    for key, value in tree.items():
        here = (*path, str(key))
        if key not in fields:
            raise RecipeError(
                f"{lines.get(here, '?')}: unknown key {'.'.join(here)!r}: {nearest(str(key), fields)}"
            )
        inner = struct_of(fields[key])
        if inner and isinstance(value, list):
            for i, item in enumerate(value):
                _reject_unknown(inner, item, lines, (*here, str(i)))
        elif inner:
            _reject_unknown(inner, value, lines, here)


def _located(message: str, tree: Any, lines: Lines, ref: str) -> str:
    """msgspec's `Expected int, got str - at $.train.max_steps` with the file, the line and the value."""
    what, _, where = message.partition(" - at `$")
    keys = tuple(k for k in re.split(r"[.\[\]`]+", where) if k)
    value = tree
    for key in keys:
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, ValueError, TypeError):
            break
    at = next((lines[keys[:n]] for n in range(len(keys), -1, -1) if keys[:n] in lines), ref)
    name = ".".join(keys)
    return f"{at}: {name + ': ' if name else ''}{what}" + (f" (value {value!r})" if keys else "")
