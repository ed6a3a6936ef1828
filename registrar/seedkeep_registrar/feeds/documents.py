"""Feeds as XML; pure.

Sources: RSS 2.0.11 (https://www.rssboard.org/rss-specification), Atom (RFC 4287), paged feeds (RFC 5005).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from xml.etree.ElementTree import Element, SubElement, tostring

from seedkeep_registrar import times

TORRENT = "application/x-bittorrent"
RSS, ATOM = "application/rss+xml", "application/atom+xml"
_ATOM = "http://www.w3.org/2005/Atom"
_DC = "http://purl.org/dc/elements/1.1/"
# what XML 1.0 cannot hold
_UNSAYABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Item:
    """One dataset.

    Args:
        page: its landing page, which is also its identity.
        torrent: URL of the torrent that the client of this feed can use.
        published, updated: Unix seconds.
    """

    page: str
    title: str
    summary: str
    torrent: str
    creators: tuple[str, ...]
    subjects: tuple[str, ...]
    license: str
    published: float
    updated: float


@dataclass(frozen=True, slots=True)
class Feed:
    """One page of a feed.

    Args:
        page: the web page of the same list.
        here, first: addresses of this page of the feed and of the first one. ``next``: or "".
        updated: of its newest entry or change, Unix seconds.
        author: who publishes it.
    """

    title: str
    subtitle: str
    page: str
    here: str
    first: str
    next: str
    updated: float
    author: str
    items: Sequence[Item]

    @property
    def links(self) -> list[tuple[str, str]]:
        """Relations and addresses of the pages of the feed, RFC 5005."""
        every = [("self", self.here), ("first", self.first), ("next", self.next)]
        return [(relation, address) for relation, address in every if address]


def _say(text: str) -> str:
    return _UNSAYABLE.sub("\ufffd", text)


def _add(parent: Element, name: str, text: str = "", **attributes: str) -> Element:
    made = SubElement(parent, name, {key: _say(value) for key, value in attributes.items()})
    made.text = _say(text) or None
    return made


def _document(root: Element) -> bytes:
    data: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return data


def rss(feed: Feed) -> bytes:
    """The feed as RSS 2.0; every item has its torrent as enclosure."""
    root = Element("rss", {"version": "2.0", "xmlns:atom": _ATOM, "xmlns:dc": _DC})
    channel = SubElement(root, "channel")
    _add(channel, "title", feed.title)
    _add(channel, "link", feed.page)
    _add(channel, "description", feed.subtitle or feed.title)
    _add(channel, "lastBuildDate", _rfc_822(feed.updated))
    _add(channel, "generator", "Seedkeep")
    for relation, address in feed.links:
        _add(channel, "atom:link", rel=relation, href=address, type=RSS)
    for item in feed.items:
        entry = SubElement(channel, "item")
        _add(entry, "title", item.title)
        _add(entry, "link", item.page)
        _add(entry, "guid", item.page, isPermaLink="true")
        _add(entry, "pubDate", _rfc_822(item.published))
        _add(entry, "description", item.summary)
        for creator in item.creators:
            _add(entry, "dc:creator", creator)
        for subject in item.subjects:
            _add(entry, "category", subject)
        # a length is required; 0 says that it is not known before the torrent is made
        _add(entry, "enclosure", url=item.torrent, length="0", type=TORRENT)
    return _document(root)


def atom(feed: Feed) -> bytes:
    """The feed as Atom; every entry has its torrent as enclosure."""
    root = Element("feed", xmlns=_ATOM)
    _add(root, "id", feed.first)
    _add(root, "title", feed.title)
    if feed.subtitle:
        _add(root, "subtitle", feed.subtitle)
    _add(root, "updated", times.text(feed.updated))
    _add(SubElement(root, "author"), "name", feed.author)
    _add(root, "generator", "Seedkeep")
    _add(root, "link", rel="alternate", href=feed.page, type="text/html")
    for relation, address in feed.links:
        _add(root, "link", rel=relation, href=address, type=ATOM)
    for item in feed.items:
        entry = SubElement(root, "entry")
        _add(entry, "id", item.page)
        _add(entry, "title", item.title)
        _add(entry, "published", times.text(item.published))
        _add(entry, "updated", times.text(item.updated))
        for creator in item.creators:
            _add(SubElement(entry, "author"), "name", creator)
        for subject in item.subjects:
            _add(entry, "category", term=subject)
        _add(entry, "rights", item.license)
        _add(entry, "summary", item.summary)
        _add(entry, "link", rel="alternate", href=item.page, type="text/html")
        _add(entry, "link", rel="enclosure", href=item.torrent, type=TORRENT)
    return _document(root)


def _rfc_822(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(int(seconds), UTC), usegmt=True)
