"""Engines: ours by name, other packages' by entry point; what is missing or misspelt is said with what to do."""

import asyncio
import sys
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from evoltune import recipe as recipes
from evoltune.errors import BudgetError, MissingExtraError, RecipeError
from evoltune.run.store import Store, Usage
from evoltune.teacher import engines
from evoltune.teacher.attempts import Attempts
from evoltune.teacher.protocol import AttemptError, Reply, make_request
from evoltune.teacher.stack import open_teacher


class Echo:
    """A plug-in: fails once, then answers with what it was asked."""

    def __init__(self, config):
        self.config, self.attempts = config, 0

    async def complete(self, request):
        self.attempts += 1
        if self.attempts == 1:
            raise AttemptError("busy")
        text = self.config.engine.get("prefix", "") + request.messages[-1][1]
        return Reply(texts=(text,) * request.n, usage=Usage(prompt_tokens=10, completion_tokens=10))


OPENED: list[Echo] = []


@asynccontextmanager
async def open_echo(config):
    OPENED.append(Echo(config))
    yield OPENED[-1]


@pytest.fixture
def plug_in(monkeypatch):
    monkeypatch.setitem(sys.modules, "test_engines", sys.modules[__name__])
    found = EntryPoints(
        EntryPoint(name, f"test_engines:{target}", engines.ENTRY_POINTS)
        for name, target in (("echo", "open_echo"), ("broken", "no_such_function"))
    )
    monkeypatch.setattr(engines.importlib.metadata, "entry_points", lambda **wanted: found.select(**wanted))
    OPENED.clear()


def ask(config, store, *texts):
    async def main():
        async with open_teacher(config, store) as teacher:
            requests = [make_request(config, t, purpose="answer", seed=i) for i, t in enumerate(texts)]
            return [(await teacher.complete(r)).texts[0] for r in requests]

    return asyncio.run(main())


def test_a_plug_in_is_retried_journalled_and_budgeted_like_our_own(plug_in, tmp_path):
    config = recipes.Teacher(
        kind="echo", model="m", engine={"prefix": "> "}, max_tokens=10, budget=recipes.Budget(calls=2)
    )
    with Store.open(tmp_path) as store:
        assert ask(config, store, "a", "b") == ["> a", "> b"]
        assert OPENED[0].attempts == 3
        assert ask(config, store, "a", "b") == ["> a", "> b"]
        assert OPENED[1].attempts == 0  # the journal answers
        with pytest.raises(BudgetError, match=r"budget\.calls"):
            ask(config, store, "c")


def test_what_nobody_brings_is_an_error_that_lists_the_kinds(plug_in):
    with pytest.raises(RecipeError, match=r"'vlm' is no engine: did you mean 'vllm'"):
        engines.open_engine(recipes.Teacher(kind="vlm"), Attempts())
    with pytest.raises(RecipeError, match=r"'broken' \(test_engines:no_such_function\) cannot be loaded"):
        engines.open_engine(recipes.Teacher(kind="broken"), Attempts())
    with pytest.raises(RecipeError, match=r"teacher.engine: kind 'http' takes no options"):
        engines.check_engine(recipes.Teacher(kind="http", engine={"dtype": "auto"}))


def test_the_worked_plug_in_is_registered():
    assert (
        engines.plug_ins().get("any-llm", "evoltune.teacher.any_llm:open_any_llm")
        == "evoltune.teacher.any_llm:open_any_llm"
    )


@pytest.mark.parametrize(
    ("kind", "module", "extra"),
    [("vllm", "vllm", "vllm"), ("transformers", "transformers", "train"), ("any-llm", "any_llm", "providers")],
)
def test_a_missing_engine_names_its_extra(monkeypatch, kind, module, extra):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == module else found(name, *rest))
    with pytest.raises(MissingExtraError, match=rf"evoltune\[{extra}\]"):
        ask(recipes.Teacher(kind=kind, model="a:b"), None, "hello")
