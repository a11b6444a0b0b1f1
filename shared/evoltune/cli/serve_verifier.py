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
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from evoltune.cli import options
from evoltune.cli.reward import add_models, product_of
from evoltune.domain import Domain, load_domain
from evoltune.errors import DomainError, ServiceError, nearest
from evoltune.train.reward.rows import rewarded
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
    own = "(a request may have its own)"
    add("--policy", action="append", default=[], metavar="KEY=VALUE", help=f"option of the served verifiers {own}")
    add("--profile", action="append", default=[], metavar="[DOMAIN=]NAME", help=f"scoring profile {own}")
    add_models(parser)
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
        references = options.words(args.domain)
        if not references:
            raise ServiceError(f"--domain {args.domain!r} names no domain: e.g. --domain code,math")
        if len(references) > 1 and (args.steps or args.instructions):
            raise ServiceError(f"--domain {args.domain}: a reward model is one domain's: serve that domain alone")
        domains = {reference: load_domain(reference) for reference in references}
        checkers, rewards = {}, {}
        policies, profiles = _policies(args.policy, domains), _profiles(args.profile, domains)
        for reference, domain in domains.items():
            settings = options.verification_of(args, policies[reference])
            checker = open_checker(reference, settings, profile=profiles[reference], cache=False, warm=True)
            checkers[domain.name] = stack.enter_context(checker)
            rewards[domain.name] = partial(rewarded, stack.enter_context(product_of(args, reference)))
        host, port = listener.getsockname()[:2]
        served = ", ".join(f"{name} (isolation {c.level})" for name, c in checkers.items())
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        without = "" if token else ", without a token"
        print(f"verifying {served} on {address}{without}; documentation at /docs", file=sys.stderr, flush=True)
        asyncio.run(serve(Service(checkers, token, limits, rewards), listener))


def _policies(texts: list[str], domains: Mapping[str, Domain]) -> dict[str, dict[str, Any]]:
    """The options for each domain: an option goes to the domains that have it. Raises DomainError where none has."""
    chosen: dict[str, dict[str, Any]] = {reference: {} for reference in domains}
    for key, value in options.policy_of(texts).items():
        having = [reference for reference, domain in domains.items() if key in domain.policy]
        if not having:
            known = nearest(key, [name for domain in domains.values() for name in domain.policy])
            raise DomainError(f"--policy {key}: no served domain has such an option: {known}")
        for reference in having:
            chosen[reference][key] = value
    return chosen


def _profiles(texts: list[str], domains: Mapping[str, Domain]) -> dict[str, str]:
    """The profile of each domain. Without DOMAIN= a profile is meant for all, and `open_checker` refuses one that a domain
    lacks."""
    chosen = dict.fromkeys(domains, "sound")
    for text in texts:
        wanted, _, name = text.rpartition("=")
        named = [ref for ref, domain in domains.items() if wanted in ("", ref, domain.name)]
        if not named or not name:
            raise DomainError(f"--profile {text}: must be [DOMAIN=]NAME with a served domain: {', '.join(domains)}")
        chosen |= dict.fromkeys(named, name)
    return chosen


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
