"""How a node is, as JSON for ``seedkeep node status`` and ``ls``: sizes in bytes, times in Unix seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from seedkeep.engine.model import Engine
from seedkeep.storage.audits import Audits
from seedkeep.storage.companions import Companions
from seedkeep.storage.duties import Duties
from seedkeep.storage.layout import Layout
from seedkeep.storage.link import Link
from seedkeep.storage.model import Phase
from seedkeep.storage.pledge import Pledge
from seedkeep.storage.problems import Problems
from seedkeep.storage.scrub import Scrub
from seedkeep.storage.shared import SharedFolders
from seedkeep.storage.standing_in import StandIns
from seedkeep.storage.state import State
from seedkeep.storage.taints import Taints


class Node(Protocol):
    """What is looked at."""

    layout: Layout
    state: State
    pledge: Pledge
    taints: Taints
    companions: Companions
    audits: Audits
    scrub: Scrub
    shared: SharedFolders
    problems: Problems
    engine: Engine

    stand_ins: StandIns

    @property
    def links(self) -> Sequence[Link]: ...


def describe(node: Node) -> dict[str, Any]:
    """Room, datasets by phase, rates, registrars, audits, scrub, shared folders, problems."""
    account = node.pledge.account()
    held = list(node.state.holdings.values())
    torrents = node.engine.statuses()
    due = node.scrub.next_due()
    return {
        "data": str(node.layout.root),
        "pledge": account.pledge,
        "used": account.used,
        "reserved": account.reserved,
        "free": max(account.free, 0),
        "datasets": {phase.value: sum(h.phase is phase for h in held) for phase in Phase},
        "down_rate": sum(t.down_rate for t in torrents),
        "up_rate": sum(t.up_rate for t in torrents),
        "peers": sum(t.peers for t in torrents),
        "companions": len(node.companions.loaded()),
        "registrars": [_registrar(node, link) for link in (*node.links, *node.stand_ins.links)],
        "audits": dict(node.audits.outcomes),
        "scrub": {
            "running": node.scrub.now,
            "next": due[0] if due else None,
            "bytes_read": node.scrub.bytes_read,
            "found": node.scrub.found,
        },
        "shared": [
            {
                "content_id": f.content_id,
                "path": str(f.save_path),
                "problem": f.problem or node.shared.tainted.get(f.content_id, ""),
            }
            for f in node.state.shared.values()
        ],
        "problems": list(node.problems.texts()),
    }


def _registrar(node: Node, link: Link) -> dict[str, Any]:
    url = link.status.url
    version = node.taints.version(url)
    return {
        "url": url,
        "reachable": link.status.reachable,
        "last": link.status.last,
        "error": link.status.error,
        "since": link.status.since,
        "stands_in_for": node.stand_ins.stands_in_for(url),
        "stood_in_for_by": node.stand_ins.of(url),
        "taints": {"version": version[0], "log_size": version[1]} if version else None,
        "taints_freshness": node.taints.freshness(url).name.lower(),
    }


def list_datasets(state: State, engine: Engine, duties: Duties) -> list[dict[str, Any]]:
    """One object for each dataset; ``allocated``: its share of the pledge, ``taints``: what is said of it,
    ``served``: False while taints forbid to pass any of it on, ``withheld``: number of different files that
    they withhold."""
    torrents = {t.key: t for t in engine.statuses()}
    found = []
    for held in state.holdings.values():
        torrent, duty = torrents.get(held.content_id), duties.of(held.content_id)
        have = held.bytes if held.phase is Phase.COMPLETE else torrent.have if torrent else 0
        found.append(
            {
                "content_id": held.content_id,
                "name": held.name,
                "state": held.phase.value,
                "bytes": held.bytes,
                "have": have,
                "files": held.files,
                "allocated": held.reserved,
                "peers": torrent.peers if torrent else 0,
                "scrubbed": held.scrubbed,
                "since": held.since,
                "registrars": [c.registrar for c in state.claims_on(held.content_id)],
                "reason": held.reason,
                "served": not duty.stop,
                "withheld": len(held.withheld),
                "taints": [
                    {
                        "authority": told.origin,
                        "binding": told in duty.binding,
                        "effect": told.entry.effect.value,
                        "subject": str(told.entry.subject),
                        "category": told.entry.category,
                        "reason": told.entry.reason,
                        "expires": told.entry.order.expires,
                    }
                    for told in (*duty.binding, *duty.advice)
                ],
            }
        )
    return found
