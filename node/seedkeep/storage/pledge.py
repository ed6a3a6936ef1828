"""The pledge: a hard limit on what the data directory allocates.

At every moment

    overhead + room + Σ reserved ≤ pledge        and        free space on the disk − Σ not yet written ≥ floor

where *overhead* is what everything but datasets allocates (database, write-ahead log, taint lists,
directories, strangers), *room* is what the database may still grow by, and a dataset's *reserved* bytes
are an upper bound of what it allocates (:meth:`Layout.footprint`) until it is complete and measured. Because
a reservation is durable before the first byte of a dataset is written, the sum holds after a crash as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from seedkeep.core.errors import NoSpace, UsageError
from seedkeep.core.units import print_size
from seedkeep.storage.database import ROOM
from seedkeep.storage.layout import Layout
from seedkeep.storage.model import Holding, Phase

#: the smallest dataset worth a pledge
_LEAST = 512 << 10


@dataclass(frozen=True, slots=True)
class Account:
    """The pledge as it stands, in allocated bytes.

    Args:
        used: overhead and complete datasets.
        reserved: room for the state and for datasets on their way.
        free: what may still be reserved; negative when the pledge was lowered below what is held.
    """

    pledge: int
    used: int
    reserved: int
    free: int


class Pledge:
    """Grants reservations within the limit.

    Args:
        limit: the pledge, bytes.
        floor: free space on the disk that is left to others, bytes.
        holdings: the datasets as they stand; reservations are read from them.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        limit: int,
        floor: int,
        holdings: Callable[[], Mapping[str, Holding]],
    ) -> None:
        self._layout = layout
        self.limit = limit
        self._floor = floor
        self._holdings = holdings
        self._overhead = 0
        self.strangers: tuple[str, ...] = ()
        #: held from :meth:`require` until what was asked for is reserved or written, so that it is given once
        self.turn = asyncio.Lock()

    def measure(self) -> None:
        """Look at the disk again. Blocks.

        Only the overhead is measured: the datasets' share is bounded by their reservations.
        """
        self._overhead, strangers = self._layout.overhead(frozenset(self._holdings()))
        self.strangers = tuple(sorted(strangers))

    def check_size(self) -> None:
        """
        Raises:
            UsageError: the pledge cannot hold even the node's own state and one small dataset.
        """
        least = self._overhead + ROOM + _LEAST
        if not self._holdings() and self.limit < least:
            raise UsageError(
                f"a pledge of {print_size(self.limit)} is too small: the node's own files take"
                f" {print_size(self._overhead + ROOM)} of it",
                hint=f"Pledge at least {print_size(-(-least // 10**5) * 10**5)}.",
            )

    def account(self) -> Account:
        """The sums, from memory and the last :meth:`measure`."""
        held = self._holdings().values()
        complete = sum(h.reserved for h in held if h.phase is Phase.COMPLETE)
        coming = sum(h.reserved for h in held if h.phase is not Phase.COMPLETE)
        used, reserved = self._overhead + complete, ROOM + coming
        return Account(self.limit, used, reserved, self.limit - used - reserved)

    def require(self, size: int, what: str, *, instead_of: int = 0) -> None:
        """Check that ``size`` bytes can be reserved now; reserving them is the caller's next step. Blocks.

        Args:
            what: names the thing in the error.
            instead_of: bytes of an earlier reservation that this one replaces.

        Raises:
            NoSpace: the pledge or the disk has no room for it.
        """
        self.measure()
        free = self.account().free + instead_of
        if size > free:
            raise NoSpace(
                f"{what} needs {print_size(size)}; {print_size(max(free, 0))} of the pledge are free",
                hint="Raise the pledge to take it.",
            )
        unwritten = sum(
            max(0, h.reserved - self._layout.taken_by(h.content_id))
            for h in self._holdings().values()
            if h.phase not in (Phase.COMPLETE, Phase.REMOVING)
        )
        left = self._layout.free_on_disk() - max(0, unwritten - instead_of) - size
        if left < self._floor:
            raise NoSpace(
                f"{what} would leave less than {print_size(self._floor)} free on the disk",
                hint="Free some space on the disk, or lower the setting `floor`.",
            )
