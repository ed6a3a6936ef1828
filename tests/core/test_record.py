"""Record bodies and web seeds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core import jcs
from seedkeep.core.errors import Error, InvalidInput
from seedkeep.core.keys import PrivateKey
from seedkeep.core.metadata import Creator, Metadata
from seedkeep.core.record import (
    Dataset,
    RecordBody,
    check_web_seed,
)

KEY = PrivateKey(b"k" * 32)
DATASET = Dataset("lambda", "a" * 64, "b" * 40, 2, 100, 65536, "c" * 64, "d" * 64, "e" * 64)
BODY = RecordBody(
    DATASET,
    Metadata(title="Λ phage", creators=(Creator("Hershey, A."),)),
    web_seeds=("https://example.org/",),
)


def test_a_body_comes_back_as_it_was_written() -> None:
    assert RecordBody.parse(BODY.encode()) == BODY
    assert RecordBody.parse(RecordBody(DATASET).encode()) == RecordBody(DATASET)


def changed(path: str, value: object) -> dict[str, object]:
    fields = jcs.loads(BODY.encode())
    where = fields
    *parents, last = path.split(".")
    for name in parents:
        where = where[name]
    where[last] = value
    return fields  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("v", 2),
        ("copies", -1),
        ("copies", True),
        ("license", "do what you want"),
        ("web_seeds", "https://example.org/"),
        ("web_seeds", ["https://example.org/"] * 17),
        ("extra", 1),
        ("dataset.name", "../etc"),
        ("dataset.content_id", "A" * 64),
        ("dataset.bytes", 1.5),
        ("dataset.files", 0),
        ("dataset.extra", 1),
        ("metadata.title", 5),
        ("metadata.creators", "me"),
        ("metadata.colour", "red"),
        ("metadata.subjects", [""]),
    ],
)
def test_a_malformed_body_is_refused(path: str, value: object) -> None:
    with pytest.raises(InvalidInput):
        RecordBody.parse(changed(path, value))


@pytest.mark.parametrize(
    "url", ["https://a.org/", "http://127.0.0.1:8080/x/y/", "s3://bucket/", "swift://c/a/b/"]
)
def test_a_web_seed_is_a_base_url_or_a_bucket(url: str) -> None:
    check_web_seed(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://a.org",
        "https://a.org/?t=1",
        "https://u:p@a.org/",
        "ftp://a/",
        "https:///",
        "s3://b/../c/",
        "http://a b/",
        "s3://b/x",
        "https://[/",
        "https://a.org/#/",
        "file:///",
        "https://a.org\\/",
    ],
)
def test_what_could_leak_or_mislead_is_no_web_seed(url: str) -> None:
    with pytest.raises(InvalidInput):
        check_web_seed(url)


@given(st.text(max_size=60))
def test_any_text_is_a_web_seed_or_refused_in_words(url: str) -> None:
    try:
        check_web_seed(url)
    except Error as error:
        assert error.what
