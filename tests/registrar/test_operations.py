"""What an operator sees: request ids, logs, metrics, health; and what limits and quotas let through."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import logging
import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep_registrar.client_address import client_address
from seedkeep_registrar.operations import request_log
from seedkeep_registrar.operations.limits import Limits, name_of
from seedkeep_registrar.problems import TooManyRequests
from tests.support.people import Mailbox, browser
from tests.support.registrar import Clock, RegistrarUnderTest, registrar_with, shareable


async def test_every_answer_carries_an_id_that_only_a_trusted_proxy_may_choose(tmp_path: Path) -> None:
    async with registrar_with(tmp_path) as stranger:
        given = await stranger.person().get("/", headers={"X-Request-Id": "chosen-by-me"})
        other = await stranger.person().get("/nowhere")
        assert re.fullmatch("[0-9a-f]{16}", given.headers["X-Request-Id"])
        assert given.headers["X-Request-Id"] != other.headers["X-Request-Id"]
    async with registrar_with(tmp_path / "b", trusted_proxies=("127.0.0.1",)) as behind:
        kept = await behind.person().get("/", headers={"X-Request-Id": "chosen-by-proxy"})
        forged = await behind.person().get("/", headers={"X-Request-Id": "short"})
        assert kept.headers["X-Request-Id"] == "chosen-by-proxy"
        assert re.fullmatch("[0-9a-f]{16}", forged.headers["X-Request-Id"])


async def test_a_request_is_one_line_of_the_log_without_its_query(
    registrar: RegistrarUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "seedkeep_registrar.requests"):
        answer = await registrar.person().get("/nowhere%0aERROR?code=secret")
    line = next(record for record in caplog.records if record.name == "seedkeep_registrar.requests")
    shown = json.loads(request_log.JsonFormatter().format(line))
    assert (shown["status"], shown["method"], shown["client"]) == (404, "GET", "127.0.0.1")
    assert answer.status == 404
    for text in (json.dumps(shown), request_log.TextFormatter().format(_stamped(line))):
        assert "secret" not in text
        assert "\n" not in text


def _stamped(line: logging.LogRecord) -> logging.LogRecord:
    line.request = "-"
    return line


@given(st.text())
def test_no_message_makes_two_lines_of_one(message: str) -> None:
    out = io.StringIO()
    for formatter in (request_log.JsonFormatter(), request_log.TextFormatter()):
        record = _stamped(logging.makeLogRecord({"msg": "%s", "args": (message,), "levelname": "INFO"}))
        out.write(formatter.format(record))
    assert "\n" not in out.getvalue()
    assert "\r" not in out.getvalue()


async def test_metrics_count_requests_by_route_and_tell_what_is_kept(
    any_registrar: RegistrarUnderTest,
) -> None:
    person = any_registrar.person()
    await person.register(shareable())
    await person.get("/api/v1/records/" + "0" * 64)
    await person.get("/a/path/that/somebody/chose")
    answer = await person.get("/metrics")
    text = answer.body.decode()
    assert answer.status == 200
    assert 'seedkeep_requests_total{method="GET",route="/api/v1/records/{rid}",status="404"} 1.0' in text
    assert 'route="(none)"' in text
    assert "somebody" not in text
    assert "seedkeep_events 1.0" in text
    assert "seedkeep_datasets 1.0" in text
    assert "seedkeep_disk_free_bytes" in text


async def test_metrics_are_not_for_everybody(tmp_path: Path) -> None:
    async with registrar_with(tmp_path, metrics_from=("192.0.2.1",)) as registrar:
        answer = await registrar.person().get("/metrics")
        assert (answer.status, answer.json["code"]) == (403, "refused")


async def test_health_tells_whether_it_can_do_its_work(any_registrar: RegistrarUnderTest) -> None:
    person = any_registrar.person()
    assert (await person.get("/healthz")).status == 200
    ready = await person.get("/readyz")
    assert (ready.status, ready.json["status"]) == (200, "ok")
    assert set(ready.json["checks"].values()) == {"ok"}


async def test_a_full_disk_takes_it_out_of_traffic_and_says_why(tmp_path: Path) -> None:
    async with registrar_with(tmp_path, min_free_bytes=1 << 60) as registrar:
        person = registrar.person()
        ready = await person.get("/readyz")
        assert (ready.status, ready.json["checks"]["disk"]) == (503, "the disk is full")
        assert (await person.get("/healthz")).status == 200


# --- limits ---


async def test_an_address_that_asks_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    async with registrar_with(tmp_path, trusted_proxies=("127.0.0.1",), requests_per_minute=5) as registrar:
        registrar.clock.offset = -registrar.clock() % 60 + 1  # the window has just begun
        person = registrar.person()
        greedy, other = {"X-Forwarded-For": "192.0.2.7"}, {"X-Forwarded-For": "192.0.2.8"}
        answers = [await person.get("/api/v1/records", headers=greedy) for _ in range(7)]
        assert [a.status for a in answers] == [200] * 5 + [429] * 2
        assert answers[-1].json["code"] == "too_many_requests"
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
        assert (await person.get("/api/v1/records", headers=other)).status == 200
        assert (await person.get("/healthz", headers=greedy)).status == 200
        registrar.clock.offset += 121
        assert (await person.get("/api/v1/records", headers=greedy)).status == 200


async def test_a_key_that_writes_too_often_is_held_back_whatever_its_address(tmp_path: Path) -> None:
    async with registrar_with(tmp_path, requests_per_minute_sender=3) as registrar:
        registrar.clock.offset = -registrar.clock() % 60 + 1
        person, other = registrar.person(), registrar.person()
        for one in (person, other):
            one.clock = registrar.clock
        answers = [await person.introduce() for _ in range(4)]
        assert [a.status for a in answers] == [201, 200, 200, 429]
        assert (await other.introduce()).status == 201


async def test_processes_on_one_database_count_together(any_registrar: RegistrarUnderTest) -> None:
    db = any_registrar.context.db
    clock = Clock()
    clock.offset = -clock() % 60 + 1
    one, two = Limits(clock, db), Limits(clock, db)
    for _ in range(4):
        one.charge("address 192.0.2.7", 10)
        two.charge("address 192.0.2.7", 10)
    for limits in (one, two, one):
        await limits.exchange(db)
        limits.charge("address 192.0.2.7", 1000)
    await one.exchange(db)
    with pytest.raises(TooManyRequests):
        one.charge("address 192.0.2.7", 10)


@given(
    st.lists(st.floats(0.01, 30), min_size=1, max_size=200),
    st.integers(1, 20),
)
def test_no_minute_has_more_than_twice_what_is_allowed(pauses: list[float], allowed: int) -> None:
    now = 1_000_000.0
    limits = Limits(lambda: now, None)
    passed: list[float] = []
    for pause in pauses:
        now += pause
        try:
            limits.charge("key k", allowed)
        except TooManyRequests as refused:
            assert 1 <= refused.retry_after <= 120
        else:
            passed.append(now)
    for start in passed:
        assert sum(start <= at < start + 60 for at in passed) <= 2 * allowed


def test_an_ipv6_network_counts_as_one_and_loopback_not_at_all() -> None:
    addresses = [client_address(text, (), ()) for text in ("2001:db8:1:2::3", "2001:db8:1:2:ffff::4")]
    assert {name_of(a) for a in addresses} == {"address 2001:db8:1:2::/64"}
    assert name_of(client_address("127.0.0.1", (), ())) == ""
    assert name_of(client_address("::ffff:127.0.0.1", (), ())) == ""


# --- quotas ---


@pytest.mark.parametrize("quota", [{"quota_datasets": 1}, {"quota_bytes": 150_000}])
async def test_a_publisher_may_register_so_much_and_no_more(
    tmp_path: Path, database_url: str, quota: dict[str, int]
) -> None:
    async with registrar_with(tmp_path, database_url, **quota) as registrar:
        person, other = registrar.person(), registrar.person()
        await person.register(shareable("one"))
        second = shareable("two")
        await person.upload(second)
        body = second.body().encode()
        refused = await person.submit(person.event(body), body)
        assert (refused.status, refused.json["code"]) == (403, "refused")
        assert "may" in refused.json["detail"]
        await other.register(shareable("three"))


# --- what a hostile client may hold up ---


async def cut_off(registrar: RegistrarUnderTest, head: str, begin: bytes = b"") -> None:
    """Send the head of a request, then its body byte by byte, until the registrar has enough."""
    url = urlsplit(registrar.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    method_and_path, _, fields = head.partition("\r\n")
    writer.write(f"{method_and_path} HTTP/1.1\r\nHost: {url.netloc}\r\n{fields}\r\n".encode() + begin)

    async def drip() -> None:
        with suppress(ConnectionError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    try:
        async with asyncio.timeout(60):
            assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    finally:
        dripping.cancel()
        writer.close()


async def test_a_body_that_drips_is_cut_off(tmp_path: Path, mailbox: Mailbox) -> None:
    async with registrar_with(tmp_path, body_timeout_s=0.5) as registrar, browser(registrar.url) as one:
        body = b"x" * 100_000
        path = f"/api/v1/objects/{hashlib.sha256(body).hexdigest()}"
        signed = registrar.person().signature("PUT", path, body)
        fields = "".join(f"{n}: {v}\r\n" for n, v in {**signed, "Content-Length": "100000"}.items())
        await cut_off(registrar, f"PUT {path}\r\n{fields}")

        await one.sign_in("ada@example.org", mailbox)
        (cookie,) = one.cookies.items()
        form = (
            f"POST /register\r\nCookie: {'='.join(cookie)}\r\nOrigin: {registrar.url}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n"
        )
        await cut_off(registrar, form, b'--b\r\nContent-Disposition: form-data; name="manifest"\r\n\r\n')


@pytest.mark.parametrize("what", ["line", "field", "fields"])
async def test_headers_have_limits(registrar: RegistrarUnderTest, what: str) -> None:
    url = urlsplit(registrar.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    path = "/" + ("a" * 20_000 if what == "line" else "")
    extra = {"line": "", "field": f"X: {'a' * 20_000}\r\n", "fields": "X: a\r\n" * 50_000}[what]
    with suppress(ConnectionError):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {url.netloc}\r\n{extra}\r\n".encode())
        await writer.drain()
    with suppress(ConnectionError):
        async with asyncio.timeout(60):
            answer = await reader.read(20)
        assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    writer.close()
    assert (await registrar.person().get("/healthz")).status == 200
