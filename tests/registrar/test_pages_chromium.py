"""Every page in a real Chromium, at the width of a desk and of a phone, in light and in dark."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from tests.registrar.page_samples import application, pages
from tests.support.chromium import PHONE, WIDE, Tab

# What WCAG 2 A/AA asks of pages like ours and a machine can see: contrast, names, labels, order, unique ids.
BARRIERS = """
(() => {
  const found = [];
  const channels = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = channels(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !e.checkVisibility()) continue;
    const [a, b] = [light(channels(getComputedStyle(e).color)), light(behind(e))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push(`contrast ${contrast.toFixed(2)}: ${e.innerText.trim().slice(0, 40)}`);
  }
  let level = 0;
  for (const h of document.querySelectorAll("h1,h2,h3,h4")) {
    if (h.tagName[1] - level > 1) found.push(`heading jumps to ${h.tagName}: ${h.innerText.slice(0, 40)}`);
    level = +h.tagName[1];
  }
  if (document.querySelectorAll("h1").length !== 1) found.push("not exactly one h1");
  if (document.querySelectorAll("main").length !== 1) found.push("not exactly one main");
  if (!document.documentElement.lang) found.push("no language");
  for (const e of document.querySelectorAll("a, button"))
    if (!e.innerText.trim()) found.push("a control without a name");
  for (const e of document.querySelectorAll("input")) if (!e.labels.length) found.push(`no label: ${e.name}`);
  for (const e of document.querySelectorAll("dl > div, dl")) {
    const kinds = [...e.children].map((c) => c.tagName);
    if (kinds.includes("DD") && kinds[0] !== "DT") found.push("a dl that begins with its definition");
  }
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`id twice: ${id}`);
  for (const e of document.querySelectorAll("[aria-labelledby], [aria-describedby]"))
    for (const id of (e.getAttribute("aria-labelledby") || e.getAttribute("aria-describedby")).split(" "))
      if (!ids.includes(id)) found.push(`points to nothing: ${id}`);
  return found;
})()
"""


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    running = TestServer(application())
    async with running:
        yield running


async def test_every_page_is_quiet_fits_the_window_and_bars_nobody(
    tab: Tab, server: TestServer, tmp_path: Path
) -> None:
    for name, rendered in pages().items():
        for width, dark in ((WIDE, False), (PHONE, False), (PHONE, True)):
            await tab.open(str(server.make_url(f"/sample/{name}")), width=width, dark=dark)
            shot = f"{name}-{width}{'-dark' if dark else ''}.png"
            await tab.screenshot(tmp_path / shot)
            # the browser itself notes a status over 400 as a failed load of the page
            complaints = [c for c in tab.complaints if f"status of {rendered.status}" not in c]
            assert complaints == [], shot
            assert await tab.overflow() <= 0, shot
            assert await tab.evaluate(BARRIERS) == [], shot
            assert all(u.startswith(str(server.make_url("/"))) for u in tab.requests), tab.requests


async def test_a_page_reads_the_same_without_scripts(tab: Tab, server: TestServer) -> None:
    url = str(server.make_url("/sample/record"))
    await tab.open(url)
    with_scripts = await tab.evaluate("document.body.innerText")
    await tab.open(url, scripts=False)
    assert await tab.evaluate("document.body.innerText") == with_scripts
    assert "seedkeep fetch http" in with_scripts


async def test_nothing_a_name_says_becomes_part_of_the_page(tab: Tab, server: TestServer) -> None:
    await tab.open(str(server.make_url("/sample/record-hostile")))
    assert await tab.evaluate("[...document.scripts].map(s => s.getAttribute('src').split('?')[0])") == [
        "/static/seedkeep.js"
    ]
    assert await tab.evaluate("document.querySelector('h1').innerText.includes('<script>alert(1)</script>')")
    assert await tab.evaluate(
        "[...document.querySelectorAll('h1 .hidden-character')].map(e => e.innerText)"
    ) == [
        "U+202E",
        "U+200B",
        "U+0000",
        "U+001B",
    ]


async def test_a_page_can_be_walked_with_the_keyboard(tab: Tab, server: TestServer) -> None:
    await tab.open(str(server.make_url("/sample/home")))
    walked = []
    for _ in range(7):
        for kind in ("keyDown", "keyUp"):
            await tab.call(
                "Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9
            )
        walked.append(await tab.evaluate("document.activeElement.innerText || document.activeElement.name"))
        outline = await tab.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert outline == "3px", walked
    assert walked == [
        "Skip to the content",
        "Open Genomes Registrar",
        "Datasets",
        "Nodes",
        "Taints",
        "id",
        "Look up",
    ]
