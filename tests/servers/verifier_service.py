"""Starts `evoltune serve-verifier` in a process of its own and talks to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys

TOKEN = "a-token-of-the-tests-0123456789"
GOOD = {"answer": "def f(x):\n    return x\n", "tests": "assert f(1) == 1"}
LOOP = {"answer": "def f(x):\n    while True: pass\n", "tests": "assert f(1) == 1"}
SLEEP = {"answer": "import time\ndef f(x):\n    time.sleep(1.5)\n    return x\n", "tests": "assert f(1) == 1"}


class VerifierService:
    """An `evoltune serve-verifier` process."""

    def __init__(self, *options: str, token: str | None = TOKEN) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "EVOLTUNE_SERVICE_TOKEN"}
        if token:
            environment["EVOLTUNE_SERVICE_TOKEN"] = token
        else:
            options = ("--no-token", *options)
        verb = [sys.executable, "-m", "evoltune", "serve-verifier", "--port", "0", "--workers", "1"]
        self.process = subprocess.Popen([*verb, *options], env=environment, stderr=subprocess.PIPE, text=True)
        self.first_line = self.process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.first_line)
        assert found, self.first_line + self.process.stderr.read()
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def request(self, method, path, body=None, token=TOKEN, **headers):
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


def head(length):
    """The head of a request to verify, with this line about the length of its body."""
    lines = ["POST /v1/verify HTTP/1.1", "Host: x", f"Authorization: Bearer {TOKEN}", "Content-Type: application/json", length]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode()
