"""A registrar in full use, for looking at its pages: every state a reader can meet, and names that hurt.

Other tests add what they need to :class:`World` (a dataset in a new state, a person with a session) and list
their pages as :class:`Shot`; :func:`look` opens each in the browser and says all that is wrong with it.
With ``SEEDKEEP_SCREENSHOTS=FOLDER`` the pictures are kept there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from seedkeep.core.events import Event
from seedkeep.core.metadata import (
    ORGANIZATION,
    Affiliation,
    Contact,
    Creator,
    Date,
    Funding,
    Metadata,
    Related,
    Subject,
)
from seedkeep.core.revision import WithdrawalBody
from seedkeep.core.statements import Action, Removal
from seedkeep_registrar.store import claims, copy_counts, records
from seedkeep_registrar.store.copy_counts import Counts
from tests.support.chromium import PHONE, WIDE, Tab
from tests.support.registrar import Person, RegistrarUnderTest, Shareable, shareable, start_registrar, utc

#: turns the direction of reading, breaks out of markup, hides and repeats itself
HOSTILE = "annual\u202egpj.exe<script>alert(1)</script>\u200b\x01\x1b[31m'\"&amp;</td>" + "W" * 700
ABOUT = (
    "Paired-end reads of 96 river samples taken between 2023 and 2025, and the assemblies of them. "
    "Samples were filtered at 0.22 µm, concentrated by PEG precipitation and sequenced on two lanes; "
    "negative controls are in the folder of the same name.\n\n"
    "Each plate has a folder of its own; the sample sheet names place, date and depth. " * 12
)
RICH = Metadata(
    title="A survey of Enterobacteria phage lambda in urban rivers",
    creators=(
        Creator(
            "Okafor, Ngozi",
            given="Ngozi",
            family="Okafor",
            orcid="0000-0002-1825-0097",
            affiliations=(Affiliation("Example University", "04wxnsj81"), Affiliation("River Institute")),
        ),
        Creator("Lindqvist, Sara", given="Sara", family="Lindqvist"),
        Creator("Urban Rivers Consortium", kind=ORGANIZATION, ror="04wxnsj81"),
    ),
    subjects=(
        Subject("virology"),
        Subject("metagenomics"),
        Subject("Escherichia virus Lambda", "NCBITaxon", "10710"),
    ),
    description=ABOUT,
    funding=(Funding("Example Research Council", "04wxnsj81", "ERC-2023-4711", "Phages of the city"),),
    related=(
        Related("IsSupplementTo", "doi:10.1234/rivers.2025"),
        Related("References", "https://example.org/protocol"),
    ),
    dates=(Date("Collected", "2023/2025"),),
    contacts=(Contact("River Institute, data desk", "data@example.org"),),
    publisher="Example University Library",
    version="v1.2",
    language="en",
)


@dataclass(frozen=True)
class World:
    """The registrar and the record documents of what is in it.

    Args:
        rich: everything known of it, files in folders, copies in every state, a reported web seed.
        hostile: every text that people write is :data:`HOSTILE`.
        bare: a single file, no metadata, no copy.
        tainted: withheld.
        marked: a taint warns of it, another one withholds one of its files.
        older, newer: two versions.
        withdrawn: by its steward.
    """

    registrar: RegistrarUnderTest
    sharer: Person
    rich: dict[str, Any] = field(default_factory=dict)
    hostile: dict[str, Any] = field(default_factory=dict)
    bare: dict[str, Any] = field(default_factory=dict)
    tainted: dict[str, Any] = field(default_factory=dict)
    marked: dict[str, Any] = field(default_factory=dict)
    older: dict[str, Any] = field(default_factory=dict)
    newer: dict[str, Any] = field(default_factory=dict)
    withdrawn: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The public URL."""
        return self.registrar.url


class Site(Protocol):
    """Whatever runs and has pages."""

    @property
    def url(self) -> str:
        """The public URL."""


@dataclass(frozen=True)
class Shot:
    """One page in one state.

    Args:
        name: of its pictures.
        path: what to open.
        before: what to do first, such as signing in.
        do: what to do in the page before it is looked at.
    """

    name: str
    path: Callable[[Any], str]
    status: int = 200
    before: Callable[[Any, Tab], Awaitable[None]] | None = None
    do: Callable[[Tab], Awaitable[None]] | None = None


def tree(count: int) -> dict[str, bytes]:
    """That many small files: in plates, beside a deep lone folder and names of several scripts."""
    made = {
        f"reads/plate-{n % 12:02d}/sample_{n:04d}_R1.fastq.gz": b"x" * (n * 37 % 5000) for n in range(count)
    }
    made |= {
        "README.txt": b"Read this first.\n",
        "sample-sheet.tsv": b"well\tplace\n" * 300,
        "controls/negative/2024/blank.fastq": b"@",
        "مجموعة بيانات/طيور مهاجرة.csv": b"a,b\n",
        "<b>bold</b> & 'quoted'.txt": b"?",
        "a name that goes on " + "and on " * 25 + ".txt": b"long",
    }
    return made


