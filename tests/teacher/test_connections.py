"""Connections to servers: kept, closed, lost, by a proxy, with TLS."""

import asyncio
import os
import ssl
import subprocess
import sys
import time

import pytest

from evoltune.teacher.connections import (
    ConnectionLostError,
    Connections,
    ProxyRefusedError,
    UnreachableError,
    target_of,
)

try:  # as a run does
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """Answers each request with `reply`; what it was asked is in `asked`, and how often it was connected to in `connected`."""

    def __init__(self, reply=OK, *, tls=None):
        self.reply, self.tls, self.asked, self.connected = reply, tls, [], 0

    async def serve(self, reader, writer):
        self.connected += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked.append(head.decode())
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                await reader.readexactly(length)
                writer.write(self.reply)
                if self.reply is None or b"connection: close" in self.reply:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, TypeError):
            pass
        finally:
            writer.close()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *raised):
        self._server.close()


class Proxy(Server):
    """Leads a CONNECT to the port that it names, and answers anything else like a server."""

    async def serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.decode())
        writer.write(self.reply)
        if b" 200 " not in self.reply:
            writer.close()
            return
        port = int(head.split(b" ")[1].rpartition(b":")[2])
        to_server = await asyncio.open_connection("127.0.0.1", port)

        async def pump(source, sink):
            while data := await source.read(2**16):
                sink.write(data)
            sink.close()

        await asyncio.gather(pump(reader, to_server[1]), pump(to_server[0], writer), return_exceptions=True)


def run(main):
    async def limited():
        async with Connections(timeout_s=5, connect_s=2) as connections:
            return await asyncio.wait_for(main(connections), 10)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(limited())


@pytest.mark.parametrize(
    ("reply", "connected"), [(OK, 1), (OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), 3)]
)
def test_a_connection_is_used_again_unless_the_server_closes_it(reply, connected):
    async def main(connections):
        async with Server(reply) as server:
            target = target_of(f"http://127.0.0.1:{server.port}/ä b?a=b+c%2Fd", {"X-Key": "k", "user-agent": "mine"})
            for _ in range(3):
                assert (await connections.request(target, data=b"{}")).body == b"ok"
            assert server.connected == connected
            return server.asked[0]

    lines = run(main).splitlines()
    assert lines[0] == "POST /%C3%A4%20b?a=b+c%2Fd HTTP/1.1"
    assert {"X-Key: k", "Content-Length: 2", "user-agent: mine"} <= {*lines}


def test_requests_at_the_same_time_have_a_connection_each_and_one_that_was_closed_is_not_used():
    async def main(connections):
        async with Server() as server:
            target = target_of(f"http://localhost:{server.port}/")
            replies = await asyncio.gather(*(connections.request(target) for _ in range(5)))
            assert [reply.status for reply in replies] == [200] * 5 and 2 <= server.connected <= 5
            server.reply = b"HTTP/1.1 500 no\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            before = server.connected
            for _ in range(before):
                await connections.request(target)
            assert (await connections.request(target)).status == 500
            assert server.connected == before + 1

    run(main)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (None, ConnectionLostError),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\nok", ConnectionLostError),
        (b"", TimeoutError),
    ],
)
def test_a_reply_that_does_not_come_is_an_error(reply, error):
    async def main(_):
        async with Server(reply) as server, Connections(timeout_s=0.3, connect_s=2) as connections:
            with pytest.raises(error):
                await connections.request(target_of(f"http://127.0.0.1:{server.port}/"))

    run(main)


def test_a_cancelled_request_takes_its_connection_with_it():
    async def main(connections):
        async with Server(b"") as server:
            call = asyncio.create_task(connections.request(target_of(f"http://127.0.0.1:{server.port}/")))
            while not server.asked:
                await asyncio.sleep(0.01)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            assert call.cancelled()

    run(main)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://no-such-host.invalid/"])
def test_nothing_that_listens_is_told_from_a_lost_reply(url):
    async def main(connections):
        with pytest.raises(UnreachableError):
            await connections.request(target_of(url))

    run(main)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
               "-keyout", folder / "key", "-out", folder / "cert", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=DNS:localhost"]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl here to make a certificate")
    return folder


def tls_of(folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return context


CLIENT = """
import asyncio, sys
from evoltune.teacher.connections import Connections, target_of

async def main(url, proxy):
    async with Connections(timeout_s=5, connect_s=2) as connections:
        for _ in range(2):
            print((await connections.request(target_of(url, {"x-key": "secret"}, proxy or None))).body.decode())

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("by_proxy", [False, True])
def test_tls_with_a_certificate_of_the_environment_directly_and_by_a_proxy(certificate, by_proxy):
    async def ask(url, proxy, **environment):  # a process of its own: the environment is read when it starts
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLIENT, url, proxy, env=os.environ | environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        return [text.decode() for text in await process.communicate()]

    async def main(_):
        async with Server(tls=tls_of(certificate)) as server, Proxy(b"HTTP/1.1 200 Made\r\n\r\n") as proxy:
            url, by = f"https://localhost:{server.port}/v1", f"http://me:pw@127.0.0.1:{proxy.port}" if by_proxy else ""
            answers, _ = await ask(url, by, SSL_CERT_FILE=str(certificate / "cert"))
            assert answers.split() == ["ok", "ok"] and "x-key: secret" in server.asked[0].lower()
            if by_proxy:
                assert len(proxy.asked) == 1 and "secret" not in proxy.asked[0]
                assert f"CONNECT localhost:{server.port}" in proxy.asked[0]
                assert "proxy-authorization: basic" in proxy.asked[0].lower()
            else:
                _, said = await ask(url, by)
                assert "UnreachableError" in said and "certificate" in said.lower()

    run(main)


def test_a_proxy_that_refuses_is_named():
    async def main(connections):
        async with Proxy(b"HTTP/1.1 407 Login\r\ncontent-length: 0\r\n\r\n") as proxy:
            with pytest.raises(ProxyRefusedError, match="HTTP 407"):
                await connections.request(target_of("https://api.example/v1", proxy=f"http://127.0.0.1:{proxy.port}"))

    run(main)


def test_a_reply_that_came_while_this_process_stood_still_is_read_and_not_asked_for_again():
    async def main():
        async with Server() as server, Connections(timeout_s=0.4, connect_s=0.4) as connections:
            target = target_of(f"http://127.0.0.1:{server.port}/")
            await connections.request(target)
            call = asyncio.ensure_future(connections.request(target))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            time.sleep(1.0)  # as a suspended process: nothing of it runs
            return (await call).body, len(server.asked)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert runner.run(main()) == (b"ok", 2)


def test_a_server_that_does_not_answer_is_given_up():
    async def main():
        async with Server(reply=b"") as server, Connections(timeout_s=0.2, connect_s=0.2) as connections:
            with pytest.raises(TimeoutError):
                await connections.request(target_of(f"http://127.0.0.1:{server.port}/"))

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())
