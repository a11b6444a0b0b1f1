"""The verifier service and its client: the same verdicts as locally, the token, limits, hostile bodies, draining, kills."""

import contextlib
import http.client
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import evoltune
from evoltune.cli import main
from evoltune.errors import ServiceError
from evoltune.verification.checker import open_checker
from evoltune.verification.rows import verify_rows
from evoltune.verification.service.client import VerifierClient

TOKEN = "a-token-of-the-tests-0123456789"
LOOP = {"answer": "def f(x):\n    while True: pass\n", "tests": "assert f(1) == 1"}
SLEEP = {"answer": "import time\ndef f(x):\n    time.sleep(1.5)\n    return x\n", "tests": "assert f(1) == 1"}
GOOD = {"answer": "def f(x):\n    return x\n", "tests": "assert f(1) == 1"}


class Live:
    """An `evoltune serve-verifier` process."""

    def __init__(self, *options: str, token: str | None = TOKEN) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "EVOLTUNE_SERVICE_TOKEN"}
        if token:
            environment["EVOLTUNE_SERVICE_TOKEN"] = token
        else:
            options = ("--no-token", *options)
        command = [
            sys.executable,
            "-m",
            "evoltune",
            "serve-verifier",
            "--port",
            "0",
            "--workers",
            "1",
            *options,
        ]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self.said = self.process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.said)
        assert found, self.said + self.process.stderr.read()
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, token=TOKEN, **headers):
        """(status, headers, JSON or text) of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {
                "Content-Type": "application/json",
                **{k.replace("_", "-"): v for k, v in headers.items()},
            }
            if token:
                headers["Authorization"] = f"Bearer {token}"
            body = json.dumps(body) if isinstance(body, dict | list) else body
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        is_json = response.headers.get_content_type() == "application/json"
        return response.status, response.headers, json.loads(text) if is_json else text

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        rest = self.process.communicate(timeout=60)[1]
        return self.process.returncode, rest


@pytest.fixture(scope="module")
def live():
    server = Live("--domain", "code,math", "--program-s", "1", "--max-body-mb", "12")
    yield server
    assert server.stop()[0] == 0


@pytest.fixture(scope="module")
def client(live):
    return VerifierClient(live.url, token=TOKEN, batch_rows=3)


@pytest.fixture(scope="module")
def local():
    with open_checker("math", workers=1) as checker:
        yield checker


# ---- the same verdicts

plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
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


def test_programs_are_judged_as_locally(live):
    fail = GOOD | {"tests": "assert f(1) == 2"}
    given = [GOOD, fail, {"id": "no tests", "answer": GOOD["answer"]}, LOOP, GOOD | {"id": 7}, 7]
    options = {"domain": "code", "program_s": 1.0, "workers": 1}
    expected = [(v["id"], v["status"], v["reason"], v["score"]) for v in evoltune.verify(given, **options)]
    served = evoltune.verify(given, domain="code", service=live.url, token=TOKEN, batch_rows=2)
    assert [(v["id"], v["status"], v["reason"], v["score"]) for v in served] == expected
    assert [e[1] for e in expected] == ["pass", "fail", "unverifiable", "timeout", "pass", "error"]


def test_a_reward_is_the_same_by_service(live, monkeypatch):
    monkeypatch.setenv("EVOLTUNE_SERVICE_TOKEN", TOKEN)
    completions = ["\\boxed{4}", [{"role": "assistant", "content": "5"}], "4"]
    columns = {"prompts": ["a", "b", "c"], "reference": ["4", "4", None], "trainer_state": object()}
    served = evoltune.reward("math", service=live.url)(completions, **columns)
    assert served == [1.0, 0.0, None] == evoltune.reward("math", workers=1)(completions, **columns)


def test_one_row_gives_one_verdict(live):
    body = {"domain": "math", "row": {"id": "a", "answer": "2", "reference": "2"}}
    status, _, verdict = live.ask("POST", "/v1/verify-one", body)
    assert (status, verdict["id"], verdict["status"], verdict["score"]) == (200, "a", "pass", 1.0)


def test_a_row_that_json_cannot_carry_is_an_error_in_its_place(client):
    given = [{"id": "a", "answer": "1", "reference": "1"}, {"id": "b", "answer": "1", "x": object()}, 3]
    verdicts = list(client.verify(given, domain="math"))
    assert [v["status"] for v in verdicts] == ["pass", "error", "error"]
    assert "row 2: cannot be sent as JSON" in verdicts[1]["reason"] and verdicts[2]["id"] == 3


# ---- the token

PATHS = [("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/docs"), ("POST", "/v1/verify"),
         ("POST", "/v1/verify-one"), ("GET", "/v1/verify"), ("GET", "/nothing"), ("DELETE", "/health/")]  # fmt: skip


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", "\xff"])
def test_without_the_token_nothing_but_health_is_answered(live, token):
    body = {"domain": "math", "rows": [{"answer": "1", "reference": "1"}]}
    for method, path in PATHS:
        status, headers, said = live.ask(method, path, body if method == "POST" else None, token=token)
        assert status == 401 and set(said) == {"error"} and "Bearer" in headers["WWW-Authenticate"], path
    assert [live.ask("GET", path, token=token)[0] for path in ("/health", "/ready")] == [200, 200]


def test_a_browser_opens_the_page_with_the_token_as_password(live):
    import base64

    basic = "Basic " + base64.b64encode(f"me:{TOKEN}".encode()).decode()
    status, headers, page = live.ask("GET", "/docs", token=None, Authorization=basic)
    assert status == 200 and "/v1/verify" in page
    assert (
        not re.search(r"(src|href)=.https?:", page)
        and "default-src 'none'" in headers["Content-Security-Policy"]
    )


def test_the_token_is_never_printed(live):
    assert TOKEN not in live.said
    assert TOKEN not in live.ask("GET", "/metrics")[2] + live.ask("GET", "/docs")[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no token"),
        (["--no-token", "--host", "0.0.0.0"], "only a loopback address"),
        (["--token-file", "short"], "at least 16"),
        (["--token-file", "missing"], "missing"),
        (["--no-token", "--domain", "maths"], "did you mean 'math'"),
    ],
)
def test_unsafe_or_wrong_starts_are_refused(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVOLTUNE_SERVICE_TOKEN", raising=False)
    Path("short").write_text("short\n")
    assert main(["serve-verifier", "--domain", "math", "--port", "0", *arguments]) in (1, 2)
    assert said in capsys.readouterr().err


def test_a_second_server_on_the_port_says_so(live, capsys):
    command = ["serve-verifier", "--domain", "math", "--no-token", "--port", str(live.port)]
    assert main(command) == 1
    assert f"127.0.0.1:{live.port}: another process listens there" in capsys.readouterr().err


# ---- bodies of every kind


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
def test_whatever_stands_in_a_body_is_a_verdict_or_a_refusal(live, body, status):
    got, _, said = live.ask("POST", "/v1/verify", body.encode() if isinstance(body, str) else body)
    assert got == status, said
    assert set(said) == {"verdicts" if status == 200 else "error"}


def test_other_encodings_and_lengths_are_refused(live):
    body = '{"domain": "math", "rows": []}'
    assert live.ask("POST", "/v1/verify", body, Content_Type="text/plain")[0] == 415
    assert live.ask("POST", "/v1/verify", body, Content_Encoding="gzip")[0] == 415
    with socket.create_connection(("127.0.0.1", live.port)) as connection:
        connection.sendall(head("Transfer-Encoding: chunked") + b"0\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 411")


def test_the_openapi_document_names_what_is_served(live):
    document = live.ask("GET", "/openapi.json")[2]
    assert document["components"]["schemas"]["Batch"]["properties"]["domain"]["enum"] == ["code", "math"]
    assert set(document["paths"]) == {"/v1/verify", "/v1/verify-one", "/health", "/ready", "/metrics", "/openapi.json", "/docs"}  # fmt: skip


def schemathesis(folder, url, *options):
    """What it says; `folder` takes its own records."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--seed", "1", "--no-color",
               "--header", f"Authorization: Bearer {TOKEN}", "--generation-database", "none", *options]  # fmt: skip
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1500)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    return run.stdout


