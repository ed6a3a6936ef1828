"""The aiohttp application: which routes there are, and what wraps every request."""

from __future__ import annotations

from aiohttp import web

from seedkeep_registrar import announce
from seedkeep_registrar.accounts.principal import recognised
from seedkeep_registrar.api import (
    account_keys,
    accounts,
    attestations,
    audits,
    claims,
    collections,
    discovery,
    followed_taints,
    groups,
    lookup,
    names,
    nodes,
    objects,
    openapi,
    own_account,
    quotas,
    records,
    resolve,
    revisions,
    search,
    submissions,
    taints,
    tokens,
    torrents,
    web_seed_reports,
)
from seedkeep_registrar.built import Built
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.exports import crawlers
from seedkeep_registrar.federation import giving, repair, takeover, working
from seedkeep_registrar.federation import routes as federation
from seedkeep_registrar.federation import service as federating
from seedkeep_registrar.feeds import routes as feeds
from seedkeep_registrar.interface.manners import manners
from seedkeep_registrar.log import serving as log
from seedkeep_registrar.operations import routes as operations
from seedkeep_registrar.operations.journaling import journalled
from seedkeep_registrar.operations.limits import limited
from seedkeep_registrar.operations.metrics import measured
from seedkeep_registrar.operations.request_log import request_log
from seedkeep_registrar.pages import account, curation, dashboard, editing, oidc, people, registering, sign_in
from seedkeep_registrar.pages import authorities as authority_pages
from seedkeep_registrar.pages import collections as collection_pages
from seedkeep_registrar.pages import interface as interface_page
from seedkeep_registrar.pages import own_account as own_account_page
from seedkeep_registrar.pages import quotas as quota_page
from seedkeep_registrar.pages import routes as pages
from seedkeep_registrar.pages import search as search_page
from seedkeep_registrar.problems import problems
from seedkeep_registrar.tracker import routes as tracker
from seedkeep_registrar.tracker import whitelist
from seedkeep_registrar.unchanged import Unchanged
from seedkeep_registrar.web_seeds import routes as web_seeds

_ROUTES = (
    discovery,
    log,
    federation,
    giving,
    objects,
    records,
    resolve,
    lookup,
    names,
    revisions,
    submissions,
    torrents,
    nodes,
    claims,
    attestations,
    audits,
    taints,
    followed_taints,
    web_seed_reports,
    accounts,
    own_account,
    tokens,
    groups,
    quotas,
    collections,
    feeds,
    search_page,
    collection_pages,
    sign_in,
    curation,
    account,
    own_account_page,
    people,
    editing,
    registering,
    dashboard,
    authority_pages,
    quota_page,
)

#: outside the native interface; each adds its routes, and what starts and stops with the application
_PARTS = (
    operations,
    openapi,
    interface_page,
    account_keys,
    oidc,
    search,
    tracker,
    whitelist,
    web_seeds,
    pages,
    crawlers,
    federating,
    working,
    takeover,
    repair,
    announce,
)


def make_app(registrar: Registrar) -> web.Application:
    """The application of one running registrar.

    The parts outside the native interface (tracker, web seeds, pages, announcement on the LAN) each add
    their routes here, and what they start and stop with the application through ``app.cleanup_ctx``.
    """
    app = web.Application(
        middlewares=[request_log, measured, problems, limited, recognised, journalled, manners]
    )
    app[REGISTRAR] = registrar
    app[torrents.BUILT] = Built()
    app[resolve.ANSWERS] = Unchanged(registrar.db)
    for module in _ROUTES:
        app.add_routes(module.routes)
    for part in _PARTS:
        part.setup(app)
    return app
