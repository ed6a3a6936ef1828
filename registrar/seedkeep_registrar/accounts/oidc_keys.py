"""The keys that a service publishes (RFC 7517), and tokens signed by one of them (RFC 7519).

Loaded with the first sign-in by another service: the library takes long to load, and many never need it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

#: signatures by key pairs alone: a service's shared secret, or nobody, must not be able to sign
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


class PublishedKeys:
    """
    Args:
        told: a JWK Set, as fetched.

    Raises:
        ValueError: it is none.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        try:
            self._keys = KeySet.import_key_set({"keys": told["keys"]})
        except (JoseError, TypeError, KeyError, AttributeError) as error:
            raise ValueError("no keys that can be read") from error

    def claims(self, token: str) -> Mapping[str, Any]:
        """What a token says.

        Raises:
            ValueError: none of these keys has signed it.
        """
        try:
            return jwt.decode(token, self._keys, algorithms=list(ALGORITHMS)).claims
        except (JoseError, TypeError, KeyError) as error:
            raise ValueError("not signed by one of these keys") from error
