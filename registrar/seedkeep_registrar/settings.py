"""Every setting of a registrar, with its unit and default; read by :func:`seedkeep.core.settings.load`.

The file is TOML; ``SEEDKEEP_REGISTRAR_<NAME>`` in the environment beats it, flags beat both.
Private object stores are tables: ``[[storage]]`` with the fields of
:class:`seedkeep_registrar.web_seeds.storage.Storage`.
"""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedkeep.core.errors import UsageError
from seedkeep.core.identifiers import mint_ark
from seedkeep.core.keys import PublicKey
from seedkeep.core.origin import origin_of
from seedkeep.core.settings import setting
from seedkeep_registrar.accounts.oidc_provider import OidcProvider, read_provider
from seedkeep_registrar.client_address import parse_networks
from seedkeep_registrar.mail.address import parse_address
from seedkeep_registrar.web_seeds.storage import Storage

OPEN = "open"
MEMBERS = "members"
TEXT = "text"
JSON = "json"
CURATED = "curated"
CLOSED = "closed"


def _storage(table: Any) -> Storage:
    if not isinstance(table, dict):
        raise UsageError("storages are [[storage]] tables of the configuration file")
    names = [f.name for f in dataclasses.fields(Storage)]
    for name in table:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            raise UsageError(f"unknown field {name}", hint=f"Did you mean {near[0]}?" if near else "")
    for name in ("name", "kind", "bucket"):
        if name not in table:
            raise UsageError(f"field {name} is missing")
    stewards = table.get("stewards", [])
    if not isinstance(stewards, list) or not all(isinstance(key, str) for key in stewards):
        raise UsageError('stewards must be a list of keys, or ["anyone"]')
    if not stewards:
        raise UsageError(
            "field stewards is missing: whose records may name this storage",
            hint='List their keys, or write ["anyone"] if everything below the prefix is public.',
        )
    return Storage(**{**table, "stewards": tuple(stewards)})


