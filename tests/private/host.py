"""Another host, for programs of a test: a network namespace, and a cable to this one that may be cut, slow or lossy.

The cable is a pair of TUN devices, between which a thread of this process carries the packets. tc's netem would do so
too, but many kernels come without it.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from itertools import count
from pathlib import Path

import pytest

from tests.required import is_missing

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
TUN = Path("/dev/net/tun")


class Host:
    """``run`` begins a command that runs there. From there this host is ``address``, and that one is ``own_address``.

    ``delay_seconds``: of each packet, either way. ``loss``: the share of packets that do not arrive. ``is_cut``: none
    does, and neither side is told. ``lost``: how many did not.
    """

    def __init__(self, *, delay_seconds: float = 0.0, loss: float = 0.0) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root may make a network namespace")
        if shutil.which("ip") is None:
            is_missing("ip (Debian: iproute2)")
        self.delay_seconds, self.loss, self.is_cut, self.lost = delay_seconds, loss, False, 0
        number = os.getpid()
        self._name = f"dj{number}"
        self.run = ("ip", "netns", "exec", self._name)
        # 198.18.0.0/15 is for tests of networks: RFC 2544
        network, last = f"198.18.{number // 64 % 256}", number % 64 * 4
        self.address, self.own_address = f"{network}.{last + 1}", f"{network}.{last + 2}"
        self._ends: list[int] = []
        self._thread: threading.Thread | None = None
        self._closing, self._closed = os.pipe()
        try:
            self._make()
        except (OSError, subprocess.CalledProcessError) as error:
            self.remove()
            reason = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
            is_missing(f"network namespaces and {TUN}: this machine does not allow them: {reason}")
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def remove(self) -> None:
        """Remove the host and the cable; what runs there has ended."""
        os.close(self._closed)
        if self._thread is not None:
            self._thread.join()
        for end in (*self._ends, self._closing):
            os.close(end)
        subprocess.run(["ip", "netns", "delete", self._name], check=False, capture_output=True)

    def _make(self) -> None:
        _ip("netns", "add", self._name)
        here, there = f"{self._name}a", f"{self._name}b"
        self._ends = [_open_tun(here), _open_tun(there)]
        _ip("link", "set", there, "netns", self._name)
        _ip("address", "add", self.address, "peer", self.own_address, "dev", here)
        _ip("link", "set", here, "up")
        _ip("-n", self._name, "address", "add", self.own_address, "peer", self.address, "dev", there)
        for device in (there, "lo"):
            _ip("-n", self._name, "link", "set", device, "up")

    def _carry(self) -> None:
        """Carry packets until ``remove``, in the order in which they came."""
        here, there = self._ends
        dice, numbers = random.Random(1), count()
        on_the_way: list[tuple[float, int, int, bytes]] = []
        while True:
            wait = max(on_the_way[0][0] - time.monotonic(), 0) if on_the_way else None
            ready = select.select([here, there, self._closing], [], [], wait)[0]
            if self._closing in ready:
                return
            for end in ready:
                packet = os.read(end, 65_536)
                if self.is_cut or dice.random() < self.loss:
                    self.lost += 1
                    continue
                due, target = time.monotonic() + self.delay_seconds, there if end == here else here
                heapq.heappush(on_the_way, (due, next(numbers), target, packet))
            while on_the_way and on_the_way[0][0] <= time.monotonic():
                _, _, target, packet = heapq.heappop(on_the_way)
                if not self.is_cut:
                    os.write(target, packet)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def _open_tun(name: str) -> int:
    end = os.open(TUN, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    except OSError:
        os.close(end)
        raise
    return end
