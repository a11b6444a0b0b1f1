"""Reads a recipe: YAML with `extends:`, overrides from the command line, and errors that name file, line and key.

    recipe = load_recipe("smoke/math", overrides=["train.max_steps=10"])

On PyYAML and not ruamel.yaml: both need the walk that gives each key its line, and PyYAML is there anyway to write YAML.
"""

import datetime
import errno
import math
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec
import yaml
from msgspec import Struct

from evoltune.errors import RecipeError, nearest
from evoltune.recipe.relative import located, relocated, struct_of
from evoltune.recipe.sections import Recipe
from evoltune.run.paths import user_path
from evoltune.text.credentials import masked, note_secrets, secrets_in

S = TypeVar("S", bound=Struct)
Lines = dict[tuple[str, ...], str]
"""Key path -> `file:line`, or the command line."""
_NO_TEXT = (bool, int, float, datetime.date)
"""What YAML makes of a text such as `no`, `1.0` or `2024-01-05` without quotes."""
_DEEPSPEED_SECTIONS = frozenset(
    "zero_optimization offload_optimizer offload_param optimizer scheduler params bf16 fp16 amp aio activation_checkpointing".split()
)
MAX_SIZE = 2**20  # characters of a file; the longest shipped recipe has about 3,000
MAX_NODES = 20_000  # values, with aliases expanded
MAX_DEPTH = 60
MAX_NAME = 200  # bytes; file systems take 255, and temporary names are longer


