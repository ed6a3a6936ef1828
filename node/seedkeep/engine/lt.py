"""The engine on libtorrent 2.1: the one module that imports it.

Calls into libtorrent are either posts (answered by an alert) or run in a thread, so the event loop never
waits for its network thread. Alerts wake the loop through a socket pair. Every half second it posts the
changed statuses; :class:`~seedkeep.engine.torrent.Torrent` turns them into what callers see.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any
from weakref import WeakValueDictionary

import libtorrent

from seedkeep.core.errors import Error, HostileMetainfo, InvalidInput, NotFound
from seedkeep.engine import alerts as al
from seedkeep.engine.feeder import Feeder
from seedkeep.engine.metainfo_check import require_safe_pieces, require_same_files, require_there
from seedkeep.engine.model import Engine, EngineEvent, EngineSettings, TorrentSpec, TorrentStatus
from seedkeep.engine.reactions import Reactions
from seedkeep.engine.session_settings import choose_ports, session_settings
from seedkeep.engine.subscribers import Subscribers
from seedkeep.engine.torrent import Torrent
from seedkeep.engine.waiting import to_the_end, wait_in

log = logging.getLogger(__name__)

#: untyped on purpose: the stubs of the wheel describe another version
lt: Any = libtorrent

TICK = 0.5
#: a .torrent of up to this size is parsed on the loop (well under 50 ms), a larger one in a thread
SMALL_METAINFO = 128 * 1024
LOAD_LIMITS = {"max_buffer_size": 512 * 1024 * 1024, "max_pieces": 0x200000, "max_decode_tokens": 10_000_000}
ANSWER_SECONDS = 10.0
MASK = (
    lt.alert_category.error
    | lt.alert_category.status
    | lt.alert_category.storage
    | lt.alert_category.peer
    | lt.alert_category.piece_progress
)

#: so that a node of many torrents does not fall upon its tracker
_ANNOUNCES_A_SECOND = 100


def libtorrent_engine(settings: EngineSettings) -> Engine:
    """An engine that talks to the BitTorrent network. Nothing happens before ``start``."""
    return LibtorrentEngine(settings)


class LibtorrentEngine:
    """See :class:`seedkeep.engine.model.Engine`."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._session: Any = None
        self._closed = False
        self._port = 0
        self._subscribers = Subscribers()
        self._feeder = Feeder(settings, self._subscribers, _progress)
        self._reactions = Reactions(self._subscribers, self._feeder)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._adding: dict[str, asyncio.Future[al.Added]] = {}
        self._removing: dict[str, asyncio.Future[None]] = {}
        self._listening: asyncio.Future[int] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake: tuple[socket.socket, socket.socket] | None = None

    # -- life ------------------------------------------------------------------------------------

    async def start(self) -> None:
        if self._session is not None or self._closed:
            raise Error("The engine was started twice.", hint="Make a new one.")
        listen = choose_ports(self._settings.listen)
        loop = asyncio.get_running_loop()
        self._listening = loop.create_future()
        self._wake = socket.socketpair()
        for end in self._wake:
            end.setblocking(False)
        self._feeder.start()
        pack = session_settings(self._settings, listen, int(MASK))
        self._session = await asyncio.to_thread(lt.session, pack)
        if self._settings.down_limit or self._settings.up_limit:
            self._limit_everyone()
        self._session.set_alert_fd(self._wake[1].fileno())
        loop.add_reader(self._wake[0].fileno(), self._on_wake)
        self._on_wake()
        self._own(self._tick())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._port = await self._listening
        except (TimeoutError, Error) as error:
            await self.close()
            raise Error(
                f"Cannot listen for peers on {listen}: {error or 'no answer'}.",
                hint="Another program may use the port; choose another one in the settings.",
            ) from error

    async def close(self) -> Mapping[str, bytes]:
        if self._closed:
            return {}
        self._closed = True
        saved: Mapping[str, bytes] = {}
        await self._feeder.close()
        if self._session is not None:
            self._session.pause()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    saved = await self._save_changed()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._reactions.end(Error("The engine was closed."))
        await self._end_session()
        return saved

    async def _end_session(self) -> None:
        """Drop the session in a thread (its destructor waits for the last trackers), then the sockets."""
        if self._wake is not None:
            asyncio.get_running_loop().remove_reader(self._wake[0].fileno())
        if self._session is not None:
            holder, self._session = [self._session], None
            await asyncio.to_thread(holder.clear)
        if self._wake is not None:
            for end in self._wake:
                end.close()
            self._wake = None

    @property
    def listen_port(self) -> int:
        return self._port

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- torrents --------------------------------------------------------------------------------

    async def add(self, spec: TorrentSpec) -> None:
        self._running()
        async with self._locks.setdefault(spec.key, asyncio.Lock()):
            torrent = self._reactions.get(spec.key)
            if torrent is not None:
                await self._renew_spec(torrent, spec)
                return
            await to_the_end(self._take_on(spec, await self._loaded(spec)))

    async def _take_on(self, spec: TorrentSpec, params: Any) -> None:
        answer: asyncio.Future[al.Added] = asyncio.get_running_loop().create_future()
        self._adding[spec.key] = answer
        try:
            self._session.async_add_torrent(params)
            async with asyncio.timeout(ANSWER_SECONDS * 6):
                added = await answer
        except TimeoutError:
            raise Error(f"libtorrent did not take {params.ti.name()!r}.", hint="Try again.") from None
        finally:
            self._adding.pop(spec.key, None)
        if added.error:
            raise HostileMetainfo(f"libtorrent refuses {params.ti.name()!r}: {added.error}.")
        self._register(spec, params.ti, added.handle)

    async def _loaded(self, spec: TorrentSpec) -> Any:
        if len(spec.metainfo) > SMALL_METAINFO:
            return await asyncio.to_thread(self._load, spec)
        return self._load(spec)

    def _load(self, spec: TorrentSpec) -> Any:
        """``add_torrent_params``; every address, tracker and web seed comes from the spec alone."""
        try:
            params = lt.load_torrent_buffer(spec.metainfo, LOAD_LIMITS)
            info = lt.bdecode(spec.metainfo)[b"info"]
        except (RuntimeError, KeyError, TypeError) as error:
            raise HostileMetainfo(f"The torrent of {spec.key} does not load: {error}.") from error
        ti = params.ti
        hashes = ti.info_hashes()
        if hashes.has_v1() and hashes.has_v2():
            raise HostileMetainfo(f"The torrent of {spec.key} is a hybrid of v1 and v2.")
        if al.key_of(hashes) != spec.key:
            raise HostileMetainfo(f"The torrent given for {spec.key} is that of {al.key_of(hashes)}.")
        require_safe_pieces(info)
        layout = ti.layout()
        real = [
            i for i in range(layout.num_files()) if not layout.file_flags(i) & lt.file_storage.flag_pad_file
        ]
        require_same_files(info, [layout.file_path(i) for i in real])
        # No piece of a v2 torrent reaches over the border of a file.
        vouched = spec.complete and (spec.wanted is None or hashes.has_v2())
        if not vouched and spec.resume:
            params = _with_resume(params, spec)
        params.save_path = str(spec.save_path)
        params.trackers = list(spec.trackers)
        params.tracker_tiers = [0] * len(spec.trackers)
        # Never libtorrent's: see web_seed_feed.
        params.url_seeds = []
        params.peers = [(_address(host), port) for host, port in spec.peers]
        flags = params.flags & ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
        if vouched:
            params.have_pieces = _pieces_of(ti, real, spec.wanted)
        params.file_priorities = _priorities(layout, real, spec.wanted)
        if spec.read_only:
            flags |= lt.torrent_flags.upload_mode
            # In that mode it downloads nothing, but would still make the empty files.
            require_there(
                [f"{spec.save_path}/{layout.file_path(i)}" for i in real if not layout.file_size(i)]
            )
        params.flags = flags | lt.torrent_flags.duplicate_is_error
        return params

    def _register(self, spec: TorrentSpec, ti: Any, handle: Any) -> None:
        torrent = Torrent(spec.key, ti.name(), handle, spec.wanted, unsaved=spec.resume is None)
        torrent.read_only = spec.read_only
        if spec.web_seeds:
            self._feeder.add(torrent, spec.metainfo, spec.web_seeds)
        self._reactions.register(torrent)
        handle.post_status()

    async def _renew_spec(self, torrent: Torrent, spec: TorrentSpec) -> None:
        """Take up what is new in the spec of a torrent that is already there."""
        if spec.wanted != torrent.wanted:
            params = await self._loaded(spec)
            torrent.wanted = spec.wanted
            torrent.choose()
            torrent.handle.prioritize_files(params.file_priorities)
        for url in spec.trackers:
            torrent.handle.add_tracker({"url": url, "tier": 0})
        if spec.web_seeds and not torrent.complete:
            self._feeder.add(torrent, spec.metainfo, spec.web_seeds)
        for host, port in spec.peers:
            torrent.handle.connect_peer((_address(host), port))

    async def remove(self, key: str) -> None:
        if self._closed:
            return
        async with self._locks.setdefault(key, asyncio.Lock()):
            torrent = self._reactions.forget(key)
            if torrent is None:
                return
            torrent.release(NotFound(f"{torrent.name!r} was removed."))
            await to_the_end(self._let_go(torrent))

    async def _let_go(self, torrent: Torrent) -> None:
        await self._feeder.stop(torrent)
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._removing[torrent.key] = gone
        try:
            self._session.remove_torrent(torrent.handle)
            # Comes after its last write and the closing of its files.
            async with asyncio.timeout(ANSWER_SECONDS):
                await gone
        except TimeoutError:
            log.warning("libtorrent did not confirm that %s is closed", torrent.key)
        finally:
            self._removing.pop(torrent.key, None)

    def status(self, key: str) -> TorrentStatus:
        return self._get(key).status(all_held=self._reactions.all_held)

    def statuses(self) -> list[TorrentStatus]:
        return [torrent.status(all_held=self._reactions.all_held) for torrent in self._reactions.torrents()]

    async def wait_complete(self, key: str) -> None:
        torrent = self._get(key)
        if torrent.failure is not None:
            raise torrent.failure
        if not torrent.complete:
            await wait_in(torrent.done_waiters)

    async def pause(self, key: str) -> None:
        torrent = self._get(key)
        torrent.held = True
        await self._feeder.stop(torrent)
        torrent.handle.pause()

    async def resume(self, key: str) -> None:
        torrent = self._get(key)
        torrent.held = False
        if torrent.failure is None:
            torrent.handle.resume()

    async def pause_all(self) -> None:
        self._running()
        self._reactions.all_held = True
        self._session.pause()

    async def resume_all(self) -> None:
        self._running()
        self._reactions.all_held = False
        self._session.resume()

    async def connect(self, key: str, host: str, port: int) -> None:
        self._get(key).handle.connect_peer((_address(host), port))

    async def announce_all(self) -> None:
        at_once = int(lt.reannounce_flags_t.ignore_min_interval)
        for number, torrent in enumerate(self._reactions.torrents()):
            torrent.handle.force_reannounce(number // _ANNOUNCES_A_SECOND, -1, at_once)

    def events(self) -> AsyncIterator[EngineEvent]:
        return self._subscribers.subscribe()

    def set_limits(self, *, down: int = 0, up: int = 0) -> None:
        self._running()
        self._feeder.limit.set(down)
        self._session.apply_settings({"download_rate_limit": down, "upload_rate_limit": up})
        self._limit_everyone()

    def _limit_everyone(self) -> None:
        """By default peers in local networks are in a class of their own, without limits."""
        group = 1 << lt.session.global_peer_class_id
        everyone = lt.ip_filter()
        everyone.add_rule("0.0.0.0", "255.255.255.255", group)  # noqa: S104 (a filter, no socket)
        everyone.add_rule("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", group)
        self._session.set_peer_class_filter(everyone)

    def _running(self) -> None:
        if self._session is None or self._closed:
            raise Error("The engine is not running.")

    def _get(self, key: str) -> Torrent:
        torrent = self._reactions.get(key)
        if torrent is None:
            raise NotFound(f"No torrent {key} is loaded.")
        return torrent

    # -- resume data -----------------------------------------------------------------------------

    async def flush(self, key: str) -> None:
        torrent = self._get(key)
        torrent.flushes += 1
        torrent.handle.flush_cache()

    async def save_resume(self, key: str) -> bytes:
        torrent = self._get(key)
        data = await self._ask_resume(torrent, 0)
        if data is None:
            raise Error(
                f"The state of {torrent.name!r} cannot be saved now.", hint="Wait until it is checked."
            )
        return data

    async def save_changed(self) -> Mapping[str, bytes]:
        self._running()
        return await self._save_changed()

    async def _save_changed(self) -> Mapping[str, bytes]:
        asked = [t for t in self._reactions.torrents() if t.unsaved and t.ready]
        answers = await asyncio.gather(
            *(self._ask_resume(t, lt.save_resume_flags_t.only_if_modified) for t in asked),
            return_exceptions=True,
        )
        return {t.key: a for t, a in zip(asked, answers, strict=True) if isinstance(a, bytes)}

    async def _ask_resume(self, torrent: Torrent, flags: int) -> bytes | None:
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        torrent.resume_waiters.append(answer)
        # Resume data must not claim what is still in libtorrent's cache: a kill -9 would lose that.
        torrent.handle.save_resume_data(flags | lt.save_resume_flags_t.flush_disk_cache)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer
        except TimeoutError:
            return None

    # -- alerts ----------------------------------------------------------------------------------

    def _on_wake(self) -> None:
        if self._wake is None or self._session is None:
            return
        with contextlib.suppress(BlockingIOError):
            while len(self._wake[0].recv(4096)) == 4096:
                pass
        for alert in al.copied(self._session.pop_alerts(), _encode_resume):
            match alert:
                case al.Added(key=key):
                    _answer(self._adding.get(key), alert)
                case al.Removed(key=key):
                    _answer(self._removing.get(key), None)
                case al.Listening(port=port):
                    _answer(self._listening, port)
                case al.ListenFailed(reason=reason):
                    self._own(self._listening_failed(reason))
                case _:
                    self._reactions.react(alert, asyncio.get_running_loop().time())
                    if isinstance(alert, al.Checked | al.Chosen | al.Finished):
                        self._ask_statuses()

    async def _listening_failed(self, reason: str) -> None:
        """One address could not be used; that is an error only if no other can."""
        await asyncio.sleep(1.0)
        if self._listening is not None and not self._listening.done():
            self._listening.set_exception(Error(reason))

    def _ask_statuses(self) -> None:
        self._session.post_torrent_updates(lt.torrent_handle.query_accurate_download_counters)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK)
            self._ask_statuses()
            self._reactions.tick(loop.time())


