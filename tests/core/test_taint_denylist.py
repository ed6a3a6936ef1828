"""Denylists for other software: what is written is read, and what others write is understood or counted."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.errors import InvalidInput
from seedkeep.core.taints import denylist
from seedkeep.core.taints.denylist import BITTORRENT_INFO, RAW, Denied, cid, read, write

#: the empty file, as IPFS prints it: a raw block, and (its CIDv0) an empty UnixFS file
EMPTY = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
EMPTY_V0 = "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"


def test_the_cid_of_a_file_is_the_one_that_ipfs_prints() -> None:
    assert cid(hashlib.sha256(b"").hexdigest(), RAW) == EMPTY


def test_a_list_as_others_write_it_is_read() -> None:
    text = f"""version: 1
name: a list
hints:
  gateway_status: 410
---
# a remark
/ipfs/{EMPTY} reason:DMCA
/ipfs/{EMPTY_V0}/*
/ipfs/{EMPTY}/a/path
/ipns/example.com
//f36d4ce6cf64f2aac2c8cab023be1af1842681bad77fb3b379740e2f76f10a31
/mime/*
"""
    unixfs = hashlib.sha256(bytes.fromhex("0a0408021800")).hexdigest()
    found = read(text.encode())
    assert found.digests == {hashlib.sha256(b"").hexdigest(), unixfs}
    assert found.unknown == 4


def test_the_last_rule_that_matches_counts() -> None:
    block, allow = f"/ipfs/{EMPTY}\n", f"!/ipfs/{EMPTY}/*\n"
    assert read((block + allow).encode()).digests == frozenset()
    assert len(read((block + allow + block).encode()).digests) == 1


@given(
    st.lists(
        st.builds(
            Denied,
            st.binary(min_size=32, max_size=32).map(bytes.hex),
            st.sampled_from([RAW, BITTORRENT_INFO]),
            st.lists(st.tuples(st.sampled_from(["reason", "taint"]), st.text(max_size=9))).map(tuple),
        )
    ),
    st.text(max_size=50),
)
def test_what_is_written_is_read(denied: list[Denied], name: str) -> None:
    found = read(write(name, "all of them", denied).encode("utf-8", errors="surrogatepass"))
    assert found.digests == {one.digest for one in denied}
    assert found.unknown == 0


@given(st.binary(max_size=300))
def test_no_bytes_do_harm(data: bytes) -> None:
    assert read(data).unknown >= 0


def test_attack_an_oversized_list_header_or_rule_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, data in (
        ("MAX_LIST_BYTES", b"x" * 101),
        ("MAX_HEADER_BYTES", b"x" * 101 + b"\n---\n"),
        ("MAX_LINE_BYTES", b"/" * 101),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(denylist, name, 100)
            with pytest.raises(InvalidInput, match="over"):
                read(data)
