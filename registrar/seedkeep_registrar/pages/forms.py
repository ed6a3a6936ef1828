"""Forms that browsers send: read within limits, and only from pages of this registrar."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl, quote

from aiohttp import web

from seedkeep.core.errors import InvalidInput, Refused
from seedkeep_registrar import auth
from seedkeep_registrar.accounts import browser
from seedkeep_registrar.accounts.principal import Account, Principal, Role, principal_of
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.pages.views import site_of

_MAX_FORM = 128 * 1024
_MAX_FIELDS = 500


class Form:
    """The fields of a form, in their order; a field that is missing is empty."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs
        self._first = dict(reversed(pairs))

    def text(self, name: str, limit: int = 1000) -> str:
        """One field, at most ``limit`` characters, without spaces around it.

        Raises:
            InvalidInput: it is longer.
        """
        value = self._first.get(name, "").strip()
        if len(value) > limit:
            raise InvalidInput(f"{name} is longer than {limit} characters")
        return value

    def all(self, name: str) -> list[str]:
        """Every value of a field, such as the checked boxes of one name."""
        return [v for n, v in self._pairs if n == name]

    def number(self, name: str, default: int) -> int:
        """A whole number, ``default`` when the field is empty.

        Raises:
            InvalidInput: it is something else.
        """
        text = self.text(name)
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 15):
            raise InvalidInput(f"{name} is not a whole number")
        return int(text)


async def form_of(request: web.Request, limit: int = _MAX_FORM, most_fields: int = _MAX_FIELDS) -> Form:
    """The form that a page of ours sent.

    Args:
        limit: of its body, in bytes.

    Raises:
        Refused: it does not come from a page of this registrar.
        InvalidInput: it is no form, or holds text that cannot be kept.
        TooLarge: it is over ``limit``.
    """
    browser.check_origin(request)
    if request.content_type != "application/x-www-form-urlencoded":
        raise InvalidInput("this is not a form of a page")
    body = await auth.read_body(request, limit)
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=most_fields
        )
    except (UnicodeError, ValueError) as error:
        raise InvalidInput("this form cannot be read") from error
    if any("\x00" in text for pair in pairs for text in pair):
        raise InvalidInput("this form holds text that cannot be kept")
    return Form([(name, value.replace("\r\n", "\n")) for name, value in pairs])


def see(request: web.Request, path: str) -> web.Response:
    """On to another page of this registrar, with GET.

    Args:
        path: below the site's base.
    """
    base = site_of(request.app[REGISTRAR]).base
    return web.Response(status=303, headers={"Location": base + path, "Cache-Control": "no-store"})


async def signed_in(request: web.Request, role: Role = Role.VISITOR) -> tuple[Principal, Account]:
    """Who looks at this page with a browser, with at least this role.

    Raises:
        HTTPSeeOther: nobody is signed in; leads to the page for that and, from a page, back.
        Refused: the role does not suffice.
    """
    principal = await principal_of(request)
    if principal.how != "session" or principal.account is None:
        base = site_of(request.app[REGISTRAR]).base
        back = f"?next={quote(base + request.path_qs, safe='')}" if request.method == "GET" else ""
        raise web.HTTPSeeOther(f"{base}/sign-in{back}")
    if principal.role < role:
        raise Refused(f"this page is for {role.word}s of this registrar", hint="Ask its operator.")
    return principal, principal.account