def _answer(waiter: asyncio.Future[Any] | None, value: object) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(value)


def _encode_resume(params: Any) -> bytes:
    """Resume data without trackers and web seeds: the spec brings them, redirect targets are secret.

    Merkle trees are left out too: they take 0.2 % of the data's size, and the metainfo has all layers needed.
    """
    params.url_seeds = []
    params.http_seeds = []
    params.trackers = []
    resume = lt.write_resume_data(params)
    resume.pop(b"trees", None)
    return bytes(lt.bencode(resume))


def _progress(handle: Any) -> tuple[list[bool], list[int]]:
    """Blocks until libtorrent's network thread answers."""
    return list(handle.status(lt.torrent_handle.query_pieces).pieces), list(handle.get_piece_priorities())


def _with_resume(params: Any, spec: TorrentSpec) -> Any:
    """``params`` with what resume data tells of the disk, unless it is damaged or another torrent's."""
    try:
        resumed = lt.read_resume_data(spec.resume, LOAD_LIMITS)
    except RuntimeError:
        return params
    if al.key_of(resumed.info_hashes) != spec.key:
        return params
    resumed.ti = params.ti
    return resumed


def _priorities(layout: Any, real: list[int], wanted: frozenset[int] | None) -> list[int]:
    """libtorrent's file priorities (pad files count there) from indexes into the manifest."""
    if wanted is None:
        return [4] * layout.num_files()
    if wanted and not (min(wanted) >= 0 and max(wanted) < len(real)):
        raise InvalidInput(f"There are {len(real)} files; number {max(wanted)} is not one of them.")
    chosen = {real[index] for index in wanted}
    return [4 if i in chosen else 0 for i in range(layout.num_files())]


def _pieces_of(ti: Any, real: list[int], wanted: frozenset[int] | None) -> list[bool]:
    """Which pieces these files of a v2 torrent have; all of them for None."""
    have = [wanted is None] * ti.num_pieces()
    for index in wanted or ():
        size = ti.layout().file_size(real[index])
        first = ti.map_file(real[index], 0, 0).piece
        have[first : first + -(-size // ti.piece_length())] = [True] * -(-size // ti.piece_length())
    return have


def _address(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        raise InvalidInput(f"{host!r} is no IP address of a peer.") from None
