"""A real OpenStack Swift for the tests: proxy, account, container and object server on loopback.

One replica, tempauth, TempURL and the S3 API (``s3api``), everything in a temporary directory on free
ports, so that several may run side by side, as any user. The servers come from the Debian packages
swift-proxy, swift-account, swift-container, swift-object and memcached and run under the system's own
Python. Each is one process without workers, in a process group of its own, and is told by the kernel to
end when this process dies.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.ports import free_ports
from tests.support.require import require

SYSTEM_PYTHON = "/usr/bin/python3"
_START_SECONDS = 30.0

_RUN = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)      # PR_SET_PDEATHSIG: never outlive the test run
if os.getppid() != int(sys.argv[2]):
    sys.exit(0)
kind, conf = sys.argv[1], sys.argv[3]
if kind == "memcached":
    os.execvp("memcached", ["memcached", *sys.argv[3:]])
import swift.common.utils as utils
utils.set_swift_dir(os.path.dirname(conf))      # swift.conf outside /etc/swift
from swift.common.wsgi import run_wsgi
extra = {}
if kind == "object-server":
    from swift.obj import server
    extra["global_conf_callback"] = server.global_conf_callback
sys.exit(run_wsgi(conf, kind, **extra))
"""

_PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {etc}
workers = 0
log_level = WARNING
log_address = {home}/no-syslog
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk tempurl s3api tempauth copy slo \
dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
user_test2_tester2 = testing2 .admin
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:tempurl]
use = egg:swift#tempurl
[filter:slo]
use = egg:swift#slo
min_segment_size = 1
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:copy]
use = egg:swift#copy
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
[filter:symlink]
use = egg:swift#symlink
"""

_STORAGE = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {etc}
devices = {home}/srv
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
workers = 0
log_level = WARNING
log_address = {home}/no-syslog
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""

_RINGS = """
import sys
from swift.common.ring import RingBuilder
etc = sys.argv[1]
for kind, port in zip(("account", "container", "object"), sys.argv[2:]):
    builder = RingBuilder(4, 1, 0)
    where = {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port)}
    builder.add_dev({**where, "device": "d1", "weight": 1.0})
    builder.rebalance()
    builder.get_ring().save(f"{etc}/{kind}.ring.gz")
"""


@dataclass(frozen=True)
class Swift:
    """A running Swift. All requests made here are for arranging a test, with the owner's token."""

    url: str
    home: Path
    user: str = "test:tester"
    key: str = "testing"
    region: str = "us-east-1"
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def auth_url(self) -> str:
        """The v1 authentication URL (what ``ST_AUTH`` holds)."""
        return f"{self.url}/auth/v1.0"

    @property
    def storage_url(self) -> str:
        """The account's URL, without a slash at the end."""
        return f"{self.url}/v1/AUTH_test"

    def token(self) -> str:
        """A token of the account's owner."""
        if "owner" not in self._tokens:
            request = urllib.request.Request(
                self.auth_url, headers={"X-Auth-User": self.user, "X-Auth-Key": self.key}
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                self._tokens["owner"] = answer.headers["X-Auth-Token"]
        return self._tokens["owner"]

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """``path`` is below the account and not quoted, e.g. ``"container/a b.txt"``."""
        url = f"{self.storage_url}/{urllib.parse.quote(path)}"
        sent = {"X-Auth-Token": self.token(), **(headers or {})}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, method=method, headers=sent, data=data), timeout=30
            ) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

    def make_container(self, name: str, *, public: bool = False) -> None:
        """Make a container; a public one can be read without a token."""
        status, _, body = self.request("PUT", name, headers={"X-Container-Read": ".r:*"} if public else {})
        assert status in (201, 202), (status, body)

    def names(self, container: str) -> list[str]:
        """The names of all objects in a container, sorted."""
        status, _, body = self.request("GET", container, headers={"Accept": "application/json"})
        assert status in (200, 204), (status, body)
        return sorted(row["name"] for row in json.loads(body or b"[]"))

    def set_temp_url_key(self, key: str) -> None:
        """Set the account's TempURL key."""
        status, _, body = self.request("POST", "", headers={"X-Account-Meta-Temp-URL-Key": key})
        assert status in (202, 204), (status, body)