async def _rich(running: RegistrarUnderTest, sharer: Person) -> dict[str, Any]:
    what = shareable("lambda-survey", tree(180))
    record = await sharer.register(
        what,
        metadata=RICH,
        web_seeds=("https://data.example.org/rivers/", "https://mirror.example.net/pub/rivers/"),
    )
    for operator, institution, country, how in (
        ("Library IT", "Example University Library", "AT", "audited"),
        ("Rechenzentrum Süd", "Institut für Meeresforschung", "DE", "complete"),
        ("Ana's basement", "", "PT", "downloading"),
        (HOSTILE[:100], HOSTILE[:100], "عمان", "downloading"),
    ):
        node = running.person()
        told = {"operator": operator, "institution": institution, "country": country}
        introduced = await node.introduce(pledge=20 * 10**12, **told)
        assert introduced.status == 201, introduced
        await node.claim(record["content_id"])
        if how != "downloading":
            await node.attest(what)
        if how == "audited":
            audited = {"audited": running.clock()}
            await running.context.db.write(claims.change, record["content_id"], str(node), audited)
    await _past(running, record)
    report = {"content_id": record["content_id"], "web_seed": record["web_seeds"][1], "reason": HOSTILE[:300]}
    assert (await running.person().post("/api/v1/web-seed-reports", report)).status == 202
    return record


async def _past(running: RegistrarUnderTest, record: dict[str, Any]) -> None:
    """The last months of a dataset: copies came and went."""
    now, day = int(running.clock()), 86400
    past = [
        (90, 3, 0, 0),
        (88, 3, 1, 0),
        (80, 3, 2, 1),
        (60, 3, 3, 2),
        (31, 3, 2, 2),
        (30, 4, 2, 1),
        (9, 4, 3, 1),
    ]
    counts = [(record["content_id"], Counts(now - ago * day, *rest)) for ago, *rest in past]
    await running.context.db.write(copy_counts.put, counts)
    created = {"created": utc(now - 90 * day)}
    await running.context.db.write(records.change, record["rid"], **created)


async def _many(running: RegistrarUnderTest, sharer: Person) -> None:
    for n in range(24):
        await sharer.register(
            shareable(f"set-{n:02d}.csv", {f"set-{n:02d}.csv": b"x" * (n + 1) ** 4}),
            metadata=Metadata(title=f"Sound recordings of the Wadden Sea, {1998 + n}"),
        )
    for n in range(10):
        node = running.person()
        await node.introduce(operator=f"Operator {n}", institution=f"Library of {n}", pledge=(n + 1) * 10**11)


async def _marked(running: RegistrarUnderTest, sharer: Person) -> dict[str, Any]:
    """A dataset with taints that do not withhold it; one that was removed, with a receipt."""
    secret = b"name,born\n"
    what = shareable("second-wave", {"answers.csv": b"1,2\n", "people/names.csv": secret})
    marked = await sharer.register(
        what,
        metadata=Metadata(title="Interviews, third wave"),
        web_seeds=("https://data.example.org/waves/",),
    )
    said = {
        "basis": "GDPR Art. 17",
        "jurisdiction": "EU",
        "evidence": "5e" * 32,
        "appeal": "Write to privacy@example.org within four weeks.",
    }
    why = "The file names people who were promised that nobody would."
    root = f"root:{hashlib.sha256(secret).hexdigest()}"  # a file of one block
    await running.curator.taint(root, "data-protection", why, **said)
    until = utc(running.clock() + 900 * 86400)
    warning = {"effect": "warn", "expires": until, "appeal": "<b>" + "W" * 200}
    await running.curator.taint(f"content:{marked['content_id']}", "retraction", HOSTILE[:400], **warning)
    held, keeper = shareable("trojan", {"run.sh": b"rm", "b": b"b"}), running.person()
    gone = await sharer.register(held)
    await keeper.hold(held)
    order = await running.curator.taint(f"content:{gone['content_id']}", "malware", "run.sh is a trojan.")
    receipt = Removal(
        order.json["id"], gone["content_id"], Action.REMOVED, 3, str(keeper), utc(running.clock() + 100)
    )
    assert (await keeper.post("/api/v1/receipts", receipt.sign(keeper.key))).status == 201
    return marked


