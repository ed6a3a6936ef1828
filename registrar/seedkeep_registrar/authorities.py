"""What other registrars have ordered, and what follows here: where it binds, the same as from own taints.

An authority's taints bind on the records whose home it is, always. On all others they bind when it is
followed as binding, or when as many authorities that are followed for advice order the same as the setting
``taint_quorum`` says; else they are shown, or wait for a curator (:mod:`seedkeep.core.taints.authorities`).

* What an authority has ordered ends when it lifts it, or when its time is over; nobody else can end it. What
  is known of one that is silent, paused or distrusted stays.
* Nobody fills this registrar's database: of each authority at most :data:`MOST` standing taints count.
* Nobody empties this registrar: when a list names more records of others at once than the setting
  ``taint_flood`` says, what is new in it waits until an operator has chosen anew how that one is followed.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlalchemy import Connection

from seedkeep.core.taints.authorities import Following, Mode, Said, judge
from seedkeep.core.taints.body import Subject
from seedkeep.core.taints.entry import Entry, parse_list
from seedkeep_registrar import curation
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import events, followed, journal, peers, taint_marks
from seedkeep_registrar.store.peers import Peer
from seedkeep_registrar.store.taints import (
    ADVISORY,
    AGREED,
    BINDING,
    EXPIRED,
    HELD,
    LIFTED,
    STANDING,
    Taint,
)

_LOG = logging.getLogger(__name__)
#: standing taints of one authority that count, the oldest first
MOST = 10_000
#: in the journal
FLOODED = "peer.taint_flood"
_NOBODY = Following(frozenset(), {})


def take(connection: Connection, settings: Settings, peer: Peer, *, now: float) -> None:
    """A registrar's list has changed: what it says from now on, in one transaction with keeping it."""
    events.lock(connection)
    _, data = peers.taints_of(connection, peer.id)
    entries = parse_list(data)
    in_force = sorted((e for e in entries.values() if e.stands(now)), key=lambda e: (e.created, e.id))
    if len(in_force) > MOST:
        _LOG.warning("%s orders more than %d things: only the oldest count", peer.origin, MOST)
    said = {followed.row_id(peer.origin, entry): entry for entry in in_force[:MOST]}
    known = followed.standing(connection, peer.origin)
    for id_ in known.keys() - said.keys():
        _end(connection, known[id_], entries.get(known[id_].entry), now)
    new = {id_: _taint(peer, id_, said[id_]) for id_ in said.keys() - known.keys()}
    if peer.taint_mode == BINDING and _others(connection, peer, new.values()) > settings.taint_flood:
        new = {id_: replace(taint, way=HELD) for id_, taint in new.items()}
        text = f"{len(new)} taints at once, over taint_flood: they wait"
        journal.note(connection, at=now, actor="", action=FLOODED, subject=peer.origin, detail=text)
        _LOG.warning("%s: %s until an operator chooses anew how it is followed", peer.origin, text)
    for taint in new.values():
        followed.stand(connection, taint)
    judge_anew(connection, settings, now=now, new=new.keys())


def _end(connection: Connection, taint: Taint, entry: Entry | None, now: float) -> None:
    over = taint.order.ended(now)
    lifted = entry.lifted if entry else ""
    followed.end(connection, taint, EXPIRED if over and not lifted else LIFTED, lifted)
    curation.end(connection, taint)


def _taint(peer: Peer, id_: str, entry: Entry) -> Taint:
    whose = (peer.origin, entry.id, peer.taint_mode)
    return Taint(id_, entry.order, STANDING, entry.created, entry.created, 0, "", *whose)


def _others(connection: Connection, peer: Peer, new: Iterable[Taint]) -> int:
    """How many records that are not its own these withhold."""
    named = set[str]()
    for taint in new:
        if taint.order.effect.withholds:
            at_homes = taint_marks.at_homes(connection, taint.order.subject)
            named |= {rid for rid, _, home in at_homes if home != peer.origin}
    return len(named)


def follow(connection: Connection, settings: Settings, peer: Peer, mode: str, *, now: float) -> None:
    """An operator has chosen how a registrar is followed; what waited for that waits no more.

    Args:
        mode: one of ``peers.TAINT_MODES``.
    """
    events.lock(connection)
    peers.set_taint_mode(connection, peer.id, mode)
    for taint in followed.standing(connection, peer.origin).values():
        if taint.way == HELD:
            followed.set_way(connection, taint, ADVISORY)
    judge_anew(connection, settings, now=now)


def judge_anew(connection: Connection, settings: Settings, *, now: float, new: Iterable[str] = ()) -> None:
    """Work out on whom each standing taint of others binds, and what follows.

    Args:
        new: rows of which nothing has followed yet.
    """
    unmarked = set(new)
    every = followed.standing(connection)
    modes = {peer.origin: peer.taint_mode for peer in peers.every(connection)}
    agreed = _agreed(every.values(), modes, settings.taint_quorum, now)
    for id_, taint in every.items():
        way = AGREED if id_ in agreed else modes.get(taint.authority, taint.way)
        if taint.way == HELD and way == BINDING:
            way = HELD
        if id_ not in unmarked:
            if way == taint.way:
                continue
            curation.end(connection, taint)
        if way != taint.way:
            taint = followed.set_way(connection, taint, way)
        curation.begin(connection, taint, now)


def _agreed(every: Iterable[Taint], modes: Mapping[str, str], quorum: int, now: float) -> set[str]:
    """Those on which enough authorities agree, and that ask for no more than as many of them do."""
    if quorum < 1:
        return set()
    about = defaultdict[Subject, list[Said]](list)
    for taint in every:
        if modes.get(taint.authority) == ADVISORY:
            entry = Entry(taint.id, taint.order, taint.effective, ())
            about[taint.order.subject].append(Said(taint.authority, entry))
    following = replace(_NOBODY, modes=dict.fromkeys(modes, Mode.ADVISORY), quorum=quorum)
    found = set[str]()
    for said in about.values():
        if len({one.origin for one in said}) < quorum:
            continue
        judged = judge(said, following, homes=(), now=now)
        if judged.effect is not None:
            asked = judged.effect.rank
            found |= {one.entry.id for one in judged.binding if one.entry.effect.rank <= asked}
    return found


def end_expired(connection: Connection, registrar: Registrar) -> None:
    """Serve again what the taints whose time is over had withheld, whosever they are."""
    if curation.end_expired(connection, registrar):
        judge_anew(connection, registrar.settings, now=registrar.clock())
