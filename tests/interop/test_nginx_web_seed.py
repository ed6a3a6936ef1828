"""A real web server as the only source."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.nginx import nginx
from tests.support.torrents import engine, sample


@pytest.mark.parametrize("version", [2, 1])
async def test_nginx_alone_gives_the_whole_dataset_and_no_byte_twice(tmp_path: Path, version: int) -> None:
    data = sample(20_000_001)
    data.data.write(tmp_path / "www")
    async with nginx(tmp_path / "nginx", tmp_path / "www") as server, engine() as leech:
        spec = data.spec(tmp_path / "out", version=version, web_seeds=(server.base,))
        await leech.add(spec)
        await asyncio.wait_for(leech.wait_complete(spec.key), 30)
        assert data.differences(tmp_path / "out") == []
        status = leech.status(spec.key)
        assert (status.peers_bytes, status.web_seed_bytes) == (0, data.data.manifest.bytes)
        async with asyncio.timeout(60):
            while server.bytes_sent() < status.web_seed_bytes:
                await asyncio.sleep(0.05)
        assert server.bytes_sent() == status.web_seed_bytes
