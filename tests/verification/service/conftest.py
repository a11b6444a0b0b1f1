"""One service for the tests that do not change it."""

import pytest
from verifier_service import TOKEN, VerifierService

from evoltune.verification.service.client import VerifierClient


@pytest.fixture(scope="session")
def live():
    server = VerifierService("--domain", "code,math", "--program-s", "1", "--max-body-mb", "12")
    yield server
    assert server.stop()[0] == 0


@pytest.fixture(scope="session")
def client(live):
    return VerifierClient(live.url, token=TOKEN, batch_rows=3)