class _Loader(yaml.SafeLoader):
    """Safe YAML with the numbers of YAML 1.2: 2e-5 is a float, 24:00:00 a text (in PyYAML's YAML 1.1 a text, and 86400), and 010
    a text that no number's key takes (it would be 8). Every key is text (`on` is no boolean there)."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except (
            Exception
        ) as error:  # PyYAML's own, of a value with a tag that does not fit: KeyError, AttributeError ...
            what = f"{str(node.value)[:80]!r} cannot be read as {node.tag.rpartition(':')[2]}: put it in quotes"
            raise yaml.constructor.ConstructorError(None, None, what, node.start_mark) from error

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        if isinstance(node, yaml.MappingNode):
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                    key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: Any) -> None:
        """`<<: *base` without the keys that the mapping has itself: they win, and are not there twice."""
        own = [pair for pair in node.value if pair[0].tag != _MERGE]
        super().flatten_mapping(node)
        merged = {str(key.value): (key, value) for key, value in node.value[: len(node.value) - len(own)]}
        named = {str(key.value) for key, _ in own}
        node.value = [*(pair for name, pair in merged.items() if name not in named), *own]


_MERGE = "tag:yaml.org,2002:merge"
_NUMBERS = {
    "int": r"[-+]?(0|[1-9][0-9_]*|0b[01_]+|0x[0-9a-fA-F_]+)",
    "float": r"[-+]?((\d[\d_]*\.[\d_]*|\.\d[\d_]*)([eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.(inf|Inf|INF))|\.(nan|NaN|NAN)",
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag.rpartition(":")[2] not in _NUMBERS]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, _pattern in _NUMBERS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"({_pattern})$"), list("-+0123456789."))


def load_recipe(ref: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """A checked recipe from a file or a shipped name (`smoke/math`), with `a.b=c` overrides.

    Raises RecipeError, one line: file:line, key path, the value, what is allowed.
    """
    tree, lines = _read_located(find_recipe(ref), Recipe)
    is_file = not isinstance(ref, str) or ref.endswith((".yaml", ".yml"))
    tree.setdefault("name", Path(ref).stem if is_file else str(ref).replace("/", "-"))
    return _checked(tree, lines, overrides)


def place_of(ref: str | Path, problem: str) -> str:
    """File and line of the key that a problem begins with (`evolve.operators: ...`), else the recipe as it was named."""
    _, lines = _read(find_recipe(ref), extended_by=())
    keys = tuple(problem.partition(":")[0].split("."))
    found = next((keys[:n] for n in range(len(keys), 0, -1) if keys[:n] in lines), None)
    return lines[found] if found else str(ref)


def load_section(path: Path, section: type[S]) -> S:
    """A file with the keys of one section, e.g. a study, checked like a recipe. Raises RecipeError."""
    tree, lines = _read_located(path, section)
    return _converted(tree, section, lines)


def make_recipe(sections: dict[str, Any], overrides: Sequence[str] = ()) -> Recipe:
    """A recipe of sections from the command line, checked like one from a file. Raises RecipeError."""
    return _checked(sections, {(): "command line"}, overrides)


def _checked(tree: dict[str, Any], lines: Lines, overrides: Sequence[str]) -> Recipe:
    for text in overrides:
        _override(tree, lines, text)
    return _converted(tree, Recipe, lines)


def _converted(tree: dict[str, Any], section: type[S], lines: Lines) -> S:
    note_secrets(secrets_in(tree))
    _reject_unknown(section, tree, lines, ())
    for path, value, problem in _problems_of(tree):
        raise RecipeError(f"{line_of(path, lines)}: {'.'.join(path)}: {repr(value)[:80]} {problem}")
    try:
        return msgspec.convert(tree, section, strict=True)
    except msgspec.ValidationError as error:
        raise RecipeError(_located(str(error), tree, section, lines)) from error


def dump_recipe(recipe: Recipe, beside: Path | None = None) -> str:
    """The recipe as YAML, with every default written out and every secret cut out; `load_recipe` reads it back, also in the
    folder `beside`."""
    tree = msgspec.to_builtins(recipe)
    tree = masked(relocated(tree, Recipe, beside) if beside else tree)
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def shipped() -> dict[str, Path]:
    """The shipped recipes by name (`code/wizardcoder-starcoder-15b`); those in `base/` exist to be extended."""
    packaged = Path(str(files("evoltune"))) / "recipes"  # in the wheel; else they lie beside the sources
    root = packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "recipes"
    return {str(p.relative_to(root).with_suffix("")): p for p in sorted(root.rglob("*.yaml"))}


def find_recipe(ref: str | Path, beside: Path | None = None) -> Path:
    """The file of a recipe: a path (also relative to the file that extends it), else a shipped name."""
    for candidate in (candidates := [user_path(ref), *([beside.parent / ref] if beside else [])]):
        if _is_file(candidate):
            return candidate
    name = re.sub(r"\.ya?ml$", "", str(ref)).removeprefix("recipes/")
    known = shipped()
    if name in known:
        return known[name]
    for candidate in candidates:
        if ref and (found := _kind_of(candidate)):
            raise RecipeError(f"{candidate}: {found}: a recipe is a file: give its path")
    shown = repr(str(ref)) if len(str(ref)) <= 200 else f"{str(ref)[:200]!r}..."
    raise RecipeError(f"recipe {shown} is neither a file nor a shipped recipe: {nearest(name, known)}")


def _kind_of(path: Path) -> str:
    """What is there in the place of a file; "" where nothing is."""
    try:
        return "is a folder" if stat.S_ISDIR(path.stat().st_mode) else "is a device or a pipe"
    except FileNotFoundError:
        return ""
    except OSError as error:  # a loop of links, a folder without permission
        return "" if error.errno == errno.ENAMETOOLONG else f"cannot be read ({error.strerror})"
    except ValueError:  # NUL
        return ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, a folder without permission, NUL
        return False


# ---- YAML


def _read_located(path: Path, section: type[Struct]) -> tuple[dict[str, Any], Lines]:
    tree, lines = _read(path, extended_by=())
    return located(tree, section, partial(line_of, lines=lines)), lines


def read_nodes(path: Path) -> tuple[str, yaml.MappingNode, dict[str, Any], Lines]:
    """A file's text, its YAML node, which knows where each value stands, its own keys, and their lines. Raises RecipeError."""
    text = _text(path)
    node, tree = _parse(text, path)
    if not isinstance(node, yaml.MappingNode):
        found = "is empty" if node is None else "holds no mapping"
        raise RecipeError(f"{path}: {found}: a recipe is a mapping of sections, e.g. `domain: math`")
    lines: Lines = {}
    _note_lines(node, (), lines, path)
    return text, node, tree, lines


def _read(path: Path, extended_by: tuple[Path, ...]) -> tuple[dict[str, Any], Lines]:
    path = path.resolve()
    if path in extended_by:
        raise RecipeError(f"{path}: extends itself: {' -> '.join(p.name for p in (*extended_by, path))}")
    _, _, tree, lines = read_nodes(path)
    base = tree.pop("extends", None)
    if base is None:
        return tree, lines
    if not isinstance(base, str):
        raise RecipeError(f"{lines[('extends',)]}: extends: {base!r} must be the name or path of one recipe")
    try:
        parent_path = find_recipe(base, beside=path)
    except RecipeError as error:
        raise RecipeError(f"{lines[('extends',)]}: extends: {error}") from error
    parent, parent_lines = _read(parent_path, (*extended_by, path))
    parent.pop("name", None)  # a recipe that shared its parent's name would share its folder
    return _merge(parent, tree), {**parent_lines, **lines}


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    if len(text) > MAX_SIZE:
        raise RecipeError(f"{path}: {len(text)} characters, at most {MAX_SIZE} are read: is this a recipe?")
    return text


