"""When to take up a web seed anew and when to give it up: a state machine without I/O.

libtorrent leaves a file of a web seed alone for good after one 4xx or 5xx answer, also when the
answer came from a redirect target whose signature had merely expired, and tries a server that
ignores ``Range`` for ever. This machine turns such reports into *renewals* (forget the web seed and its
redirect targets, add the original URL again) with growing pauses, and into *drops* once
``tries`` renewals in a row have not brought a single byte.

It speaks of original URLs only. A failure that cannot be laid at one URL's door (``url=None``: a
redirect target's) is shared by all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_PAUSE = 60.0
#: a failure this long after the last renewal starts again from the shortest pause
CALM = 30.0


@dataclass(frozen=True, slots=True)
class Renew:
    """Remove these URLs and everything they redirected to, then add them again."""

    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """Remove this URL for good; ``reason`` is for a person."""

    url: str
    reason: str


@dataclass(slots=True)
class _Seed:
    strikes: int = 0
    pause: float = 0.0
    reason: str = ""
    due: float | None = None
    renewed: float = float("-inf")
    received: int = 0


class WebSeedWatch:
    """The web seeds of one torrent.

    Args:
        urls: the original URLs.
        retry: seconds before the first renewal.
        tries: renewals in a row without a byte gained before a drop.
        stall: seconds without a byte before silence counts as a failure.
    """

    def __init__(self, urls: tuple[str, ...], *, retry: float, tries: int, stall: float) -> None:
        self._retry, self._tries, self._stall = retry, tries, stall
        self._seeds: dict[str, _Seed] = {url: _Seed() for url in urls}
        self._quiet_since: float | None = None
        self._activity: int = -1

    @property
    def urls(self) -> tuple[str, ...]:
        """The original URLs still in use."""
        return tuple(self._seeds)

    def add(self, url: str) -> None:
        """Start (again) with one URL, its past forgotten."""
        self._seeds[url] = _Seed()

    def failed(self, url: str | None, reason: str, now: float) -> None:
        """A request to ``url``, or to a redirect target (None), went wrong; see :meth:`poll`."""
        blamed = [url] if url in self._seeds else list(self._seeds)
        for name in blamed:
            seed = self._seeds[str(name)]
            seed.reason = reason
            if seed.due is not None:
                continue
            if now - seed.renewed > max(CALM, 2 * seed.pause):
                seed.pause = 0.0
            seed.pause = min(2 * seed.pause or self._retry, LONGEST_PAUSE)
            seed.due = now + seed.pause

    def lied(self, url: str | None) -> list[Drop]:
        """``url`` (or, unknown, whichever it was) sent bytes that do not verify: no second chance.

        With several suspects nobody is condemned; the liar's target is banned by the engine already, and a
        web seed that redirects to it again gains nothing and is dropped for that.
        """
        suspects = [url] if url in self._seeds else list(self._seeds)
        if len(suspects) != 1:
            return []
        name = str(suspects[0])
        del self._seeds[name]
        return [Drop(name, "it sent wrong bytes")]

    def poll(self, now: float, received: int, activity: int) -> Renew | list[Drop] | None:
        """What to do now, called every second or so while the torrent downloads.

        Args:
            received: bytes web seeds have brought so far.
            activity: any number that changes when something moves (bytes of peers, half blocks).
        """
        if activity != self._activity or self._quiet_since is None:
            self._activity, self._quiet_since = activity, now
        elif now - self._quiet_since >= self._stall:
            self._quiet_since = now
            self.failed(None, "it went silent", now)
        due = [url for url, seed in self._seeds.items() if seed.due is not None and seed.due <= now]
        drops = []
        for url in due:
            seed = self._seeds[url]
            seed.strikes = 0 if received > seed.received else seed.strikes + 1
            seed.received = received
            seed.due, seed.renewed = None, now
            if seed.strikes > self._tries:
                drops.append(Drop(url, f"{seed.reason} ({self._tries} more tries brought nothing)"))
        for drop in drops:
            del self._seeds[drop.url]
        if drops:
            return drops
        return Renew(tuple(due)) if due else None

    def rest(self) -> None:
        """Nothing is being downloaded: silence is no failure now."""
        self._quiet_since = None
