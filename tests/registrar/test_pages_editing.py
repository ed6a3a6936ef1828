"""Editing, withdrawing and registering in a browser, the history, and the operator's page."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.errors import InvalidInput
from seedkeep.core.metadata import (
    ORGANIZATION,
    PERSON,
    Affiliation,
    Creator,
    Metadata,
    Related,
    Subject,
    parse_metadata,
)
from seedkeep.core.metainfo import torrent_v1, torrent_v2
from seedkeep_registrar.app import make_app
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.operations.journaling import ACTIONS, NOT_TOLD
from seedkeep_registrar.pages.metadata_form import LISTS, MOST_ROWS, further_of, metadata_of, rows_of
from tests.support.people import Browser, Mailbox, browser, hidden
from tests.support.registrar import (
    Person,
    RegistrarUnderTest,
    Shareable,
    registrar_with,
    shareable,
)

ADA, BOSS = "ada@example.org", "boss@example.org"


@pytest.fixture
async def home(tmp_path: Path, database_url: str) -> AsyncIterator[RegistrarUnderTest]:
    async with registrar_with(tmp_path, database_url, operator_emails=(BOSS,)) as registrar:
        yield registrar


@pytest.fixture
async def ada(home: RegistrarUnderTest, mailbox: Mailbox) -> AsyncIterator[Browser]:
    async with browser(home.url) as one:
        await one.sign_in(ADA, mailbox)
        yield one


async def bind(home: RegistrarUnderTest, one: Browser) -> Person:
    """A key that acts for whoever uses this browser."""
    person = home.person()
    begun = await person.post("/api/v1/account/bindings", {"label": "laptop"})
    done = await one.post("/account/bind", {"code": begun.json["code"], "decision": "confirm"})
    assert done.status == 200, done
    return person


def text_of(answer: Any) -> str:
    return unescape(re.sub(r"<[^>]*>", " ", answer.body.decode())).replace("\u200b", "")


async def test_a_steward_edits_in_a_browser_and_the_history_says_who_changed_what(
    home: RegistrarUnderTest, ada: Browser
) -> None:
    person = await bind(home, ada)
    record = await person.register(
        shareable(), metadata=Metadata(title="Before", creators=(Creator("A, B"),))
    )
    path = f"/records/{record['rid']}/edit"
    form = await ada.get(path)
    assert form.status == 200
    fields = {
        "head": hidden(form, "head"),
        "title": "After",
        "creators.0.name": "Lovelace, Ada",
        "creators.0.kind": "person",
        "creators.0.orcid": "https://orcid.org/0000-0002-1825-0097",
        "subjects.0.text": "Lambda <b>phage</b>",
        "subjects.0.scheme": "NCBITaxon",
        "subjects.0.id": "10710",
        "dois": "10.5281/zenodo.1\nhttps://doi.org/10.5281/ZENODO.2",
        "note": "the title was wrong",
    }
    saved = await ada.post(path, fields)
    assert (saved.status, saved.headers["Location"]) == (303, f"/records/{record['rid']}")
    now = (await person.get(f"/api/v1/records/{record['rid']}")).json
    assert now["seq"] == 1
    assert now["metadata"]["title"] == "After"
    assert now["metadata"]["dois"] == ["10.5281/zenodo.1", "10.5281/zenodo.2"]
    said = text_of(await ada.get(f"/records/{record['rid']}/history"))
    assert said.count("c2sp.org/tlog-proof@v1") == 2
    for words in ("Revision 1", "Before", "After", "Lovelace, Ada", "the title was wrong", "signed by the"):
        assert words in said
    stale = await ada.post(path, fields)
    assert stale.status == 409
    assert "meanwhile" in text_of(stale)


async def test_only_those_who_may_can_edit(home: RegistrarUnderTest, ada: Browser, mailbox: Mailbox) -> None:
    record = await home.person().register(shareable())
    path = f"/records/{record['rid']}/edit"
    assert (await ada.get(path)).status == 403
    assert (await ada.post(path, {"title": "mine"})).status == 403
    assert (await ada.post(path, {"title": "mine"}, origin="https://evil.example")).status == 403
    async with browser(home.url) as nobody:
        answer = await nobody.get(path)
        assert (answer.status, answer.headers["Location"].partition("?")[0]) == (303, "/sign-in")
    async with browser(home.url) as boss:
        await boss.sign_in(BOSS, mailbox)
        assert (await boss.get(path)).status == 200
        saved = await boss.post(path, {"title": "as the operator says"})
        assert saved.status == 303


async def test_what_makes_no_sense_is_said_and_what_was_typed_is_kept(
    home: RegistrarUnderTest, ada: Browser
) -> None:
    record = await (await bind(home, ada)).register(shareable())
    path = f"/records/{record['rid']}/edit"
    typed = {"title": "Kept", "creators.0.name": "A", "creators.0.orcid": "0000-0002-1825-0098"}
    wrong = await ada.post(path, typed)
    assert wrong.status == 400
    assert "typing error" in text_of(wrong)
    assert 'value="Kept"' in wrong.body.decode()
    more = await ada.post(path, {**typed, "more": "creators"})
    assert more.status == 200
    assert 'name="creators.6.name"' in more.body.decode()
    assert 'name="creators.6.name"' not in wrong.body.decode()


async def test_withdrawing_takes_being_sure_and_leaves_a_tombstone(
    home: RegistrarUnderTest, ada: Browser
) -> None:
    person = await bind(home, ada)
    record = await person.register(shareable())
    path = f"/records/{record['rid']}/withdraw"
    assert (await ada.post(path, {"reason": "a mistake"})).status == 400
    assert (await ada.post(path, {"reason": "a mistake", "sure": "yes"})).status == 303
    gone = await ada.get(f"/records/{record['rid']}")
    assert gone.status == 410
    assert "a mistake" in text_of(gone)
    assert (await ada.get(f"/records/{record['rid']}/edit")).status == 403
    assert "Withdrawn" in text_of(await ada.get(f"/records/{record['rid']}/history"))


def upload(what: Shareable, **changes: Any) -> aiohttp.FormData:
    manifest = what.data.manifest
    given = {
        "manifest": manifest.encode(),
        "torrent": torrent_v2(manifest, what.data.layers),
        "torrent_v1": torrent_v1(manifest, what.pieces_v1),
        "title": "By hand",
        "creators": "Lovelace, Ada\n",
        "license": "CC0-1.0",
        "copies": "3",
        **changes,
    }
    form = aiohttp.FormData()
    for name, value in given.items():
        if isinstance(value, bytes):
            form.add_field(name, value, filename=name)
        else:
            form.add_field(name, value)
    return form


async def test_a_manifest_and_its_torrents_are_registered_in_a_browser(
    home: RegistrarUnderTest, ada: Browser
) -> None:
    assert (await ada.get("/register")).status == 200
    what = shareable("by hand")
    own = {"Origin": home.url}
    made = await ada.send("POST", "/register", data=upload(what), headers=own)
    assert made.status == 303, made
    rid = made.headers["Location"].rpartition("/")[2]
    record = (await home.person().get(f"/api/v1/records/{rid}")).json
    assert record["content_id"] == what.dataset().content_id
    assert record["infohash_v1"] == what.dataset().infohash_v1
    assert record["body"]["editor"]["account"]
    assert (await ada.get(f"/records/{rid}/edit")).status == 200
    foreign = await ada.send(
        "POST", "/register", data=upload(what), headers={"Origin": "https://evil.example"}
    )
    assert foreign.status == 403


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"manifest": b""}, "manifest is missing"),
        ({"manifest": b"{}\n"}, "manifest"),
        ({"torrent": b"d4:infod6:lengthi1eee"}, "torrent"),
        ({"torrent": "v1"}, "each in its own field"),
        ({"torrent": "other"}, "info-hash is another one"),
        ({"torrent_v1": "other"}, "is not that of the manifest"),
        ({"license": "do what you want"}, "licen"),
        ({"copies": "many"}, "copies"),
        ({"web_seeds": "ftp://example.org/"}, "web seed"),
    ],
)
async def test_an_upload_that_does_not_fit_together_is_refused(
    home: RegistrarUnderTest, ada: Browser, changes: dict[str, Any], words: str
) -> None:
    what, other = shareable(), shareable("other")
    if changes.get("torrent") == "v1":
        changes = {"torrent": torrent_v1(what.data.manifest, what.pieces_v1)}
    elif changes.get("torrent") == "other":
        changes = {"torrent": torrent_v2(other.data.manifest, other.data.layers)}
    elif changes.get("torrent_v1") == "other":
        changes = {"torrent_v1": torrent_v1(other.data.manifest, other.pieces_v1)}
    answer = await ada.send("POST", "/register", data=upload(what, **changes), headers={"Origin": home.url})
    assert answer.status == 400, answer
    assert words in text_of(answer)
    assert (await home.person().get("/api/v1/records")).json["records"] == []


async def test_the_operators_page_is_for_operators_and_says_what_waits(
    home: RegistrarUnderTest, ada: Browser, mailbox: Mailbox
) -> None:
    assert (await ada.get("/operate")).status == 403
    await home.person().register(shareable())
    async with browser(home.url) as boss:
        await boss.sign_in(BOSS, mailbox)
        page = await boss.get("/operate")
        assert page.status == 200
        said = " ".join(text_of(page).split())
        assert "It can do its work" in said
        assert "1 dataset without a complete copy" in said
        assert (await boss.get("/operate/journal")).status == 200
        assert (await boss.get("/operate/journal?before=x")).status == 400


# --- the form itself ---

_line = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=12)


def sent(metadata: Metadata) -> dict[str, str]:
    """What a browser sends when somebody saves the form as it is."""
    fields = {name: getattr(metadata, name) for name in ("title", "description", "publisher", "version")}
    fields |= {"language": metadata.language, "dois": "\n".join(metadata.dois)}
    for name, rows in rows_of(metadata).items():
        for number, row in enumerate(rows):
            fields |= {f"{name}.{number}.{field}": value for field, value in row.items()}
    return fields


@given(
    st.builds(
        Metadata,
        title=_line,
        creators=st.lists(
            st.builds(
                Creator,
                _line,
                given=_line,
                affiliations=st.lists(st.builds(Affiliation, _line), max_size=3).map(tuple),
            ),
            max_size=4,
            unique_by=lambda c: c.name,
        ).map(tuple),
        subjects=st.lists(st.builds(Subject, _line), max_size=4).map(tuple),
        related=st.just((Related("Cites", "doi:10.1000/x"),)),
        dois=st.sampled_from([(), ("10.1000/x", "10.1000/y")]),
    )
)
def test_saving_a_form_as_it_is_changes_nothing(metadata: Metadata) -> None:
    fields = sent(metadata)
    assert metadata_of(lambda name: fields.get(name, ""), metadata) == metadata


def test_every_list_of_the_metadata_is_in_the_form() -> None:
    lists = {field.name for field in dataclasses.fields(Metadata) if str(field.type).startswith("tuple[")}
    assert lists - {"dois"} == set(LISTS)


async def test_the_journal_says_who_did_what_and_keeps_no_secret(
    home: RegistrarUnderTest, ada: Browser, mailbox: Mailbox
) -> None:
    async with browser(home.url) as boss:
        await boss.sign_in(BOSS, mailbox)
        assert (await boss.post("/accounts/1", {"role": "curator"})).status == 303
        token = await boss.json("POST", "/api/v1/account/tokens", {"name": "n", "scopes": ["read"]})
        assert token.status == 201, token
        assert (await boss.post("/accounts", {"email": "nobody", "role": "member"})).status == 400
        page = await boss.get("/operate/journal")
        said = text_of(page)
        for words in ("account.governed", "account 1", f"({BOSS})", "token.made", "session.begun"):
            assert words in said
        assert "account.added" not in said
        assert token.json["token"] not in said
        assert "link" not in said
        some = text_of(await boss.get("/operate/journal?action=token"))
        assert "token.made" in some
        assert "account.governed" not in some


async def test_every_route_that_changes_something_is_told_in_the_journal_or_left_out_on_purpose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[web.Application] = []

    def watched(context: Registrar) -> web.Application:
        made.append(make_app(context))
        return made[0]

    monkeypatch.setattr("seedkeep_registrar.server.make_app", watched)
    async with registrar_with(tmp_path):
        every = {
            (route.method, route.resource.canonical)
            for route in made[0].router.routes()
            if route.resource is not None
        }
        writes = {one for one in every if one[0] not in ("GET", "HEAD", "OPTIONS")}
    assert {w for w in writes if w not in ACTIONS and w[1] not in NOT_TOLD} == set()
    assert set(ACTIONS) - every == set()


# --- lists that are longer than the form has rows ---

_any = st.text(st.characters(exclude_categories=("C", "Z")) | st.sampled_from("|\\ \n"), max_size=12)
_said = _any.map(str.strip).filter(bool)
_plain = st.text(st.characters(categories=("L", "N")) | st.sampled_from("|\\ "), max_size=9).map(str.strip)


@given(
    st.lists(st.tuples(_said, _plain, st.booleans(), st.lists(_said, max_size=2)), max_size=8),
    st.lists(st.tuples(_said, st.sampled_from([("", ""), ("NCBITaxon", "10710")])), max_size=5),
)
def test_what_has_no_row_comes_back_from_its_line(
    people: list[tuple[str, str, bool, list[str]]], subjects: list[tuple[str, tuple[str, str]]]
) -> None:
    """Also two people of one name, and names with the letters that divide a line."""
    few = [Creator(f"Nobody {n}") for n in range(MOST_ROWS - 2)]
    more = [
        Creator(
            name.replace("\n", " ") if n + len(few) < MOST_ROWS else name,
            given=given_name,
            kind=ORGANIZATION if organization else PERSON,
            affiliations=tuple(Affiliation(place.replace("\n", " ")) for place in places),
        )
        for n, (name, given_name, organization, places) in enumerate(people)
    ]
    some = [Subject("x")] * (MOST_ROWS - 1) + [
        Subject(text.replace("\n", " "), *term) for text, term in subjects
    ]
    metadata = Metadata(creators=(*few, *more), subjects=tuple(some))
    fields = {**sent(metadata), **further_of(metadata)}
    assert metadata_of(lambda name: fields.get(name, "").strip(), metadata) == metadata


def test_a_line_that_makes_no_sense_is_named() -> None:
    for text in ("A | person | | | | | too much", " | organization"):
        fields = {"creators.further": f"Right\n{text}"}
        with pytest.raises(InvalidInput, match="line 2 of the further creators"):
            metadata_of(lambda name, fields=fields: fields.get(name, ""), Metadata())


async def test_a_record_of_300_creators_is_edited_in_a_browser_and_nobody_is_lost(
    home: RegistrarUnderTest, ada: Browser
) -> None:
    person = await bind(home, ada)
    creators = tuple(
        Creator(f"Okafor, {n}", family="Okafor", affiliations=(Affiliation("A | B"), Affiliation("C")))
        for n in range(300)
    )
    record = await person.register(shareable(), metadata=Metadata(title="Before", creators=creators))
    page = await ada.get(f"/records/{record['rid']}/edit")
    assert page.status == 200
    fields = browser_fields(page)
    assert len(fields["creators.further"].split("\n")) == 300 - MOST_ROWS
    changed = {**fields, "title": "After", "creators.0.name": ""}
    changed["creators.further"] += "\nLast, Ada | person | 0000-0002-1825-0097"
    assert (await ada.post(f"/records/{record['rid']}/edit", changed)).status == 303
    now = parse_metadata((await person.get(f"/api/v1/records/{record['rid']}")).json["metadata"])
    last = Creator("Last, Ada", orcid="0000-0002-1825-0097")
    assert now == Metadata(title="After", creators=(*creators[1:], last))


def browser_fields(page: Any) -> dict[str, str]:
    """What a browser sends of the form for editing as it is."""
    html = page.body.decode()
    html = html[html.index('action="') : html.index('id="withdraw"')]
    fields = {
        name: unescape(value)
        for name, value in re.findall(r'<input[^>]*? name="([^"]*)"[^>]*? value="([^"]*)"', html)
    }
    for name, inner in re.findall(
        r'<textarea[^>]*? name="([^"]*)"[^>]*>\n?(.*?)</textarea>', html, re.DOTALL
    ):
        fields[name] = unescape(inner)
    for name, inner in re.findall(r'<select[^>]*? name="([^"]*)"[^>]*>(.*?)</select>', html, re.DOTALL):
        fields[name] = next(iter(re.findall(r'value="([^"]*)" selected', inner)), "")
    return fields
