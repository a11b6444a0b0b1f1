"""The client: the same verdicts as locally, in order; what it waits for, splits and refuses."""

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verifier_service import GOOD, LOOP, TOKEN, VerifierService

import evoltune
from evoltune.errors import ServiceError
from evoltune.verification.checker import open_checker
from evoltune.verification.rows import verify_rows
from evoltune.verification.service import client as client_module
from evoltune.verification.service.client import VerifierClient


@pytest.fixture(scope="module")
def local():
    with open_checker("math", workers=1) as checker:
        yield checker


plain = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
answers = st.sampled_from(["1/2", "0.5", "\\boxed{3}", "x^2+1", "{", "\0", "\ud800"]) | plain
rows = st.lists(
    st.fixed_dictionaries({}, optional={"id": plain | st.lists(plain, max_size=2), "answer": answers, "reference": answers, "x": plain})
    | plain,
    max_size=9,
)  # fmt: skip


def without_seconds(verdicts):
    return [{k: v for k, v in verdict.items() if k != "seconds"} for verdict in verdicts]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows)
def test_the_service_gives_what_a_local_checker_gives(client, local, rows):
    expected = json.loads(json.dumps(list(verify_rows(local, rows))))
    assert without_seconds(client.verify(rows, domain="math")) == without_seconds(expected)


def test_programs_are_verified_as_locally(live):
    fail = GOOD | {"tests": "assert f(1) == 2"}
    given = [GOOD, fail, {"id": "no tests", "answer": GOOD["answer"]}, LOOP, GOOD | {"id": 7}, 7]
    options = {"domain": "code", "program_s": 1.0, "workers": 1}
    expected = [(v["id"], v["status"], v["reason"], v["score"]) for v in evoltune.verify(given, **options)]
    served = evoltune.verify(given, domain="code", service=live.url, token=TOKEN, batch_rows=2)
    assert [(v["id"], v["status"], v["reason"], v["score"]) for v in served] == expected
    assert [e[1] for e in expected] == ["pass", "fail", "unverifiable", "timeout", "pass", "error"]


def test_a_row_that_json_cannot_carry_is_an_error_in_its_place(client):
    given = [{"id": "a", "answer": "1", "reference": "1"}, {"id": "b", "answer": "1", "x": object()}, 3]
    verdicts = list(client.verify(given, domain="math"))
    assert [v["status"] for v in verdicts] == ["pass", "error", "error"]
    assert "row 2: cannot be sent as JSON" in verdicts[1]["reason"] and verdicts[2]["id"] == 3


def test_a_reward_is_the_same_by_service(live, monkeypatch):
    monkeypatch.setenv("EVOLTUNE_SERVICE_TOKEN", TOKEN)
    completions = ["\\boxed{4}", [{"role": "assistant", "content": "5"}], "4"]
    columns = {"prompts": ["a", "b", "c"], "reference": ["4", "4", None], "trainer_state": object()}
    served = evoltune.reward("math", service=live.url)(completions, **columns)
    assert served == [1.0, 0.0, None] == evoltune.reward("math", workers=1)(completions, **columns)


def test_a_request_may_have_a_profile_and_a_policy_of_its_own(live):
    rows = [{"answer": "50", "reference": "50%"}]

    def status(**choices):
        return [v["status"] for v in VerifierClient(live.url, token=TOKEN, **choices).verify(rows, domain="math")]

    assert status() == ["fail"] and status(policy={"percent": "either"}) == ["pass"] and status() == ["fail"]
    assert status(profile="gsm8k-strict") == ["fail"]
    for choices, known in (({"policy": {"percent": "both"}}, "value, either"), ({"profile": "sond"}, "sound")):
        with pytest.raises(ServiceError, match=f"404: .*{known}"):
            status(**choices)


def test_a_service_is_started_with_a_profile_and_a_policy():
    server = VerifierService("--domain", "math,code", "--policy", "percent=either", "--profile", "math=sound")
    client = VerifierClient(server.url, token=TOKEN)
    assert [v["status"] for v in client.verify([{"answer": "50", "reference": "50%"}], domain="math")] == ["pass"]
    assert server.stop()[0] == 0


def test_what_takes_too_long_is_an_error_and_holds_neither_other_rows_nor_the_end_of_the_service():
    server = VerifierService("--domain", "code", "--timeout-s", "1", "--program-s", "1000")
    rows = [GOOD, LOOP, GOOD | {"id": "last"}]
    verdicts = list(VerifierClient(server.url, token=TOKEN).verify(rows, domain="code"))
    assert [v["status"] for v in verdicts] == ["pass", "error", "pass"] and verdicts[2]["id"] == "last"
    assert "row 2: the service gave no verdict in 3 attempts" in verdicts[1]["reason"]
    assert server.request("POST", "/v1/verify", {"domain": "code", "rows": [LOOP] * 2})[0] == 504
    assert server.stop()[0] == 0


def test_the_client_raises_where_waiting_does_not_help(live):
    row = [{"answer": "1", "reference": "1"}]
    with pytest.raises(ServiceError, match="401: a token is needed"):
        list(VerifierClient(live.url, token="wrong").verify(row, domain="math"))
    with pytest.raises(ServiceError, match=r"422.*sql"):
        list(VerifierClient(live.url, token=TOKEN).verify(row, domain="sql"))
    with pytest.raises(ServiceError, match="must be like"):
        VerifierClient("127.0.0.1:80")


def test_the_client_gives_up_on_a_dead_service_when_patience_ends():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    dead = VerifierClient(f"http://127.0.0.1:{port}", token="", patience_s=0.3)
    with pytest.raises(ServiceError, match=r"no verdicts for 0\.3 s .*refused"):
        list(dead.verify([{"answer": "1"}], domain="math"))


def test_the_client_splits_what_is_too_much_for_one_request():
    server = VerifierService("--domain", "math", "--max-batch-rows", "5", "--max-body-mb", "1")
    rows = [{"id": i, "answer": str(i) + " " * 90_000, "reference": str(i % 3)} for i in range(30)]
    verdicts = list(VerifierClient(server.url, token=TOKEN).verify(iter(rows), domain="math"))
    assert [v["id"] for v in verdicts] == list(range(30))
    assert [v["status"] for v in verdicts] == ["pass" if i < 3 else "fail" for i in range(30)]
    assert server.stop()[0] == 0


@contextmanager
def answering(reply):
    """A service on loopback that answers every POST with `reply(handler)`; yields its URL and the requests that came."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append((self.path, dict(self.headers)))
            self.rfile.read(int(self.headers["Content-Length"]))
            reply(self)

        do_GET = do_POST

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_neither_rows_nor_the_token_to_another_host(status):
    with answering(lambda handler: handler.send_error(500)) as (other, seen):

        def redirect(handler):
            handler.send_response(status)
            handler.send_header("Location", f"{other}/v1/verify")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with answering(redirect) as (url, _):
            client = VerifierClient(url, token="secret", patience_s=5)
            with pytest.raises(ServiceError, match=rf"{status}: redirects to '{other}/v1/verify'") as caught:
                list(client.verify([{"answer": "4", "reference": "4"}], domain="math"))
        assert not seen and "secret" not in str(caught.value)


def test_a_reply_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(client_module, "MAX_REPLY_BYTES", 1000)

    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"x" * 5000)

    with answering(endless) as (url, _), pytest.raises(ServiceError, match="a reply of more than"):
        list(VerifierClient(url, token="", patience_s=5).verify([{"answer": "4", "reference": "4"}], domain="math"))
