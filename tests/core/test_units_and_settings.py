"""Sizes, durations and the three layers of settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.errors import UsageError
from seedkeep.core.settings import load, setting
from seedkeep.core.units import parse_duration, parse_size, print_duration, print_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("50GB", 50 * 10**9),
        ("50 gib", 50 * 2**30),
        ("1.5T", 1500 * 10**9),
        ("123", 123),
        ("10 kB", 10_000),
        ("0", 0),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-5GB", "5XB", "1e9", "5 GB GB", "١٢"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


@given(st.integers(0, 10**18))
def test_a_printed_size_reads_back_within_half_a_percent(size: int) -> None:
    assert abs(parse_size(print_size(size)) - size) <= size * 0.005 + 1


@given(st.floats(0, 10**8))
def test_durations_are_printed_without_fuss(seconds: float) -> None:
    assert print_duration(seconds)


def test_durations_are_read() -> None:
    assert [parse_duration(t) for t in ("90", "30s", "10min", "24h", "14d", "250ms")] == [
        90,
        30,
        600,
        86400,
        1209600,
        0.25,
    ]
    with pytest.raises(UsageError):
        parse_duration("soon")


@dataclass(frozen=True)
class Example:
    pledge: int = setting(0, "bytes offered", unit="bytes")
    interval: float = setting(30.0, "between heartbeats", unit="seconds")
    subjects: tuple[str, ...] = setting((), "what to hold")
    data: Path = setting(Path("data"), "where")
    dht: bool = setting(False, "use the DHT")
    limits_up: int | None = setting(None, "bytes per second", unit="bytes")
    secret: str = setting("", "a password", secret=True)


def test_flags_beat_environment_beats_file() -> None:
    toml = 'pledge = "1GB"\ninterval = 5\nsubjects = ["a", "b"]\n[limits]\nup = "2MB"\n'
    environ = {"SEEDKEEP_NODE_PLEDGE": "2GB", "SEEDKEEP_NODE_DHT": "yes", "SEEDKEEP_REGISTRAR_X": "ignored"}
    found = load(Example, toml=toml, environ=environ, section="node", flags={"pledge": "3GB", "data": None})
    assert found == Example(3 * 10**9, 5.0, ("a", "b"), Path("data"), True, 2 * 10**6)
    assert load(Example, toml=toml, environ=environ, section="node").pledge == 2 * 10**9


def test_an_unknown_key_is_an_error_that_names_the_nearest_valid_one() -> None:
    for layers in ({"toml": "pledg = 1"}, {"environ": {"SEEDKEEP_NODE_PLEDG": "1"}}):
        with pytest.raises(UsageError) as caught:
            load(Example, section="node", **layers)
        assert "pledge" in caught.value.hint


@pytest.mark.parametrize(
    "toml", ["pledge = true", 'interval = "soon"', "subjects = 5", "dht = 3", "data = {", 'pledge = "lots"']
)
def test_a_bad_value_is_an_error_that_names_the_setting(toml: str) -> None:
    with pytest.raises(UsageError):
        load(Example, toml=toml, section="node")


def test_a_secret_is_not_printed() -> None:
    assert "hunter2" not in repr(load(Example, toml='secret = "hunter2"', section="node"))
