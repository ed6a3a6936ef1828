"""A person's key, pinned registrars' keys, and settings: where they lie and what is refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from seedkeep import keystore
from seedkeep.config import Places, client_settings, listen_on, node_settings
from seedkeep.core.errors import UsageError, VerificationFailed
from seedkeep.core.notes import Verifier
from seedkeep.keystore import KeyFileError
from seedkeep.known import KnownRegistrars
from tests.support.registrar import new_key


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "key.pem"
    made = keystore.load_or_create(place)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert keystore.load_or_create(place).public == made.public
    with pytest.raises(KeyFileError, match="already"):
        keystore.create(place)
    assert keystore.load(place).public == made.public
    assert [p.name for p in place.parent.iterdir()] == ["key.pem"]


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "key.pem"
    keystore.create(place)
    place.chmod(0o640)
    with pytest.raises(KeyFileError, match="others") as caught:
        keystore.load(place)
    assert caught.value.hint == f"Run: chmod 600 {place}"


@pytest.mark.parametrize("content", [b"", b"rubbish", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_damaged_key_is_said_to_be_and_kept(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "key.pem"
    place.write_bytes(content)
    place.chmod(0o600)
    with pytest.raises(KeyFileError, match=str(place)):
        keystore.load_or_create(place)
    assert place.read_bytes() == content


def test_no_key_at_all_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError) as caught:
        keystore.load(tmp_path / "key.pem")
    assert "key new" in caught.value.hint


def test_the_first_key_of_a_registrar_stays(tmp_path: Path) -> None:
    known = KnownRegistrars(tmp_path / "known")
    first, second = (Verifier("r.example", new_key().public) for _ in range(2))
    known.remember("https://r.example/", first)
    known.remember("https://r.example", first)
    # neither at its URL nor, in its name, at another one does a second key come in
    for url in ("https://r.example", "http://r.example", "https://r.example:8443", "https://192.0.2.7"):
        with pytest.raises(VerificationFailed, match="another key than the one it was known by"):
            known.remember(url, second)
    assert known.verifier("https://R.example") == first
    assert known.urls() == ["https://r.example"]
    assert known.verifier("https://other.example") is None


def test_directories_follow_xdg() -> None:
    places = Places.of({"HOME": "/home/u", "XDG_CONFIG_HOME": "/etc/x", "XDG_CACHE_HOME": "relative"})
    assert places.key == Path("/etc/x/seedkeep/key.pem")
    assert places.cache == Path("/home/u/.cache/seedkeep")
    assert places.data == Path("/home/u/.local/share/seedkeep")


def test_flags_beat_environment_beats_file_beats_default(tmp_path: Path) -> None:
    places = Places.of({"HOME": str(tmp_path)})
    places.config.mkdir(parents=True)
    (places.config / "node.toml").write_text('pledge = "1GB"\noperator = "file"\ncountry = "DE"\n')
    environ = {"SEEDKEEP_NODE_PLEDGE": "2GB", "SEEDKEEP_NODE_OPERATOR": "environment", "OTHER": "x"}
    found = node_settings(places, environ, {"pledge": "3GB", "data": None})
    assert (found.pledge, found.operator, found.country) == (3 * 10**9, "environment", "DE")
    assert found.data == places.data / "node"
    assert node_settings(places, {}, {"data": "/srv/x"}).data == Path("/srv/x")


def test_a_misspelt_setting_names_the_nearest_one(tmp_path: Path) -> None:
    places = Places.of({"HOME": str(tmp_path)})
    with pytest.raises(UsageError, match="SEEDKEEP_NODE_PLEGDE") as caught:
        node_settings(places, {"SEEDKEEP_NODE_PLEGDE": "1GB"})
    assert "pledge" in caught.value.hint
    places.config.mkdir(parents=True)
    (places.config / "client.toml").write_text('registrar = ["https://r.example"]\n')
    with pytest.raises(UsageError, match=r"client\.toml") as caught:
        client_settings(places, {})
    assert "registrars" in caught.value.hint


@pytest.mark.parametrize("bad", ["0", "-1GB", "lots"])
def test_a_pledge_of_nothing_is_refused(tmp_path: Path, bad: str) -> None:
    with pytest.raises(UsageError):
        node_settings(Places.of({"HOME": str(tmp_path)}), {}, {"pledge": bad})


def test_a_configuration_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        node_settings(Places.of({"HOME": str(tmp_path)}), {}, file=tmp_path / "none.toml")


def test_listening_addresses_get_the_port() -> None:
    assert listen_on("0.0.0.0,[::]", 6881) == "0.0.0.0:6881,[::]:6881"
    assert listen_on("::1", 0) == "[::1]:0"
    for addresses, port in (("", 1), ("x", 70000), ("x", -1)):
        with pytest.raises(UsageError):
            listen_on(addresses, port)
