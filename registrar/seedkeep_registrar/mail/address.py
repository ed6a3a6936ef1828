"""E-mail addresses as they are taken from people: checked before anything is sent to them; pure."""

from __future__ import annotations

import re

from seedkeep.core.errors import InvalidInput

#: RFC 5321, section 4.5.3.1
MAX_ADDRESS = 254
_MAX_LOCAL = 64
# a dot-atom (RFC 5322, section 3.2.3): quoted local parts exist in standards only
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def parse_address(text: str) -> str:
    """An address as it is stored and mailed to: no spaces around it, the domain in lower case and IDNA form.

    Raises:
        InvalidInput: it is not ``local@domain``; nothing that could begin another header gets through.
    """
    local, at, domain = text.strip(" ").rpartition("@")
    try:
        domain = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        domain = ""
    if (
        not at
        or len(local) > _MAX_LOCAL
        or len(local) + 1 + len(domain) > MAX_ADDRESS
        or not _LOCAL.fullmatch(local)
        or not all(_LABEL.fullmatch(label) for label in domain.split("."))
    ):
        raise InvalidInput(f"{text[:80]!r} is not an e-mail address", hint="Write it like name@example.org.")
    return f"{local}@{domain}"
