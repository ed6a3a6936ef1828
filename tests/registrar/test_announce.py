"""A registrar on the local network: announced by zeroconf, and never stopped by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seedkeep.discovery import browse
from seedkeep_registrar import announce
from tests.registrar.published import house
from tests.support.require import require


async def test_a_registrar_is_found_on_the_network_and_not_after_it_has_gone(tmp_path: Path) -> None:
    async with house(tmp_path, zeroconf=True) as home:
        found = [n for n in await browse("registrar", seconds=8) if n.url == home.url]
        require(bool(found), "this machine passes no multicast on")
        assert found[0].key == str(home.registrar.vkey)
        gone = home.url
    assert gone not in [n.url for n in await browse("registrar", seconds=1)]


@pytest.mark.parametrize("broken", ["the socket", "the registration"])
async def test_a_network_without_multicast_stops_no_registrar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    class NoNetwork:
        def __init__(self, **_: Any) -> None:
            if broken == "the socket":
                raise OSError(101, "Network is unreachable")

        async def async_register_service(self, *_: Any, **__: Any) -> None:
            raise OSError(101, "Network is unreachable")

        async def async_unregister_all_services(self) -> None:
            raise OSError(101, "Network is unreachable")

        async def async_close(self) -> None:
            pass

    monkeypatch.setattr(announce, "AsyncZeroconf", NoNetwork)
    async with house(tmp_path, zeroconf=True) as home:
        assert (await home.get("/"))[0] == 200


async def test_the_setting_switches_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise AssertionError("it was not to be announced")

    monkeypatch.setattr(announce, "AsyncZeroconf", refuse)
    async with house(tmp_path, zeroconf=False) as home:
        assert (await home.get("/"))[0] == 200
