"""Requests to the fork server, and its answers: datagrams on Unix sockets, with descriptors.

A request is the number of its descriptors, whether the process dies with its parent, and what to call, pickled as
``multiprocessing`` pickles what it passes to a process that it spawns: pipes and shared memory go as descriptors.
Answers are whole numbers: the process's id, with its pidfd, or an error's number, negative; later the exit code.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from errno import EMFILE
from multiprocessing.context import set_spawning_popen
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

MAX_BYTES = 100_000
MAX_DESCRIPTORS = 16
CLOSE_ON_EXEC: int = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

_received: list[int] = []
"""In a new process: the descriptors that came with its request."""


class Call(NamedTuple):
    """The function that the new process calls, and the name of the process."""

    target: Callable[..., object]
    args: tuple[Any, ...]
    name: str


class _PassedDescriptor:
    """Stands for a descriptor in a request."""

    def __init__(self, index: int) -> None:
        self._index = index

    def detach(self) -> int:
        """Return its number in the new process."""
        return _received[self._index]


class _Recipient:
    """Collects descriptors while a call is pickled, in the place of the object that starts a process."""

    DupFd = _PassedDescriptor

    def __init__(self) -> None:
        self.descriptors: list[int] = []

    def duplicate_for_child(self, descriptor: int) -> int:
        """Add a descriptor and return its index."""
        self.descriptors.append(descriptor)
        return len(self.descriptors) - 1


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets that keep datagrams apart and tell the end of the other."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send_request(channel: socket.socket, call: Call, *, answers: socket.socket, dies_with_parent: bool) -> None:
    """Ask for a process; ``answers`` is where the fork server is to answer."""
    recipient: Any = _Recipient()
    set_spawning_popen(recipient)
    try:
        pickled = bytes(ForkingPickler.dumps(call))
    finally:
        set_spawning_popen(None)
    head = b"%d:%d:" % (len(recipient.descriptors), dies_with_parent)
    socket.send_fds(channel, [head + pickled], [answers.fileno(), *recipient.descriptors])


class Request(NamedTuple):
    """A request as received. Its descriptors belong to the receiver."""

    answers: socket.socket
    pickled: bytes
    descriptors: list[int]
    dies_with_parent: bool
    is_complete: bool
    """Not all descriptors are received by a process that has no number left for them."""

    def call(self) -> Call:
        """Return what the new process does; there, and once."""
        _received[:] = self.descriptors
        call: Call = ForkingPickler.loads(self.pickled)
        return call

    def close(self) -> None:
        """Close the descriptors, except that of the answers."""
        for descriptor in self.descriptors:
            os.close(descriptor)


def receive_request(channel: socket.socket) -> Request | None:
    """Return the next request; None if there will be none. Raises OSError if its answers cannot be received."""
    data, descriptors, _, _ = socket.recv_fds(channel, MAX_BYTES, MAX_DESCRIPTORS, CLOSE_ON_EXEC)
    if not data:
        return None
    if not descriptors:
        raise OSError(EMFILE, os.strerror(EMFILE))
    count, dies, pickled = data.split(b":", 2)
    answers, passed = socket.socket(fileno=descriptors[0]), descriptors[1:]
    return Request(answers, pickled, passed, dies == b"1", len(passed) == int(count))


def send_answer(answers: socket.socket, number: int, *descriptors: int) -> None:
    """Answer with a number and descriptors. Raises OSError if nobody receives it."""
    socket.send_fds(answers, [b"%d" % number], descriptors)


def receive_answer(answers: socket.socket) -> tuple[int, list[int]] | None:
    """Return the next number and its descriptors; None if there will be none."""
    data, descriptors, _, _ = socket.recv_fds(answers, MAX_BYTES, 1, CLOSE_ON_EXEC)
    return (int(data), descriptors) if data else None
