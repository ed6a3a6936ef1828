"""Names: every form is read, one form is printed, a typing error is called one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.errors import Error, InvalidInput, UsageError
from seedkeep.core.identifiers import (
    BETANUMERIC,
    Identifier,
    Kind,
    MistypedArk,
    check_character,
    mint_ark,
    parse,
)

CID, V1, MD5 = "ab" * 32, "cd" * 20, "ef" * 16
ARK = mint_ark("99999", "12" * 32)
hex64 = st.binary(min_size=32, max_size=32).map(bytes.hex)


def test_the_check_character_is_nois_own_example() -> None:
    # The NOID documentation: 13030/xf93gt2 has the check character q
    assert check_character("13030/xf93gt2") == "q"


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (f"ark:/{ARK}", Kind.ARK, ARK),
        (f"ark:{ARK}", Kind.ARK, ARK),
        (f"  ARK:/{ARK.upper()} ", Kind.ARK, ARK),
        (f"ark:/{ARK[:12]}-{ARK[12:]}", Kind.ARK, ARK),
        (f"urn:btmh:1220{CID}", Kind.CONTENT_ID, CID),
        (f"1220{CID.upper()}", Kind.CONTENT_ID, CID),
        (CID, Kind.CONTENT_ID, CID),
        (f"urn:btih:{V1}", Kind.INFOHASH_V1, V1),
        (V1, Kind.INFOHASH_V1, V1),
        ("urn:btih:" + "ZXG43TON" * 4, Kind.INFOHASH_V1, "cdcdcdcdcd" * 4),
        (f"magnet:?xt=urn:btih:{V1}&xt=urn:btmh:1220{CID}&dn=x", Kind.CONTENT_ID, CID),
        (f"magnet:?xt=urn:btih:{V1}", Kind.INFOHASH_V1, V1),
        (f"hash://sha256/{CID}", Kind.SHA256, CID),
        (f"sha256:{CID}", Kind.SHA256, CID),
        (f"md5:{MD5}", Kind.MD5, MD5),
        (f"hash://md5/{MD5.upper()}", Kind.MD5, MD5),
        (f"rid:{CID}", Kind.RID, CID),
        (f"https://registrar.example/torrents/{CID}.torrent", Kind.CONTENT_ID, CID),
        (f"http://127.0.0.1:8080/base/api/v1/records/{CID}", Kind.RID, CID),
        (f"https://registrar.example/records/{CID}", Kind.RID, CID),
        (f"https://registrar.example/records/{CID}/history?seq=2", Kind.RID, CID),
        (f"https://registrar.example/find?id=md5:{MD5}", Kind.MD5, MD5),
        (f"https://registrar.example/api/v1/resolve?id=ark%3A%2F{ARK.replace('/', '%2F')}", Kind.ARK, ARK),
        (f"https://registrar.example/ws/{CID}/sample/a/b.txt", Kind.CONTENT_ID, CID),
        (f"https://n2t.net/ark:{ARK}", Kind.ARK, ARK),
        (MD5, Kind.MD5, MD5),
        (f"md5-{MD5}", Kind.MD5, MD5),
        (f"sha256={CID}", Kind.SHA256, CID),
        ("sha256-q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=", Kind.SHA256, CID),
        ("sha-256=:q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=:", Kind.SHA256, CID),
        ("ni:///sha-256;q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s", Kind.SHA256, CID),
        (f"root:{CID}", Kind.ROOT, CID),
        ("doi:10.5281/Zenodo.123", Kind.DOI, "10.5281/zenodo.123"),
        ("10.5281/zenodo.123", Kind.DOI, "10.5281/zenodo.123"),
        ("https://doi.org/10.5281/zenodo.123", Kind.DOI, "10.5281/zenodo.123"),
        ("http://dx.doi.org/10.1234/a%2Fb", Kind.DOI, "10.1234/a/b"),
        ("minid:11RHwdYqWNBZL", Kind.MINID, "11RHwdYqWNBZL"),
        ("https://identifiers.org/minid:11RHwdYqWNBZL", Kind.MINID, "11RHwdYqWNBZL"),
        ("URN:LSID:Registrar.example:dataset:SK123:7", Kind.LSID, "registrar.example:sk123"),
        (f"drs://registrar.example/{CID}", Kind.CONTENT_ID, CID),
        (f"drs://registrar.example:8443/rid:{CID}", Kind.RID, CID),
        (f"drs://registrar.example/ark:%2F{ARK.replace('/', '%2F')}", Kind.ARK, ARK),
        (f"drs://ark:{ARK.replace('/', '%2F')}", Kind.ARK, ARK),
        ("drs://doi:10.5281%2Fzenodo.123", Kind.DOI, "10.5281/zenodo.123"),
    ],
)
def test_every_form_of_name_is_read(text: str, kind: Kind, value: str) -> None:
    found = parse(text)
    assert (found.kind, found.value) == (kind, value)


def test_a_page_url_names_its_registrar() -> None:
    found = parse(f"https://registrar.example/base/ark:/{ARK}/index/a%20b.bt2")
    assert found == Identifier(
        Kind.ARK, ARK, path="index/a b.bt2", registrar="https://registrar.example/base"
    )


def test_a_path_may_follow_a_name() -> None:
    assert parse(f"ark:/{ARK}/index/l.bt2").path == "index/l.bt2"
    assert parse(f"urn:btmh:1220{CID}/a").path == "a"
    assert str(parse(f"ark:/{ARK}/a%20b")) == f"ark:/{ARK}/a%20b"


def test_the_newest_version_of_a_record_has_a_name() -> None:
    assert parse(f"ark:/{ARK}@latest") == Identifier(Kind.ARK, ARK, latest=True)
    assert str(parse(f"ark:{ARK}@LATEST/a%20b")) == f"ark:/{ARK}@latest/a%20b"
    assert parse(f"{CID}@latest").kind is Kind.CONTENT_ID
    page = parse(f"https://registrar.example/base/records/{CID}@latest")
    assert (page.kind, page.latest, page.registrar) == (Kind.RID, True, "https://registrar.example/base")
    assert parse(f"ark:/{ARK}/me@latest/x") == Identifier(Kind.ARK, ARK, path="me@latest/x")


@pytest.mark.parametrize("text", [f"md5:{MD5}@latest", f"sha256:{CID}@latest", "@latest", "hello@latest"])
def test_what_has_no_versions_has_no_latest(text: str) -> None:
    with pytest.raises(Error):
        parse(text)


def test_an_lsid_names_its_registrar_and_a_revision() -> None:
    found = parse("urn:lsid:registrar.example:dataset:sk123:7/reads/a%20b")
    assert (found.registrar, found.revision, found.path) == ("https://registrar.example", 7, "reads/a b")
    assert str(found) == "urn:lsid:registrar.example:dataset:sk123:7/reads/a%20b"


def test_a_drs_name_names_its_registrar() -> None:
    found = parse(f"drs://registrar.example:8443/{CID}/reads/a")
    assert (found.registrar, found.path, found.bare) == ("https://registrar.example:8443", "reads/a", True)


def test_bare_digits_stay_bare() -> None:
    assert str(parse(CID)) == CID
    assert str(parse(f"urn:btmh:1220{CID}")) == f"urn:btmh:1220{CID}"


def test_a_service_that_passes_names_on_is_no_registrar() -> None:
    assert parse(f"https://n2t.net/ark:/{ARK}").registrar == ""
    assert (
        parse(f"https://registrar.example/base/find?id=rid:{CID}").registrar
        == "https://registrar.example/base"
    )


@pytest.mark.parametrize(
    "text", ["doi:11.1/x", "doi:10.5281/", "https://doi.org/", "drs://host/nonsense", "drs://h/rid:12"]
)
def test_a_known_form_with_an_error_in_it_is_told_as_such(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse(text)


def test_a_wrong_check_character_is_told_with_what_was_typed() -> None:
    wrong = ARK[:-1] + next(c for c in BETANUMERIC if c != ARK[-1])
    with pytest.raises(MistypedArk) as told:
        parse(f"https://registrar.example/ark:/{wrong}")
    assert told.value.value == wrong


@pytest.mark.parametrize("path", ["../x", "a/../b", "a%2f..%2fb", "a%00b", "%ff", "a\\b"])
def test_a_hostile_path_is_refused(path: str) -> None:
    with pytest.raises(Error):
        parse(f"ark:/{ARK}/{path}")


def test_a_magnet_brings_its_trackers_web_seeds_and_peers() -> None:
    found = parse(
        f"magnet:?xt=urn:btmh:1220{CID}&dn=a+b&tr=http://t/announce&ws=http://w/&x.pe=[::1]:5&x.pe=bad"
    )
    assert found.display_name == "a b"
    assert found.trackers == ("http://t/announce",)
    assert found.web_seeds == ("http://w/",)
    assert found.peers == (("::1", 5),)


@pytest.mark.parametrize(
    "text", ["", "hello", "ark:/", "http://", "http://[", "ftp://x/y", "md5:12", "x" * 9000, "https://a/b"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_a_magnet_without_a_hash_is_refused() -> None:
    with pytest.raises(InvalidInput):
        parse("magnet:?dn=x")


@given(hex64)
def test_a_minted_ark_is_read_back(rid: str) -> None:
    assert parse("ark:/" + mint_ark("12345", rid)).value == mint_ark("12345", rid)


@given(hex64, st.data())
def test_one_mistyped_or_two_swapped_characters_are_always_noticed(rid: str, data: st.DataObject) -> None:
    ark = mint_ark("99999", rid)
    at = data.draw(st.integers(8, len(ark) - 1))
    wrong = data.draw(st.sampled_from([c for c in BETANUMERIC if c != ark[at]]))
    with pytest.raises(InvalidInput, match="typing error"):
        parse("ark:/" + ark[:at] + wrong + ark[at + 1 :])
    if at + 1 < len(ark) and ark[at] != ark[at + 1]:
        with pytest.raises(InvalidInput, match="typing error"):
            parse("ark:/" + ark[:at] + ark[at + 1] + ark[at] + ark[at + 2 :])


@given(
    st.text(max_size=100)
    | st.text(max_size=60).map(lambda t: "magnet:?" + t)
    | st.builds(
        "".join,
        st.lists(
            st.text(max_size=6)
            | st.sampled_from(
                [
                    "http://",
                    "ark:/",
                    "urn:lsid:",
                    ":dataset:",
                    "sk",
                    "drs://",
                    "doi:",
                    "10.1234/",
                    "minid:",
                    "root:",
                ]
            )
            | st.sampled_from(
                ["sha256-", "ni:///sha-256;", "/find?id=", "h.example/", CID, MD5, ARK, ":7", "/a", "%2F"]
            ),
            max_size=7,
        ),
    )
    | st.text(max_size=60).map(f"{CID}@latest/".__add__)
)
def test_anything_typed_is_read_or_refused_in_words(text: str) -> None:
    try:
        found = parse(text)
    except Error as error:
        assert error.what
    else:
        assert parse(str(found)).value == found.value


def test_a_naan_must_be_one() -> None:
    with pytest.raises(UsageError):
        mint_ark("abc", "12" * 32)
