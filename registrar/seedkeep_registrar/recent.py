"""Answers of the database that are asked for again and again, remembered for a few seconds.

Bounded. What may not be a few seconds old, such as a taint, is forgotten at once with :meth:`Recent.clear`;
the short life of a memory covers what another process of the registrar writes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """
    Args:
        look_up: asks the database; ``None`` means that there is no such thing.
        clock: seconds that never go back.
        known_s, unknown_s: how long an answer, and the lack of one, is remembered.
        limit: most answers remembered.
    """

    def __init__(
        self,
        look_up: Callable[[K], Awaitable[V | None]],
        clock: Callable[[], float],
        *,
        known_s: float = 10.0,
        unknown_s: float = 2.0,
        limit: int = 100_000,
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._known_s = known_s
        self._unknown_s = unknown_s
        self._limit = limit
        self._answers: OrderedDict[K, tuple[float, V | None]] = OrderedDict()
        self._epoch = 0

    async def find(self, key: K) -> V | None:
        """The answer for ``key``; never one from before the last :meth:`clear` or :meth:`forget`."""
        remembered = self._answers.get(key)
        if remembered is not None and remembered[0] > self._clock():
            return remembered[1]
        while True:
            epoch = self._epoch
            answer = await self._look_up(key)
            if epoch == self._epoch:  # else something has changed while we asked
                self._remember(key, answer)
                return answer

    def _remember(self, key: K, answer: V | None) -> None:
        life = self._unknown_s if answer is None else self._known_s
        self._answers[key] = (self._clock() + life, answer)
        self._answers.move_to_end(key)
        if len(self._answers) > self._limit:
            self._answers.popitem(last=False)

    def forget(self, key: K) -> None:
        """Ask again for this key."""
        self._epoch += 1
        self._answers.pop(key, None)

    def clear(self) -> None:
        """Ask again for everything."""
        self._epoch += 1
        self._answers.clear()
