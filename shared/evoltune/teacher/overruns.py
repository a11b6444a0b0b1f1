"""Whether servers keep `max_tokens`: what their replies have shown, remembered with the run.

    overruns = Overruns(store)
    overruns.sent(server, (3, 4096))                # noted before the call leaves, so that a `kill -9` keeps it
    overruns.replied(server, request, 3, 2_700, (3, 4096))
    overruns.completion(server, request)            ->  5_400: twice the most that it has made

Only a reply can show that a server makes more than it was asked for, so the first call to it, and one that was lost before
it had shown anything, are taken to have made `UNSEEN_TEXT` tokens a text. Invariant: what a reply taught is noted before
the reply is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from evoltune.run.store import Store
from evoltune.teacher.protocol import Request

SERVERS_NOTE = "budget:servers"
UNSEEN_TEXT = 4096
"""Tokens of a text that nothing bounds yet; longer texts of a server that ignores `max_tokens` are rare."""
CAUTIOUS_REPLIES = 20
"""While so few replies are there, a server is not known well."""
Unseen = tuple[int, int]
"""(texts, tokens of each that are booked) of a call."""


@dataclass
class Server:
    """What one server has shown."""

    replies: dict[int, int] = field(default_factory=dict)
    """By the `max_tokens` of their calls."""
    largest: int = 0
    """Tokens of the longest text."""
    overran: bool = False
    surplus: int = 0
    """Texts more than were asked for, at most."""
    unseen: list[Unseen] = field(default_factory=list)
    """Calls that left before the server was known, and of which no reply came."""


class Overruns:
    """Servers by name. With a store it continues from the run's earlier sessions."""

    def __init__(self, store: Store | None = None) -> None:
        self._store = store
        known = (store.noted(SERVERS_NOTE) or {}) if store is not None else {}
        self._servers = msgspec.convert(known, dict[str, Server], strict=False)

    def _server(self, name: str) -> Server:
        return self._servers.setdefault(name, Server())

    def replies(self, name: str, max_tokens: int) -> int:
        """Replies to calls of this `max_tokens`."""
        return self._server(name).replies.get(max_tokens, 0)

    def completion(self, name: str, request: Request) -> int:
        """Tokens that a call may make: more than it asks for where the server is known to ignore `max_tokens` or `n`, or has
        not shown whether it keeps this `max_tokens`."""
        server, max_tokens = self._server(name), request.max_tokens or 0
        is_doubtful = server.overran or max_tokens not in server.replies
        return (request.n + server.surplus) * max(max_tokens, 2 * server.largest if is_doubtful else 0)

    def is_unknown(self, name: str, max_tokens: int) -> bool:
        """Whether a call may make more than `completion`: before the first reply, and before a server that ignores
        `max_tokens` is known well."""
        server = self._server(name)
        return max_tokens not in server.replies or (server.overran and sum(server.replies.values()) < CAUTIOUS_REPLIES)

    def sent(self, name: str, call: Unseen) -> None:
        """A call to a server that is not known leaves."""
        self._server(name).unseen.append(call)
        self._note()

    def never_left(self, name: str, call: Unseen) -> None:
        """Such a call was not charged, or what it cost is known."""
        self._server(name).unseen.remove(call)
        self._note()

    def replied(
        self, name: str, request: Request, texts: int, completion_tokens: int, call: Unseen | None = None
    ) -> int:
        """Learns from a reply of so many texts; `call` is what `sent` was told about it. Returns the tokens to book for earlier
        calls, which were taken to be smaller than the server now shows that they may have been."""
        server, max_tokens = self._server(name), request.max_tokens or 0
        before = (server.overran, server.surplus, server.largest)
        per_text = -(-completion_tokens // max(request.n, texts))
        server.replies[max_tokens] = server.replies.get(max_tokens, 0) + 1
        server.largest = max(server.largest, per_text)
        server.surplus = max(server.surplus, texts - request.n)
        server.overran |= bool(max_tokens) and per_text > max_tokens
        is_news = before != (server.overran, server.surplus, server.largest)
        if call is not None:
            server.unseen.remove(call)
        more, likely = 0, 2 * server.largest
        if server.overran:
            more = sum(lost * max(0, likely - booked) for lost, booked in server.unseen)
            server.unseen = [(lost, max(likely, booked)) for lost, booked in server.unseen]
        if is_news or call is not None or server.replies[max_tokens] <= CAUTIOUS_REPLIES:
            self._note()
        return more

    def _note(self) -> None:
        if self._store is not None:
            self._store.note_cost(SERVERS_NOTE, msgspec.to_builtins(self._servers, str_keys=True))
