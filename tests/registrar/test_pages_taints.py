"""The pages of taints: what everybody reads, what curators order in a browser, and how it is obeyed."""

from __future__ import annotations

from pathlib import Path

from seedkeep.core.statements import Action, Removal
from seedkeep.core.taints.body import seconds
from seedkeep_registrar.store import accounts
from seedkeep_registrar.store.accounts import Role
from tests.support.people import Mailbox, browser
from tests.support.registrar import RegistrarUnderTest, registrar_with, shareable, utc


async def test_two_curators_decide_in_their_browsers(tmp_path: Path, mailbox: Mailbox) -> None:
    async with (
        registrar_with(tmp_path, "", curators=()) as registrar,
        browser(registrar.url) as cleo,
        browser(registrar.url) as dora,
        browser(registrar.url) as reader,
    ):
        for name, who in (("cleo", cleo), ("dora", dora)):
            made = {"email": f"{name}@example.org", "role": Role.CURATOR, "now": registrar.clock()}
            await registrar.context.db.write(accounts.create, **made, name=name)
            await who.sign_in(f"{name}@example.org", mailbox)
        document = await registrar.person().register(shareable("set"))
        page, subject = f"/{document['ark']}", f"content:{document['content_id']}"
        link = f"/taints/new?subject={subject}"
        assert link in (await cleo.get(page)).body.decode()
        assert link not in (await reader.get(page)).body.decode()
        assert (await reader.get(link)).headers["Location"].startswith("/sign-in")
        assert document["ark"] in (await cleo.get(link)).body.decode()
        order = {
            "subject": subject,
            "category": "malware",
            "reason": "run.sh <b>bites</b>",
            "basis": "policy 3",
        }
        bad = await cleo.post("/taints/new", {**order, "evidence": "abc"})
        assert (bad.status, "SHA-256" in bad.body.decode()) == (400, True)
        assert "run.sh &lt;b&gt;bites&lt;/b&gt;" in bad.body.decode()  # what was typed is still there
        held = await cleo.post("/taints/new", {**order, "effect": "hold"})
        assert held.status == 303, held
        withheld = (await reader.get(page)).body.decode()
        assert all(said in withheld for said in ("run.sh &lt;b&gt;bites&lt;/b&gt;", "policy 3", "Ends"))
        made_answer = await cleo.post("/taints/new", order)
        taint_id = made_answer.headers["Location"].partition("#")[2]
        assert (await cleo.post(f"/taints/{taint_id}/approve", {"reason": "me again"})).status == 409
        assert (await reader.post(f"/taints/{taint_id}/approve", {"reason": "x"})).status == 303  # to sign in
        assert (await dora.post(f"/taints/{taint_id}/approve", {"reason": "I saw it"})).status == 303
        shown = {t["id"]: t for t in (await reader.get("/api/v1/taints")).json["taints"]}
        assert (shown[taint_id]["state"], shown[taint_id]["effect"]) == ("standing", "remove")
        assert all(who.startswith("account:") for who in shown[taint_id]["approvers"])
        assert (await dora.post(f"/taints/{taint_id}/lift", {"reason": ""})).status == 400
        assert (await dora.post(f"/taints/{taint_id}/lift", {"reason": "a false alarm"})).status == 303
        assert "a false alarm" in (await reader.get("/taints")).body.decode()


async def test_the_page_of_transparency_tells_how_a_taint_was_obeyed(registrar: RegistrarUnderTest) -> None:
    what = shareable()
    document = await registrar.person().register(what)
    keepers = [registrar.person() for _ in range(3)]
    for keeper in keepers:
        await keeper.hold(what)
    order = await registrar.curator.taint(f"content:{document['content_id']}")
    (told,) = (await keepers[0].get("/api/v1/taints")).json["taints"]
    assert (told["obeyed"], told["median_s"], told["slowest_s"]) == (0, None, None)
    for keeper, took in zip(keepers, (30, 90, 7000), strict=True):
        at = utc(seconds(told["created"]) + took)
        receipt = Removal(order.json["id"], document["content_id"], Action.REMOVED, 1, str(keeper), at).sign(
            keeper.key
        )
        assert (await keeper.post("/api/v1/receipts", receipt)).status == 201
    (told,) = (await keepers[0].get("/api/v1/taints")).json["taints"]
    assert (told["obeyed"], told["median_s"], told["slowest_s"]) == (3, 90, 7000)
    page = (await keepers[0].get("/transparency", headers={"Accept": "text/html"})).body.decode()
    assert "90 s" in page
    assert "117 min" in page