def test_schemathesis_finds_nothing(live, tmp_path):
    schemathesis(tmp_path, live.url, "--max-examples", "8", "--phases", "examples,coverage,fuzzing")


@pytest.mark.slow
def test_schemathesis_finds_nothing_in_many_examples(live, tmp_path):
    print(schemathesis(tmp_path, live.url, "--max-examples", "1500")[-1500:])


# ---- limits, draining, kills


def post(server, body, into):
    into.append(server.ask("POST", "/v1/verify", body))


def head(length):
    lines = ["POST /v1/verify HTTP/1.1", "Host: x", f"Authorization: Bearer {TOKEN}", "Content-Type: application/json", length]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode()


def answered(server, body):
    """Whether the server lived to answer."""
    try:
        return bool(server.ask("POST", "/v1/verify", body))
    except (OSError, http.client.HTTPException):
        return False


def below(pid):
    """Processes under `pid`, whatever their depth."""
    children = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            children += map(int, path.read_text().split())
    return children + [lower for child in children for lower in below(child)]


def until(condition):
    for _ in range(600):
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def metric(server, name):
    found = re.search(rf"^{re.escape(name)} (\S+)$", server.ask("GET", "/metrics")[2], re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.fixture
def small():
    server = Live(
        "--domain", "code", "--queue-rows", "4", "--timeout-s", "2", "--read-s", "0.5", "--program-s", "3"
    )
    yield server
    server.process.kill()
    server.process.communicate()


def test_a_full_queue_and_late_verdicts_are_said_and_leave_nothing_behind(small):
    late: list = []
    sender = threading.Thread(target=post, args=(small, {"domain": "code", "rows": [LOOP, LOOP, GOOD]}, late))
    sender.start()
    until(lambda: metric(small, 'evoltune_waiting_rows{domain="code"}') == 3)
    status, headers, said = small.ask("POST", "/v1/verify", {"domain": "code", "rows": [GOOD, GOOD]})
    assert status == 429 and int(headers["Retry-After"]) >= 1 and "queue" in said["error"]
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


def test_a_caller_that_leaves_takes_its_rows_along(small):
    with socket.create_connection(("127.0.0.1", small.port)) as connection:
        body = json.dumps({"domain": "code", "rows": [SLEEP] * 4})
        connection.sendall(head(f"Content-Length: {len(body)}") + body.encode())
        until(lambda: metric(small, 'evoltune_waiting_rows{domain="code"}') == 4)
    until(lambda: metric(small, 'evoltune_waiting_rows{domain="code"}') == 0)
    judged = metric(small, 'evoltune_verdicts_total{domain="code",status="pass"}')
    assert judged < 4


def test_sigterm_answers_what_was_accepted_and_nothing_more():
    server = Live("--domain", "code")
    accepted: list = []
    sender = threading.Thread(target=post, args=(server, {"domain": "code", "rows": [SLEEP]}, accepted))
    sender.start()
    until(lambda: metric(server, 'evoltune_waiting_rows{domain="code"}') == 1)
    server.process.send_signal(signal.SIGTERM)
    until(lambda: server.ask("GET", "/ready")[0] == 503)
    status, headers, _ = server.ask("POST", "/v1/verify", {"domain": "code", "rows": [GOOD]})
    assert status == 503 and headers["Retry-After"]
    sender.join()
    assert [v["status"] for v in accepted[0][2]["verdicts"]] == ["pass"]
    assert server.process.wait(30) == 0
    assert TOKEN not in server.process.communicate()[1]


def test_a_killed_server_leaves_no_process():
    server = Live("--domain", "code", "--program-s", "60")
    sender = threading.Thread(target=answered, args=(server, {"domain": "code", "rows": [LOOP]}))
    sender.start()
    until(lambda: metric(server, 'evoltune_waiting_rows{domain="code"}') == 1)
    family = until(lambda: (found := below(server.process.pid)) and len(found) >= 4 and found)
    server.process.kill()
    server.process.communicate()
    until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in family))
    sender.join()


