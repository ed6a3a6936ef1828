"""The OpenAPI document: every route of the native interface is in it, and it is sound."""

from __future__ import annotations

import re

import jsonschema_rs
from aiohttp import web

from seedkeep_registrar.app import make_app
from seedkeep_registrar.interface.document import described_routes
from seedkeep_registrar.interface.operation import operation_of
from tests.support.registrar import RegistrarUnderTest


async def test_every_route_of_the_native_interface_is_described(registrar: RegistrarUnderTest) -> None:
    missing = [
        f"{method} {path}"
        for method, path, route in described_routes(make_app(registrar.context))
        if operation_of(route.handler) is None
    ]
    assert missing == [], "describe them with @operation, see docs/architecture.md"


async def test_a_route_without_a_description_is_noticed() -> None:
    app = web.Application()

    async def bare(request: web.Request) -> web.Response:
        return web.Response()

    app.router.add_get("/api/v1/bare", bare)
    assert [path for _, path, _ in described_routes(app)] == ["/api/v1/bare"]
    assert operation_of(bare) is None


async def test_the_document_is_served_and_its_schemas_are_sound(registrar: RegistrarUnderTest) -> None:
    answer = await registrar.curator.get("/api/v1/openapi.json")
    assert answer.status == 200
    document = answer.json
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": registrar.url}]
    for name, schema in document["components"]["schemas"].items():
        assert name.isidentifier(), f"two shapes have the same name: {name}"
        jsonschema_rs.meta.validate(schema)
    operations = [one for path in document["paths"].values() for one in path.values()]
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names)), "two handlers have the same name"
    linked = {
        link["operationId"]
        for one in operations
        for given in one["responses"].values()
        for link in given.get("links", {}).values()
    }
    assert linked <= set(names)


async def test_there_is_a_page_of_every_operation_and_shape(registrar: RegistrarUnderTest) -> None:
    document = (await registrar.curator.get("/api/v1/openapi.json")).json
    names = {one["operationId"] for methods in document["paths"].values() for one in methods.values()}
    names |= set(document["components"]["schemas"])
    todo, seen = ["/api/v1/docs"], set[str]()
    while todo:
        page = await registrar.curator.get(todo.pop())
        assert page.status == 200, page
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        linked = set(re.findall(r'href="/api/v1/docs/(\w+)"', page.body.decode())) - seen
        seen |= linked
        todo += [f"/api/v1/docs/{name}" for name in linked]
    assert seen == names
    assert (await registrar.curator.get("/api/v1/docs/nothing")).status == 404