def _parse(text: str, where: Path | str) -> tuple[yaml.Node | None, Any]:
    """The YAML node, which knows its lines, and the value. Raises RecipeError."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        _reject_bombs(node, where)
        return node, loader.construct_document(node) if node else None
    except RecursionError as error:
        raise RecipeError(f"{where}: nested too deeply: a recipe has at most {MAX_DEPTH} levels") from error
    except ValueError as error:  # a date such as 2020-99-99, an integer with too many digits
        raise RecipeError(f"{where}: a value cannot be read: {error}: put it in quotes") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark and isinstance(where, Path) else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", "")
        if mark and "'\\t'" in str(problem):
            problem = "a tab, which cannot indent: use spaces"
        raise RecipeError(f"{where}{line}: not YAML: {problem}") from error


def _note_lines(node: yaml.Node, path: tuple[str, ...], lines: Lines, file: Path) -> None:
    """Records the line of every key. Raises RecipeError for a duplicate key, of which YAML would take the last."""
    lines.setdefault(path, f"{file}:{node.start_mark.line + 1}")
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            inner = (*path, str(key.value))
            lines[inner] = f"{file}:{key.start_mark.line + 1}"
            if inner in seen:
                raise RecipeError(f"{lines[inner]}: duplicate key {'.'.join(inner)}: remove one")
            seen.add(inner)
            _note_lines(value, inner, lines, file)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            _note_lines(item, (*path, str(i)), lines, file)


def _merge(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _override(tree: dict[str, Any], lines: Lines, text: str) -> None:
    path, sign, raw = text.partition("=")
    if not sign or not path:
        raise RecipeError(f"override {text!r}: must be key.path=value, e.g. train.learning_rate=1e-5")
    *parents, last = keys = tuple(path.split("."))
    section: Any = tree
    for n, name in enumerate(parents, 1):
        lines.setdefault(keys[:n], "command line")
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            raise RecipeError(f"override {text!r}: {name!r} is not a section")
    section[last] = _as_declared(keys, parse_value(text, raw), raw)
    lines[keys] = "command line"


def _as_declared(keys: Sequence[str], value: Any, raw: str) -> Any:
    """The raw text where a key holds text and YAML reads a number, a boolean or a date: `name=20240105`, `name=on`."""
    kind: Any = Recipe
    for key in keys:
        owner = struct_of(kind)
        fields = {f.name: f.type for f in msgspec.structs.fields(owner)} if owner else {}
        values = get_args(kind) if get_origin(kind) is dict else ()
        kind = fields.get(key, values[1] if values else None)
    accepts_text = kind is str or any(str in (part, *get_args(part)) for part in get_args(kind))
    if not accepts_text or value is None or isinstance(value, str | list | dict):
        return value
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError:
        return raw


def parse_value(text: str, raw: str) -> Any:
    """The value `raw` of an override `text`, read as in a recipe. Raises RecipeError."""
    return _parse(raw, f"override {text!r}")[1]


# ---- sections


def _reject_unknown(section: type[Struct], tree: Any, lines: Lines, path: tuple[str, ...]) -> None:
    if not isinstance(tree, Mapping):
        return
    fields = {f.name: f.type for f in msgspec.structs.fields(section)}
    for key, value in tree.items():
        here = (*path, str(key))
        if key not in fields:
            known = [*fields, "extends"] if section is Recipe else fields
            raise RecipeError(f"{line_of(here, lines)}: unknown key {'.'.join(here)!r}: {nearest(str(key), known)}")
        inner = struct_of(fields[key])
        if inner and isinstance(value, list):
            for i, item in enumerate(value):
                _reject_unknown(inner, item, lines, (*here, str(i)))
        elif inner:
            _reject_unknown(inner, value, lines, here)


def _located(message: str, tree: Any, section: type[Struct], lines: Lines) -> str:
    """msgspec's `Expected int, got str - at $.train.max_steps`, with the file, the line and the value."""
    what, _, where = message.partition(" - at `$")
    keys = tuple(k for k in re.split(r"[.\[\]`]+", where) if k)
    value = tree
    for key in keys:
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, ValueError, TypeError):
            break
    name = f"{'.'.join(keys)}: " if keys else ""
    if what.startswith("Invalid enum value"):
        return f"{line_of(keys, lines)}: {name}{value!r}: {nearest(str(value), _allowed(section, keys))}"
    what = what.replace("`object`", "a mapping of keys").replace("`object | null`", "a mapping of keys")
    if keys and value is None:
        return f"{line_of(keys, lines)}: {name}is empty: fill it in, or remove the key ({what})"
    todo = ": put it in quotes" if what.startswith("Expected `str") and isinstance(value, _NO_TEXT) else ""
    return f"{line_of(keys, lines)}: {name}{what}" + (f" (value {repr(value)[:200]}){todo}" if keys else "")


