"""`evoltune serve-verifier --domain code,math --port 8100`: verification as a service.

The token comes from --token-file or EVOLTUNE_SERVICE_TOKEN and is never printed. On SIGTERM the service accepts nothing
more, answers what it has accepted, and exits with 0.
"""

import argparse
import asyncio
import errno
import ipaddress
import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from evoltune.cli import options
from evoltune.errors import ServiceError
from evoltune.verification.checker import open_checker
from evoltune.verification.service.row_queue import Limits

MIN_TOKEN = 16


def add_serve_verifier(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--domain", required=True, help="domains to serve, comma-separated: code,math")
    add("--host", default="127.0.0.1", help="default: loopback only")
    add("--port", type=int, default=8100, help="0: a free one, printed")
    add("--token-file", default="", help="file with the token (else EVOLTUNE_SERVICE_TOKEN)")
    add("--no-token", action="store_true", help="answer everybody on this machine (loopback only)")
    options.add_verification(parser, require="L2")
    add("--timeout-s", type=options.positive_float, default=60.0, help="time limit of a request (504)")
    add("--read-s", type=options.positive_float, default=10.0, help="time limit of a body's arrival (408)")
    add("--max-body-mb", type=options.positive_int, default=16, help="largest body (413)")
    add("--max-batch-rows", type=options.positive_int, default=1024, help="most rows in a request (422)")
    add("--queue-rows", type=options.positive_int, default=8192, help="rows that one domain holds (429)")
    add("--queue-mb", type=options.positive_int, default=256, help="bodies held in all (429)")
    parser.set_defaults(execute=run)


def run(args: argparse.Namespace) -> None:
    token = _token(args)
    with ExitStack() as stack:
        listener = stack.enter_context(_listener(args.host, args.port))
        from evoltune.verification.service.server import Service, serve

        limits = Limits(
            timeout_s=args.timeout_s, read_s=args.read_s, body_mb=args.max_body_mb, batch_rows=args.max_batch_rows,
            queue_rows=args.queue_rows, queue_mb=args.queue_mb,
        )  # fmt: skip
        settings, checkers = options.verification_of(args), {}
        for reference in options.words(args.domain):
            checker = stack.enter_context(open_checker(reference, settings, cache=False))
            checkers[checker.domain.name] = checker
        if not checkers:
            raise ServiceError(f"--domain {args.domain!r} names no domain: e.g. --domain code,math")
        host, port = listener.getsockname()[:2]
        served = ", ".join(f"{name} (isolation {c.level})" for name, c in checkers.items())
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        without = "" if token else ", without a token"
        print(f"verifying {served} on {address}{without}; documentation at /docs", file=sys.stderr, flush=True)
        asyncio.run(serve(Service(checkers, token, limits), listener))


def _token(args: argparse.Namespace) -> str:
    """The token; empty with --no-token, which is refused on any address but loopback. Raises ServiceError."""
    if args.no_token:
        if args.token_file:
            raise ServiceError("--no-token and --token-file exclude each other")
        if not _loopback(args.host):
            raise ServiceError(f"--no-token with --host {args.host!r}: only a loopback address may go without a token")
        return ""
    source = args.token_file or "EVOLTUNE_SERVICE_TOKEN"
    text = Path(args.token_file).read_text(encoding="utf-8") if args.token_file else os.environ.get(source, "")
    if not (token := text.strip()):
        todo = "give --token-file FILE or EVOLTUNE_SERVICE_TOKEN, or --no-token on a loopback address"
        raise ServiceError(f"no token: {todo}")
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ServiceError(
            f"the token in {source} must be at least {MIN_TOKEN} printable ASCII characters without spaces, "
            "e.g. of `openssl rand -hex 32`"
        )
    return token


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listener(host: str, port: int) -> socket.socket:
    """A listening socket; opened before any worker starts, so that a port in use fails at once. Raises ServiceError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "another process listens there: choose another --port" if taken else str(error)
        raise ServiceError(f"cannot listen on {host}:{port}: {why}") from error
