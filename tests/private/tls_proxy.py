"""A port that speaks TLS for a server that does not: what comes is passed on in the clear, to this host."""

from __future__ import annotations

import asyncio
import ssl
import threading
from concurrent.futures import Future
from contextlib import suppress

from .certificate import Certificate


class TlsProxy:
    """Listens at ``port`` of 127.0.0.1 from its making to ``close``; after a handshake it connects to another port.

    If nobody listens there the connection ends: a server that shows its certificate, and says no more.
    """

    def __init__(self, certificate: Certificate, target: int) -> None:
        self._target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.file, certificate.key)
        self._started: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()), daemon=True)
        self._thread.start()
        self.port = self._started.result()

    def close(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _listen(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        except BaseException as error:
            self._started.set_exception(error)
            raise
        self._started.set_result(int(server.sockets[0].getsockname()[1]))
        await self._stop.wait()
        server.close()  # the end of the loop ends the connections

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                upstream, to_upstream = await asyncio.open_connection("127.0.0.1", self._target)
                await asyncio.gather(_pass_on(reader, to_upstream), _pass_on(upstream, writer))
        finally:
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on until one side closes, and close the other."""
    try:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()
