"""The settings of the command line and of the storage manager, and where their files lie.

Each setting is defined once, here, with its unit. Later layers win: built-in default, TOML file,
environment (``SEEDKEEP_CLIENT_…``, ``SEEDKEEP_NODE_…``), flags. Directories follow the XDG Base Directory
Specification; a node's data, and all that belongs to it, lies in one directory of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from seedkeep.core.errors import UsageError
from seedkeep.core.record import DEFAULT_LICENSE
from seedkeep.core.settings import load, setting

S = TypeVar("S")
_DEFAULT_DATA = Path("~/.local/share/seedkeep/node")
MAX_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Places:
    """Seedkeep's directories for one person: ``config`` (settings, key), ``state``, ``data``, ``cache``."""

    config: Path
    state: Path
    data: Path
    cache: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Places:
        """From ``XDG_*_HOME`` and ``HOME``; relative values are ignored, as the specification says."""
        home = Path(environ.get("HOME") or Path.home())

        def place(variable: str, default: str) -> Path:
            given = Path(environ.get(variable, ""))
            return (given if given.is_absolute() else home / default) / "seedkeep"

        return cls(
            config=place("XDG_CONFIG_HOME", ".config"),
            state=place("XDG_STATE_HOME", ".local/state"),
            data=place("XDG_DATA_HOME", ".local/share"),
            cache=place("XDG_CACHE_HOME", ".cache"),
        )

    @property
    def key(self) -> Path:
        """The person's private key."""
        return self.config / "key.pem"

    @property
    def known_registrars(self) -> Path:
        """Registrars' keys as first seen."""
        return self.config / "known_registrars"


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What ``share``, ``fetch``, ``info`` and ``verify`` go by."""

    registrars: tuple[str, ...] = setting((), "URLs of the registrars to ask, in this order")
    policy: str = setting(
        "",
        "file (C2SP tlog-policy) of whose cosignatures a record needs; none = half of its home's peers",
    )
    license: str = setting(DEFAULT_LICENSE, "SPDX identifier of the licence of what you share")
    creators: tuple[str, ...] = setting((), "creators of what you share")
    copies: int = setting(3, "copies to ask for", unit="copies")
    listen: str = setting("0.0.0.0,[::]", "addresses to take connections from peers on, comma separated")
    port: int = setting(0, "TCP port for peers; 0 lets the system choose")
    down_limit: int = setting(0, "most bytes a second to receive; 0 = no limit", unit="bytes")
    up_limit: int = setting(0, "most bytes a second to send; 0 = no limit", unit="bytes")
    dht: bool = setting(False, "find peers through the public DHT as well")
    lsd: bool = setting(False, "find peers on the local network by BEP 14 as well")
    zeroconf: bool = setting(True, "find registrars on the local network")
    private_web_seeds: bool = setting(
        False, "use web seeds in private or loopback networks even if the registrar is elsewhere"
    )
    stall: float = setting(300.0, "give up a fetch after so long without a byte; 0 = never", unit="seconds")


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What a storage manager goes by."""

    data: Path = setting(_DEFAULT_DATA, "directory of everything this node stores")  # noqa: RUF009
    pledge: int = setting(10 * 10**9, "most disk space this node ever uses", unit="bytes")
    floor: int = setting(10**9, "free space always left to others on that disk", unit="bytes")
    registrars: tuple[str, ...] = setting((), "URLs of the registrars to serve")
    subjects: tuple[str, ...] = setting((), "subjects to take (collections: collection:NAME); none = all")
    operator: str = setting("", "who runs this node; copies are spread over operators")
    institution: str = setting("", "institution the node belongs to; copies are spread over institutions")
    country: str = setting("", "two-letter country code; copies are spread over countries")
    listen: str = setting("0.0.0.0,[::]", "addresses to take connections from peers on, comma separated")
    port: int = setting(0, "TCP port for peers, to be let through the firewall; 0 chooses one, and keeps it")
    taint_agreement: int = setting(
        2, "registrars that must agree on a taint which neither one that is served nor the home has ordered"
    )
    takeover: float = setting(
        300.0, "a mirror stands in for a registrar silent for so long; 0 = never", unit="seconds"
    )
    downloads: int = setting(4, "datasets downloaded at the same time")
    scrub_every: float = setting(
        30 * 86400.0, "every byte is read and checked again within this time", unit="seconds"
    )
    scrub_rate: int = setting(20 * 10**6, "most bytes a second read for that; 0 = never", unit="bytes")
    heartbeat: float = setting(
        0.0, "time between heartbeats; 0 = what the registrar asks for", unit="seconds"
    )
    down_limit: int = setting(0, "most bytes a second to receive; 0 = no limit", unit="bytes")
    up_limit: int = setting(0, "most bytes a second to send; 0 = no limit", unit="bytes")
    dht: bool = setting(False, "find peers through the public DHT as well")
    lsd: bool = setting(False, "find peers on the local network by BEP 14 as well")
    utp: bool = setting(False, "speak uTP as well, gentler on other traffic")
    zeroconf: bool = setting(True, "find registrars on the local network, and be found")
    private_web_seeds: bool = setting(
        False, "use web seeds in private or loopback networks even if the registrar is elsewhere"
    )


def listen_on(addresses: str, port: int) -> str:
    """``address:port`` pairs for the engine from comma-separated addresses and one port.

    Raises:
        UsageError: the port is out of range, or there is no address.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"{port} is not a TCP port", hint="Give a number from 1 to 65535, or 0 for any.")
    hosts = [h.strip() for h in addresses.split(",") if h.strip()]
    if not hosts:
        raise UsageError("there is no address to listen on", hint="Write it like 0.0.0.0,[::].")
    return ",".join(f"[{h}]:{port}" if ":" in h and not h.startswith("[") else f"{h}:{port}" for h in hosts)


def client_settings(
    places: Places, environ: Mapping[str, str], flags: Mapping[str, Any] | None = None
) -> ClientSettings:
    """Settings of the command line; the file is ``client.toml`` in the configuration directory.

    Raises:
        UsageError: an unknown setting or a bad value; names the source.
    """
    return _load(ClientSettings, "client", places.config / "client.toml", environ, flags, must_exist=False)


def node_settings(
    places: Places,
    environ: Mapping[str, str],
    flags: Mapping[str, Any] | None = None,
    *,
    file: Path | None = None,
) -> NodeSettings:
    """Settings of the storage manager; the file is ``node.toml`` unless ``file`` is given.

    Raises:
        UsageError: an unknown setting, a bad value, or ``file`` cannot be read.
    """
    path = file or places.config / "node.toml"
    found = _load(NodeSettings, "node", path, environ, flags, must_exist=file is not None)
    if found.data == _DEFAULT_DATA:
        found = dataclasses.replace(found, data=places.data / "node")
    if found.pledge <= 0:
        raise UsageError("a pledge is more than nothing", hint="Give a size, like --pledge 50GB.")
    return found


def _load(
    kind: type[S],
    section: str,
    path: Path,
    environ: Mapping[str, str],
    flags: Mapping[str, Any] | None,
    *,
    must_exist: bool,
) -> S:
    text = ""
    if must_exist or path.exists():
        try:
            with path.open("rb") as file:
                text = file.read(MAX_CONFIG_BYTES).decode()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise UsageError(f"the configuration file {path} cannot be read: {why}") from error
    return load(kind, toml=text, toml_name=str(path), environ=environ, section=section, flags=flags)
