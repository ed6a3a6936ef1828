"""The example configuration files, rendered from the settings classes.

``python -m tests.support.example_config`` writes them anew; a test holds the files to it.
"""

from __future__ import annotations

import dataclasses
import textwrap
from pathlib import Path
from typing import Any

from seedkeep.config import ClientSettings, NodeSettings
from seedkeep_registrar.settings import Settings

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
_SIZES = [("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)]
_TIMES = [("d", 86400), ("h", 3600), ("min", 60), ("s", 1)]

_HEAD = """\
Settings of {what}.
Every setting is here with its default; take the # away to change one.
The environment wins over this file ({variable}, upper case), a flag over both.
Sizes are written like "50GB" or "200GiB", durations like "30s", "10min" or "14d"."""

_STORAGES = """
# Private S3 or Swift storage from which web seeds are served: clients get short-lived addresses, or the bytes
# through this registrar (mode = "proxy"). One table for each; keep this file unreadable for others.
# stewards: keys whose records may name it. A record says which objects are read: write ["anyone"] only where
# everything below the prefix is public.
#[[storage]]
#name = "archive"
#kind = "s3"
#bucket = "public-domain"
#prefix = "datasets/"
#stewards = ["anyone"]
#endpoint = "https://s3.example.org"
#region = "us-east-1"
#access_key = "…"
#secret_key = "…"
#
#[[storage]]
#name = "cold"
#kind = "swift"
#bucket = "public-domain"
#stewards = ["anyone"]
#auth_url = "https://keystone.example.org/v3"
#auth_version = 3
#project = "seedkeep"
#access_key = "user"
#secret_key = "password"
#temp_url_key = "…"
#mode = "redirect"

# Services to sign in with (OpenID Connect); their redirect address is PUBLIC_URL/sign-in/with/NAME/back.
# trust_email = true: an address that it calls verified opens the account of that address.
#[[oidc]]
#name = "orcid"
#issuer = "https://orcid.org"
#client_id = "APP-…"
#client_secret = "…"
#
#[[oidc]]
#name = "university"
#title = "Example University"
#issuer = "https://login.example.edu"
#client_id = "seedkeep"
#client_secret = "…"
#trust_email = true
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """One file: its settings class, the head's words, and what follows the settings."""

    kind: type[Any]
    what: str
    section: str
    tail: str = ""


EXAMPLES = {
    "registrar.toml": Example(
        Settings, "a registrar: `seedkeep registrar up --config FILE`", "registrar", _STORAGES
    ),
    "node.toml": Example(NodeSettings, "a storage manager: `seedkeep node up --config FILE`", "node"),
    "client.toml": Example(
        ClientSettings, "share, fetch, info and verify: ~/.config/seedkeep/client.toml", "client"
    ),
}


def _in_units(value: float, units: list[tuple[str, int]]) -> str:
    for name, factor in units:
        if value and value % factor == 0:
            return f'"{value / factor:.0f}{name}"'
    return f"{value:g}"


def _toml(value: Any, unit: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        units = {"bytes": _SIZES, "seconds": _TIMES}.get(unit)
        return _in_units(value, units) if units else f"{value:g}"
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item, unit) for item in value)}]"
    return f'"{value}"'


def render(example: Example) -> str:
    """The text of one file."""
    variable = f"SEEDKEEP_{example.section.upper()}_<SETTING>"
    head = _HEAD.format(what=example.what, variable=variable)
    lines = [f"# {line}" for line in head.splitlines()]
    for field in dataclasses.fields(example.kind):
        if field.name in ("storage", "oidc"):
            continue
        unit = field.metadata["unit"]
        kind = {"bytes": " (a size)", "seconds": " (a duration)"}.get(unit, "")
        doc = field.metadata["doc"]
        lines += ["", *textwrap.wrap(f"# {doc[0].upper()}{doc[1:]}{kind}.", 110, subsequent_indent="# ")]
        lines.append(f"#{field.name} = {_toml(field.default, unit)}")
    return "\n".join(lines) + "\n" + example.tail


def main() -> None:
    """Write all files."""
    for name, example in EXAMPLES.items():
        (CONFIGS / name).write_text(render(example))


if __name__ == "__main__":
    main()
