"""The HTTP teacher against a real server that misbehaves: faults, limits, fail-over, keys, n."""

import asyncio
import gzip
import json
import re
import socket
import threading
from contextlib import suppress

import pytest
from openai_server import serving

from evoltune import recipe as recipes
from evoltune.errors import RecipeError, TeacherError
from evoltune.run.store import Store
from evoltune.teacher.protocol import GivenUpError, make_request
from evoltune.teacher.stack import open_teacher


def config(*urls, **options):
    endpoints = tuple(recipes.Endpoint(url=u) if isinstance(u, str) else u for u in urls)
    return recipes.Teacher(**{"kind": "http", "model": "m", "max_tokens": 64, **options}, endpoints=endpoints)


def call(cfg, count, folder=None, n=1, concurrent=True, given_up=False):
    """Asks `count` different questions; the replies in order. given_up: GivenUpErrors stand among them."""

    async def main(store):
        async with open_teacher(cfg, store) as teacher:
            requests = [
                make_request(cfg, f"Tell me about thing {i}.", purpose="answer", seed=i, n=n) for i in range(count)
            ]
            if concurrent:
                return await asyncio.gather(*(teacher.complete(r) for r in requests), return_exceptions=given_up)
            return [(await asyncio.gather(teacher.complete(r), return_exceptions=given_up))[0] for r in requests]

    if folder is None:
        return asyncio.run(main(None))
    with Store.open(folder) as store:
        return asyncio.run(main(store))


FAULTS = {"rate_429": 0.05, "rate_500": 0.03, "rate_malformed": 0.02, "rate_dropped": 0.03, "rate_null": 0.02,
          "rate_truncated": 0.01, "rate_slow": 0.005, "slow_s": 4.0}  # fmt: skip


@pytest.fixture(scope="module")
def expected():
    """expected(count): the texts of a server without faults."""
    with serving() as server:
        texts = [reply.texts for reply in call(config(server.url), 200)]
    return lambda count: texts[:count]


