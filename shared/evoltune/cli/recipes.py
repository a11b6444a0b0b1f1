"""`evoltune recipes ls | show NAME | check FILE... | cp NAME [DEST] | import --from SUITE FILE | schema | reference`."""

import argparse
import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

import msgspec
import yaml

from evoltune.cli import options
from evoltune.domain import check_policy, load_domain
from evoltune.errors import DataError, DomainError, RecipeError, nearest
from evoltune.evaluate.prompts import refuse_other_prompt
from evoltune.evaluate.suites import judging_domain, refuse_twice
from evoltune.evolve.bootstrap import check_bootstrap
from evoltune.evolve.loop import operators_of
from evoltune.recipe import Recipe, dump_recipe, find_recipe, load_recipe, make_recipe, shipped
from evoltune.recipe.convert import convert
from evoltune.recipe.copying import text_beside
from evoltune.recipe.load import place_of
from evoltune.recipe.relative import relocated
from evoltune.recipe.schema import recipe_schema, reference
from evoltune.rows.dataset_info import named_dataset
from evoltune.rows.files import write_file
from evoltune.run.named_files import check_named_files
from evoltune.run.paths import user_path
from evoltune.teacher.dialects import chat_url
from evoltune.teacher.engines import check_engine
from evoltune.text.credentials import masked
from evoltune.train.deepspeed import deepspeed_config
from evoltune.train.preflight import check_folder, check_layers, check_optimizer
from evoltune.train.rl.launch import check_settings
from evoltune.train.step_checkpoints import check_selection

MODELINE = (
    "# yaml-language-server: $schema=evoltune.schema.json   (made by: evoltune recipes schema > evoltune.schema.json)\n"
)
NO_SERVER = "; before you run it, name the teacher's server: teacher.endpoints: [{url: http://HOST:PORT/v1}]"


def add_recipes(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="ls|show|check|cp|import|schema|reference")
    options.finish(verbs.add_parser("ls", help="list the shipped recipes"), _ls)
    show = verbs.add_parser("show", help="print a recipe with everything it inherits and every default")
    show.add_argument("recipe")
    show.add_argument("overrides", nargs="*", metavar="key.path=value")
    options.finish(show, _show)
    check = verbs.add_parser("check", help="check recipes without running anything")
    check.add_argument("recipe", nargs="+")
    options.finish(check, _check)
    copy = verbs.add_parser("cp", help="copy a recipe to edit it; relative paths in one of yours are rewritten")
    copy.add_argument("recipe")
    copy.add_argument("dest", nargs="?", type=Path)
    copy.set_defaults(execute=_copy)
    about = "convert an axolotl, LLaMA-Factory or TRL recipe; prints what became of each key"
    foreign = verbs.add_parser("import", help=about)
    foreign.add_argument("file", type=Path)
    foreign.add_argument("--from", dest="source", required=True, help="axolotl, llamafactory or trl")
    foreign.add_argument("--domain", default="general", help="domain of the new recipe (default: general)")
    foreign.add_argument("--out", type=user_path, help="write the recipe here")
    options.finish(foreign, _import)
    page = verbs.add_parser("reference", help="print the reference of all keys, as Markdown")
    page.set_defaults(execute=lambda args: print(reference(), end=""))
    schema = verbs.add_parser("schema", help="print the JSON Schema of recipes, for editors")
    schema.set_defaults(execute=lambda args: print(json.dumps(recipe_schema(), indent=2)))


def _ls(args: argparse.Namespace) -> None:
    found = {name: load_recipe(path).description for name, path in shipped().items() if not name.startswith("base/")}
    options.say(args, found, (f"{name:44} {text}" for name, text in found.items()))


def _show(args: argparse.Namespace) -> None:
    recipe = load_recipe(args.recipe, args.overrides)
    options.say(args, masked(msgspec.to_builtins(recipe)), [dump_recipe(recipe).rstrip("\n")])


def _check(args: argparse.Namespace) -> None:
    for ref in args.recipe:
        recipe = load_recipe(ref)
        try:
            _check_names(recipe)
            check_named_files(recipe)
        except (RecipeError, DataError, DomainError) as error:  # they name the key, not its line
            raise type(error)(f"{place_of(ref, str(error))}: {error}") from error
        kind, model = recipe.train.finetuning_type, recipe.train.model_name_or_path
        facts = {"recipe": ref, "domain": recipe.domain, "finetuning_type": kind, "model": model}
        open_end = "" if recipe.teacher.kind != "http" or recipe.teacher.endpoints else NO_SERVER
        options.say(args, facts, [f"{ref}: ok ({recipe.domain}, {kind} {model}){open_end}"])


