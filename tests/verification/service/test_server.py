"""The server: the token, refused starts, bodies of every kind, and its OpenAPI document."""

import base64
import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from verifier_service import TOKEN, head

from evoltune.cli import main


def test_one_row_gives_one_verdict(live):
    body = {"domain": "math", "row": {"id": "a", "answer": "2", "reference": "2"}}
    status, _, verdict = live.request("POST", "/v1/verify-one", body)
    assert (status, verdict["id"], verdict["status"], verdict["score"]) == (200, "a", "pass", 1.0)


PATHS = [("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/docs"), ("POST", "/v1/verify"),
         ("POST", "/v1/verify-one"), ("GET", "/v1/verify"), ("GET", "/nothing"), ("DELETE", "/health/")]  # fmt: skip


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", "\xff"])
def test_without_the_token_nothing_but_health_is_answered(live, token):
    body = {"domain": "math", "rows": [{"answer": "1", "reference": "1"}]}
    for method, path in PATHS:
        status, headers, answer = live.request(method, path, body if method == "POST" else None, token=token)
        assert status == 401 and set(answer) == {"error"} and "Bearer" in headers["WWW-Authenticate"], path
    assert [live.request("GET", path, token=token)[0] for path in ("/health", "/ready")] == [200, 200]


def test_a_browser_opens_the_page_with_the_token_as_password(live):
    basic = "Basic " + base64.b64encode(f"me:{TOKEN}".encode()).decode()
    status, headers, page = live.request("GET", "/docs", token=None, Authorization=basic)
    assert status == 200 and "/v1/verify" in page
    assert not re.search(r"(src|href)=.https?:", page) and "default-src 'none'" in headers["Content-Security-Policy"]


def test_the_token_is_never_printed(live):
    assert TOKEN not in live.first_line
    assert TOKEN not in live.request("GET", "/metrics")[2] + live.request("GET", "/docs")[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no token"),
        (["--no-token", "--host", "0.0.0.0"], "only a loopback address"),
        (["--token-file", "short"], "at least 16"),
        (["--token-file", "missing"], "missing"),
        (["--no-token", "--domain", "maths"], "did you mean 'math'"),
        (["--no-token", "--policy", "units=strict"], "agree, ignore, required"),
        (["--no-token", "--policy", "unit=ignore"], "did you mean 'units'"),
        (["--no-token", "--profile", "sond"], "did you mean 'sound'"),
        (["--no-token", "--profile", "code=sound"], "a served domain: math"),
    ],
)
def test_unsafe_or_wrong_starts_are_refused(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVOLTUNE_SERVICE_TOKEN", raising=False)
    Path("short").write_text("short\n")
    assert main(["serve-verifier", "--domain", "math", "--port", "0", *arguments]) in (1, 2)
    assert message in capsys.readouterr().err


def test_a_port_in_use_is_named(live, capsys):
    command = ["serve-verifier", "--domain", "math", "--no-token", "--port", str(live.port)]
    assert main(command) == 1
    assert f"127.0.0.1:{live.port}: another process listens there" in capsys.readouterr().err


def batch(*rows):
    return '{"domain": "math", "rows": [' + ",".join(rows) + "]}"


def deep(levels):
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400), ("{", 400), ("null", 422), ("[]", 422), ("{}", 422), (b"\xff", 400), ("\ufeff{}", 400),
        ('{"domain": "math", "rows": [NaN]}', 400), ('{"domain": "math", "rows": [1e999]}', 400),
        (batch("9" * 5000), 400), (deep(100_000), 400),
        ('{"domain": "sql", "rows": []}', 422), ('{"domain": "math", "rows": {}}', 422),
        ('{"domain": "math", "rows": [], "more": 1}', 422), ('{"domain": "math", "rows": [], "first_row": 0}', 422),
        (batch(*["1"] * 1025), 422), ("x" * (13 * 2**20), 413),
        ('{"domain": "math", "rows": []}', 200),
        (batch(deep(500), '{"id": %s, "answer": 1}'.replace("%s", deep(500)), '{"answer": "1", "x": %s}'.replace("%s", deep(500))), 200),
        ('{"domain": "code", "rows": [{"answer": "\\u0000", "tests": "\\ud800"}, {"answer": "1", "tests": {"cases": [[[1e308]]]}}]}', 200),
        (json.dumps({"domain": "code", "rows": [{"answer": "x = 1\n" * 1_600_000, "tests": "assert 1"}]}), 200),
    ],
    ids=range(21),
)  # fmt: skip
def test_any_body_becomes_verdicts_or_a_refusal(live, body, status):
    got, _, answer = live.request("POST", "/v1/verify", body.encode() if isinstance(body, str) else body)
    assert got == status, answer
    assert set(answer) == {"verdicts" if status == 200 else "error"}


def test_other_encodings_and_lengths_are_refused(live):
    body = '{"domain": "math", "rows": []}'
    assert live.request("POST", "/v1/verify", body, Content_Type="text/plain")[0] == 415
    assert live.request("POST", "/v1/verify", body, Content_Encoding="gzip")[0] == 415
    with socket.create_connection(("127.0.0.1", live.port)) as connection:
        connection.sendall(head("Transfer-Encoding: chunked") + b"0\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 411")


def test_the_openapi_document_names_what_is_served(live):
    document = live.request("GET", "/openapi.json")[2]
    assert document["components"]["schemas"]["Batch"]["properties"]["domain"]["enum"] == ["code", "math"]
    assert set(document["paths"]) == {"/v1/verify", "/v1/verify-one", "/score", "/verify", "/seed_session", "/test_program", "/test_program_stdio", "/health", "/ready", "/metrics", "/openapi.json", "/docs"}  # fmt: skip


def schemathesis(folder, url, *options):
    """What it says; `folder` takes its own records."""
    pytest.importorskip("schemathesis")
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--seed", "1", "--no-color",
               "--header", f"Authorization: Bearer {TOKEN}", "--generation-database", "none", *options]  # fmt: skip
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1500)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    return run.stdout


def test_schemathesis_finds_nothing(live, tmp_path):
    schemathesis(tmp_path, live.url, "--max-examples", "8", "--phases", "examples,fuzzing")


@pytest.mark.slow
def test_schemathesis_finds_nothing_in_many_examples(live, tmp_path):
    print(schemathesis(tmp_path, live.url, "--max-examples", "1500")[-1500:])