@pytest.fixture
def dead_url():
    """The URL of a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def test_all_calls_are_complete_under_faults_and_none_is_paid_twice(tmp_path, openai_server, expected):
    server = openai_server(**FAULTS)
    replies = call(config(server.url, timeout_s=3.0, concurrency=40), 200, tmp_path)
    counts = server.stats()
    assert [r.texts for r in replies] == expected(200)
    assert all(counts[fault] for fault in ("429", "500", "malformed", "dropped", "null"))
    # A slow reply that came after our timeout was generated twice; nothing else was.
    assert counts["duplicates"] <= counts["slow"]
    assert [r.texts for r in call(config(server.url), 200, tmp_path)] == expected(200)
    assert server.stats()["requests"] == counts["requests"]  # the journal answered


def test_an_unreachable_server_is_named_with_what_to_start(dead_url):
    with pytest.raises(TeacherError, match=rf"{dead_url}: cannot connect .*vllm serve.*run again") as caught:
        call(config(dead_url), 3)
    assert caught.value.exit_code == 1


def test_a_teacher_that_dies_for_good_ends_the_run_and_keeps_what_is_finished(tmp_path, openai_server):
    dying, healthy = openai_server(die_after=30), openai_server()
    with pytest.raises(TeacherError, match="does not answer"):
        call(config(dying.url, max_retries=3, concurrency=4), 100, tmp_path)
    assert dying.stats()["ok"] == 30
    replies = call(config(healthy.url), 100, tmp_path)
    assert healthy.stats()["ok"] == 70
    assert all(len(r.texts) == 1 for r in replies)


def test_hundreds_of_calls_that_fail_together_end_in_one_clear_error(openai_server):
    with pytest.raises(TeacherError, match="does not answer"):
        call(config(openai_server(die_after=1).url, max_retries=4, concurrency=600), 600)


@pytest.mark.parametrize("status", [408, 409, 424, 425, 498, 499, 502, 503, 520, 524, 529])
def test_a_status_that_passes_costs_no_call(status, openai_server, expected):
    server = openai_server(first_status=status)
    replies = call(config(server.url, concurrency=32), 24)
    assert [r.texts for r in replies] == expected(24)
    assert (server.stats()["requests"], server.stats()["duplicates"]) == (48, 0)


def _choice(message, end="stop", **more):
    return {"choices": [{"index": 0, "message": message, "finish_reason": end}], **more}


def _nested(depth):
    return [{"text": _nested(depth - 1)}] if depth else None


NO_TOKENS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
SEEN = {
    "a limit beside an empty choice": (200, _choice({"role": "assistant", "content": None}, error={
        "message": "Provider returned error", "code": 429, "metadata": {"raw": "error code: 1015"}}, usage=NO_TOKENS)),
    "an empty text that cost nothing": (200, _choice({"role": "assistant", "content": ""}, usage=NO_TOKENS)),
    "no text and no end": (200, {"choices": [{"message": {"role": "assistant", "content": None}}]}),
    "no choices but tokens": (200, {"choices": [], "usage": {"prompt_tokens": 42, "completion_tokens": 0}}),
    "a gateway's error with a status for a parameter": (500, {"error": {
        "code": "bad_response_status_code", "message": "Provider API error", "param": "500", "type": "upstream_error"}}),
    "a limit as a bare text": (429, {"error": "you have reached your session usage limit"}),
    "an overload inside 200": (200, {"error": {"code": 503, "message": "no instance is free"}}),
    "an empty object": (200, {}),
    "a stream with an index that is none": (200, 'data: {"choices": [{"index": [1], "delta": {}}]}\n\n'),
    "an answer nested to exhaust the stack": (200, _choice({"content": _nested(400)})),
    "a limit as HTTP 400": (400, {"__type": "com.example#ThrottlingException", "message": "Too many requests"}),
    "a page of a proxy": (502, "<html>bad gateway</html>"),
    "an overload as HTTP 400": (400, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    "the status behind a gateway as a code": (400, {"error": {"code": "503", "message": "upstream is down"}}),
}  # fmt: skip
OF_ONE_ROW = {
    "a prompt too long as HTTP 500": (500, {"error": {
        "code": 500, "message": "the request exceeds the context", "type": "exceed_context_size_error", "n_ctx": 256}}),
    "a prompt too long as HTTP 400": (400, {"error": {
        "code": 400, "message": "request (4390 tokens) is too large", "type": "exceed_context_size_error"}}),
    "a prompt too long inside HTTP 200": (200, {"error": {
        "code": 400, "message": "the request exceeds the context", "type": "exceed_context_size_error"}}),
    "a message that a filter took away": (200, _choice(None, "content_filter")),
    "no choices but tokens": SEEN["no choices but tokens"],
    "a refusal as a part": (200, _choice({"content": [{"type": "refusal", "refusal": "I will not write that."}]})),
    "a text that was stopped as toxic": (200, _choice({"content": "Half of it"}, "ERROR_TOXIC")),
    "a text of nothing": (200, _choice({"role": "assistant", "content": ""}, usage=NO_TOKENS)),
}  # fmt: skip


def _as_text(reply):
    return [reply[0], reply[1] if isinstance(reply[1], str) else json.dumps(reply[1])]


@pytest.mark.parametrize(
    "reply", [pytest.param(r, id=n, marks=[pytest.mark.slow] if "a limit" in n else []) for n, r in SEEN.items()]
)
def test_what_a_server_answers_once_costs_no_row(reply, openai_server, expected):
    server = openai_server(first_reply=_as_text(reply))
    replies = call(config(server.url, concurrency=32), 12)
    assert [r.texts for r in replies] == expected(12)
    assert server.stats()["requests"] <= 27


@pytest.mark.parametrize("reply", OF_ONE_ROW.values(), ids=OF_ONE_ROW)
def test_what_a_server_answers_to_one_row_costs_that_row(reply, openai_server):
    server = openai_server(first_reply=_as_text(reply), refused_words="thing 7.")
    replies = call(config(server.url, concurrency=32, max_retries=2), 12, given_up=True)
    assert [i for i, r in enumerate(replies) if isinstance(r, GivenUpError)] == [7]
    assert all(len(r.texts) == 1 for i, r in enumerate(replies) if i != 7)


SHORT = {"message": "Rejected by the limit of 600 requests a minute.", "type": "credit_limit"}


def test_an_account_that_is_short_for_a_moment_is_waited_for_once_others_were_served(openai_server):
    server = openai_server(nth_reply={n: [429, json.dumps({"error": SHORT})] for n in ("6", "7")})
    assert len(call(config(server.url, concurrency=4), 12)) == 12
    with pytest.raises(TeacherError, match=r"600 requests a minute.*check the account"):
        call(config(openai_server(error=429, message=SHORT["message"], type=SHORT["type"]).url), 12)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"choices": null, "base_resp": {"status_code": 2013, "status_msg": "there is no model m"}}', "there is no model m"),
        ('{"error_code": 336003, "error_msg": "the model is not open"}', "the model is not open"),
        ("<!DOCTYPE html><html><head><title>Web UI</title><script>var a</script></head></html>", r"\(a web page\) Web UI"),
        ("unsupported model: m", "unsupported model: m"),
    ],
)  # fmt: skip
def test_what_a_server_says_in_place_of_a_completion_is_in_the_error(body, said, openai_server):
    server = openai_server(nth_reply={str(n): [200, body] for n in range(1, 20)})
    with pytest.raises(TeacherError, match=said):
        call(config(server.url, max_retries=1), 2)


PACKED = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s"
LATE_KEY = json.dumps(_choice({"content": "It is sk-0123456789abcdef here."})).encode()


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (PACKED % (len(LATE_KEY), b"Set-Cookie: a=" + b"x" * 20_000 + b"\r\n", LATE_KEY), "It is .* here"),
        (PACKED % (len(gzip.compress(LATE_KEY)), b"", gzip.compress(LATE_KEY)), "It is .* here"),
        (PACKED % (4, b"Content-Encoding: br\r\n", b"\x0b\x02\x80a"), "cannot be read: .*encoding"),
        (b"SSH-2.0-OpenSSH_9 sk-0123456789abcdef\r\n", "cannot be read: Bad status line"),
        (PACKED % (60, b"", b"\x1f\x8b\x08" + b"\xff" * 57), "60 bytes that are no text"),
    ],
    ids=["large headers", "packed unasked", "another packing", "no HTTP", "no text"],
)
def test_what_comes_over_the_wire_is_read_or_said_and_never_shows_the_key(reply, outcome, monkeypatch):
    monkeypatch.setenv("WIRE_KEY", "sk-0123456789abcdef")

    def serve(listener):
        while True:
            with suppress(OSError), listener.accept()[0] as connection:
                connection.recv(65_536)
                connection.sendall(reply)
            if listener.fileno() < 0:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        try:
            said = call(config(recipes.Endpoint(url=url, api_key_env="WIRE_KEY"), max_retries=0), 1)[0].texts[0]
        except TeacherError as error:
            said = str(error)
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    assert re.search(outcome, said) and "0123456789abcdef" not in said


def test_any_status_of_success_is_one(openai_server):
    replies = call(config(openai_server(served_status=201).url, concurrency=32), 24)
    assert len({r.texts for r in replies}) == 24


def test_another_endpoint_takes_over(dead_url, openai_server):
    server = openai_server()
    replies = call(config(recipes.Endpoint(url=dead_url, weight=5.0), server.url, concurrency=8), 60)
    assert len(replies) == 60
    assert server.stats()["ok"] == 60


def test_endpoints_share_the_load_by_weight(openai_server):
    heavy, light = openai_server(latency_s=0.02), openai_server(latency_s=0.02)
    call(config(recipes.Endpoint(url=heavy.url, weight=3.0), light.url, concurrency=16), 400)
    served = heavy.stats()["ok"], light.stats()["ok"]
    assert sum(served) == 400
    assert 2.0 < served[0] / served[1] < 4.5


def test_a_refused_request_is_given_up_alone_and_a_server_that_refuses_all_ends_the_run(openai_server):
    server = openai_server(error=400, message="context too long", refused_words="thing 7")
    replies = call(config(server.url), 20, concurrent=False, given_up=True)
    assert [i for i, reply in enumerate(replies) if isinstance(reply, GivenUpError)] == [7]
    assert str(replies[7]).startswith("HTTP 400") and "context too long" in replies[7].detail
    assert server.stats()["requests"] == 22  # a probe, and once more because no code says what is wrong
    server = openai_server(error=400, message="no such model")
    with pytest.raises(TeacherError, match=r"no such model.*check teacher.model"):
        call(config(server.url, concurrency=16), 40)
    assert server.stats()["requests"] <= 3  # the request, a probe, a bare probe


def test_a_server_that_wants_another_name_for_max_tokens_gets_it(openai_server):
    server = openai_server(max_completion_tokens_only=True)
    call(config(server.url), 5, concurrent=False)
    assert server.stats()["ok"] == 5
    assert server.stats()["requests"] == 6


def test_an_exhausted_quota_is_not_retried_for_ever(openai_server):
    server = openai_server(error=429, code="insufficient_quota", message="no money")
    with pytest.raises(TeacherError, match="no money"):
        call(config(server.url), 2)
    assert server.stats()["requests"] <= 4


def test_the_key_is_sent_and_never_shown(tmp_path, monkeypatch, openai_server):
    secret = "sk-very-secret-0123456789"
    monkeypatch.setenv("TOWN_KEY", secret)
    endpoint = recipes.Endpoint(url=openai_server(key=secret).url, api_key_env="TOWN_KEY")
    assert len(call(config(endpoint), 2, tmp_path)) == 2
    monkeypatch.setenv("TOWN_KEY", "wrong-key-987")
    with pytest.raises(TeacherError, match=r"HTTP 401 .*\*\*\*.*check api_key_env") as caught:
        call(config(endpoint), 3)
    assert "wrong-key-987" not in str(caught.value)
    assert all(secret.encode() not in p.read_bytes() for p in tmp_path.iterdir())


def test_the_key_can_come_from_a_file_and_a_missing_one_is_misuse(tmp_path, openai_server):
    (tmp_path / "key").write_text("abc\n")
    url = openai_server(key="abc").url
    assert call(config(recipes.Endpoint(url=url, api_key_file=str(tmp_path / "key"))), 1)
    with pytest.raises(RecipeError, match=r"endpoints.0.api_key_env: the environment variable 'NO_SUCH' is not set"):
        call(config(recipes.Endpoint(url="http://localhost:1", api_key_env="NO_SUCH")), 1)
    with pytest.raises(RecipeError, match=r"endpoints.0.url: 'localhost:80' must be http://"):
        call(config("localhost:80"), 1)


@pytest.mark.parametrize("no_n", [False, True])
def test_n_samples_differ_also_where_the_server_knows_no_n(no_n, openai_server):
    reply = call(config(openai_server(no_n=no_n).url), 1, n=4)[0]
    assert len(reply.texts) == len(set(reply.texts)) == 4
    assert reply.usage.completion_tokens > 20


def test_a_hidden_limit_is_learnt_and_used(openai_server):
    server = openai_server(limit_per_s=40, latency_s=0.05)
    call(config(server.url, concurrency=64), 200)
    counts = server.stats()
    assert counts["ok"] == 200
    # On a busy machine the whole first burst (64 - 40) can be out before its first 429 is back; then few more.
    assert counts["429"] <= 24 + 12


def test_limit_headers_are_believed(openai_server):
    server = openai_server(limit_per_s=100, headers=True)
    call(config(server.url, concurrency=64), 250)
    assert server.stats()["429"] <= 5


@pytest.mark.slow
@pytest.mark.parametrize("headers", [False, True])
def test_a_limit_of_40_a_second_draws_few_429s_and_is_used(headers, openai_server):
    server = openai_server(limit_per_s=40, latency_s=0.2, headers=headers)
    call(config(server.url, concurrency=64), 1200)
    counts = server.stats()
    assert counts["429"] < 0.05 * 1200
    assert (counts["ok"] - 40) / counts["span_s"] >= 0.9 * 40
