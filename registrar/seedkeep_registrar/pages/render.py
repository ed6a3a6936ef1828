"""Renders a template into a response with the security headers that all pages have.

A handler says ``return show(request, "home.html", figures=…)``. Every template knows ``site`` (see
:class:`~seedkeep_registrar.pages.views.Site`), ``me`` (who sent the request), ``asked`` (what is in
the search box) and ``status``; it extends ``base.html``, sets ``here`` for the navigation, and takes
forms, tables, notices and paging from ``_macros.html``.

The policy forbids inline scripts and styles. It also forbids forms to lead to another site, redirects
included: what does, such as a sign-in elsewhere, has to be a link.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from seedkeep.core.taints.body import CATEGORIES
from seedkeep_registrar.accounts.principal import ANONYMOUS, page_principal
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.pages import text
from seedkeep_registrar.pages.views import site_of

STATIC = Path(__file__).parent / "static"
#: nothing runs and nothing is fetched but our own script, style sheet, pictures and sub-trees of files
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # forms of ours must show their Origin; nobody else learns which page a reader came from
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), interest-cohort=()",
}
EFFECT_WORDS = {
    "remove": "It is deleted now",
    "quarantine": "It is withheld now and deleted after 14 days",
    "hide": "It is withheld; the bytes are kept",
    "warn": "It goes on, with this warning",
}
_CATEGORY_WORDS = {c: c.replace("-", " ").capitalize() for c in CATEGORIES}


@cache
def environment() -> Environment:
    """The templates, with autoescaping on for all of them."""
    made = Environment(
        loader=PackageLoader("seedkeep_registrar.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in (
        "shown",
        "sentence",
        "path",
        "plain_line",
        "split_long",
        "number",
        "size",
        "plural",
        "moment",
        "clock",
        "day",
        "duration",
        "grouped",
    ):
        made.filters[name] = getattr(text, name)
    made.globals["asset"] = asset
    made.globals.update(me=ANONYMOUS, asked="")
    made.globals["category_words"] = _CATEGORY_WORDS
    made.globals["effect_words"] = EFFECT_WORDS
    return made


@cache
def asset(name: str) -> str:
    """Path of a static file below the site's base; it changes with the file, so that caches may keep it."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


def show(
    request: web.Request, template: str, *, status: int = 200, max_age: int = 0, **values: Any
) -> web.Response:
    """The page for this request, see :func:`page`; ``site`` and ``me`` are given to the template."""
    me = page_principal(request)
    given = {"site": site_of(request.app[REGISTRAR]), "me": me, **values}
    answer = page(template, status=status, max_age=0 if me.account else max_age, **given)
    if me.account:
        answer.headers["Cache-Control"] = "private, no-cache"
    return answer


def page(template: str, *, status: int = 200, max_age: int = 0, **values: Any) -> web.Response:
    """The response.

    Args:
        max_age: seconds that caches may keep it; 0 lets them ask again each time.
    """
    keep = f"public, max-age={max_age}" if max_age else "no-cache"
    return web.Response(
        status=status,
        text=environment().get_template(template).render(status=status, **values),
        content_type="text/html",
        charset="utf-8",
        headers={**HEADERS, "Cache-Control": keep, "Vary": "Accept"},
    )
