"""An aiohttp application served on a free loopback port, from a thread of this process."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web


@contextmanager
def serving_app(app: web.Application, name: str) -> Iterator[str]:
    """Yields the URL without a path; the server ends with the block."""
    loop, ready, stop, url = asyncio.new_event_loop(), threading.Event(), asyncio.Event(), ""

    async def serve() -> None:
        nonlocal url
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            loop.close()
            ready.set()

    thread = threading.Thread(target=run, daemon=True, name=name)
    thread.start()
    ready.wait()
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
