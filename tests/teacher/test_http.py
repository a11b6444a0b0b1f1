"""The HTTP teacher against a real server that misbehaves: faults, limits, fail-over, keys, n."""

import asyncio
import json
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from evoltune import recipe as recipes
from evoltune.errors import RecipeError, TeacherError
from evoltune.run.store import Store
from evoltune.teacher.protocol import GivenUpError, ask
from evoltune.teacher.stack import open_teacher

SERVER = Path(__file__).parents[1] / "servers" / "openai_server.py"


@contextmanager
def server(**options):
    process = subprocess.Popen(
        [sys.executable, str(SERVER), json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def stats(url):
    with urllib.request.urlopen(f"{url}/stats") as reply:
        return json.load(reply)


def config(*urls, **options):
    endpoints = tuple(recipes.Endpoint(url=u) if isinstance(u, str) else u for u in urls)
    return recipes.Teacher(**{"kind": "http", "model": "m", "max_tokens": 64, **options}, endpoints=endpoints)


def call(cfg, count, folder=None, n=1, concurrent=True):
    """Asks `count` different questions; the replies in order."""

    async def main(store):
        async with open_teacher(cfg, store) as teacher:
            requests = [
                ask(cfg, f"Tell me about thing {i}.", purpose="answer", seed=i, n=n) for i in range(count)
            ]
            if concurrent:
                return await asyncio.gather(*(teacher.complete(r) for r in requests))
            return [await teacher.complete(r) for r in requests]

    if folder is None:
        return asyncio.run(main(None))
    with Store.open(folder) as store:
        return asyncio.run(main(store))


FAULTS = {"rate_429": 0.05, "rate_500": 0.03, "rate_malformed": 0.01, "rate_dropped": 0.02, "rate_null": 0.01,
          "rate_truncated": 0.01, "rate_slow": 0.01, "slow_s": 3.0}  # fmt: skip


def test_all_calls_are_complete_under_faults_and_none_is_paid_twice(tmp_path):
    with server() as clean:
        expected = [list(r) for r in call(config(clean), 400)]
    with server(**FAULTS) as url:
        replies = call(config(url, timeout_s=1.0, concurrency=40), 400, tmp_path)
        told = stats(url)
        assert [list(r) for r in replies] == expected
        assert told["429"] and told["500"] and told["malformed"] and told["dropped"] and told["null"]
        # A slow reply that came after our timeout was generated twice; nothing else was.
        assert told["duplicates"] <= told.get("slow", 0)
        before = told["requests"]
        assert [list(r) for r in call(config(url), 400, tmp_path)] == expected
        assert stats(url)["requests"] == before  # the journal answered


def test_an_unreachable_server_is_named_with_what_to_start():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(
        TeacherError, match=rf"127.0.0.1:{port}/v1: cannot connect .*vllm serve.*run again"
    ) as caught:
        call(config(f"http://127.0.0.1:{port}/v1"), 3)
    assert caught.value.exit_code == 1


def test_a_teacher_that_dies_for_good_ends_the_run_and_keeps_what_is_finished(tmp_path):
    with server(die_after=30) as url:
        with pytest.raises(TeacherError, match="does not answer"):
            call(config(url, max_retries=3, concurrency=4), 100, tmp_path)
        assert stats(url)["ok"] == 30
    with server() as url:
        replies = call(config(url), 100, tmp_path)
        assert stats(url)["ok"] == 70
    assert all(len(r) == 1 for r in replies)


def test_hundreds_of_calls_that_fail_together_end_in_one_clear_error():
    with server(die_after=1) as url, pytest.raises(TeacherError, match="does not answer"):
        call(config(url, max_retries=4, concurrency=600), 600)


def test_another_endpoint_takes_over(tmp_path):
    with socket.socket() as probe, server() as good:
        probe.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
        replies = call(config(recipes.Endpoint(url=dead, weight=5.0), good, concurrency=8), 60)
        assert len(replies) == 60
        assert stats(good)["ok"] == 60


def test_endpoints_share_the_load_by_weight():
    with server(latency_s=0.02) as one, server(latency_s=0.02) as two:
        call(config(recipes.Endpoint(url=one, weight=3.0), recipes.Endpoint(url=two), concurrency=16), 400)
        heavy, light = stats(one)["ok"], stats(two)["ok"]
    assert heavy + light == 400
    assert 2.0 < heavy / light < 4.5


def test_a_refused_request_is_given_up_alone_and_a_server_that_refuses_all_ends_the_run():
    with server(error=400, message="context too long") as url:
        with pytest.raises(GivenUpError, match=r"HTTP 400.*context too long"):
            call(config(url), 1)
        with pytest.raises(TeacherError, match="refused the first 5 requests"):
            asyncio.run(_one_by_one(config(url), 5))


async def _one_by_one(cfg, count):
    async with open_teacher(cfg) as teacher:
        for i in range(count):
            try:
                await teacher.complete(ask(cfg, "x", purpose="answer", seed=i))
            except GivenUpError:
                continue


def test_an_exhausted_quota_is_not_retried_for_ever():
    with server(error=429, code="insufficient_quota", message="no money") as url:
        with pytest.raises(TeacherError, match="no money"):
            call(config(url), 2)
        assert stats(url)["requests"] <= 4


def test_the_key_is_sent_and_never_shown(tmp_path, monkeypatch):
    secret = "sk-very-secret-0123456789"
    monkeypatch.setenv("TOWN_KEY", secret)
    with server(key=secret) as url:
        endpoint = recipes.Endpoint(url=url, api_key_env="TOWN_KEY")
        assert len(call(config(endpoint), 2, tmp_path)) == 2
        monkeypatch.setenv("TOWN_KEY", "wrong-key-987")
        with pytest.raises(TeacherError, match=r"HTTP 401 .*\*\*\*.*check api_key_env") as caught:
            call(config(endpoint), 3)
        assert "wrong-key-987" not in str(caught.value)
    assert all(secret.encode() not in p.read_bytes() for p in tmp_path.iterdir())


def test_the_key_can_come_from_a_file_and_a_missing_one_is_misuse(tmp_path):
    (tmp_path / "key").write_text("abc\n")
    with server(key="abc") as url:
        assert call(config(recipes.Endpoint(url=url, api_key_file=str(tmp_path / "key"))), 1)
    with pytest.raises(
        RecipeError, match=r"endpoints.0.api_key_env: the environment variable 'NO_SUCH' is not set"
    ):
        call(config(recipes.Endpoint(url="http://localhost:1", api_key_env="NO_SUCH")), 1)
    with pytest.raises(RecipeError, match=r"endpoints.0.url: 'localhost:80' must be http://"):
        call(config("localhost:80"), 1)


@pytest.mark.parametrize("no_n", [False, True])
def test_n_samples_differ_also_where_the_server_knows_no_n(no_n):
    with server(no_n=no_n) as url:
        reply = call(config(url), 1, n=4)[0]
    assert len(reply) == len(set(reply)) == 4
    assert reply.usage.completion_tokens > 20


def test_a_hidden_limit_is_learnt_and_used():
    with server(limit_per_s=40, latency_s=0.05) as url:
        call(config(url, concurrency=64), 200)
        told = stats(url)
    assert told["ok"] == 200
    # On a busy machine the whole first burst (64 - 40) can be out before its first 429 is back; then few more.
    assert told["429"] <= 24 + 12


def test_limit_headers_are_believed():
    with server(limit_per_s=100, headers=True) as url:
        call(config(url, concurrency=64), 250)
        assert stats(url).get("429", 0) <= 5


@pytest.mark.slow
@pytest.mark.parametrize("headers", [False, True])
def test_a_limit_of_40_a_second_draws_few_429s_and_is_used(headers):
    with server(limit_per_s=40, latency_s=0.2, headers=headers) as url:
        call(config(url, concurrency=64), 1200)
        told = stats(url)
    assert told["429"] < 0.05 * 1200
    assert (told["ok"] - 40) / told["span_s"] >= 0.9 * 40
