"""What somebody may have meant who mistyped an ARK: those that are recorded among the few it may be."""

from __future__ import annotations

from seedkeep.core.near_names import near_arks, typed_ark
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.problems import UnknownName
from seedkeep_registrar.store import records

_MOST = 5


async def meant(registrar: Registrar, text: str) -> list[str]:
    """ARKs (``ark:/…``) of records here that one slip may have made ``text``; none for other names."""
    near = near_arks(typed_ark(text))
    found = await registrar.db.read(records.arks_among, near) if near else []
    return [f"ark:/{ark}" for ark in found[:_MOST]]


async def unknown_name(registrar: Registrar, text: str, what: str, hint: str) -> UnknownName:
    """The error that tells that a name means nothing here, and what may have been meant.

    Args:
        hint: what to do when there is no suggestion.
    """
    arks = await meant(registrar, text)
    return UnknownName(
        what,
        hint=f"Did you mean {' or '.join(arks)}?" if arks else hint,
        members={
            "suggestions": [{"ark": ark, "landing_page": f"{registrar.public_url}/{ark}"} for ark in arks]
        },
    )
