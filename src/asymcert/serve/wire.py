"""HTTP on a connection, with limits on the head of a request: uvicorn sets none for this parser."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 2**16  # bytes of request line and headers
HEAD_SECONDS = 20.0  # from their first byte to their last


class LimitedHead(HttpToolsProtocol):
    """Gives up a request whose head is too long or comes too slowly."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self.complete, self.received = False, 0
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Parse what has come, and give up where that is too much without an end of the head."""
        super().data_received(data)
        self.received += len(data)
        if not self.complete and self.received > MOST_HEAD:
            self._give_up()

    def on_message_begin(self) -> None:
        """Another head begins."""
        super().on_message_begin()
        self.complete, self.received = False, 0
        self._wait()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self.complete = True
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more comes."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop_waiting()
        self.timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.send_400_response("The head of the request is too long or came too slowly.")
