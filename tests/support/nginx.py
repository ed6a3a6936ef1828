"""nginx as a static web seed (BEP 19) for the length of a test."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port
from tests.support.processes import accepts, running, until
from tests.support.require import require

_CONFIG = """{user}
worker_processes 1; daemon off; pid {home}/pid; error_log {home}/error.log warn;
events {{ worker_connections 1024; }}
http {{
 default_type application/octet-stream; sendfile on; tcp_nopush on; keepalive_requests 100000;
 log_format served '$request_method "$uri" "$http_range" $status $body_bytes_sent';
 access_log {home}/access.log served;
 client_body_temp_path {home}/tmp; proxy_temp_path {home}/tmp; fastcgi_temp_path {home}/tmp;
 uwsgi_temp_path {home}/tmp; scgi_temp_path {home}/tmp;
 server {{ listen {host}:{port}; root {root}; {rate} }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """A running server; ``base`` is the web seed of the datasets in its folder."""

    base: str
    access_log: Path

    def bytes_sent(self) -> int:
        """Body bytes of all answers that have ended so far."""
        return sum(int(line.rsplit(" ", 1)[1]) for line in self.access_log.read_text().splitlines())


@asynccontextmanager
async def nginx(home: Path, root: Path, *, host: str = "127.0.0.1", rate: str = "") -> AsyncIterator[Nginx]:
    """Serve ``root``; ``rate`` such as "5m" limits each connection to that many bytes a second."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    require(program is not None, "nginx is not installed")
    home.mkdir(parents=True, exist_ok=True)
    port = free_port(host)
    config = home / "nginx.conf"
    config.write_text(
        _CONFIG.format(
            user="user root;" if os.geteuid() == 0 else "",
            home=home,
            host=host,
            port=port,
            root=root,
            rate=f"limit_rate {rate};" if rate else "",
        )
    )

    async def ready() -> bool:
        return await accepts(host, port)

    command = (str(program), "-c", str(config), "-e", str(home / "error.log"))
    async with running(*command, log=home / "log"):
        await until(ready, "nginx starts")
        yield Nginx(f"http://{host}:{port}/", home / "access.log")
