"""Signed requests: what is accepted once, and everything that is not."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.httpsig import Unauthenticated, sign_request, verify_request
from seedkeep.core.keys import PrivateKey

KEY = PrivateKey(b"k" * 32)
URL = "https://registrar.example/api/v1/events?x=1"
BODY = hashlib.sha256(b"{}").hexdigest()
NOW = 1_800_000_000
NONCE = "abcdefghijklmnop"


def signed(**changes: object) -> dict[str, str]:
    given = {"sha256": BODY, "created": NOW, "nonce": NONCE, **changes}
    return sign_request(KEY, "POST", URL, **given)  # type: ignore[arg-type]


def test_a_signed_request_says_who_sent_which_body_once() -> None:
    found = verify_request("POST", URL, signed(), now=NOW + 5)
    assert (found.key, found.sha256, found.nonce) == (KEY.public, BODY, NONCE)
    assert found.expires > NOW + 300


def test_header_names_may_come_in_any_case() -> None:
    headers = {name.upper(): value for name, value in signed().items()}
    assert verify_request("POST", URL, headers, now=NOW).key == KEY.public


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("PUT", URL),
        ("POST", URL + "2"),
        ("POST", URL.replace("https", "http")),
        ("POST", URL.replace("registrar", "mirror")),
        ("POST", URL.replace("events", "taints")),
    ],
)
def test_a_signature_is_good_for_its_method_and_destination_only(method: str, url: str) -> None:
    with pytest.raises(Unauthenticated):
        verify_request(method, url, signed(), now=NOW)


@pytest.mark.parametrize("offset", [-601, -301, 301, 601, 86400])
def test_a_clock_that_is_off_is_called_that(offset: int) -> None:
    with pytest.raises(Unauthenticated, match="clock") as caught:
        verify_request("POST", URL, signed(created=NOW + offset), now=NOW)
    assert "clock" in caught.value.hint


def test_clocks_may_differ_by_five_minutes() -> None:
    for offset in (-299, 299):
        verify_request("POST", URL, signed(created=NOW + offset), now=NOW)


def test_a_replaced_body_digest_is_refused() -> None:
    other = sign_request(KEY, "POST", URL, sha256="0" * 64, created=NOW, nonce=NONCE)
    with pytest.raises(Unauthenticated):
        verify_request("POST", URL, {**signed(), "Content-Digest": other["Content-Digest"]}, now=NOW)


@pytest.mark.parametrize("missing", ["Signature", "Signature-Input", "Content-Digest"])
def test_a_request_without_a_signature_header_is_refused(missing: str) -> None:
    headers = signed()
    del headers[missing]
    with pytest.raises(Unauthenticated, match="not signed"):
        verify_request("POST", URL, headers, now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        ("tag=", 'tag="other" ;x='),
        ('"@target-uri" ', ""),
        (' "content-digest"', ""),
        ("expires=", "expires=9"),
        ("nonce=", "nonce2="),
        ("created=", "created=1"),
    ],
)
def test_leaving_out_or_changing_what_is_covered_is_refused(change: tuple[str, str]) -> None:
    headers = signed()
    headers["Signature-Input"] = headers["Signature-Input"].replace(*change)
    with pytest.raises(Unauthenticated):
        verify_request("POST", URL, headers, now=NOW)


def test_a_short_nonce_is_refused() -> None:
    with pytest.raises(Unauthenticated, match="nonce"):
        verify_request("POST", URL, signed(nonce="short"), now=NOW)


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_garbage_headers_are_refused_in_words(signature: str, given: str, digest: str) -> None:
    headers = {"Signature": signature, "Signature-Input": given, "Content-Digest": digest}
    with pytest.raises(Unauthenticated):
        verify_request("POST", URL, headers, now=NOW)


@given(
    st.sampled_from(["Signature", "Signature-Input", "Content-Digest"]),
    st.integers(0, 400),
    st.characters(max_codepoint=127),
)
def test_no_single_changed_character_goes_unnoticed(name: str, at: int, char: str) -> None:
    headers = signed()
    at %= len(headers[name])
    changed = headers[name][:at] + char + headers[name][at + 1 :]
    if changed == headers[name]:
        return
    try:
        found = verify_request("POST", URL, {**headers, name: changed}, now=NOW)
    except Unauthenticated:
        return
    assert (found.key, found.sha256, found.nonce) == (
        KEY.public,
        BODY,
        NONCE,
    )  # e.g. the label, which means nothing
