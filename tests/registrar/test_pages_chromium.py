"""Every page in a real Chromium, at the width of a desk and of a phone, in light and in dark."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from tests.registrar.page_samples import application, pages
from tests.support.chromium import PHONE, WIDE, Tab


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer(application()) as running:
        yield running


async def test_every_page_is_quiet_and_fits_the_window(tab: Tab, server: TestServer, tmp_path: Path) -> None:
    for name, rendered in pages().items():
        for width in (WIDE, PHONE):
            for dark in (False, True):
                await tab.open(str(server.make_url(f"/sample/{name}")), width=width, dark=dark)
                shot = f"{name}-{width}{'-dark' if dark else ''}.png"
                await tab.screenshot(tmp_path / shot)
                # the browser itself notes a status over 400 as a failed load of the page
                complaints = [c for c in tab.complaints if f"status of {rendered.status}" not in c]
                assert complaints == [], shot
                assert await tab.overflow() <= 0, shot
                assert all(u.startswith(str(server.make_url("/"))) for u in tab.requests), tab.requests
