"""The way to a server: proxies from the environment, certificates, redirects, headers."""

import asyncio
import gzip
import http.server
import threading
from contextlib import suppress

import pytest
from openai_server import serving

from evoltune import recipe as recipes
from evoltune.errors import RecipeError, TeacherError
from evoltune.teacher import connections, endpoint
from evoltune.teacher.access import access_of
from evoltune.teacher.network import is_listening, proxy_of
from evoltune.teacher.protocol import make_request
from evoltune.teacher.stack import open_teacher
from evoltune.text.credentials import expand

PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("env", "url", "proxy"),
    [
        ({}, "https://api.example/v1", None),
        ({"HTTPS_PROXY": PROXY}, "https://api.example/v1", PROXY),
        ({"HTTPS_PROXY": "proxy.example:3128"}, "https://api.example/v1", PROXY),
        ({"HTTPS_PROXY": PROXY}, "http://api.example/v1", None),
        ({"ALL_PROXY": PROXY}, "http://api.example/v1", PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "example,x"}, "https://api.example/v1", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, "https://api.example/v1", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "api.example:8443"}, "https://api.example:8443/v1", None),
        ({"HTTP_PROXY": PROXY}, "http://127.0.0.1:8000/v1", None),
        ({"HTTP_PROXY": PROXY}, "http://localhost:8000/v1", None),
    ],
)
def test_the_environment_names_the_proxy(monkeypatch, env, url, proxy):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert proxy_of(url) == proxy


def test_a_proxy_of_another_kind_is_named(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example:1080")
    with pytest.raises(RecipeError, match=r"HTTPS_PROXY: a socks5 proxy cannot be used.*NO_PROXY"):
        proxy_of("https://api.example/v1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "http://host:99999/v1"}, "must be http://HOST:PORT"),
        ({"url": "http://[::1/v1"}, "must be http://HOST:PORT"),
        ({"url": "https:///v1"}, "must be http://HOST:PORT"),
        ({"url": "http://my host/v1"}, "must be http://HOST:PORT"),
        ({"url": "http://" + "ä" * 70}, "must be http://HOST:PORT"),
        ({"headers": {"X-A": "a\r\nEvil: 1"}}, r"endpoints.0: the value of the header 'X-A' has a line break"),
        ({"headers": {"X A": "a"}}, r"endpoints.0.headers: 'X A' is no name"),
        ({"key": "sk-one\nsk-two"}, r"the value of the header 'Authorization' has a line break"),
        ({"url": "http://ada:secret@host/v1", "key": "sk-one"}, r"login in the url and the key.*api_key_header"),
        ({"extra_body": {"seed": 2**70}}, r"extra_body: cannot be sent as JSON"),
        (
            {"api_key_env": "sk-0123456789abcdef0123"},
            r"api_key_env: not the name of a variable: put the key into one, and its name here$",
        ),
        ({"api_key_file": "sk-0123456789abcdef0123"}, r"api_key_file: what it names cannot be read: No such file"),
    ],
)
def test_an_address_that_cannot_be_used_is_an_error_of_the_recipe(tmp_path, options, message):
    key = options.pop("key", "")
    (tmp_path / "key").write_text(key)
    named = {"api_key_file": str(tmp_path / "key")} if key else {}
    config = recipes.Endpoint(**{"url": "http://host/v1", **options}, **named)
    with pytest.raises(RecipeError, match=message) as caught:
        access_of(config, recipes.Teacher(kind="http", model="m"), "endpoints.0")
    assert "sk-" not in str(caught.value)


def ask(url, **options):
    config = recipes.Teacher(
        kind="http", model="m", max_retries=0, endpoints=(recipes.Endpoint(url=url, **options),), timeout_s=30.0
    )

    async def main():
        async with open_teacher(config) as teacher:
            return await teacher.complete(make_request(config, "Hello?", purpose="answer", seed=1))

    return asyncio.run(main())


def test_requests_and_the_check_before_a_run_go_by_the_proxy(monkeypatch):
    with serving() as server:  # a proxy is asked for http://teacher.invalid/v1/chat/completions by its full address
        monkeypatch.setenv("HTTP_PROXY", server.url)
        assert is_listening("http://teacher.invalid/v1")
        assert ask("http://teacher.invalid/v1").texts
        assert server.stats()["ok"] == 1


class Redirecting(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(307)
        self.send_header("Location", "http://elsewhere.invalid/v1/chat/completions?token=1")
        self.end_headers()

    def log_message(self, *args):
        pass


def test_a_redirect_is_not_followed_and_says_where_to():
    with http.server.HTTPServer(("127.0.0.1", 0), Redirecting) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            with pytest.raises(
                TeacherError, match=r"redirects to http://elsewhere.invalid/v1/chat/completions,.*set the url"
            ):
                ask(f"http://127.0.0.1:{server.server_port}/v1")
        finally:
            server.shutdown()


class Endless(http.server.BaseHTTPRequestHandler):
    packed = False

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        body = [b"x" * 2**16] * 400
        if self.packed:
            self.send_header("Content-Encoding", "gzip")
            body = [gzip.compress(b" " * 2**24)]
        self.end_headers()
        with suppress(OSError):  # the reader has gone
            for block in body:
                self.wfile.write(block)
                self.server.written += len(block)

    def log_message(self, *args):
        pass


@pytest.mark.parametrize("packed", [False, True])
def test_a_reply_without_end_is_not_read_to_it(monkeypatch, packed):
    monkeypatch.setattr(connections, "MAX_BODY_BYTES", 2**20)
    monkeypatch.setattr(endpoint, "MAX_BODY_BYTES", 2**20)
    monkeypatch.setattr(Endless, "packed", packed)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        server.written = 0
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            with pytest.raises(TeacherError, match="a reply of more than 1 MiB"):
                ask(f"http://127.0.0.1:{server.server_port}/v1")
            assert server.written < 20 * 2**20
        finally:
            server.shutdown()


def test_texts_take_secrets_from_the_environment(monkeypatch):
    monkeypatch.setenv("PROJECT", " p-1\n")
    assert expand("id ${PROJECT}", "w") == "id p-1"
    with pytest.raises(RecipeError, match=r"w: the environment variable 'NO_SUCH' is not set"):
        expand("${NO_SUCH}", "w")


def test_a_proxy_without_a_usable_port_is_the_users_to_correct(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://ada:cnry-pw-1@127.0.0.1:port")
    with pytest.raises(RecipeError, match="HTTP_PROXY: its port is no number") as raised:
        proxy_of("http://api.example/v1")
    assert "cnry" not in str(raised.value)
