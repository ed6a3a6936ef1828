"""What a node as a process decides before it serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedkeep import node_process
from seedkeep.config import NodeSettings
from seedkeep.core.errors import UsageError
from seedkeep.core.notes import Verifier
from seedkeep.discovery import Neighbour
from seedkeep.known import KnownRegistrars
from tests.support.registrar import new_key

HOME, STRANGER = "http://registrar.lab:8470", "http://192.0.2.66:8470"


async def test_a_registrar_that_turns_up_in_the_network_later_is_not_served_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could have everything removed that the node holds for others."""
    there = [HOME]

    async def browse(role: str, *, seconds: float) -> list[Neighbour]:
        return [Neighbour("registrar", url, "", (), 8470) for url in there]

    monkeypatch.setattr(node_process, "browse", browse)
    known = KnownRegistrars(tmp_path / "known_registrars")
    settings = NodeSettings(data=tmp_path)
    assert await node_process._registrars(settings, known) == [HOME]
    known.remember(HOME, Verifier("registrar.lab:8470", new_key().public))
    there.append(STRANGER)
    assert await node_process._registrars(settings, known) == [HOME]
    named = NodeSettings(data=tmp_path, registrars=(STRANGER,))
    assert await node_process._registrars(named, known) == [STRANGER]


async def test_without_any_registrar_it_says_how_to_name_one(tmp_path: Path) -> None:
    settings = NodeSettings(data=tmp_path, zeroconf=False)
    with pytest.raises(UsageError, match="no registrar") as caught:
        await node_process._registrars(settings, KnownRegistrars(tmp_path / "known_registrars"))
    assert "--registrar" in caught.value.hint
