"""Writes down how many copies every dataset has, so that its page can show how that went over time."""

from __future__ import annotations

from seedkeep_registrar.context import Registrar
from seedkeep_registrar.store import copy_counts

#: how often it is done, in seconds
EVERY_S = 1800.0
_AT_ONCE = 1000
#: of older days only the last counts are kept, in seconds
_HOURLY_KEPT_S = 14 * 86400.0


async def count_copies(registrar: Registrar) -> None:
    """Write down the counts that have changed, a thousand datasets at a time."""
    after, more = "", True
    while more:
        found, after = await registrar.db.read(copy_counts.changed, after, _AT_ONCE, registrar.clock())
        if found:
            await registrar.db.write(copy_counts.put, found)
        more = after != ""
    await registrar.db.write(copy_counts.thin, registrar.clock() - _HOURLY_KEPT_S)
