"""Every provider of the table works at the first try: the same rows as on the plain server, and at most 3 requests more."""

import asyncio
import re
from pathlib import Path

import pytest
from openai_server import THOUGHT, serving
from towns import towns

from evoltune import recipe as recipes
from evoltune.evolve.loop import evolve
from evoltune.run.store import Store
from evoltune.teacher.dialects import Dialect
from evoltune.teacher.endpoint import Endpoint
from evoltune.teacher.protocol import make_request
from evoltune.teacher.providers import PROVIDERS
from evoltune.teacher.stack import open_teacher

SEEDS, CONCURRENCY = 40, 32
KEY = "TEACHER_KEY"


def teacher_at(server, provider=None, **options):
    path = provider.path if provider else "/v1"
    endpoint = recipes.Endpoint(url=server.url + path, api_key_env=KEY, query=dict(provider.query) if provider else {})
    return recipes.Teacher(kind="http", model="m", endpoints=(endpoint,), concurrency=CONCURRENCY, **options)


def evolved(folder, server, provider=None, **evolution):
    """(kept rows as (instruction, answers), requests)."""
    recipe = recipes.Recipe(
        domain="towns", teacher=teacher_at(server, provider), evolve=recipes.Evolve(rounds=1, **evolution)
    )
    with Store.open(folder) as store:
        step = evolve(recipe, towns(SEEDS), store)
        store.check_ledger(step)
        rows = sorted((r.task.instruction, tuple(a.text for a in r.answers), r.evidence) for r in store.kept(step))
    return rows, server.stats()["requests"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY, "k-123")
        with serving(seedless=True) as server:
            return evolved(tmp_path_factory.mktemp("plain"), server)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_keeps_the_rows_of_the_plain_server_with_few_requests_more(tmp_path, monkeypatch, plain, name):
    monkeypatch.setenv(KEY, "k-123")
    with serving(seedless=True, provider=name, key="k-123") as server:
        rows, requests = evolved(tmp_path, server, PROVIDERS[name])
    assert rows == plain[0]
    assert len(rows) > SEEDS * 1.5
    assert requests <= plain[1] + 3
    assert not any(THOUGHT in text for row in rows for text in (row[0], *row[1]))


@pytest.mark.parametrize("name", ["anthropic", "llama.cpp", "openai"])
def test_several_samples_come_from_every_provider(tmp_path, monkeypatch, name):
    monkeypatch.setenv(KEY, "k-123")
    provider = PROVIDERS[name]
    with serving(provider=name, key="k-123") as server:
        config = teacher_at(server, provider)

        async def main():
            async with open_teacher(config) as teacher:
                asked = [make_request(config, f"Tell {i}.", purpose="answer", seed=9 * i, n=3) for i in range(12)]
                return await asyncio.gather(*map(teacher.complete, asked))

        replies = asyncio.run(main())
        requests = server.stats()["requests"]
    assert all(len(set(reply.texts)) == 3 for reply in replies)
    assert requests <= 12 * (1 if name == "openai" else 3) + 4


def test_a_system_turn_reaches_a_model_without_one(monkeypatch):
    monkeypatch.setenv(KEY, "k-123")
    with serving(provider="llama.cpp") as server:
        config = teacher_at(server)

        async def main():
            messages = [("system", "You are kind."), ("user", "Hello?")]
            async with open_teacher(config) as teacher:
                return await teacher.complete(make_request(config, messages, purpose="answer", seed=1))

        assert asyncio.run(main()).texts[0]


def test_what_was_learnt_is_said_once_and_remembered_with_the_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(KEY, "k-123")
    with serving(provider="openai") as server:
        evolved(tmp_path, server, PROVIDERS["openai"])
        said = capsys.readouterr().err
        assert (
            said.count("max_tokens is sent as max_completion_tokens") == 2
        )  # with the first reply; then with the temperature of judgements
        with Store.open(tmp_path) as store:
            endpoint = Endpoint(
                recipes.Endpoint(url=server.url), teacher_at(server), "teacher.endpoints.0", None, None, store
            )
        assert endpoint.dialect == Dialect()  # another URL
        with Store.open(tmp_path) as store:
            config = teacher_at(server, PROVIDERS["openai"])
            endpoint = Endpoint(config.endpoints[0], config, "teacher.endpoints.0", None, None, store)
        assert endpoint.dialect.max_tokens_name == "max_completion_tokens"
        assert "top_p" in endpoint.dialect.left_out


def test_the_thought_is_kept_where_the_recipe_asks(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY, "k-123")
    with serving(provider="mistral", seedless=True) as server:
        rows, _ = evolved(tmp_path, server, PROVIDERS["mistral"], keep_reasoning=True)
    thoughts = [evidence["reasoning"] for _, answers, evidence in rows if len(answers) and evidence]
    assert thoughts and all(list(t) == [THOUGHT] for t in thoughts)


def test_the_documentation_lists_every_provider():
    text = (Path(__file__).parents[2] / "docs" / "generate.md").read_text(encoding="utf-8")
    for provider in PROVIDERS.values():
        assert re.search(rf"^\| {re.escape(provider.title)} \|", text, re.M), provider.title
