"""What the templates are given, made up: an ordinary dataset, a hostile one, and every other page."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from seedkeep_registrar.pages.render import STATIC, page
from seedkeep_registrar.pages.views import FilesPage, Site

ARK = "ark:/99999/sk7v3bq0kd2mtx9p4c"
RID = "5f" * 32
CONTENT_ID = "a3" * 32
SITE = Site(
    base="",
    name="Open Genomes Registrar",
    institution="Example University Library",
    public_url="https://data.example.edu",
    naan="99999",
    vkey="data.example.edu+6d2ab0c1+AVb0vR7bBq3cWq2oXcC0v4xXo0G1YJm7s0tq3Hc4n0aB",
    audit_deadline="60 seconds",
)
#: turns the direction of reading, breaks out of markup, hides and repeats itself
HOSTILE = "annual\u202egpj.exe<script>alert(1)</script>\u200b\x00\x1b[31m'\"&amp;</td>" + "W" * 5000


def entry(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "path": f"reads/plate-{number:02d}/sample_{number:04d}_R1.fastq.gz",
        "below": f"lambda-survey/reads/plate-{number:02d}/sample_{number:04d}_R1.fastq.gz",
        "size": 48_502 * (number + 3) ** 3,
        "sha256": f"{number + 1:02x}" * 32,
        "md5": f"{number + 1:02x}" * 16,
        **changes,
    }


def node(**changes: Any) -> dict[str, Any]:
    return {
        "node": "ed25519:" + "k" * 43,
        "operator": "Library IT",
        "institution": "Example University Library",
        "country": "AT",
        "state": "complete",
        "attested": "2026-01-31T12:00:00Z",
        "audited": "2026-02-03T04:05:06Z",
        "last_seen": "2026-02-03T04:05:06Z",
        **changes,
    }


def record(**changes: Any) -> dict[str, Any]:
    return {
        "rid": RID,
        "ark": ARK,
        "content_id": CONTENT_ID,
        "infohash_v1": "c4" * 20,
        "manifest": "d5" * 32,
        "name": "lambda-survey",
        "title": "A survey of Enterobacteria phage lambda in urban rivers",
        "creators": ["Okafor, Ngozi", "Lindqvist, Sara", "Rao, Priya"],
        "subjects": ["virology", "metagenomics", "Escherichia virus Lambda"],
        "description": (
            "Paired-end reads of 96 river samples taken between 2023 and 2025, and the assemblies of them."
            "\n\nEach plate has a folder of its own; the sample sheet names place, date and depth."
        ),
        "files": 96,
        "bytes": 18_412_553_984,
        "license": "CC0-1.0",
        "created": "2026-01-31T12:00:00Z",
        "home": "data.example.edu",
        "steward": "ed25519:" + "s" * 43,
        "landing_page": f"https://data.example.edu/{ARK}",
        "api_url": f"/api/v1/records/{RID}",
        "torrent": f"/torrents/{CONTENT_ID}.torrent",
        "torrent_v1": f"/torrents/{CONTENT_ID}.v1.torrent",
        "manifest_url": f"/api/v1/records/{RID}/manifest",
        "magnet": "magnet:?xt=urn:btih:"
        + "c4" * 20
        + "&dn=lambda-survey&tr=https%3A%2F%2Fdata.example.edu%2Fannounce",
        "magnet_v2": "magnet:?xt=urn:btmh:1220" + CONTENT_ID + "&dn=lambda-survey",
        "web_seeds": [f"https://data.example.edu/ws/{CONTENT_ID}/"],
        "index": 4711,
        "copies": {
            "wanted": 3,
            "complete": 2,
            "audited": 2,
            "fetching": 1,
            "nodes": [
                node(),
                node(operator="Rechenzentrum Süd", institution="Institut für Meeresforschung", country="DE"),
                node(
                    operator="Ana's basement",
                    institution="",
                    country="PT",
                    state="downloading",
                    attested="",
                    audited="",
                ),
            ],
        },
        **changes,
    }


def hostile_record() -> dict[str, Any]:
    return record(
        name=HOSTILE,
        title=HOSTILE[:1000],
        creators=[HOSTILE[:500]] * 3,
        subjects=[HOSTILE[:500]] * 3 + ["<b>bold</b>", "مجموعة بيانات"],
        description=HOSTILE * 3,
        copies={
            "wanted": 3,
            "complete": 0,
            "audited": 0,
            "fetching": 0,
            "nodes": [
                node(operator=HOSTILE, institution=HOSTILE, country=HOSTILE, state=HOSTILE, audited=HOSTILE)
            ],
        },
        home=HOSTILE,
        web_seeds=[],
    )


def files(rows: list[dict[str, Any]], **changes: Any) -> FilesPage:
    values: dict[str, Any] = {
        "rows": rows,
        "first": 1,
        "last": len(rows),
        "next": str(len(rows)),
        "page_size": 100,
        "base": f"https://data.example.edu/ws/{CONTENT_ID}/",
        **changes,
    }
    return FilesPage(**values)


def taint(**changes: Any) -> dict[str, Any]:
    return {
        "id": "7e" * 32,
        "subject": f"content:{CONTENT_ID}",
        "category": "consent-withdrawn",
        "reason": "A participant of the study has withdrawn consent; the ethics board asks for removal.",
        "created": "2026-02-01T08:00:00Z",
        "state": "standing",
        "approvals": 2,
        "needed": 2,
        "obeyed": 3,
        **changes,
    }


def short(number: int, title: str) -> dict[str, Any]:
    return {
        "title": title,
        "name": f"set-{number}",
        "files": 1 if number == 2 else 1200 * number,
        "bytes": 7**number * 1_234_567,
        "license": "CC0-1.0",
        "created": "2026-01-31T12:00:00Z",
        "ark": ARK,
        "landing_page": f"/{ARK}",
    }


def listed_node(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "node": "ed25519:" + "abcdefgh"[number] * 43,
        "operator": ["Library IT", "Rechenzentrum Süd", "Ana's basement"][number % 3],
        "institution": ["Example University Library", "Institut für Meeresforschung", ""][number % 3],
        "country": ["AT", "DE", "PT"][number % 3],
        "state": ["active", "active", "offline"][number % 3],
        "pledge": [500 * 10**12, 20 * 10**12, 50 * 10**9][number % 3],
        "used": [318 * 10**12, 9 * 10**12, 49 * 10**9][number % 3],
        "datasets": [41_000, 1822, 12][number % 3],
        "last_seen": "2026-02-03T04:05:06Z",
        "audits": {"success": 991, "offline": 3} if number % 3 else {},
        **changes,
    }


def hostile_node() -> dict[str, Any]:
    return listed_node(
        3, operator=HOSTILE, institution=HOSTILE, country=HOSTILE, state=HOSTILE, audits={HOSTILE: 3}
    )


def pages() -> dict[str, web.Response]:
    """Every page and state, by a name for its screenshot."""
    rows = [entry(n) for n in range(8)]
    bad = entry(1, path=HOSTILE, below=HOSTILE)
    recent = [
        short(1, "A survey of Enterobacteria phage lambda in urban rivers"),
        short(2, "Reference genome of the common snowdrop, second assembly"),
        short(3, "Sound recordings of the Wadden Sea, 1998–2024"),
        short(4, "مجموعة بيانات الطيور المهاجرة"),
        short(5, HOSTILE),
    ]
    figures = {"datasets": 18_204, "bytes": 912 * 10**12, "copies": 61_882, "nodes": 143}
    find: dict[str, Any] = {"suggestions": [], "asked": "", "site": SITE}
    return {
        "home": page("home.html", site=SITE, figures=figures, records=recent, next="x", older=False),
        "home-empty": page(
            "home.html",
            site=SITE,
            figures=dict.fromkeys(figures, 0),
            records=[],
            next=None,
            older=False,
        ),
        "home-older": page("home.html", site=SITE, figures=figures, records=recent, next=None, older=True),
        "record": page("record.html", site=SITE, record=record(), files=files(rows)),
        "record-hostile": page("record.html", site=SITE, record=hostile_record(), files=files([bad] * 3)),
        "tainted": page(
            "tainted.html",
            status=451,
            site=SITE,
            taints=[taint()],
            ark=ARK,
            content_id=CONTENT_ID,
            rid=RID,
        ),
        "not-found": page(
            "error.html",
            status=404,
            **{**find, "asked": ARK, "suggestions": [{"url": f"/{ARK}", "name": ARK}]},
            title="Not found",
            detail=f"{ARK} has a typing error: its check character does not fit",
            hint="Compare it with the source, character by character; ARKs use no vowels and no letter l.",
        ),
        "too-many": page(
            "error.html", status=429, **find, title="Too many requests", detail=HOSTILE, hint="Wait a minute."
        ),
        "gone": page("error.html", status=410, **find, title="Gone", detail="Its data are gone.", hint=""),
        "broken": page(
            "error.html",
            status=500,
            **find,
            title="Something went wrong here",
            detail="the registrar made an error; its log says more",
            hint="Try again later.",
        ),
        "nodes": page(
            "nodes.html",
            site=SITE,
            nodes=[*(listed_node(n) for n in range(3)), hostile_node()],
            pledged=520 * 10**12,
            used=327 * 10**12,
        ),
        "taints": page(
            "taints.html",
            site=SITE,
            approvals=2,
            taints=[
                taint(),
                taint(id="7f" * 32, state="lifted", category="copyright", reason=HOSTILE[:2000]),
            ],
        ),
        "taints-none": page("taints.html", site=SITE, approvals=1, taints=[]),
        "matches": page(
            "matches.html",
            site=SITE,
            asked="md5:" + "0" * 32,
            matches=[
                {"name": n, "path": p, "ark": ARK, "landing_page": f"/{ARK}"}
                for n, p in (("lambda-survey", "reads/x.fastq.gz"), (HOSTILE, HOSTILE))
            ],
        ),
    }


def application() -> web.Application:
    """Serves the samples under ``/sample/<name>``, with the real style sheet."""

    async def sample(request: web.Request) -> web.StreamResponse:
        return pages()[request.match_info["name"]]

    app = web.Application()
    app.router.add_get("/sample/{name}", sample)
    app.router.add_static("/static", STATIC)
    return app