@asynccontextmanager
async def world(folder: Path, **settings: Any) -> AsyncIterator[World]:
    """Run a registrar and fill it."""
    given = {
        "heartbeat_s": 600.0,
        "name": "Open Genomes",
        "institution": "Example University Library",
        **settings,
    }
    async with start_registrar(folder / "registrar", **given) as running:
        sharer = running.person()
        rich = await _rich(running, sharer)
        await _many(running, sharer)
        withheld: Shareable = shareable("withheld", {"names.csv": b"a,b\n", "b": b"b"})
        tainted = await sharer.register(withheld, metadata=Metadata(title="Interviews, second wave"))
        await running.curator.taint(
            f"content:{tainted['content_id']}",
            "consent-withdrawn",
            "A participant of the study has withdrawn consent; the ethics board asks for removal.",
        )
        other = await sharer.register(shareable("b", {"b": b"other"}))
        taint = await running.curator.taint(f"record:{other['rid']}", "copyright", HOSTILE)
        assert taint.status == 201, taint
        hostile = await sharer.register(
            shareable("hostile", {"a": b"1", "b": b"2"}),
            metadata=Metadata(
                title=HOSTILE,
                description=HOSTILE * 3,
                creators=tuple(Creator(HOSTILE[:400]) for _ in range(40)),
                subjects=(Subject(HOSTILE[:400]), Subject("<b>bold</b>"), Subject("مجموعة بيانات")),
                publisher=HOSTILE[:400],
                version=HOSTILE[:90],
                contacts=(Contact(HOSTILE[:400]),),
                funding=(Funding(HOSTILE[:400], award=HOSTILE[:150]),),
            ),
        )
        bare = await sharer.register(shareable("snowdrop.fa", {"snowdrop.fa": b"ACGT" * 5000}))
        older = await sharer.register(
            shareable("tides-2024", {"a": b"2024", "b": b"b"}), metadata=Metadata(title="Tides of the Elbe")
        )
        newer = await sharer.register(
            shareable("tides-2025", {"a": b"2025", "b": b"b"}),
            metadata=Metadata(title="Tides of the Elbe", version="2025"),
            supersedes=older["rid"],
        )
        withdrawn = await sharer.register(
            shareable("calls", {"owl.wav": b"hoo", "b": b"b"}),
            metadata=replace(RICH, title="Calls of the eagle owl, with nest sites"),
        )
        body = WithdrawalBody("The coordinates of the nests must not be public.").encode()
        first = Event.parse(withdrawn["event"])
        answer = await sharer.submit(sharer.event(body, "withdrawal", after=first), body)
        assert answer.status == 201, answer
        for slug, title, on in (("waters", "Phages of rivers", rich), ("w" * 64, HOSTILE[:200], rich)):
            made = await running.curator.post("/api/v1/collections", {"slug": slug, "title": title})
            assert made.status == 201, made
            added = await running.curator.post(f"/api/v1/collections/{slug}/datasets", {"add": [on["rid"]]})
            assert added.status == 200, added
        marked = await _marked(running, sharer)
        yield World(running, sharer, rich, hostile, bare, tainted, marked, older, newer, withdrawn)


async def look(tab: Tab, at: Site, shot: Shot, folder: Path) -> list[str]:
    """Open the page at both widths, in light and dark, and take pictures; what is wrong with it."""
    kept = os.environ.get("SEEDKEEP_SCREENSHOTS")
    pictures = Path(kept) if kept else folder
    pictures.mkdir(parents=True, exist_ok=True)
    if shot.before:
        await shot.before(at, tab)
    wrong: list[str] = []
    for width in (WIDE, PHONE):
        await tab.open(at.url + shot.path(at), width=width)
        if shot.do:
            await shot.do(tab)
        for dark in (False, True):
            await tab.scheme(dark=dark)
            name = f"{shot.name}-{width}{'-dark' if dark else ''}"
            await tab.screenshot(pictures / f"{name}.png")
            if dark and width == WIDE:
                continue  # what is too faint in the dark is so at any width
            found = await (tab.faint() if dark else tab.barriers())
            wrong += [f"{name}: {barrier}" for barrier in found]
        if (over := await tab.overflow()) > 0:
            wrong.append(f"{shot.name}-{width}: {over} px wider than the window")
        # the browser itself notes a status over 400 as a failed load of the page
        expected = f"status of {shot.status}" if shot.status >= 400 else "\0"
        wrong += [f"{shot.name}: {said}" for said in tab.complaints if expected not in said]
        wrong += [f"{shot.name}: asked for {url}" for url in tab.requests if not _own(at, url)]
        if not any(expected in said for said in tab.complaints) and shot.status >= 400:
            wrong.append(f"{shot.name}: answered with another status than {shot.status}")
    return wrong


def _own(at: Site, url: str) -> bool:
    return url.startswith((at.url, "data:"))
