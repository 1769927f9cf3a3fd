"""One batch on the wire: what each message was answered by its own confirm or return."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

from ...interface import OutgoingMessage, Refused, SendOutcome, Sent
from .properties import Address, address_of


class Flush:
    """Messages sent with ``mandatory`` on a channel that confirms, whose first delivery tag is 1 above ``last_tag``.

    A message that no queue takes is returned first and confirmed after that, so its confirm makes it Refused.
    """

    def __init__(self, channel: Any, *, last_tag: int) -> None:
        self._tag = last_tag
        self._pending: dict[int, int] = {}
        self._addresses: dict[int, tuple[str, Address]] = {}
        self._returned: dict[tuple[str, Address], deque[str]] = defaultdict(deque)
        self.outcomes: dict[int, SendOutcome] = {}
        channel.events["basic_ack"] = {self._on_ack}
        channel.events["basic_nack"] = {self._on_nack}
        channel.events["basic_return"] = {self._on_return}

    @property
    def last_tag(self) -> int:
        """The tag of the last message that was published."""
        return self._tag

    @property
    def waits(self) -> bool:
        """True while a confirm is outstanding."""
        return bool(self._pending)

    def expect(self, index: int, message: OutgoingMessage) -> None:
        """Expect the answer for the message that is sent next; its outcome will be ``outcomes[index]``."""
        self._tag += 1
        self._pending[self._tag] = index
        self._addresses[index] = (message.id, address_of(message.destination))

    def _on_ack(self, tag: int, multiple: bool) -> None:
        for index in self._take_pending(tag, multiple=multiple):
            returned = self._returned.get(self._addresses[index])
            self.outcomes[index] = Refused(reason=returned.popleft()) if returned else Sent()

    def _on_nack(self, tag: int, multiple: bool) -> None:
        for index in self._take_pending(tag, multiple=multiple):
            self.outcomes[index] = Refused(reason="the queue does not take it: it is full, or it has failed")

    def _on_return(self, error: Any, exchange: str, routing_key: str, message: Any) -> None:
        queue = f"there is no queue {routing_key!r}"
        reason = f"no queue is bound for {routing_key!r}" if exchange else queue
        sent = (message.properties.get("message_id", ""), Address(exchange, routing_key))
        self._returned[sent].append(f"{reason}; RabbitMQ answers {error.reply_code} {error.reply_text}")

    def _take_pending(self, tag: int, *, multiple: bool) -> Sequence[int]:
        tags = [pending for pending in self._pending if pending <= tag] if multiple else [tag]
        return [self._pending.pop(one) for one in tags if one in self._pending]
