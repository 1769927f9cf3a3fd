"""A connection of the client ``amqp`` that reads and writes many frames by one system call.

The client asks the kernel for the head, the payload and the end of each frame, so nine times for a message, and writes
each message apart, after it has looked whether something came. Imported only where the client is there.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from struct import Struct
from typing import Any

import amqp  # type: ignore[import-untyped]

from .deliveries import delivery_handler

READ_BYTES = 65_536
FRAME_END = 0xCE
_HEAD = Struct(">BHI")
"""Type, channel and the payload's size."""


class BufferedConnection(amqp.Connection):  # type: ignore[misc]  # has no types
    """The client's connection with a buffer of what has arrived; ``write`` sends frames that were made elsewhere."""

    def __init__(self, host: str, **options: Any) -> None:
        super().__init__(host, frame_handler=delivery_handler, **options)
        self._arrived, self._at = b"", 0

    def connect(self, callback: Callable[[], object] | None = None) -> Any:
        """Connect, and from then on ask for as much as there is."""
        answer = super().connect(callback)
        self.read_ahead()
        return answer

    def read_ahead(self) -> None:
        """Have the transport ask for as much as there is; with nothing there it times out, and does not spin."""
        receive = self.transport._quick_recv  # noqa: SLF001 - no public way; test_rabbitmq_frames.py sees it work

        def receive_all(size: int) -> Any:
            try:
                return receive(max(size, READ_BYTES))
            except (BlockingIOError, ssl.SSLWantReadError) as error:
                raise TimeoutError(str(error)) from error

        self.transport._quick_recv = receive_all  # noqa: SLF001 - as above

    def blocking_read(self, timeout: float | None = None) -> Any:
        """Handle the frames that have arrived, up to one that completes something; if there is none, wait for one."""
        while (frame := self._next_arrived()) is not None:
            if self.on_inbound_frame(frame):
                return True
        transport = self.transport
        with transport.having_timeout(timeout):
            frame = transport.read_frame()
        self._arrived, self._at, transport._read_buffer = transport._read_buffer, 0, b""  # noqa: SLF001 - as above
        return self.on_inbound_frame(frame)

    def write(self, frames: bytes) -> None:
        """Send frames in one write. Raises what the client raises, if the connection is closed too."""
        if not self.connected:
            raise amqp.exceptions.RecoverableConnectionError("the connection is closed")
        self.transport.write(frames)
        self.bytes_sent += 1  # of which a heartbeat only asks whether there was one

    def _next_arrived(self) -> tuple[int, int, bytes] | None:
        """Return the next frame if all of it is here; else give back its beginning, for the client to read on."""
        arrived, start = self._arrived, self._at
        left = len(arrived) - start
        if left >= _HEAD.size:
            kind, channel, size = _HEAD.unpack_from(arrived, start)
            end = start + _HEAD.size + size
            if end < len(arrived):
                if arrived[end] != FRAME_END:
                    raise amqp.exceptions.UnexpectedFrame(f"expected the end of a frame, got {arrived[end]:#04x}")
                self._at = end + 1
                return kind, channel, arrived[start + _HEAD.size : end]
        if left:
            self.transport._read_buffer = arrived[start:]  # noqa: SLF001 - as above
            self._arrived, self._at = b"", 0
        return None
