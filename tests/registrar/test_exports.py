"""A record in the formats of others: complete, valid, and whatever a steward writes stays in its field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedkeep.core.manifest import FileEntry
from seedkeep.core.metadata import (
    DATE_KINDS,
    RELATIONS,
    Affiliation,
    Contact,
    Creator,
    Date,
    Funding,
    Metadata,
    Related,
    Subject,
    parse_metadata,
)
from seedkeep_registrar.exports.answers import embedded
from seedkeep_registrar.exports.bibtex import bibtex
from seedkeep_registrar.exports.citations import STYLES
from seedkeep_registrar.exports.csl import csl
from seedkeep_registrar.exports.datacite import datacite, datacite_xml
from seedkeep_registrar.exports.described import Described, describe
from seedkeep_registrar.exports.dublin_core import dublin_core
from seedkeep_registrar.exports.erc import erc
from seedkeep_registrar.exports.formats import FORMATS
from seedkeep_registrar.exports.ris import ris
from seedkeep_registrar.exports.schema_org import schema_org
from seedkeep_registrar.exports.signposting import link_header, links, linkset

SCHEMA = Path(__file__).parent / "datacite_json_schema" / "datacite-v4.5.json"
ARK = "ark:/99999/sk7v3bq0kd2mtx9p4c"
PAGE = f"https://data.example.edu/{ARK}"
FULL = Metadata(
    title="Genomes of 50 phages",
    creators=(
        Creator(
            "Okafor, Ngozi",
            orcid="0000-0002-1825-0097",
            affiliations=(Affiliation("Example University", ror="04wxnsj81"),),
        ),
        Creator("Jean-Paul K. Sartre", given="Jean-Paul K.", family="Sartre"),
        Creator("Phage and Host Consortium", kind="organization", ror="04wxnsj81"),
    ),
    subjects=(Subject("phage"), Subject("Escherichia virus lambda", "NCBITaxon", "10710")),
    description="All reads and assemblies of fifty phages, with the scripts that made them.",
    funding=(Funding("DFG", ror="04wxnsj81", award="SK 1/2", title="Phages"),),
    related=(
        Related("IsDerivedFrom", "doi:10.5281/zenodo.1"),
        Related("Cites", "https://doi.org/10.1000/182"),
    ),
    dates=(Date("Collected", "2020/2021"), Date("Issued", "2025-11-30")),
    contacts=(Contact("Okafor, Ngozi", "n@example.edu"),),
    version="v2.1",
    language="en",
    dois=("10.5281/zenodo.123",),
)


def record(metadata: Metadata = FULL, **changes: Any) -> Described:
    document = {
        "rid": "5f" * 32,
        "ark": ARK,
        "content_id": "a3" * 32,
        "name": "phages",
        "files": 1,
        "bytes": 1234,
        "license": "CC0-1.0",
        "created": "2026-01-31T12:00:00Z",
        "landing_page": PAGE,
        "torrent": "https://data.example.edu/torrents/a3.torrent",
        "torrent_v1": "https://data.example.edu/torrents/a3.v1.torrent",
        "manifest_url": "https://data.example.edu/api/v1/records/5f/manifest",
        "web_seeds": ["https://seed.example.edu/data/"],
        "body": {"dataset": {"manifest": "d5" * 32}},
        "metadata": metadata.encode(),
        "updated": "2026-02-28T12:00:00Z",
        "supersedes": "",
        "seq": 2,
        **changes,
    }
    return describe(
        document,
        publisher="Example University Library",
        catalog_url="https://data.example.edu",
        catalog_name="Open Genomes",
        files=[FileEntry("reads/a b.csv", 7, "0" * 32, "e6" * 32, "f7" * 32)],
    )


def test_the_citation_styles() -> None:
    cited = {style: make(record()) for style, (_, make) in STYLES.items()}
    doi = "https://doi.org/10.5281/zenodo.123"
    assert cited == {
        "datacite": "Okafor, Ngozi; Sartre, Jean-Paul K.; Phage and Host Consortium (2025): "
        f"Genomes of 50 phages. Version 2.1. Example University Library. Dataset. {doi}",
        "apa": "Okafor, N., Sartre, J.-P. K., & Phage and Host Consortium. (2025). Genomes of 50 phages "
        f"(Version 2.1) [Data set]. Example University Library. {doi}",
        "vancouver": "Okafor N, Sartre JPK, Phage and Host Consortium. Genomes of 50 phages [dataset]. "
        f"Version 2.1. Example University Library; 2025. Available from: {doi}",
        "chicago": "Okafor, Ngozi, Jean-Paul K. Sartre, and Phage and Host Consortium. 2025. "
        f"“Genomes of 50 phages.” Version 2.1. Example University Library. {doi}.",
        "harvard": "Okafor, N., Sartre, J.-P.K. and Phage and Host Consortium (2025) Genomes of 50 phages. "
        f"Version 2.1 [Dataset]. Example University Library. Available at: {doi}.",
    }


def test_a_record_that_says_nothing_is_cited_by_its_folder_and_its_ark() -> None:
    bare = record(Metadata())
    assert STYLES["datacite"][1](bare) == f"phages (2026). Example University Library. Dataset. {PAGE}"
    for style, (_, make) in STYLES.items():
        assert PAGE in make(bare), style
    assert datacite(bare)["creators"] == [{"name": ":unkn"}]


def test_many_creators_are_cut_as_each_style_wants() -> None:
    many = record(Metadata(creators=tuple(Creator(f"Name{n}, A") for n in range(25))))
    assert ", Name18, A., … Name24, A. (2026)" in STYLES["apa"][1](many)
    assert "Name5 A, et al. phages" in STYLES["vancouver"][1](many)
    assert STYLES["harvard"][1](many).startswith("Name0, A. et al. (2026)")
    assert "A Name6, et al. 2026." in STYLES["chicago"][1](many)


# --- against the schemas of those who made the formats ---


@cache
def kernel() -> jsonschema_rs.Draft201909Validator:
    schema = json.loads(SCHEMA.read_bytes())
    added = {"relationType": ["IsTranslationOf", "HasTranslation"], "dateType": ["Coverage"]}  # 4.6
    for name, values in added.items():
        schema["definitions"][name]["enum"] += values
    return jsonschema_rs.Draft201909Validator(schema)


def test_datacite_json_is_valid() -> None:
    every = Metadata(
        related=tuple(Related(relation, "https://example.org/x") for relation in RELATIONS),
        dates=tuple(Date(kind, "2024-05") for kind in DATE_KINDS),
        dois=("10.1234/a", "10.1234/b"),
    )
    for metadata in (FULL, Metadata(), every):
        kernel().validate(datacite(record(metadata)))


def test_csl_json_has_no_field_that_its_schema_forbids() -> None:
    found = csl(record())
    # csl-data.json of CSL 1.0.2 allows no others; license is none of them
    known = {
        *(
            "id",
            "type",
            "title",
            "author",
            "issued",
            "publisher",
            "version",
            "DOI",
            "URL",
            "archive_location",
        ),
        *("abstract", "keyword", "language", "source", "custom"),
    }
    assert set(found) <= known
    assert found["type"] == "dataset"
    assert all(set(name) in ({"family", "given"}, {"literal"}) for name in found["author"])


def test_schema_org_has_what_googles_dataset_search_requires() -> None:
    for metadata in (FULL, Metadata(), Metadata(description="x" * 9000)):
        found = schema_org(record(metadata))
        assert (found["@context"], found["@type"]) == ("https://schema.org/", "Dataset")
        assert found["name"]
        assert 50 <= len(found["description"]) <= 5000
        assert found["license"] == "https://creativecommons.org/publicdomain/zero/1.0/"
        for download in found["distribution"]:
            assert download["@type"] == "DataDownload"
            assert download["contentUrl"].startswith("https://")
        assert found["isAccessibleForFree"] is True
        assert found["includedInDataCatalog"]["@type"] == "DataCatalog"


def test_schema_org_names_people_by_orcid_places_by_ror_and_files_by_digest() -> None:
    found = schema_org(record())
    person = found["creator"][0]
    assert person["@id"] == "https://orcid.org/0000-0002-1825-0097"
    assert person["affiliation"][0]["@id"] == "https://ror.org/04wxnsj81"
    assert found["creator"][2]["@type"] == "Organization"
    assert found["isBasedOn"] == ["https://doi.org/10.5281/zenodo.1"]
    assert found["citation"] == ["https://doi.org/10.1000/182"]
    assert found["funding"][0]["funder"]["name"] == "DFG"
    assert found["distribution"][-1] == {
        "@type": "DataDownload",
        "name": "reads/a b.csv",
        "encodingFormat": "text/csv",
        "sha256": "e6" * 32,
        "contentUrl": "https://seed.example.edu/data/phages/reads/a%20b.csv",
        "contentSize": "7 B",
    }
    assert {*found["identifier"]} >= {
        PAGE,
        ARK,
        f"urn:btmh:1220{'a3' * 32}",
        f"hash://sha256/{'d5' * 32}",
        "urn:lsid:data.example.edu:dataset:sk7v3bq0kd2mtx9p4c:2",
    }


def test_without_its_data_a_record_is_still_described_and_offers_nothing() -> None:
    gone = record(torrent="", web_seeds=[])
    assert "distribution" not in schema_org(gone)
    assert not [link for link in links(gone) if link.rel == "item"]
    assert "the data are gone" in erc(gone)


def test_a_new_version_points_to_the_one_before() -> None:
    before = "77" * 32
    newer = record(Metadata(), supersedes=before)
    url = f"https://data.example.edu/records/{before}"
    assert schema_org(newer)["isBasedOn"] == [url]
    assert datacite(newer)["relatedIdentifiers"][0]["relationType"] == "IsNewVersionOf"
    assert url in dublin_core(newer).decode()


def test_the_linkset_has_every_link_and_the_header_fits_into_4_kib() -> None:
    creators = tuple(Creator(f"P{n}, A", orcid="0000-0002-1825-0097") for n in range(500))
    full = record(Metadata(creators=creators, dois=("10.5281/zenodo.123",)))
    header = link_header(full)
    assert len(header) < 3000
    for wanted in ('rel="cite-as"', 'rel="linkset"', 'rel="license"', 'rel="type"', 'rel="describedby"'):
        assert wanted in header
    page, *others = json.loads(linkset(record()))["linkset"]
    assert page["anchor"] == PAGE
    assert page["cite-as"] == [{"href": "https://doi.org/10.5281/zenodo.123"}]
    assert {d["type"] for d in page["describedby"]} == {f.media_type for f in FORMATS.values()}
    items = [item["href"] for item in page["item"]]
    collected = [o["anchor"] for o in others if o.get("collection") == [{"href": PAGE}]]
    assert items == collected
    assert len(items) == 4


# --- whatever a steward writes ---

_FRAGMENTS = [
    "</script>",
    "]]>",
    "\nER  - \n",
    "\r\nTY  - JOUR",
    "}\n@article{x,",
    "{",
    "}",
    "\\",
    '"',
    " and ",
    ",",
    "%",
    "|",
    "\u2028",
    "\x0b",
    "&amp;",
    "<!--",
    "\n\nwho: somebody else",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
]
_texts = st.lists(
    st.sampled_from(_FRAGMENTS)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    min_size=1,
    max_size=6,
).map(lambda parts: "".join(parts)[:90])
_names = _texts.filter(lambda text: bool(text.strip()))
_dois = st.text(
    st.characters(min_codepoint=33, exclude_characters='"<>', exclude_categories=["Cs", "Z", "C"]),
    min_size=1,
    max_size=20,
).map(lambda tail: f"10.1234/{tail}".lower())


@st.composite
def hostile(draw: st.DrawFn) -> Metadata:
    metadata = Metadata(
        title=draw(_texts),
        creators=tuple(
            Creator(
                draw(_names),
                given=draw(_texts),
                family=draw(_texts),
                affiliations=(Affiliation(draw(_names)),),
            )
            for _ in range(draw(st.integers(0, 3)))
        ),
        subjects=(Subject(draw(_names)),),
        description=draw(_texts),
        funding=(Funding(draw(_names), award=draw(_texts), title=draw(_texts)),),
        contacts=(Contact(draw(_names)),),
        publisher=draw(_texts),
        version=draw(_texts),
        dois=tuple(dict.fromkeys(draw(st.lists(_dois, max_size=2)))),
    )
    return parse_metadata(metadata.encode())


def _bib_fields(text: str) -> Iterator[tuple[str, str]]:
    """A strict reader of one BibTeX entry: as BibTeX itself, it counts braces and knows no escapes."""
    head = re.match(r"@dataset\{[a-z]*[0-9]{4}-sk[a-z0-9]+,\n", text)
    assert head
    at = head.end()
    while not text.startswith("}\n", at):
        found = re.compile(r"  ([a-z]+) = \{").match(text, at)
        assert found, text[at : at + 40]
        start = at = found.end()
        depth = 1
        while depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        yield found[1], text[start : at - 1]
        at += 2 if text[at] == "," else 1
    assert text[at:] == "}\n"


@settings(max_examples=40)
@given(hostile())
def test_no_text_leaves_its_bibtex_field(metadata: Metadata) -> None:
    found = list(_bib_fields(bibtex(record(metadata))))
    names = [name for name, _ in found]
    assert len(names) == len(set(names))
    fields = dict(found)
    assert fields["url"] == PAGE
    authors = re.split(r" and (?![^{]*\})", fields.get("author", ""))
    assert len(authors) == max(1, len(metadata.creators))
    assert all("\n" not in value for value in fields.values())


@settings(max_examples=40)
@given(hostile())
def test_no_text_leaves_its_ris_line(metadata: Metadata) -> None:
    lines = ris(record(metadata)).split("\r\n")
    assert lines.pop() == ""
    assert all(re.match(r"[A-Z][A-Z0-9]  - ", line) and len(line.splitlines()) == 1 for line in lines)
    tags = [line[:2] for line in lines]
    assert (tags[0], tags[-1], tags.count("TY"), tags.count("ER")) == ("TY", "ER", 1, 1)
    assert tags.count("AU") == len(metadata.creators)


@settings(max_examples=40)
@given(hostile())
def test_no_text_leaves_its_xml_element(metadata: Metadata) -> None:
    described = record(metadata)
    root = ElementTree.fromstring(datacite_xml(described))
    kernel = "{http://datacite.org/schema/kernel-4}"
    assert len(root.findall(f"{kernel}creators/{kernel}creator")) == max(1, len(metadata.creators))
    assert {child.tag.removeprefix(kernel) for child in root} <= {
        *("identifier", "creators", "titles", "publisher", "publicationYear", "resourceType", "subjects"),
        *(
            "contributors",
            "dates",
            "language",
            "alternateIdentifiers",
            "relatedIdentifiers",
            "sizes",
            "version",
        ),
        *("rightsList", "descriptions", "fundingReferences"),
    }
    dublin = ElementTree.fromstring(dublin_core(described))
    assert len(dublin.findall("{http://purl.org/dc/elements/1.1/}title")) == 1


@settings(max_examples=40)
@given(hostile())
def test_no_text_leaves_its_json(metadata: Metadata) -> None:
    described = record(metadata)
    for made in ("jsonld", "datacite", "csl"):
        json.loads(FORMATS[made].render(described))
    title = json.loads(FORMATS["csl"].render(described))["title"]
    assert title == csl(described)["title"]
    kernel().validate(datacite(described))


@settings(max_examples=40)
@given(hostile())
def test_no_text_leaves_its_citation_line(metadata: Metadata) -> None:
    described = record(metadata)
    for _, make in STYLES.values():
        cited = make(described)
        assert len(cited.splitlines()) == 1
        assert described.cited in cited


@settings(max_examples=40)
@given(hostile())
def test_no_text_leaves_its_line_of_the_ark_description(metadata: Metadata) -> None:
    text = erc(record(metadata))
    labels = [line.partition(":")[0] for line in text.splitlines()]
    assert [label for label in labels if label in ("who", "what", "when", "where")] == [
        "who",
        "what",
        "when",
        "where",
    ] * 2
    assert "" not in labels  # an empty line would end the record


@settings(max_examples=40)
@given(hostile())
def test_no_text_leaves_a_header(metadata: Metadata) -> None:
    header = link_header(record(metadata))
    assert header.isascii()
    assert header.isprintable()
    assert not re.sub(r'<[^<>"\s]*>(?:; [a-z]+="[^"<>]*")+(?:, )?', "", header)


class _Scripts(HTMLParser):
    """Collects what is in and outside the script."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.data = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.data += data


@settings(max_examples=40)
@given(hostile())
def test_no_text_leaves_the_script_of_the_page(metadata: Metadata) -> None:
    described = record(metadata)
    reader = _Scripts()
    reader.feed(f'<script type="application/ld+json">{embedded(described)}</script><p>')
    assert reader.tags == ["script", "p"]
    assert json.loads(reader.data) == schema_org(described)


def test_the_tests_above_would_see_a_text_break_out() -> None:
    broken = bibtex(record()).replace("Genomes", "Genomes}},\n  note = {x}\n}\n@misc{y,\n  title = {{")
    with pytest.raises(AssertionError):
        list(_bib_fields(broken))
