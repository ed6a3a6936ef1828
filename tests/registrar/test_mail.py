"""Mails: what arrives, what is tried again, what is kept, and what no text can do to them."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from seedkeep.core.errors import InvalidInput, UsageError
from seedkeep_registrar.database import open_database
from seedkeep_registrar.mail.address import parse_address
from seedkeep_registrar.mail.mailer import Mailer
from seedkeep_registrar.mail.smtp import MailServer
from seedkeep_registrar.mail.templates import Secret, Templates
from seedkeep_registrar.store import mails
from seedkeep_registrar.store.mails import Kept
from tests.support.mail_server import mail_server, part
from tests.support.ports import free_port
from tests.support.registrar import RegistrarUnderTest, registrar_with
from tests.support.tls import self_signed

RID = "ab" * 32
WORDS = {
    "title": "Wheat, 2019",
    "curator": "Ada",
    "reason": "Name the field.\nAnd its size.",
    "ark": "ark:/99999/sk1",
    "url": "https://seeds.example.org/ark:/99999/sk1",
}


async def send(registrar: RegistrarUnderTest, to: str = "bo@example.org", **changes: Any) -> None:
    await registrar.context.mailer.send(to, "submission_returned", {**WORDS, **changes}, RID)


async def kept(registrar: RegistrarUnderTest, state: str) -> Kept:
    """The one mail about the record, once it is in this state."""
    async with asyncio.timeout(60):
        while True:
            found = await registrar.context.db.read(mails.about, RID)
            if found and found[0].state == state:
                return found[0]
            await asyncio.sleep(0.02)


async def test_a_mail_has_text_and_html_and_says_a_machine_wrote_it(
    tmp_path: Path, database_url: str
) -> None:
    async with (
        mail_server() as box,
        registrar_with(
            tmp_path,
            database_url,
            smtp_url=box.url,
            mail_from="The Seed Bank <seeds@example.org>",
            name="Seed Bank",
        ) as registrar,
    ):
        await send(registrar)
        message = await box.next()
        mail = await kept(registrar, "sent")
    assert box.recipients == ["bo@example.org"]
    assert message["From"] == "The Seed Bank <seeds@example.org>"
    assert message["To"] == "bo@example.org"
    assert message["Subject"] == "Sent back to you: Wheat, 2019"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == mail.message_id
    assert message["Date"]
    plain, html = part(message, "plain"), part(message, "html")
    assert "> Name the field.\n> And its size.\n" in plain
    assert "Seed Bank" in plain
    assert "Name the field." in html
    assert mail.text == plain
    assert mail.recipient == "bo@example.org"
    assert mail.ended is not None


async def test_no_text_can_add_a_header_or_markup(tmp_path: Path) -> None:
    title = "x\r\nBcc: eve@example.org\r\n\r\nbody <script>alert(1)</script>\u202e"
    async with mail_server() as box, registrar_with(tmp_path, smtp_url=box.url) as registrar:
        await send(registrar, title=title, curator="\r\n.\r\nMAIL FROM:<eve@example.org>", reason="a\n.\nb")
        message = await box.next()
        with pytest.raises(InvalidInput):
            await send(registrar, to="bo@example.org\r\nBcc: eve@example.org")
    assert box.recipients == ["bo@example.org"]
    assert message["Bcc"] is None
    assert message["Subject"].strip().startswith("Sent back to you: x Bcc: eve@example[.]org body")
    assert "\u202e" not in message["Subject"]
    assert "<script>" not in part(message, "html")
    assert "> a\n> .\n> b\n" in part(message, "plain")


async def test_a_mail_survives_a_restart_and_is_tried_again(tmp_path: Path, database_url: str) -> None:
    port = free_port()
    settings = {"smtp_url": f"smtp://localhost:{port}", "mail_retry_s": 0.05, "listen": "127.0.0.1:0"}
    settings["public_url"] = "http://seeds.example.org"
    async with registrar_with(tmp_path, database_url, **settings) as registrar:
        await send(registrar)
        async with asyncio.timeout(60):
            while (await kept(registrar, "waiting")).tries < 2:
                await asyncio.sleep(0.02)
        assert "mail server" in (await kept(registrar, "waiting")).detail
    async with (
        mail_server(port=port) as box,
        registrar_with(tmp_path, database_url, **settings) as registrar,
    ):
        message = await box.next()
        mail = await kept(registrar, "sent")
    assert message["Message-ID"] == mail.message_id
    assert mail.tries >= 3
    assert box.arrived.empty()


async def test_a_refused_recipient_is_noted_and_not_tried_again(tmp_path: Path) -> None:
    async with (
        mail_server() as box,
        registrar_with(tmp_path, smtp_url=box.url, mail_retry_s=0.05) as registrar,
    ):
        box.refusals["bo@example.org"] = "550 no such person"
        await send(registrar)
        mail = await kept(registrar, "failed")
    assert "550" in mail.detail
    assert "no such person" in mail.detail
    assert mail.tries == 1


async def test_try_later_means_later(tmp_path: Path) -> None:
    async with (
        mail_server() as box,
        registrar_with(tmp_path, smtp_url=box.url, mail_retry_s=0.05) as registrar,
    ):
        box.refusals["bo@example.org"] = "451 busy"
        await send(registrar)
        async with asyncio.timeout(60):
            await box.asked.wait()
        assert (await kept(registrar, "waiting")).ended is None
        del box.refusals["bo@example.org"]
        await box.next()
        assert (await kept(registrar, "sent")).tries >= 2


async def test_what_nobody_takes_in_time_is_given_up(tmp_path: Path) -> None:
    nobody = f"smtp://localhost:{free_port()}"
    async with registrar_with(tmp_path, smtp_url=nobody, mail_retry_s=0.05, mail_give_up_s=0.2) as registrar:
        await send(registrar)
        assert (await kept(registrar, "failed")).detail


async def test_starttls_is_used_and_a_wrong_certificate_stops_the_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = self_signed(tmp_path, "localhost")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with mail_server(tls=tls) as box:
        async with registrar_with(tmp_path / "1", smtp_url=box.url, mail_retry_s=3600) as registrar:
            await send(registrar)
            async with asyncio.timeout(60):
                while not (await kept(registrar, "waiting")).detail:
                    await asyncio.sleep(0.02)
            assert box.arrived.empty()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with registrar_with(tmp_path / "2", smtp_url=box.url) as registrar:
            await send(registrar)
            await box.next()
    assert box.encrypted == [True]


async def test_without_starttls_at_the_server_nothing_is_sent(tmp_path: Path) -> None:
    async with (
        mail_server() as box,
        registrar_with(tmp_path, smtp_url=f"{box.url}?starttls", mail_retry_s=3600) as registrar,
    ):
        await send(registrar)
        async with asyncio.timeout(60):
            while not (await kept(registrar, "waiting")).detail:
                await asyncio.sleep(0.02)
        assert box.recipients == []


async def test_without_a_mail_server_the_text_is_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with registrar_with(tmp_path) as registrar:
            await send(registrar, reason="fine\nERROR forged line")
            await kept(registrar, "printed")
    assert "no mail server is set" in caplog.text
    assert "    | > fine" in caplog.text
    assert "\nERROR forged" not in caplog.text


async def test_secrets_are_mailed_and_then_forgotten(tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    for name in ("submission_returned.txt", "submission_returned.html"):
        (templates / name).write_text("Subject: hello\n\nOpen {{ link }} for {{ title }}\n")
    async with (
        mail_server() as box,
        registrar_with(tmp_path, smtp_url=box.url, mail_templates=str(templates)) as registrar,
    ):
        await send(registrar, link=Secret("https://x.example.org/in?t=s3cr3t"))
        message = await box.next()
        mail = await kept(registrar, "sent")
        await registrar.context.mailer.send(
            "bo@example.org", "submission_returned", {**WORDS, "link": Secret("s3cr3t")}
        )
        await box.next()
        async with asyncio.timeout(60):
            while await registrar.context.db.read(mails.next_try) is not None:
                await asyncio.sleep(0.02)
        nothing = await registrar.context.db.read(mails.about, "")
    assert "s3cr3t" in part(message, "plain")
    assert "s3cr3t" not in mail.text
    assert "Wheat, 2019" in mail.text
    assert nothing == []


async def test_an_institution_may_replace_the_words(tmp_path: Path) -> None:
    (tmp_path / "submission_returned.txt").write_text("Subject: Liebe {{ title }}\n\nGruß: {{ registrar }}\n")
    async with (
        mail_server() as box,
        registrar_with(
            tmp_path, smtp_url=box.url, mail_templates=str(tmp_path), name="Würzburg"
        ) as registrar,
    ):
        await send(registrar)
        message = await box.next()
    assert message["Subject"] == "Liebe Wheat, 2019"
    assert "Gruß: Würzburg" in part(message, "plain")
    assert "Name the field." in part(message, "html")


@pytest.mark.parametrize(
    "name",
    ["bind_key", "submission_approved", "submission_received", "submission_returned", "submission_rejected"],
)
def test_no_name_that_a_stranger_gave_becomes_a_link_or_a_letter(name: str) -> None:
    templates = Templates("", {"registrar": "R", "institution": "", "public_url": "https://r.example"})
    bait = (
        "Your account ends! Go to https://evil.example/x, www.evil.example or mailto:eve@evil.example\n\n" * 9
    )
    stranger = {"label": bait, "title": bait, "curator": bait, "license": bait}
    common = {
        "files": 2,
        "size": "1 GB",
        "email": "bo@r.example",
        "minutes": 15,
        "code": "ABCD-EFGH",
        "key": "ed25519:x",
        "url": WORDS["url"],
    }
    words = templates.render(name, {**WORDS, **common, **stranger, "reason": "none"})
    for text in (words.subject, words.text, words.html):
        assert "evil.example" not in text
        assert "https://evil" not in text
        assert text.count("Your account ends!") < 9  # each is cut
    assert "https[:]//evil[.]example" in words.text
    assert all(len(line) < 500 for line in words.text.splitlines())


def test_a_template_that_fails_costs_its_words_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "submission_returned.txt").write_text("Subject: {{ nothing }}\n\n{{ title + 1 }}\n")
    templates = Templates(
        str(tmp_path), {"registrar": "R", "institution": "", "public_url": "https://r.example"}
    )
    assert templates.render("submission_returned", WORDS).subject == "Sent back to you: Wheat, 2019"
    assert "submission_returned of mail_templates fails" in caplog.text


async def test_of_several_processes_one_sends_each_mail(tmp_path: Path, database_url: str) -> None:
    async with (
        mail_server() as box,
        registrar_with(tmp_path, database_url, smtp_url=box.url) as registrar,
    ):
        context = registrar.context
        other = open_database(context.settings.sqlalchemy_url)
        other.start()
        second = Mailer(
            context.settings,
            other,
            public_url=registrar.url,
            host="seeds.example.org",
            clock=registrar.clock,
            random=context.random,
        )
        second.start()
        try:
            people = [f"p{n}@example.org" for n in range(20)]
            letters = [context.mailer.write(to, "submission_returned", WORDS) for to in people]

            def put(connection: Connection) -> None:
                for letter in letters:
                    mails.add(connection, letter)

            await context.db.write(put)
            context.mailer.wake()
            second.wake()
            for _ in letters:
                await box.next()
            async with asyncio.timeout(60):
                while await context.db.read(mails.next_try) is not None:
                    await asyncio.sleep(0.02)
        finally:
            await second.stop()
            await other.close()
    assert sorted(box.recipients) == sorted(people)


def test_a_malformed_template_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "submission_returned.txt").write_text("Subject: {{ title \n")
    with pytest.raises(UsageError, match=r"submission_returned\.txt"):
        Templates(str(tmp_path), {})
    with pytest.raises(UsageError, match="not there"):
        Templates(str(tmp_path / "none"), {})


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example.org",
        "smtp://",
        "smtp://mail.example.org/inbox",
        "smtp://mail.example.org:x",
        "smtp://mail.example.org?tls",
        "smtp://me:s3cr3t@mail.example.org",
    ],
)
def test_a_mail_server_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="smtp_url") as refused:
        MailServer.parse(url)
    assert "s3cr3t" not in refused.value.what


def test_passwords_are_never_shown() -> None:
    server = MailServer.parse("smtps://me:p%40ss@mail.example.org")
    assert (server.port, server.user, server.password, server.tls) == (465, "me", "p@ss", True)
    assert "p@ss" not in repr(server)


@pytest.mark.parametrize("address", ["a@b", "A.b+c@Example.ORG", "x@bücher.example"])
def test_addresses_that_are_taken(address: str) -> None:
    taken = parse_address(address)
    assert taken.rpartition("@")[0] == address.rpartition("@")[0]
    assert taken.isascii()


@given(st.text(max_size=80))
def test_whatever_is_taken_as_an_address_is_one_word(text: str) -> None:
    try:
        taken = parse_address(text)
    except InvalidInput:
        return
    assert taken.isascii()
    assert taken.isprintable()
    assert not set(taken) & set(' <>,;:"()[]\\')
    assert taken.count("@") == 1
