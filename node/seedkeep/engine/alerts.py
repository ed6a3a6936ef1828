"""libtorrent's alerts as frozen dataclasses of our own.

An alert object dies at the next ``pop_alerts``, so what is needed of it is copied at once. This module
knows the alerts by their class names and imports nothing of libtorrent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Listening:
    """A TCP socket is open."""

    port: int


@dataclass(frozen=True, slots=True)
class ListenFailed:
    endpoint: str
    reason: str


@dataclass(frozen=True, slots=True)
class Added:
    """A torrent is in the session, or could not be added (``error``)."""

    key: str
    handle: Any
    error: str


@dataclass(frozen=True, slots=True)
class Removed:
    """A torrent is gone, its last byte written and its files closed."""

    key: str


@dataclass(frozen=True, slots=True)
class Checked:
    handle: Any


@dataclass(frozen=True, slots=True)
class Chosen:
    """The files that are wanted have changed."""

    handle: Any


@dataclass(frozen=True, slots=True)
class Finished:
    handle: Any


@dataclass(frozen=True, slots=True)
class Flushed:
    """Everything written so far has left libtorrent's cache."""

    handle: Any


@dataclass(frozen=True, slots=True)
class Stopped:
    """libtorrent put the torrent into an error state. ``code`` is the errno where it is one."""

    handle: Any
    code: int
    reason: str
    path: str


@dataclass(frozen=True, slots=True)
class Statuses:
    """Fresh ``torrent_status`` objects (values, safe to keep)."""

    changed: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ResumeData:
    """Encoded resume data; None when there is nothing new to save, or no way to tell now."""

    handle: Any
    data: bytes | None


@dataclass(frozen=True, slots=True)
class HashFailed:
    handle: Any
    piece: int


@dataclass(frozen=True, slots=True)
class Banned:
    handle: Any
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class PieceDone:
    """A piece is verified and handed to the disk."""

    handle: Any
    piece: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """The queue overflowed; unknown alerts are missing."""


Alert = (
    Listening
    | ListenFailed
    | Added
    | Removed
    | Checked
    | Chosen
    | Finished
    | Flushed
    | Stopped
    | Statuses
    | ResumeData
    | HashFailed
    | Banned
    | PieceDone
    | Dropped
)


def key_of(info_hashes: Any) -> str:
    """Content id (64 hex) of anything with a v2 part, else the v1 info-hash (40 hex)."""
    return str(info_hashes.v2 if info_hashes.has_v2() else info_hashes.v1)


def _listening(alert: Any) -> Alert | None:
    return Listening(alert.port) if str(alert.socket_type) == "tcp" else None


def _listen_failed(alert: Any) -> Alert | None:
    if str(alert.socket_type) != "tcp":
        return None
    return ListenFailed(f"{alert.address}:{alert.port}", alert.error.message())


def _added(alert: Any) -> Alert:
    error = alert.error.message() if alert.error.value() else ""
    return Added(key_of(alert.params.ti.info_hashes()), alert.handle, error)


def _file_error(alert: Any) -> Alert:
    return Stopped(alert.handle, alert.error.value(), alert.error.message(), alert.filename())


def _torrent_error(alert: Any) -> Alert:
    return Stopped(alert.handle, alert.error.value(), alert.error.message(), "")


def _banned(alert: Any) -> Alert:
    return Banned(alert.handle, *alert.ip)


_COPY: dict[str, Callable[[Any], Alert | None]] = {
    "listen_succeeded_alert": _listening,
    "listen_failed_alert": _listen_failed,
    "add_torrent_alert": _added,
    "torrent_removed_alert": lambda a: Removed(key_of(a.info_hashes)),
    "torrent_checked_alert": lambda a: Checked(a.handle),
    "file_prio_alert": lambda a: Chosen(a.handle),
    "torrent_finished_alert": lambda a: Finished(a.handle),
    "cache_flushed_alert": lambda a: Flushed(a.handle),
    "file_error_alert": _file_error,
    "torrent_error_alert": _torrent_error,
    "state_update_alert": lambda a: Statuses(tuple(a.status)),
    "save_resume_data_failed_alert": lambda a: ResumeData(a.handle, None),
    "hash_failed_alert": lambda a: HashFailed(a.handle, a.piece_index),
    "peer_ban_alert": _banned,
    "piece_finished_alert": lambda a: PieceDone(a.handle, a.piece_index),
    "alerts_dropped_alert": lambda a: Dropped(),
}


def copied(alerts: Iterable[Any], write_resume: Callable[[Any], bytes]) -> Iterator[Alert]:
    """The alerts that matter, copied, in order. Consume it before the next ``pop_alerts``.

    Args:
        alerts: libtorrent's.
        write_resume: encodes ``add_torrent_params``; it may change them (they are the alert's own).
    """
    for alert in alerts:
        name = type(alert).__name__
        if name == "save_resume_data_alert":
            yield ResumeData(alert.handle, write_resume(alert.params))
        elif (copy := _COPY.get(name)) is not None and (mine := copy(alert)) is not None:
            yield mine