def _check_names(recipe: Recipe) -> None:
    """What can be checked without reading data and without a server: policies, operators, suites, profiles, addresses."""
    domain = load_domain(recipe.domain)
    check_policy(domain, recipe.verify.policy)
    if recipe.evolve.operators:
        operators_of(recipe, domain)
    check_bootstrap(recipe.seeds)
    if recipe.evolve.stop_on:
        _judge_of("evolve.stop_on", recipe.evolve.stop_on, recipe)
    for suite in recipe.eval.suites:
        domain_name = _judge_of("eval.suites", suite, recipe)
        known = load_domain(domain_name).profiles
        named = [("eval.profile", recipe.eval.profile), *(("eval.beside", name) for name in recipe.eval.beside)]
        for key, name in named:
            if name and name not in known:
                raise RecipeError(f"{key}: suite {suite!r} has no profile {name!r}: {nearest(name, known)}")
        own = load_domain(domain_name).benchmarks.get(suite.rpartition("/")[2])
        name = recipe.eval.profile or (own.profile if own else "")
        if name in known:
            refuse_other_prompt(name, known[name], recipe.train.template, recipe.eval, recipe.train.system_prompt)
    refuse_twice(recipe.eval.suites, recipe.domain)
    check_selection(recipe)
    deepspeed_config(recipe)
    check_folder(recipe)
    check_layers(recipe)
    check_optimizer(recipe.train)
    if recipe.rl:
        check_settings(recipe)
    check_engine(recipe.teacher)
    for i, endpoint in enumerate(recipe.teacher.endpoints):
        chat_url(endpoint.url, f"teacher.endpoints.{i}")
    if recipe.eval.endpoint:
        chat_url(recipe.eval.endpoint, "eval.endpoint")


def _judge_of(key: str, suite: str, recipe: Recipe) -> str:
    """The domain that judges a suite which a key names."""
    try:
        return judging_domain(suite, recipe.domain)
    except (RecipeError, DataError, DomainError) as error:
        raise type(error)(f"{key}: {error}") from error


def _copy(args: argparse.Namespace) -> None:
    source = find_recipe(args.recipe)
    dest = args.dest or Path(source.name)
    if dest.is_dir():
        dest = dest / source.name
    _write_new(dest, MODELINE + text_beside(source, dest.parent).removeprefix(MODELINE))
    print(dest)


def _import(args: argparse.Namespace) -> None:
    try:
        text = args.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{args.file}: cannot be read: {error}") from error
    result = convert(
        args.source, text, args.domain, name=str(args.file), named=partial(named_dataset, recipe=args.file)
    )
    # The other suite's paths are relative to the working directory, ours to the file that is written.
    recipe = relocated(result.recipe, Recipe, args.out.parent) if args.out else result.recipe
    dumped = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)
    lines = [f"{line.fate:11} {line.key}: {line.value!r}  ->  {line.note}" for line in result.lines]
    try:
        make_recipe(yaml.safe_load(dumped))
    except RecipeError as error:  # a converted value is out of range: nothing is written
        print("\n".join(lines), file=sys.stderr)
        raise RecipeError(f"{args.file}: {error}") from error
    warnings = [f"{line.key}: {line.value!r}: {line.note}" for line in result.lost]
    if args.out is not None:
        comments = "".join(f"# another training than {args.file.name}: {' '.join(text.split())}\n" for text in warnings)
        _write_new(args.out, comments + dumped)
    end = f"\n{dumped}".rstrip("\n") if args.out is None else str(args.out)
    keys = [asdict(line) for line in result.lines]
    options.say(args, {"keys": keys, "recipe": result.recipe, "file": args.out}, [*lines, end])
    for text in warnings:
        print(f"warning: another training than {args.file.name}: {text}", file=sys.stderr)


def _write_new(path: Path, text: str) -> None:
    if path.exists():
        raise RecipeError(f"{path}: exists already: remove it or give another name")
    write_file(path, text)