@dataclass(frozen=True)
class Settings:
    """What an operator may set.

    Raises:
        UsageError: a value is out of its range, or two of them contradict each other.
    """

    data: Path = setting(Path("seedkeep-registrar"), "folder for key, database and objects")  # noqa: RUF009
    listen: str = setting("0.0.0.0:8440", "host:port to listen on; port 0 for any free one")
    public_url: str = setting("", "URL under which others reach this registrar; by default made from listen")
    database_url: str = setting(
        "", "SQLAlchemy URL, e.g. postgresql+psycopg://…; by default SQLite in data", secret=True
    )
    name: str = setting("", "name of this registrar, for people")
    institution: str = setting("", "who runs it, for people")
    naan: str = setting(
        "99999", "name assigning authority number of the ARKs minted here; 99999 is for tests"
    )
    trackers: tuple[str, ...] = setting((), "announce URLs of further trackers, put into torrents")
    builtin_tracker: bool = setting(True, "run the HTTP tracker at /announce")
    opentracker_whitelist: str = setting(
        "", "file of info-hashes that is kept for an opentracker on this machine (its option -w)"
    )
    opentracker_pid_file: str = setting(
        "", "file with that opentracker's process id; it is told by SIGHUP to read the whitelist again"
    )
    tracker_interval_s: float = setting(1800, "how often clients should announce", unit="seconds")
    peer_poll_s: float = setting(
        45,
        "how often other registrars are asked for news, besides what they tell by themselves",
        unit="seconds",
    )
    takeover_s: float = setting(
        600,
        "silence of another registrar after which its datasets are offered to nodes of this one",
        unit="seconds",
    )
    cosigners_wanted: int = setting(
        0,
        "other registrars that must have cosigned what proofs are made under; 0: half of them, at least one",
    )
    taint_quorum: int = setting(
        0, "other registrars, followed for advice, that bind this one when they taint the same; 0: never"
    )
    taint_flood: int = setting(
        1000,
        "records of others that a registrar followed as binding may have withheld by one list; more waits "
        "for an operator",
    )
    registration: str = setting(
        OPEN, "who may register datasets: open, members, or curated, where a curator approves each one"
    )
    members: tuple[str, ...] = setting((), "keys that may register when registration = members")
    curators: tuple[str, ...] = setting((), "keys that may taint and lift")
    operators: tuple[str, ...] = setting((), "keys that may do everything an operator may")
    operator_emails: tuple[str, ...] = setting((), "e-mail addresses whose people are operators")
    sign_up: str = setting(
        OPEN, "who may make an account by e-mail: open (everybody), or closed (whom an operator adds)"
    )
    member_domains: tuple[str, ...] = setting(
        (), "with registration = members: domains of e-mail addresses whose people begin as members"
    )
    session_s: float = setting(30 * 86400, "how long a browser stays signed in at most", unit="seconds")
    session_idle_s: float = setting(
        7 * 86400, "how long a browser that is not used stays signed in", unit="seconds"
    )
    approvals_needed: int = setting(
        0, "curators who must agree before a taint stands; 0: two, or one where there is only one curator"
    )
    min_copies: int = setting(3, "copies in distinct failure domains every dataset is given at least")
    max_spare_copies: int = setting(2, "copies beyond the wanted ones that are kept when nodes come back")
    publisher_share: float = setting(1.0, "share of a node's pledge that one publisher may fill, 0 to 1")
    heartbeat_s: float = setting(30, "how often storage managers report", unit="seconds")
    lease_s: float = setting(900, "how long a claim in progress lives without a heartbeat", unit="seconds")
    grace_s: float = setting(
        3600, "how long a complete copy counts after its node's last heartbeat", unit="seconds"
    )
    slowest_fetch: int = setting(
        100_000,
        "rate at which a node must fetch at least (after grace_s) to keep others from being asked",
        unit="bytes",
    )
    audit_interval_s: float = setting(6 * 3600, "time between two audits of one copy", unit="seconds")
    audit_deadline_s: float = setting(60, "time a node has for each round of an audit", unit="seconds")
    taint_head_s: float = setting(600, "how often the head of the taint list is signed anew", unit="seconds")
    max_object_bytes: int = setting(
        512 * 1024 * 1024, "largest object (manifest, layers) taken", unit="bytes"
    )
    orphan_s: float = setting(86400, "age at which objects that no record names are dropped", unit="seconds")
    min_free_bytes: int = setting(256 * 1024 * 1024, "disk space to leave free in data", unit="bytes")
    unnamed_bytes: int = setting(
        4 * 1024**3,
        "uploaded objects that no record names yet, of one account or key and of one address, 0: any",
        unit="bytes",
    )
    body_timeout_s: float = setting(60, "longest silence while a request's body is read", unit="seconds")
    processes: int = setting(1, "processes that serve; more than one needs PostgreSQL")
    drain_s: float = setting(
        0, "time between saying that it is not ready and taking no more connections", unit="seconds"
    )
    shutdown_s: float = setting(5, "time that running requests have to end at a shutdown", unit="seconds")
    trusted_proxies: tuple[str, ...] = setting(
        (), "addresses or networks of reverse proxies whose X-Forwarded-For is believed"
    )
    smtp_url: str = setting(
        "",
        "mail server, smtps://user:password@host:465 or smtp://host:587?starttls; without one, mails are "
        "printed in the log",
        secret=True,
    )
    mail_from: str = setting("", "sender of the mails, e.g. Seedkeep <noreply@example.org>")
    mail_templates: str = setting("", "folder with templates of mails that replace those of the package")
    mail_retry_s: float = setting(
        60, "first pause after which a mail that could not be sent is tried again", unit="seconds"
    )
    mail_give_up_s: float = setting(3 * 86400, "how long a mail is tried", unit="seconds")
    requests_per_minute: int = setting(
        6000, "requests taken from one address (IPv6: /64) in a minute, 0: any; loopback is not counted"
    )
    requests_per_minute_sender: int = setting(
        6000, "requests taken in a minute from one account or key, 0: any number"
    )
    mails_per_minute: int = setting(
        30, "mails with sign-in codes that one address (IPv6: /64) may ask for in a minute, 0: any number"
    )
    quota_datasets: int = setting(0, "datasets one publisher may register, 0: any number")
    quota_bytes: int = setting(0, "total size of the datasets of one publisher, 0: any", unit="bytes")
    metrics_from: tuple[str, ...] = setting(
        ("127.0.0.0/8", "::1"), "addresses or networks that may read /metrics"
    )
    log_format: str = setting(TEXT, "lines of the log: text, or json")
    zeroconf: bool = setting(True, "announce this registrar on the local network")
    oidc: tuple[OidcProvider, ...] = setting((), "services to sign in with", parse=read_provider, secret=True)
    storage: tuple[Storage, ...] = setting((), "private S3 and Swift stores", parse=_storage, secret=True)

    def __post_init__(self) -> None:
        for key in (*self.curators, *self.members, *self.operators):
            PublicKey.parse(key)
        if self.registration not in (OPEN, MEMBERS, CURATED):
            raise UsageError(
                f"setting registration is {self.registration!r}", hint="Set it to open, members or curated."
            )
        if self.sign_up not in (OPEN, CLOSED):
            raise UsageError(f"setting sign_up is {self.sign_up!r}", hint="Set it to open or closed.")
        for email in self.operator_emails:
            parse_address(email)
        if self.log_format not in (TEXT, JSON):
            raise UsageError(f"setting log_format is {self.log_format!r}", hint="Set it to text or json.")
        for name in (
            "requests_per_minute",
            "requests_per_minute_sender",
            "mails_per_minute",
            "quota_datasets",
            "quota_bytes",
            "unnamed_bytes",
            "cosigners_wanted",
            "taint_quorum",
            "taint_flood",
        ):
            if getattr(self, name) < 0:
                raise UsageError(f"setting {name} cannot be negative")
        if self.processes < 1:
            raise UsageError("setting processes must be at least 1")
        if self.processes > 1 and self.sqlalchemy_url.startswith("sqlite"):
            raise UsageError(
                f"setting processes is {self.processes}, and SQLite is for one process",
                hint="Set database_url to a PostgreSQL database.",
            )
        if min(self.drain_s, self.shutdown_s) < 0:
            raise UsageError("settings drain_s and shutdown_s cannot be negative")
        if self.slowest_fetch <= 0:
            raise UsageError("setting slowest_fetch must be more than 0 bytes per second")
        for name in (
            "heartbeat_s",
            "lease_s",
            "grace_s",
            "audit_deadline_s",
            "audit_interval_s",
            "orphan_s",
            "mail_retry_s",
            "session_s",
            "session_idle_s",
            "peer_poll_s",
            "takeover_s",
        ):
            if getattr(self, name) <= 0:
                raise UsageError(f"setting {name} must be more than 0 seconds")
        if not 0 < self.publisher_share <= 1:
            raise UsageError("setting publisher_share must be more than 0 and at most 1")
        appoints = self.operators or self.operator_emails  # then there may be curators who are not set here
        if not 0 <= self.approvals_needed <= (9 if appoints else max(1, len(set(self.curators)))):
            raise UsageError(
                f"setting approvals_needed is {self.approvals_needed}, more than there are curators"
            )
        if min(self.min_copies, self.max_spare_copies, self.max_object_bytes, self.min_free_bytes) < 0:
            raise UsageError("copies and sizes cannot be negative")
        if len({provider.name for provider in self.oidc}) < len(self.oidc):
            raise UsageError("two [[oidc]] tables have the same name")
        mint_ark(self.naan, "0" * 64)
        if self.public_url:
            origin_of(self.public_url)
        parse_networks(self.trusted_proxies)
        parse_networks(self.metrics_from)
        self.bind  # noqa: B018 - a malformed address is told at once

    @property
    def bind(self) -> tuple[str, int]:
        """Host and port to listen on."""
        host, colon, port = self.listen.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise UsageError(
                f"{self.listen!r} is not an address to listen on", hint="Write it like 0.0.0.0:8440."
            )
        return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104

    @property
    def offline_after_s(self) -> float:
        """Silence after which a node is shown as offline, in seconds."""
        return 3 * self.heartbeat_s

    @property
    def sqlalchemy_url(self) -> str:
        """The database; SQLite in the data folder unless another one is set."""
        return self.database_url or f"sqlite:///{self.data / 'registrar.sqlite'}"
