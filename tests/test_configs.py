"""What lies in configs/ works as it is: every setting is there, and the servers accept their files."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from seedkeep.core.settings import load
from seedkeep_registrar.settings import Settings
from tests.support.example_config import CONFIGS, EXAMPLES, render
from tests.support.require import require
from tests.support.tls import self_signed

UNITS = sorted(path.name for path in (CONFIGS / "systemd").glob("*.service"))


def _switched_on(text: str) -> str:
    """The file with every setting uncommented; prose keeps its ``# ``."""
    return re.sub(r"^#(?=\S)", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_shows_every_setting(name: str) -> None:
    assert (CONFIGS / name).read_text() == render(EXAMPLES[name]), (
        "run python -m tests.support.example_config"
    )


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_changes_nothing_as_it_is(name: str) -> None:
    example = EXAMPLES[name]
    assert load(example.kind, toml=(CONFIGS / name).read_text(), section=example.section) == example.kind()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_switching_an_example_on_gives_the_defaults(name: str) -> None:
    example = EXAMPLES[name]
    found = load(example.kind, toml=_switched_on((CONFIGS / name).read_text()), section=example.section)
    if isinstance(found, Settings):
        assert [storage.name for storage in found.storage] == ["archive", "cold"]
        assert [service.name for service in found.oidc] == ["orcid", "university"]
        found = dataclasses.replace(found, storage=(), oidc=())
    expected = example.kind()
    for field in dataclasses.fields(expected):
        ours, default = getattr(found, field.name), getattr(expected, field.name)
        assert ours == (default.expanduser() if isinstance(default, Path) else default), field.name


def test_nginx_accepts_the_configuration(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    require(nginx is not None, "the Debian package nginx-light is not installed")
    key, certificate = self_signed(tmp_path, "registrar.example.org")
    text = (CONFIGS / "nginx.conf").read_text()
    text = re.sub(r"(ssl_certificate\s+)\S+;", rf"\1{certificate};", text)
    text = re.sub(r"(ssl_certificate_key\s+)\S+;", rf"\1{key};", text)
    text = re.sub(r"^ *listen \[::\].*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"listen (80|443)", rf"listen unix:{tmp_path}/\1", text)  # ports below 1024 are root's
    whole = tmp_path / "nginx.conf"
    whole.write_text(f"events {{}}\npid {tmp_path}/pid;\nerror_log stderr;\nhttp {{\n{text}\n}}\n")
    found = subprocess.run(
        [str(nginx), "-t", "-p", str(tmp_path), "-c", str(whole)], capture_output=True, text=True, timeout=30
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    "name", ["Dockerfile", "configs/compose.yaml", *(f"configs/systemd/{unit}" for unit in UNITS)]
)
def test_variables_in_deployment_files_are_settings(name: str) -> None:
    text = (CONFIGS.parent / name).read_text()
    classes = {example.section.upper(): example.kind for example in EXAMPLES.values()}
    found = re.findall(r"SEEDKEEP_(REGISTRAR|NODE|CLIENT)_([A-Z0-9_]+)\s*[:=]", text)
    assert found
    for section, setting in found:
        assert setting.lower() in {field.name for field in dataclasses.fields(classes[section])}, setting


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_accepts_the_unit(unit: str, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    require(analyze is not None, "systemd-analyze is not installed")
    text = (CONFIGS / "systemd" / unit).read_text()
    for directive in (
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "CapabilityBoundingSet=",
    ):
        assert f"\n{directive}\n" in text
    (tmp_path / unit).write_text(text.replace("/opt/seedkeep/bin/seedkeep", "/bin/true"))
    found = subprocess.run(
        [str(analyze), "verify", "--man=no", str(tmp_path / unit)], capture_output=True, text=True, timeout=60
    )
    assert found.returncode == 0, found.stderr
    assert unit not in found.stderr


def test_nginx_lets_the_largest_object_through() -> None:
    place = (CONFIGS / "nginx.conf").read_text().partition("location /api/v1/objects/")[2].partition("}")[0]
    size = re.search(r"client_max_body_size (\d+)m;", place)
    assert size
    assert int(size[1]) * 2**20 >= Settings().max_object_bytes
    assert "proxy_request_buffering off" in place
