"""One id for each request, in its answer and on every line that is logged meanwhile; one line per request.

An id that a trusted proxy has given is kept, so that one request can be followed through both logs. Lines
are text or JSON (one object a line); neither holds query strings, which may carry single-use secrets.
"""

from __future__ import annotations

import contextvars
import json
import logging
import random
import re
import time
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Handler

from seedkeep_registrar.client_address import address_of, parse_networks, peer_is
from seedkeep_registrar.context import REGISTRAR

HEADER = "X-Request-Id"
_LOG = logging.getLogger("seedkeep_registrar.requests")
_GOOD = re.compile(r"[A-Za-z0-9._-]{8,64}")
_MAX_PATH = 300
_CURRENT: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="")
#: what every LogRecord has; whatever else is on one was given as ``extra``
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "request"}


def current() -> str:
    """The id of the request that is being answered, or empty."""
    return _CURRENT.get()


@web.middleware
async def request_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Gives the request its id, and logs it when it is answered."""
    settings = request.app[REGISTRAR].settings
    trusted = parse_networks(settings.trusted_proxies)
    given = request.headers.get(HEADER, "")
    kept = bool(_GOOD.fullmatch(given)) and peer_is(request, trusted)
    token = _CURRENT.set(given if kept else f"{random.getrandbits(64):016x}")
    started = time.monotonic()
    status, sent = 499, 0
    try:
        answer = await handler(request)
        status, sent = answer.status, answer.body_length
        if not answer.prepared:
            answer.headers[HEADER] = current()
        return answer
    finally:
        if _LOG.isEnabledFor(logging.INFO):
            _LOG.info(
                "%s %s %d",
                request.method,
                request.path[:_MAX_PATH],
                status,
                extra={
                    "method": request.method,
                    "path": request.path[:_MAX_PATH],
                    "status": status,
                    "seconds": round(time.monotonic() - started, 4),
                    "bytes": sent,
                    "client": str(address_of(request, trusted)),
                },
            )
        _CURRENT.reset(token)


class _Stamped(logging.Filter):
    """Puts the request's id on each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request = current() or "-"
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request, and what else the record was given."""

    def format(self, record: logging.LogRecord) -> str:
        shown: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request = getattr(record, "request", "-")
        if request != "-":
            shown["request"] = request
        shown |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        if record.exc_info:
            shown["exception"] = self.formatException(record.exc_info)
        return json.dumps(shown, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """One line for people; what the message holds of line breaks and of characters that steer a terminal is
    shown, not obeyed."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s [%(request)s]: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name it overrides
        record.message = "".join(
            c if c.isprintable() else c.encode("unicode_escape").decode() for c in record.message
        )
        return super().formatMessage(record)


def set_up_logging(*, as_json: bool, verbose: bool) -> None:
    """Log to standard error: warnings, or with ``verbose`` every request too."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    handler.addFilter(_Stamped())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO if verbose else logging.WARNING)
    if as_json:
        # whoever collects structured logs wants the requests
        _LOG.setLevel(logging.INFO)
