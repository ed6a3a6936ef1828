"""One attempt to sign in with another service, as far as the browser carries it; pure.

The browser keeps one secret in a cookie. State, nonce and PKCE verifier are made from it, each in its own
way, so that none of them tells another, and an answer that belongs to another browser, service or attempt
does not fit (RFC 6749, section 10.12; RFC 7636; OpenID Connect Core, section 3.1.2.1).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass

from seedkeep_registrar.accounts import codes

#: how long somebody may take at the other service, in seconds
FLOW_S = 900
_VALUE = re.compile(r"([A-Za-z0-9_-]{43})\.([0-9]{1,12})\.([A-Za-z0-9_-]{0,700})")


@dataclass(frozen=True, slots=True)
class Flow:
    """
    Args:
        held: the secret of the browser, see :func:`seedkeep_registrar.accounts.codes.secret`.
        provider: its name.
        begun: Unix seconds.
        next: path to go to afterwards, or "".
    """

    held: str
    provider: str
    begun: int
    next: str

    @property
    def cookie(self) -> str:
        """What the browser keeps."""
        path = base64.urlsafe_b64encode(self.next.encode()).decode().rstrip("=")
        return f"{self.held}.{self.begun}.{path}"

    @classmethod
    def read(cls, cookie: str, provider: str) -> Flow | None:
        """The attempt in a cookie; None when there is none."""
        found = _VALUE.fullmatch(cookie)
        if found is None:
            return None
        try:
            padded = found[3] + "=" * (-len(found[3]) % 4)
            path = base64.urlsafe_b64decode(padded).decode("ascii")
        except ValueError:
            return None
        return cls(found[1], provider, int(found[2]), path)

    def _derived(self, purpose: str) -> str:
        said = f"{purpose}\n{self.provider}\n{self.begun}\n{self.next}"
        return codes.secret(hmac.digest(self.held.encode(), said.encode(), "sha256"))

    @property
    def state(self) -> str:
        """Comes back with the answer."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """Comes back in the signed token."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """Shown only to the service's token endpoint."""
        return self._derived("pkce")

    @property
    def challenge(self) -> str:
        """The verifier's SHA-256 (``S256``), shown before."""
        return codes.secret(hashlib.sha256(self.verifier.encode()).digest())

    def fits(self, state: str, now: float) -> bool:
        """Whether an answer belongs to this attempt, and comes in time."""
        fresh = -60 <= now - self.begun <= FLOW_S
        return hmac.compare_digest(state.encode("utf-8", "replace"), self.state.encode()) and fresh
