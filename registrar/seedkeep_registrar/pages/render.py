"""Renders a template into a response with the security headers that all pages have."""

from __future__ import annotations

from functools import cache
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from seedkeep.core.taint import CATEGORIES
from seedkeep_registrar.pages import text

#: nothing runs, and nothing is fetched but our own style sheet and icon
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "interest-cohort=()",
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
        "path",
        "plain_line",
        "split_long",
        "number",
        "size",
        "plural",
        "moment",
        "day",
        "grouped",
    ):
        made.filters[name] = getattr(text, name)
    made.globals["below"] = text.below
    made.globals["category_words"] = _CATEGORY_WORDS
    return made


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
