"""What curators' agreement is worth when keys are withdrawn, orders repeated, or receipts made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seedkeep.core import jcs
from seedkeep.core.events import Event
from seedkeep.core.statements import Action, Removal
from tests.support.people import Mailbox, bind_by_mail
from tests.support.registrar import Person, RegistrarUnderTest, new_key, registrar_with, shareable, utc


async def test_a_curator_whose_key_was_withdrawn_agrees_no_more(tmp_path: Path) -> None:
    keys = [new_key() for _ in range(3)]
    first, second, third = (str(key.public) for key in keys)
    async with registrar_with(tmp_path, curators=(first, second)) as registrar:
        document = await registrar.person().register(shareable())
        subject = f"content:{document['content_id']}"
        assert (await registrar.person(keys[0]).taint(subject)).json["approvals"] == 1
        listen = registrar.url.removeprefix("http://")
    async with registrar_with(tmp_path, curators=(second, third), listen=listen) as registrar:
        alone = (await registrar.person(keys[1]).taint(subject)).json
        assert (alone["state"], alone["approvals"]) == ("proposed", 1)
        (shown,) = (await registrar.person().get("/api/v1/taints")).json["taints"]
        assert shown["approvals"] == 1
        assert (await registrar.person().get(f"/api/v1/records/{document['rid']}")).status == 200
        together = (await registrar.person(keys[2]).taint(subject)).json
        assert (together["state"], together["approvals"]) == ("standing", 2)
        assert (await registrar.person().get(f"/api/v1/records/{document['rid']}")).status == 451


async def test_curators_of_accounts_agree_as_people_not_as_keys(
    tmp_path: Path, database_url: str, mailbox: Mailbox
) -> None:
    boss_key = new_key()
    settings: dict[str, Any] = {"curators": (), "operator_emails": ("boss@example.org",)}
    async with registrar_with(tmp_path, database_url, **settings) as registrar:
        boss, ada, also_ada, bob = registrar.person(boss_key), *[registrar.person() for _ in range(3)]
        await bind_by_mail(boss, "boss@example.org", mailbox)
        subject = "content:" + "ab" * 32
        accounts = {}
        for person, email in ((ada, "ada"), (also_ada, "ada"), (bob, "bob")):
            accounts[email] = (await bind_by_mail(person, f"{email}@example.org", mailbox))["id"]
            assert (await person.taint(subject)).status == 403
        for account in accounts.values():
            role = jcs.dumps({"role": "curator"})
            assert (await boss.send("PATCH", f"/api/v1/accounts/{account}", role)).status == 200
        assert (await ada.get("/.well-known/seedkeep")).json["approvals"] == 2
        proposed = (await ada.taint(subject)).json
        assert (proposed["state"], proposed["approvals"], proposed["needed"]) == ("proposed", 1, 2)
        assert (await also_ada.taint(subject)).status == 409  # the same person
        role = jcs.dumps({"role": "member"})
        assert (await boss.send("PATCH", f"/api/v1/accounts/{accounts['ada']}", role)).status == 200
        assert (await ada.taint("content:" + "cd" * 32)).status == 403
        alone = (await bob.taint(subject)).json
        assert (alone["state"], alone["approvals"]) == ("proposed", 1)  # Ada's word counts no more
        assert (await boss.taint(subject)).json["state"] == "standing"


async def test_what_is_lifted_cannot_be_lifted_on_top(registrar: RegistrarUnderTest) -> None:
    curator = registrar.curator
    body = jcs.dumps({"v": 1, "subject": "content:" + "ab" * 32, "category": "other", "reason": "x"})
    made: Event = curator.event(body, "taint")
    taint_id = (await curator.submit(made, body, "/api/v1/taints")).json["id"]
    reason = jcs.dumps({"v": 1, "reason": "a mistake"})
    first = curator.event(reason, "lift", after=made)
    path = f"/api/v1/taints/{taint_id}/lift"
    assert (await curator.submit(first, reason, path)).status == 201
    assert (await curator.submit(curator.event(reason, "lift", after=first), reason, path)).status == 409
    (shown,) = (await curator.get("/api/v1/taints")).json["taints"]
    assert shown["lifted"] == first.hash()


async def test_a_receipt_for_what_a_taint_never_hit_is_not_kept(any_registrar: RegistrarUnderTest) -> None:
    what, clean = shareable("bad"), shareable("good")
    document = await any_registrar.person().register(what)
    await any_registrar.person().register(clean)
    keeper: Person = any_registrar.person()
    await keeper.introduce()
    taint_id = (await any_registrar.curator.taint(f"record:{document['rid']}")).json["id"]

    def receipt(content_id: str) -> dict[str, Any]:
        return Removal(taint_id, content_id, Action.REMOVED, 1, str(keeper), utc(keeper.clock())).sign(
            keeper.key
        )

    for other in (clean.dataset().content_id, "ab" * 32):
        assert (await keeper.post("/api/v1/receipts", receipt(other))).status == 404
    assert (await keeper.post("/api/v1/receipts", receipt(document["content_id"]))).status == 201