def test_without_a_token_only_loopback_names_are_answered():
    server = Live("--domain", "math", token=None)
    assert "without a token" in server.said
    assert server.ask("GET", "/metrics", token=None)[0] == 200
    for host in ("evil.example", "[", ""):
        assert server.ask("GET", "/metrics", token=None, Host=host)[0] in (400, 403)
    assert server.stop()[0] == 0


# ---- the client's errors


def test_the_client_says_what_cannot_be_mended(live):
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
    server = Live("--domain", "math", "--max-batch-rows", "5", "--max-body-mb", "1")
    rows = [{"id": i, "answer": str(i) + " " * 90_000, "reference": str(i % 3)} for i in range(30)]
    verdicts = list(VerifierClient(server.url, token=TOKEN).verify(iter(rows), domain="math"))
    assert [v["id"] for v in verdicts] == list(range(30))
    assert [v["status"] for v in verdicts] == ["pass" if i < 3 else "fail" for i in range(30)]
    assert server.stop()[0] == 0


# ---- the examples, called as their frameworks call them


def example(name, url, monkeypatch):
    monkeypatch.setenv("EVOLTUNE_SERVICE", url)
    monkeypatch.setenv("EVOLTUNE_SERVICE_TOKEN", TOKEN)
    return runpy.run_path(str(Path(__file__).parents[2] / f"examples/rewards/{name}.py"))


