"""Whether a teacher has its model is asked before anything is paid for; a list of models alone decides nothing."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from evoltune.errors import RecipeError
from evoltune.recipe import Endpoint, Teacher
from evoltune.teacher.reachable import check_reachable


@contextmanager
def offering(listed: list[str] | None, served: str) -> Iterator[tuple[str, list[str]]]:
    """A server that lists these models (None: it has no list) and serves one; yields its URL and what was asked of it."""
    asked: list[str] = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"GET {self.path}")
            self.answer(404 if listed is None else 200, {"data": [{"id": name} for name in listed or ()]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(f"POST {self.path} {body['model']} {body['max_tokens']}")
            here = body["model"] == served
            self.answer(200 if here else 404, {} if here else {"error": {"message": "no such model"}})

        def answer(self, status: int, body: object) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
        server.shutdown()


def checked(url: str, model: str) -> None:
    check_reachable(Teacher(kind="http", model=model, endpoints=(Endpoint(url=url),)), "eval.judge.teacher")


def test_a_model_that_the_server_neither_lists_nor_serves_is_named_with_those_that_it_has():
    with offering(["qwen2.5-7b", "llama3"], "qwen2.5-7b") as (url, asked):
        with pytest.raises(
            RecipeError, match=r"eval\.judge\.teacher\.model: .* \(HTTP 404 no such model\): did you mean 'qwen2.5-7b'"
        ):
            checked(url, "qwen2.5-7")
        assert asked == ["GET /v1/models", "POST /v1/chat/completions qwen2.5-7 1"]


@pytest.mark.parametrize(
    ("listed", "model", "requests"),
    [(["a", "b"], "a", 1), (["b"], "a", 2), (None, "gone", 1), ([], "gone", 1)],
    ids=["listed", "served under another name", "no list", "an empty list"],
)
def test_a_list_that_lacks_the_model_or_no_list_refuses_nothing(listed: list[str] | None, model: str, requests: int):
    with offering(listed, "a") as (url, asked):
        checked(url, model)
        assert len(asked) == requests
