"""Server-sent events: a log that pages follow, and take up again where their connection broke."""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator
from threading import Lock
from typing import Any

KEPT = 2_000
"""Number of events that a page may have missed."""
HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that a broken connection is noticed."""


class EventLog:
    """Events with growing numbers. Threads may add to it; each connection follows it."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(4)
        self._events: deque[tuple[int, str]] = deque(maxlen=KEPT)
        self._count = 0
        self._lock = Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def add(self, kind: str, /, **content: Any) -> None:
        """Add an event and wake the connections."""
        text = json.dumps(content)
        with self._lock:
            self._count += 1
            self._events.append((self._count, f"id: {self._epoch}-{self._count}\nevent: {kind}\ndata: {text}\n\n"))
            waiting = list(self._waiting)
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    async def follow(self, last: str | None) -> AsyncIterator[str]:
        """Events after the one with the id `last`; first a `reset` if it is unknown or too long ago."""
        wake = asyncio.Event()
        mine = (asyncio.get_running_loop(), wake)
        with self._lock:
            self._waiting.add(mine)
            seen = self._seen(last)
            if seen is None:
                seen = self._count
                yield f"id: {self._epoch}-{seen}\nevent: reset\ndata: {{}}\n\n"
        try:
            while True:
                wake.clear()
                with self._lock:
                    due = [event for event in self._events if event[0] > seen]
                for number, text in due:
                    seen = number
                    yield text
                if due:
                    continue
                try:
                    await asyncio.wait_for(wake.wait(), HEARTBEAT)
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            with self._lock:
                self._waiting.discard(mine)

    def _seen(self, last: str | None) -> int | None:
        epoch, _, number = (last or "").partition("-")
        if epoch != self._epoch or not number.isascii() or not number.isdigit() or len(number) > 12:
            return None
        first = self._events[0][0] if self._events else 1
        return int(number) if first - 1 <= int(number) <= self._count else None
