"""Providers' own interfaces through any-llm, against a server on loopback; needs the extra `providers`."""

import asyncio
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from evoltune import recipe as recipes
from evoltune.errors import RecipeError, TeacherError
from evoltune.teacher.any_llm import ProviderTeacher, open_any_llm
from evoltune.teacher.protocol import AttemptError, GivenUpError, make_request


class FakeErrors:
    """Exceptions with the names and attributes of any-llm's."""

    @staticmethod
    def make(kind, **fields):
        error = type(kind, (Exception,), {})("the server's own sentence")
        vars(error).update(fields)
        return error


@pytest.mark.parametrize(
    ("kind", "fields", "raised"),
    [
        ("AuthenticationError", {}, TeacherError), ("ModelNotFoundError", {}, TeacherError), ("InsufficientFundsError", {}, TeacherError),
        ("ContentFilterError", {}, GivenUpError), ("ContextLengthExceededError", {}, GivenUpError), ("InvalidRequestError", {}, GivenUpError),
        ("RateLimitError", {"retry_after": "7"}, AttemptError), ("ProviderError", {"status_code": 503}, AttemptError),
        ("UnsupportedParameterError", {"parameter_name": "seed"}, AttemptError), ("InvalidRequestError", {"param": "top_p"}, AttemptError),
        ("TimeoutError", {}, AttemptError),
    ],
)  # fmt: skip
def test_an_error_costs_an_attempt_a_request_or_the_run(kind, fields, raised):
    class Client:
        async def acompletion(self, **options):
            self.sent = options
            raise FakeErrors.make(kind, **fields)

    config, client = recipes.Teacher(kind="any-llm", model="p:m"), Client()
    teacher = ProviderTeacher(client, "p", "m", config)
    request = make_request(config, "hi", purpose="answer", seed=3)
    with pytest.raises(raised, match=r"the server's own sentence|left out|rate limited") as error:
        asyncio.run(teacher.complete(request))
    assert type(error.value) is raised
    if kind == "RateLimitError":
        assert error.value.rate_limited and error.value.retry_after_s == 7
    refused = fields.get("parameter_name") or fields.get("param")
    with pytest.raises(TeacherError):
        asyncio.run(teacher.complete(request))
    assert refused is None or refused not in client.sent


def test_a_model_without_a_provider_is_an_error():
    pytest.importorskip("any_llm")

    async def main():
        async with open_any_llm(recipes.Teacher(kind="any-llm", model="gpt-x")):
            pass

    with pytest.raises(RecipeError, match="names no provider"):
        asyncio.run(main())


@pytest.fixture
def server():
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append((body, self.headers["authorization"]))
            status, reply = 200, {
                "id": "x", "object": "chat.completion", "created": 1, "model": body["model"],
                "choices": [{"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "<think>\nA greeting.\n</think>\n\nHi."}}],
                "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6},
            }  # fmt: skip
            if body["model"] == "gone":
                status, reply = (
                    404,
                    {"error": {"message": "no model gone", "code": "model_not_found", "param": "model"}},
                )
            data = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}/v1", asked
        http.shutdown()


def test_the_real_library_asks_once_and_its_errors_are_read(server, monkeypatch):
    pytest.importorskip("any_llm")
    url, asked = server
    monkeypatch.setenv("OWN_KEY", "k-1")

    def complete(model):
        config = recipes.Teacher(
            kind="any-llm", model=f"openai:{model}", endpoints=(recipes.Endpoint(url=url, api_key_env="OWN_KEY"),)
        )

        async def main():
            async with open_any_llm(config) as teacher:
                return await teacher.complete(make_request(config, "hi", purpose="answer", seed=3))

        return asyncio.run(main())

    reply = complete("m")
    assert (reply.texts, reply.truncated, reply.usage.completion_tokens) == (("Hi.",), (0,), 2)
    assert reply.thought(0) == "A greeting."
    ((body, key),) = asked
    assert body["messages"] == [{"role": "user", "content": "hi"}] and body["seed"] == 3
    assert key == "Bearer k-1"
    with pytest.raises(TeacherError, match="no model gone"):
        complete("gone")
    assert len(asked) == 2  # the library did not try again by itself
