"""Talking to the node on this machine: a unix socket for its owner only, one request a connection.

A request is one JSON object in one line, ``{"do": name, "with": {arguments}, "blobs": [lengths]}``, followed
by the blobs. The answer is one line: ``{"ok": true, "result": …}``, or ``{"ok": false, "error": {"code",
"what", "hint"}}``. Lines and blobs have size limits, and every exchange has a time limit.

Commands: ``status``, ``ls``, ``pause``, ``resume``, ``drain``, ``down``; ``seed`` (``path``, ``rid``,
``trackers``, ``web_seeds``; three blobs: manifest, layers, v1 pieces) and ``unseed`` (``content_id``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seedkeep.core import errors, jcs
from seedkeep.core.errors import Conflict, Error, InvalidInput, Unreachable, UsageError

log = logging.getLogger(__name__)

MAX_REQUEST = 1 << 20
MAX_ANSWER = 256 << 20
MAX_BLOBS = 1 << 30
REQUEST_S = 300.0
SOCKET = "control.sock"
#: what a unix socket's path may have, in bytes
_LONGEST = 107

Command = Callable[..., Awaitable[Any]]
_KINDS = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, Error) and kind is not Error
}


def socket_path(data: Path) -> Path:
    """Where the node with this data directory listens."""
    return data / SOCKET


class ControlServer:
    """Answers commands.

    Args:
        path: the socket; made with mode 0600. One left behind by a killed node is replaced.
        commands: by name; called with the request's arguments, and ``blobs`` if it brought some.
    """

    def __init__(self, path: Path, commands: Mapping[str, Command]) -> None:
        self._path = path
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listen.

        Raises:
            Conflict: another node listens there.
            Error: the socket cannot be made.
        """
        where = _short(self._path)
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(self._path.lstat().st_mode):
                raise Error(f"{self._path} is in the way and is no socket", hint="Remove it.")
            if await _is_alive(where):
                raise Conflict(f"another node listens at {self._path}", hint="See `seedkeep node status`.")
            self._path.unlink()
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._talk, path=where, limit=MAX_REQUEST)
        except OSError as error:
            raise Error(f"cannot listen at {self._path}: {error.strerror}") from error
        finally:
            os.umask(mask)

    async def close(self) -> None:
        """Stop listening; who is being answered gets the answer (for a second). Idempotent."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        if self._talks:
            await asyncio.wait(self._talks, timeout=1.0)
        for talk in list(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await server.wait_closed()
        self._path.unlink(missing_ok=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._talks.add(task)
            task.add_done_callback(self._talks.discard)
        try:
            async with asyncio.timeout(REQUEST_S):
                answer = await self._answer(reader)
                writer.write(jcs.dumps(answer) + b"\n")
                await writer.drain()
        except (TimeoutError, OSError):
            log.info("a talk over the control socket broke off")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader) -> dict[str, Any]:
        try:
            name, arguments = await _request(reader)
            command = self._commands.get(name)
            if command is None:
                raise InvalidInput(f"the node knows no command {name[:60]!r}")
            try:
                work = command(**arguments)
            except TypeError as error:
                raise InvalidInput(f"wrong arguments for {name}: {error}") from error
            return {"ok": True, "result": await work}
        except Error as error:
            return {"ok": False, "error": {"code": error.code, "what": error.what, "hint": error.hint}}
        except Exception:
            log.exception("a command over the control socket failed")
            fault = {"code": Error.code, "what": "the node met a fault of its own", "hint": "See its log."}
            return {"ok": False, "error": fault}


async def _request(reader: asyncio.StreamReader) -> tuple[str, dict[str, Any]]:
    try:
        line = await reader.readuntil(b"\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise InvalidInput("a request is one line of JSON") from error
    fields = jcs.loads(line, limit=MAX_REQUEST)
    if not isinstance(fields, dict) or not isinstance(fields.get("do"), str):
        raise InvalidInput("a request is a JSON object with the field do")
    arguments, lengths = fields.get("with", {}), fields.get("blobs", [])
    if not isinstance(arguments, dict) or not isinstance(lengths, list) or "blobs" in arguments:
        raise InvalidInput("the arguments of a request are malformed")
    if not all(type(n) is int and n >= 0 for n in lengths) or len(lengths) > 16 or sum(lengths) > MAX_BLOBS:
        raise InvalidInput("a request brings more than is taken")
    try:
        blobs = [await reader.readexactly(n) for n in lengths]
    except asyncio.IncompleteReadError as error:
        raise InvalidInput("a request was cut short") from error
    return fields["do"], {**arguments, "blobs": blobs} if blobs else arguments


async def call(
    path: Path,
    do: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    blobs: Sequence[bytes] = (),
    timeout: float = REQUEST_S,
) -> Any:
    """Ask the node that listens at ``path``.

    Raises:
        Unreachable: no node listens there, or it did not answer in time.
        Error: what the node answered, as the kind of error it was there.
    """
    request = {"do": do, "with": dict(arguments or {}), "blobs": [len(b) for b in blobs]}
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(_short(path), limit=MAX_ANSWER)
            try:
                writer.write(jcs.dumps(request) + b"\n")
                for blob in blobs:
                    writer.write(blob)
                    await writer.drain()
                await writer.drain()
                line = await reader.readuntil(b"\n")
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError as error:
        raise Unreachable(f"the node at {path} does not answer", hint="Look into its log.") from error
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise Unreachable(
            f"no node listens at {path}",
            hint="Start one with `seedkeep node up`, or name its --data directory.",
        ) from error
    answer = jcs.loads(line, limit=MAX_ANSWER)
    if answer.get("ok") is True:
        return answer.get("result")
    told = answer.get("error", {})
    kind = _KINDS.get(told.get("code"), Error)
    raise kind(str(told.get("what", "the node refused")), hint=str(told.get("hint", "")))


async def _is_alive(where: str) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(where)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _short(path: Path) -> str:
    """The path as a socket takes it; unix sockets have short names."""
    text = str(path)
    if len(os.fsencode(text)) > _LONGEST:
        with contextlib.suppress(ValueError):
            text = os.path.relpath(path)
    if len(os.fsencode(text)) > _LONGEST:
        raise UsageError(f"{path} is too long a path for a socket", hint="Choose a shorter --data directory.")
    return text


__all__ = ["ControlServer", "call", "socket_path"]