def _allowed(section: type[Struct], keys: Sequence[str]) -> list[str]:
    """The values that a key of a fixed set may have."""
    kind: Any = section
    for key in keys:
        owner = None if key.isdigit() else struct_of(kind)
        kind = {f.name: f.type for f in msgspec.structs.fields(owner)}.get(key) if owner else kind
    return [*map(str, _choices(kind))]


def _choices(kind: Any) -> Iterator[Any]:
    for part in get_args(kind):
        yield from [part] if get_origin(kind) is Literal else _choices(part)


def line_of(keys: tuple[str, ...], lines: Lines) -> str:
    """Where a key stands: its own line, else that of the nearest section around it."""
    return next(lines[keys[:n]] for n in range(len(keys), -1, -1) if keys[:n] in lines)


# ---- bounds: after both checks a tree is small, finite and can be written as JSON in UTF-8


def _reject_bombs(node: yaml.Node | None, where: Path | str) -> None:
    """Raises RecipeError when aliases refer to themselves or expand to more than MAX_NODES values."""
    stack, seen = [(node, 0)] if node else [], 0
    while stack:
        current, depth = stack.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_NODES:
            raise RecipeError(
                f"{where}:{current.start_mark.line + 1}: too large or too deep when its aliases (*name) are expanded: "
                f"at most {MAX_NODES} values and {MAX_DEPTH} levels: write the values out"
            )
        if isinstance(current, yaml.MappingNode):
            stack += [(part, depth + 1) for pair in current.value for part in pair]
        elif isinstance(current, yaml.SequenceNode):
            stack += [(part, depth + 1) for part in current.value]


def _problems_of(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """(key path, value, what is wrong with it) of each value that no type can exclude."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _problems_of(inner, (*path, str(key)))
    elif isinstance(value, list):
        if (
            path in (("curate", "band"), ("rl", "band"))
            and len(value) == 2
            and all(map(_is_number, value))
            and value[0] > value[1]
        ):
            yield path, value, "is upside down, so no measured task lies in it: give the lower end first"
        for i, inner in enumerate(value):
            yield from _problems_of(inner, (*path, str(i)))
    elif problem := _problem(value, path):
        yield path, value, problem


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _problem(value: Any, path: tuple[str, ...]) -> str:
    if path[:2] == ("train", "deepspeed") and len(path) > 2:
        if value is None:
            return "is empty: fill it in or remove it"
        if path[-1] in _DEEPSPEED_SECTIONS:
            return "must be a mapping of keys"
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, int) and abs(value) >= 2**63:
        return "must fit in 64 bits"
    if isinstance(value, str):
        if re.search("[\0\ud800-\udfff]", value):
            return "holds NUL or half of a surrogate pair: must be text"
        if path == ("name",) and not _is_folder_name(value):
            return (
                f"names the run's directory: must be one folder name, without slashes and control characters, at most {MAX_NAME} "
                "bytes; choose the place with --out"
            )
    if path == ("curate", "validation") and _is_number(value) and value == 1:
        return "is the share of the rows that validate, so none is left to train on: must be less than 1"
    if path[:2] == ("evolve", "operators") and isinstance(value, int | float) and value < 0:
        return "is the weight of an operator: must be 0 or more"
    return ""


def _is_folder_name(name: str) -> bool:
    """Whether a name can be that of a run: it also stands in batch scripts, where a line end would begin a new line."""
    fits = name.strip() == name and name not in ("", ".", "..") and len(name.encode()) <= MAX_NAME
    return fits and name.isprintable() and not re.search(r"[/\\]", name)