def test_the_example_for_trl_takes_columns(live, monkeypatch):
    reward = example("trl_grpo", live.url, monkeypatch)["reward"]
    conversations = [[{"role": "assistant", "content": text}] for text in ("4", "5", "6")]
    more = {"completion_ids": [[1], [2], [3]], "trainer_state": object(), "log_extra": print}
    assert reward(prompts=["p"] * 3, completions=conversations, reference=["4", "4", None], **more) == [
        1,
        0,
        None,
    ]


def test_the_example_for_verl_takes_both_managers_calls(live, monkeypatch):
    functions = example("verl_reward", live.url, monkeypatch)
    scores = functions["compute_score_batch"](
        data_sources=numpy.array(["math", "code", "math", "code"], dtype=object),
        solution_strs=["4", GOOD["answer"], "4", GOOD["answer"]],
        ground_truths=["4", "assert f(1) == 1", "5", "def check(c):\n    assert c(2) == 3"],
        extra_infos=numpy.array([None, {"index": 1}, None, {"entry_point": "f", "index": 3}], dtype=object),
    )
    assert scores == [1.0, 1.0, 0.0, 0.0]
    one = functions["compute_score"]
    assert one(data_source="math", solution_str="4", ground_truth="4", extra_info={"split": "train"}) == 1.0


def test_the_example_for_openrlhf_gives_tensors(live, monkeypatch):
    reward_func = example("openrlhf_reward", live.url, monkeypatch)["reward_func"]
    prompts = ["2+2=", "2+3=", "?"]
    said = reward_func(["2+2=4", "2+3=4", "?1"], prompts, ["4", "5", None], step=1)
    assert said["rewards"].tolist() == said["scores"].tolist() == [1.0, 0.0, 0.0]
    assert said["extra_logs"]["unverified"].tolist() == [0.0, 0.0, 1.0]


# ---- load


def load(*options):
    command = [sys.executable, Path(__file__).parents[2] / "benchmarks/service_load.py", "--json", *options]
    run = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    return json.loads(run.stdout)


def test_a_short_overload_is_answered_in_time_or_refused():
    figures = load("--seconds", "8", "--queue-rows", "16", "--times", "6")
    assert figures["statuses"]["429"] > 0 and figures["statuses"]["200"] > 0


@pytest.mark.slow
def test_ten_minutes_at_twice_the_capacity():
    print(json.dumps(load("--seconds", "600"), indent=1))
