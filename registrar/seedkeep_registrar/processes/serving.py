"""Serve until told to stop: in this process, or in several under a supervisor."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from socket import socket

from seedkeep.core.errors import Error
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.operations.request_log import set_up_logging
from seedkeep_registrar.processes.supervisor import Supervisor
from seedkeep_registrar.server import bind, serve
from seedkeep_registrar.settings import JSON, Settings


@dataclass(frozen=True, slots=True)
class Shown:
    """What is said of a registrar that answers."""

    url: str
    origin: str
    vkey: str


def _shown(registrar: Registrar) -> Shown:
    return Shown(registrar.public_url, registrar.origin, str(registrar.vkey))


def serve_all(settings: Settings, ready: Callable[[Shown], None], *, verbose: bool) -> int:
    """Serve until SIGTERM or SIGINT, with as many processes as the settings say.

    Args:
        ready: called once requests are answered.
        verbose: log every request.

    Returns:
        The exit code.

    Raises:
        UsageError: a setting cannot work. Further processes tell it on standard error, and end all.
    """
    if settings.processes == 1:
        return _serve(settings, lambda registrar: ready(_shown(registrar)), None)
    with closing(bind(*settings.bind)) as listening:
        work = partial(_one_of_several, settings, verbose)
        supervisor = Supervisor(work, listening, lambda said: ready(Shown(**json.loads(said))))
        return supervisor.run(settings.processes)


def _serve(settings: Settings, ready: Callable[[Registrar], None], listening: socket | None) -> int:
    # readers and the writer share the interpreter with the loop: let it have its turn sooner
    sys.setswitchinterval(0.001)
    return asyncio.run(serve(settings, ready, listening))


def _one_of_several(
    settings: Settings, verbose: bool, number: int, listening: socket, say: Connection
) -> None:
    set_up_logging(as_json=settings.log_format == JSON, verbose=verbose)
    listening.setblocking(False)
    if number:  # one announcement on the local network is enough
        settings = replace(settings, zeroconf=False)

    def ready(registrar: Registrar) -> None:
        say.send_bytes(json.dumps(asdict(_shown(registrar))).encode())
        say.close()

    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        code = _serve(settings, ready, listening)
    except Error as error:
        sys.stderr.write(f"{error.diagnostics()}\n")
        code = error.exit_code
    sys.exit(code)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
