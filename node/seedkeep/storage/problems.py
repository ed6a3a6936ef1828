"""What is wrong right now, in words for the node's operator; shown in the status and told to registrars."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)
#: so many are remembered, the newest
MOST = 200


class Problems:
    """One sentence per thing that is wrong; gone again once it is right."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def tell(self, thing: str, text: str) -> None:
        """``text`` replaces what was said about ``thing`` before."""
        if self._texts.get(thing) != text:
            log.warning("%s", text)
        self._texts[thing] = text
        if len(self._texts) > MOST:
            del self._texts[next(iter(self._texts))]

    def clear(self, thing: str) -> None:
        """``thing`` is right again."""
        self._texts.pop(thing, None)

    def texts(self) -> tuple[str, ...]:
        """All sentences, oldest first."""
        return tuple(self._texts.values())
