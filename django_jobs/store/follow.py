"""Follow: see to what depends on runs that have just been saved, in the transaction that saved them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..policy.links import Links
from .dialects.base import Ended
from .settle import settle


def follow(ended: Sequence[Ended], *, using: str) -> None:
    """Do for each kind of link what the ends of these runs ask for. Only runs whose claim stood are given."""
    for link, see_to in _DUTIES.items():
        linked = [one for one in ended if one.claim.links & link]
        if linked:
            see_to(linked, using=using)


_DUTIES: dict[Links, Callable[..., None]] = {Links.LIMITED: settle}