def _takes_xattrs(folder: Path) -> bool:
    probe = folder / "xattr"
    probe.touch()
    try:
        os.setxattr(probe, "user.seedkeep", b"1")
    except OSError:
        return False
    finally:
        probe.unlink()
    return True


def _wait(url: str, processes: Mapping[str, subprocess.Popen[bytes]], home: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        for name, process in processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended at once: {(home / f'{name}.log').read_text()[-2000:]}")
        with (
            suppress(OSError, http.client.HTTPException),
            urllib.request.urlopen(f"{url}/healthcheck", timeout=2) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.05)  # other processes are starting; there is no event to wait for
    raise RuntimeError(f"Swift did not answer within {_START_SECONDS:.0f} s; logs in {home}")


def _wait_stored(swift: Swift) -> None:
    """The proxy is up before the storage servers are: wait until all three kinds of them work."""
    end = time.monotonic() + _START_SECONDS
    steps = [
        ("POST", "", None),
        ("PUT", "ready", None),
        ("PUT", "ready/yes", b"yes"),
        ("DELETE", "ready/yes", None),
    ]
    steps.append(("DELETE", "ready", None))
    while time.monotonic() < end:
        with suppress(OSError, http.client.HTTPException):
            while steps and swift.request(steps[0][0], steps[0][1], data=steps[0][2])[0] in (201, 202, 204):
                del steps[0]
            if not steps:
                return
        time.sleep(0.05)
    raise RuntimeError(f"Swift's storage servers did not answer; logs in {swift.home}")


def start_swift(home: Path) -> Iterator[Swift]:
    """Start one in ``home``; a generator that stops it when resumed (what a fixture needs)."""
    etc = home / "etc"
    etc.mkdir()
    (home / "srv" / "d1").mkdir(parents=True)
    proxy, account, container, objects, memcached = free_ports(5)
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    (etc / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = test\nswift_hash_path_prefix = test\n"
        "[storage-policy:0]\nname = default\ndefault = yes\n"
    )
    values = {"etc": etc, "home": home, "user": user, "memcached": memcached}
    (etc / "proxy-server.conf").write_text(_PROXY.format(port=proxy, **values))
    for kind, port in (("account", account), ("container", container), ("object", objects)):
        (etc / f"{kind}-server.conf").write_text(_STORAGE.format(kind=kind, port=port, **values))
    subprocess.run(
        [
            SYSTEM_PYTHON,
            "-I",
            "-W",
            "ignore",
            "-c",
            _RINGS,
            str(etc),
            str(account),
            str(container),
            str(objects),
        ],
        check=True,
        capture_output=True,
    )
    runner = home / "run.py"
    runner.write_text(_RUN)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        commands = {"memcached": ["-l", "127.0.0.1", "-p", str(memcached), "-U", "0", "-m", "64"]}
        if os.geteuid() == 0:
            # a change of user would make the kernel forget that it must end with us
            commands["memcached"] += ["-u", "root"]
        for kind in ("account", "container", "object", "proxy"):
            commands[f"{kind}-server"] = [str(etc / f"{kind}-server.conf")]
        for name, arguments in commands.items():
            with (home / f"{name}.log").open("wb") as log:
                processes[name] = subprocess.Popen(
                    [SYSTEM_PYTHON, "-I", "-W", "ignore", str(runner), name, str(os.getpid()), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        swift = Swift(url=f"http://127.0.0.1:{proxy}", home=home)
        _wait(swift.url, processes, home)
        _wait_stored(swift)
        yield swift
    finally:
        for process in processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a throw-away store: nothing to save
        for process in processes.values():
            process.wait(10)


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    """One Swift for the whole session; containers and buckets are the tests' own."""
    require(Path(SYSTEM_PYTHON).exists(), f"there is no {SYSTEM_PYTHON}")
    found = subprocess.run(
        [SYSTEM_PYTHON, "-I", "-W", "ignore", "-c", "import swift.proxy.server, swift.obj.server"],
        capture_output=True,
        check=False,
    )
    require(found.returncode == 0, "the Debian packages swift-proxy … swift-object are not installed")
    require(shutil.which("memcached") is not None, "the Debian package memcached is not installed")
    home = tmp_path_factory.mktemp("swift")
    require(_takes_xattrs(home), f"{home} takes no user xattrs, which Swift needs")
    yield from start_swift(home)
