"""The queue: full, late, left by its caller, drained, killed, overloaded."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from processes import alive, below
from verifier_service import GOOD, LOOP, SLEEP, TOKEN, VerifierService, head

from evoltune.verification.service.client import VerifierClient


def post(server, body, into):
    into.append(server.request("POST", "/v1/verify", body))


def answered(server, body):
    """Whether the server lived to answer."""
    try:
        return bool(server.request("POST", "/v1/verify", body))
    except (OSError, http.client.HTTPException):
        return False


def until(condition):
    for _ in range(2400):
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def metric(server, name):
    found = re.search(rf"^{re.escape(name)} (\S+)$", server.request("GET", "/metrics")[2], re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.fixture(scope="module")
def small():
    server = VerifierService(
        "--domain", "code", "--queue-rows", "4", "--timeout-s", "2", "--read-s", "0.5", "--program-s", "3"
    )
    yield server
    server.process.kill()
    server.process.communicate()


def test_a_full_queue_and_late_verdicts_are_refusals_that_leave_nothing_behind(small):
    late: list = []
    sender = threading.Thread(target=post, args=(small, {"domain": "code", "rows": [LOOP, LOOP, GOOD]}, late))
    sender.start()
    until(lambda: metric(small, 'evoltune_waiting_rows{domain="code"}') == 3)
    status, headers, answer = small.request("POST", "/v1/verify", {"domain": "code", "rows": [GOOD, GOOD]})
    assert status == 429 and int(headers["Retry-After"]) >= 1 and "queue" in answer["error"]
    sender.join()
    assert late[0][0] == 504
    until(lambda: metric(small, 'evoltune_waiting_rows{domain="code"}') == 0)
    assert metric(small, "evoltune_held_bytes") == 0
    # The client waits the refusals out.
    assert [v["status"] for v in VerifierClient(small.url, token=TOKEN).verify([GOOD] * 6, domain="code")] == ["pass"] * 6  # fmt: skip


def test_a_body_that_does_not_arrive_is_408(small):
    with socket.create_connection(("127.0.0.1", small.port)) as connection:
        connection.sendall(head("Content-Length: 9") + b"{")
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_the_rows_of_a_caller_that_disconnects_leave_the_queue(small):
    passed = 'evoltune_verdicts_total{domain="code",status="pass"}'
    before = metric(small, passed)
    with socket.create_connection(("127.0.0.1", small.port)) as connection:
        body = json.dumps({"domain": "code", "rows": [SLEEP] * 4})
        connection.sendall(head(f"Content-Length: {len(body)}") + body.encode())
        until(lambda: metric(small, 'evoltune_waiting_rows{domain="code"}') == 4)
    until(lambda: metric(small, 'evoltune_waiting_rows{domain="code"}') == 0)
    assert metric(small, passed) - before < 4


def test_sigterm_answers_what_was_accepted_and_nothing_more():
    server = VerifierService("--domain", "code")
    accepted: list = []
    sender = threading.Thread(target=post, args=(server, {"domain": "code", "rows": [SLEEP]}, accepted))
    sender.start()
    until(lambda: metric(server, 'evoltune_waiting_rows{domain="code"}') == 1)
    server.process.send_signal(signal.SIGTERM)
    until(lambda: server.request("GET", "/ready")[0] == 503)
    status, headers, _ = server.request("POST", "/v1/verify", {"domain": "code", "rows": [GOOD]})
    assert status == 503 and headers["Retry-After"]
    sender.join()
    assert [v["status"] for v in accepted[0][2]["verdicts"]] == ["pass"]
    assert server.process.wait(30) == 0
    assert TOKEN not in server.process.communicate()[1]


def test_a_killed_server_leaves_no_process():
    server = VerifierService("--domain", "code", "--program-s", "60")
    sender = threading.Thread(target=answered, args=(server, {"domain": "code", "rows": [LOOP]}))
    sender.start()
    until(lambda: metric(server, 'evoltune_waiting_rows{domain="code"}') == 1)
    family = until(lambda: (found := below(server.process.pid)) and len(found) >= 4 and found)
    server.process.kill()
    server.process.communicate()
    until(lambda: not alive(family))
    sender.join()


def test_without_a_token_only_loopback_names_are_answered():
    server = VerifierService("--domain", "math", token=None)
    assert "without a token" in server.first_line
    assert server.request("GET", "/metrics", token=None)[0] == 200
    for host in ("evil.example", "[", ""):
        assert server.request("GET", "/metrics", token=None, Host=host)[0] in (400, 403)
    assert server.stop()[0] == 0


# ---- load


def load(*options):
    command = [sys.executable, Path(__file__).parents[3] / "benchmarks/service_load.py", "--json", *options]
    run = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    return json.loads(run.stdout)


def test_a_short_overload_is_answered_in_time_or_refused():
    figures = load("--seconds", "2", "--queue-rows", "16", "--times", "6", "--timeout-s", "5")
    assert figures["statuses"]["429"] > 0 and figures["statuses"]["200"] > 0


@pytest.mark.slow
def test_ten_minutes_at_twice_the_capacity():
    print(json.dumps(load("--seconds", "600"), indent=1))
