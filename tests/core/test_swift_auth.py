"""Logging in to Swift: what is asked, and what is made of any answer."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.errors import Error, InvalidInput, Refused, Unreachable, UsageError
from seedkeep.core.swift_auth import Credentials, Session

V1 = Credentials(1, "https://swift.example/auth/v1.0", "lab:me", "hunter2")
V3 = Credentials(3, "https://keystone.example:5000", "me", "hunter2", project="lab", region="here")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["token", "catalog", "type", "endpoints", "url"]), inner)
    ),
)


@pytest.mark.parametrize(
    "auth_url",
    [
        "https://k:5000",
        "https://k:5000/",
        "https://k:5000/v3",
        "https://k:5000/v3/",
        "https://k:5000/v3/auth/tokens",
    ],
)
def test_keystone_is_found_however_its_url_is_written(auth_url: str) -> None:
    assert Credentials(3, auth_url, "u", "k").request().url == "https://k:5000/v3/auth/tokens"


def test_a_version_1_answer_gives_account_and_token() -> None:
    headers = {"X-Auth-Token": "t", "X-Storage-Url": "https://swift.example/v1/AUTH_lab/"}
    assert V1.session(200, headers, b"") == Session("https://swift.example/v1/AUTH_lab", "t")


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (401, {}, Refused),
        (403, {}, Refused),
        (500, {}, Unreachable),
        (302, {"Location": "http://127.0.0.1/"}, Unreachable),
        (200, {}, InvalidInput),
        (200, {"X-Auth-Token": "t"}, InvalidInput),
        (200, {"X-Auth-Token": "t", "X-Storage-Url": "file:///etc"}, InvalidInput),
    ],
)
def test_other_answers_are_errors(status: int, headers: dict[str, str], error: type[Error]) -> None:
    with pytest.raises(error) as caught:
        V1.session(status, headers, b"")
    assert "hunter2" not in caught.value.diagnostics()


@given(JSON | st.builds(lambda c: {"token": {"catalog": c}}, JSON))
def test_any_json_gives_a_session_or_an_error(answer: Any) -> None:
    with contextlib.suppress(InvalidInput):
        V3.session(201, {"X-Subject-Token": "t"}, json.dumps(answer).encode())


@given(st.binary())
def test_any_bytes_give_an_error(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        V3.session(201, {"X-Subject-Token": "t"}, body)


def test_deeply_nested_json_is_an_error() -> None:
    with pytest.raises(InvalidInput):
        V3.session(201, {"X-Subject-Token": "t"}, b"[" * 100_000)


def test_secrets_are_not_shown() -> None:
    shown = repr(V1) + repr(V1.request()) + repr(V3.request()) + repr(Session("https://x", "hunter2"))
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({}, "no credentials"),
        ({"ST_AUTH": "x", "ST_USER": "u"}, "ST_KEY"),
        ({"OS_AUTH_URL": "x"}, "OS_USERNAME and OS_PASSWORD"),
        ({"OS_AUTH_URL": "x", "OS_USERNAME": "u", "OS_PASSWORD": "p"}, "OS_PROJECT_NAME"),
        ({"OS_AUTH_URL": "x", "OS_APPLICATION_CREDENTIAL_ID": "i"}, "OS_APPLICATION_CREDENTIAL_SECRET"),
    ],
)
def test_what_is_missing_in_the_environment_is_named(environ: dict[str, str], missing: str) -> None:
    with pytest.raises(UsageError, match=missing):
        Credentials.from_environment(environ)
