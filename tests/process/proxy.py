"""Stand between workers and the server, and keep things from coming through."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import suppress

TO_SERVER, TO_CLIENT = "to the server", "to the client"


class Proxy:
    """A TCP proxy that can stop forwarding either way without closing anything, and lose a single answer.

    ``lose_answer_to(*words)``: the first connection that sends these words, one after the other, is closed before it
    gets the answer to the last of them, which the server has obeyed by then. ``delay_seconds``: before anything is
    forwarded, either way. ``is_refusing``: new connections end at once, as if nobody listened.
    """

    def __init__(self, host: str, port: int, *, delay_seconds: float = 0.0) -> None:
        self._delay_seconds = delay_seconds
        self.silent: set[str] = set()
        self.is_refusing = False
        self.is_bell_muted = False
        self.muted_rings = 0
        self.lost_answers = 0
        self._words: tuple[bytes, ...] = ()
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_answer_to(self, *words: bytes) -> None:
        """Do so once from now on; whether letters are large or small does not matter."""
        self._words = tuple(word.lower() for word in words)

    def lead_to(self, port: int) -> None:
        """Connect those who come from now on to another server of this host."""
        self._target = ("127.0.0.1", port)

    def cut(self) -> int:
        """End all connections, whatever is under way on them, and return how many there were."""
        ends = [end for end in self._open[1:] if end.fileno() >= 0]
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        del self._open[1:]
        return len(ends) // 2

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.is_refusing:
                    client.close()
                    continue
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()  # the server is down, as a client without a proxy would find
                    continue
                self._open += [client, server]
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        """Forward until one side closes; what came while a way was silent is gone with its connection."""
        deaf: set[socket.socket] = set()
        is_bell = False
        heard = 0
        with suppress(OSError, ValueError), client, server:
            while len(deaf) < 2:
                for source in select.select([client, server], [], [], 0.02)[0]:
                    way, target = (TO_SERVER, server) if source is client else (TO_CLIENT, client)
                    data = source.recv(65_536)
                    if not data:
                        return
                    if self._delay_seconds:
                        time.sleep(self._delay_seconds)
                    is_bell = is_bell or (way == TO_SERVER and b"LISTEN" in data)
                    if way == TO_SERVER and self._words[heard : heard + 1]:
                        heard += self._words[heard] in data.lower()
                    elif way == TO_CLIENT and heard and heard == len(self._words):
                        self._words = ()
                        self.lost_answers += 1
                        return
                    if is_bell and self.is_bell_muted and way == TO_CLIENT:
                        data = self._without_notifications(data)
                    if way in self.silent or source in deaf:
                        deaf.add(source)
                    else:
                        target.sendall(data)

    def _without_notifications(self, data: bytes) -> bytes:
        """Leave out NotificationResponse; PostgreSQL manual, "Message Formats". Its messages come whole here."""
        kept = b""
        while data:
            end = 1 + int.from_bytes(data[1:5], "big")
            if data[:1] == b"A":
                self.muted_rings += 1
            else:
                kept += data[:end]
            data = data[end:]
        return kept

    def close(self) -> None:
        for one in self._open:
            one.close()
