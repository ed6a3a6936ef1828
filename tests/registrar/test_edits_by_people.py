"""People who edit and withdraw in a browser or by a token; the registrar signs and names them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from seedkeep.core import jcs
from seedkeep.core.events import Event
from seedkeep.core.metadata import Metadata
from seedkeep.core.record import Editor
from seedkeep.core.revision import RecordState, WithdrawalBody
from seedkeep_registrar import submissions, times
from seedkeep_registrar.accounts.principal import Principal, principal_of_key
from seedkeep_registrar.registration import SignedEvent
from tests.support.people import Mailbox, bind_by_mail, browser
from tests.support.registrar import RegistrarUnderTest, shareable

ADA, BOB = "ada@example.org", "bob@example.org"


async def token_of(one: Any, *scopes: str) -> dict[str, str]:
    """The header that carries a fresh token."""
    made = await one.json("POST", "/api/v1/account/tokens", {"name": "script", "scopes": list(scopes)})
    assert made.status == 201, made
    return {"Authorization": f"Bearer {made.json['token']}"}


async def test_a_steward_edits_in_a_browser_and_nobody_else_does(
    any_registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    sharer = any_registrar.person()
    rid = (await sharer.register(shareable(), metadata=Metadata(title="Fage")))["rid"]
    account = await bind_by_mail(sharer, ADA, mailbox)
    path = f"/api/v1/records/{rid}/metadata"
    async with browser(any_registrar.url) as ada, browser(any_registrar.url) as bob:
        await ada.sign_in(ADA, mailbox)
        await bob.sign_in(BOB, mailbox)
        change = {"metadata": {"title": "Phage"}, "note": "a typing error"}
        assert (await bob.json("PATCH", path, change)).status == 403
        answer = await ada.json("PATCH", path, change)
        assert answer.status == 200, answer
        entry = (await ada.json("GET", f"/api/v1/records/{rid}/revisions/1")).json
        assert entry["by"] == str(any_registrar.context.key.public)
        assert entry["editor"]["account"] == str(account["id"])
        stale = await ada.send(
            "PATCH", path, json=change, headers={"Origin": ada.url, "If-Match": f'"{rid}"'}
        )
        assert stale.status == 412
        assert (await ada.send("PATCH", path, json=change)).status == 403  # from nowhere
        gone = await ada.json("POST", f"/api/v1/records/{rid}/withdrawal", {"reason": "wrong sample"})
        assert gone.status == 201
        assert gone.json["revision"]["body"]["editor"]["account"] == str(account["id"])


async def test_a_token_edits_when_it_may(any_registrar: RegistrarUnderTest, mailbox: Mailbox) -> None:
    sharer = any_registrar.person()
    rid = (await sharer.register(shareable()))["rid"]
    await bind_by_mail(sharer, ADA, mailbox)
    path = f"/api/v1/records/{rid}/metadata"
    async with browser(any_registrar.url) as ada, browser(any_registrar.url) as program:
        await ada.sign_in(ADA, mailbox)
        for scope, status in (("register", 403), ("edit", 200)):
            headers = await token_of(ada, scope)
            answer = await program.send("PATCH", path, json={"copies": 7}, headers=headers)
            assert answer.status == status, answer
    assert (await sharer.get(f"/api/v1/records/{rid}")).json["copies"]["wanted"] == 7


async def test_what_was_recorded_for_an_account_is_its_own_until_handed_over(
    any_registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    registrar, what = any_registrar.context, shareable()
    person, heir = any_registrar.person(), any_registrar.person()
    account = await bind_by_mail(person, ADA, mailbox)
    await person.upload(what)
    who: Principal = await principal_of_key(registrar, str(person))
    signer = any_registrar.person(registrar.key)
    body = what.body(editor=Editor(str(account["id"]), "Ada")).encode()
    event = signer.event(body, created=times.text(registrar.clock()))
    made = await submissions.register_event(registrar, who, SignedEvent(event, body))
    assert isinstance(made, tuple)
    rid = made[0].record.rid
    path = f"/api/v1/records/{rid}/metadata"
    async with browser(any_registrar.url) as ada:
        await ada.sign_in(ADA, mailbox)
        assert (await ada.json("PATCH", path, {"copies": 5})).status == 200
        assert (await ada.json("PATCH", path, {"stewards": [str(heir)]})).status == 200
        assert (await ada.json("PATCH", path, {"copies": 6})).status == 403


async def test_nobody_but_the_registrar_says_who_an_editor_was(registrar: RegistrarUnderTest) -> None:
    sharer, what, ada = registrar.person(), shareable(), Editor("1", "Ada")
    document = await sharer.register(what)
    body = what.body(editor=ada, copies=9).encode()
    assert (await sharer.submit(sharer.event(body), body)).status == 403
    state = RecordState.begin(Event.parse(document["event"]), jcs.dumps(document["body"]))
    for kind, said in (
        ("revision", state.revision(editor=ada).encode()),
        ("withdrawal", WithdrawalBody("mine", ada).encode()),
    ):
        event = sharer.event(said, kind, after=state.head)
        assert (await sharer.submit(event, said)).status == 403


async def test_the_tracker_knows_withdrawn_content_no_more(
    any_registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    sharer = any_registrar.person()
    document = await sharer.register(shareable())
    asked = (
        f"/announce?info_hash={quote(bytes.fromhex(document['infohash_v1']))}&peer_id={'a' * 20}&port=7001"
    )
    asked += "&left=0&uploaded=0&downloaded=0&compact=1"
    assert b"failure" not in (await sharer.get(asked)).body
    path = f"/api/v1/records/{document['rid']}/withdrawal"
    assert (await sharer.post(path, {"reason": "wrong sample"})).status == 201
    assert b"withdrawn" in (await sharer.get(asked)).body
