"""Which info-hashes the tracker serves: registered and untainted ones, remembered for a while.

The memory is bounded. :meth:`Registered.taints_changed` forgets everything at once, so that a taint is
obeyed by the next announce; the short life of a memory is for taints that another process records.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_KNOWN_S = 10.0
_UNKNOWN_S = 2.0
_MAX_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Content:
    """What an info-hash stands for.

    Attributes:
        content_id: 64 hex digits.
        companion: whether the info-hash is the v1 one.
        tainted: whether a standing taint forbids it.
    """

    content_id: str
    companion: bool
    tainted: bool


#: asks the store about 20 bytes of info-hash
LookUp = Callable[[bytes], Awaitable[Content | None]]


class Registered:
    """
    Args:
        look_up: asks the store.
        clock: seconds that never go back.
    """

    def __init__(self, look_up: LookUp, clock: Callable[[], float]) -> None:
        self._look_up = look_up
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Content | None]] = OrderedDict()
        self._epoch = 0

    async def find(self, info_hash: bytes) -> Content | None:
        """What this info-hash stands for, or None when it is not registered."""
        remembered = self._known.get(info_hash)
        if remembered is not None and remembered[0] > self._clock():
            return remembered[1]
        epoch = self._epoch
        content = await self._look_up(info_hash)
        if epoch == self._epoch:  # else a taint came while we asked
            self._remember(info_hash, content)
        return content if epoch == self._epoch else await self.find(info_hash)

    def _remember(self, info_hash: bytes, content: Content | None) -> None:
        life = _UNKNOWN_S if content is None else _KNOWN_S
        self._known[info_hash] = (self._clock() + life, content)
        self._known.move_to_end(info_hash)
        if len(self._known) > _MAX_REMEMBERED:
            self._known.popitem(last=False)

    def registered(self, info_hash: bytes) -> None:
        """A dataset has just been registered: ask again for this info-hash."""
        self._known.pop(info_hash, None)

    def taints_changed(self) -> None:
        """A taint or lift has just taken effect."""
        self._epoch += 1
        self._known.clear()
