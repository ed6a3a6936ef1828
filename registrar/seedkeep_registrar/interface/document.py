"""The OpenAPI 3.1 document of the native interface, made from the descriptions of its routes.

What it promises: every route that :func:`described_routes` lists is in it, with all statuses, media types and
shapes that it can answer with. Source: https://spec.openapis.org/oas/v3.1.1.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from aiohttp import web

from seedkeep import __version__
from seedkeep_registrar.interface.fields import Hex64
from seedkeep_registrar.interface.operation import (
    SESSION,
    SIGNATURE,
    TOKEN,
    Content,
    Operation,
    operation_of,
)
from seedkeep_registrar.interface.problem import MEANING, PROBLEM_TYPE, Problem

#: paths below these belong to the native interface
PREFIXES = ("/api/v1/", "/.well-known/", "/torrents/")
PATH_SHAPES: dict[str, Any] = {"rid": Hex64, "content_id": Hex64, "sha256": Hex64}
_REF = "#/components/schemas/{name}"
_SECURITY_SCHEMES = {
    SIGNATURE: {
        "type": "apiKey",
        "in": "header",
        "name": "Signature",
        "description": "An RFC 9421 signature by an Ed25519 key over @method, @target-uri, content-digest, "
        'with created, expires, nonce, keyid and tag="seedkeep"; see docs/protocol.md.',
    },
    TOKEN: {
        "type": "http",
        "scheme": "bearer",
        "description": "A token made on the account's page; each operation says which scope it needs.",
    },
}
_SESSION_SCHEME = {
    "type": "apiKey",
    "in": "cookie",
    "description": "The session of a browser in which somebody signed in; writes need the Origin header.",
}
_TAG_PARAMETER = {
    "name": "If-None-Match",
    "in": "header",
    "description": "ETags of what you have; 304 when one of them is the newest.",
    "schema": {"type": "string"},
}
_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A new text for each request; sent again with the same one within a day, the request "
    "is answered as the first time and makes nothing twice.",
    "schema": {"type": "string", "pattern": "^[!#-\\[\\]-~]{1,200}$", "maxLength": 200},
}
_HEADERS = {
    "ETag": {"description": "Changes with the document.", "schema": {"type": "string"}},
    "Link": {"description": "The next page, rel=next (RFC 8288).", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}},
}


def described_routes(app: web.Application) -> Iterator[tuple[str, str, web.AbstractRoute]]:
    """Method, path template and route of everything below :data:`PREFIXES`, described or not.

    HEAD routes that only repeat a GET route are left out.
    """
    for route in app.router.routes():
        path = route.resource.canonical if route.resource else ""
        if not path.startswith(PREFIXES):
            continue
        repeats = route.method == "HEAD" and any(
            other.method == "GET" and other.handler is route.handler for other in route.resource or ()
        )
        if not repeats:
            yield route.method, path, route


def document_of(
    app: web.Application, public_url: str, problem_shapes: Mapping[int, Any], cookie: str
) -> dict[str, Any]:
    """The OpenAPI document.

    Args:
        app: the application with all its routes.
        public_url: where it is served, without ``/`` at the end.
        problem_shapes: of problem documents that say more than :class:`Problem`, by status.
        cookie: name of the one that carries a session.
    """
    found = [
        (method, path, described)
        for method, path, route in described_routes(app)
        if (described := operation_of(route.handler)) is not None
    ]
    shapes: list[Any] = [Problem, *problem_shapes.values()]
    for _, _, one in found:
        shapes += [shape for shape in (*one.answers.values(), one.body) if _is_shape(shape)]
    schemas, components = msgspec.json.schema_components(shapes, ref_template=_REF)
    by_shape = {_key(shape): schema for shape, schema in zip(shapes, schemas, strict=True)}
    paths: dict[str, Any] = {}
    for method, path, one in found:
        paths.setdefault(path, {})[method.lower()] = _operation(
            method, path, one, _answers(method, one, problem_shapes), by_shape
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Seedkeep registrar",
            "version": __version__,
            "summary": "Records of public research data, and who keeps the bytes.",
            "description": "Every error is a problem document (RFC 9457). Lists are paged: follow next, or "
            "the Link header, until there is none. Documents carry an ETag.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": public_url}],
        "tags": [{"name": tag} for tag in dict.fromkeys(one.tag for _, _, one in found)],
        "paths": paths,
        "components": {
            "schemas": components,
            "parameters": {"IfNoneMatch": _TAG_PARAMETER, "IdempotencyKey": _KEY_PARAMETER},
            "headers": _HEADERS,
            "securitySchemes": {**_SECURITY_SCHEMES, SESSION: {**_SESSION_SCHEME, "name": cookie}},
        },
    }


def _is_shape(shape: Any) -> bool:
    return shape is not None and not isinstance(shape, Content)


def _key(shape: Any) -> str:
    return repr(shape)


def _media(shape: Any, status: int, by_shape: dict[str, Any]) -> dict[str, Any]:
    if shape is None:
        return {}
    if isinstance(shape, Content):
        binary = {} if shape.type.startswith("text/") else {"format": "binary"}
        return {shape.type: {"schema": {"type": "string", **binary}}}
    return {PROBLEM_TYPE if status >= 400 else "application/json": {"schema": by_shape[_key(shape)]}}


def _answers(method: str, one: Operation, problem_shapes: Mapping[int, Any]) -> dict[int, Any]:
    """Shape by status, with those that are added by themselves."""
    usual = {429, 503, 400}
    if one.security:
        usual |= {401, 403}
    if one.body is not None:
        usual |= {408, 413}
    if one.repeatable:
        usual |= {409, 422}
    found = {status: problem_shapes.get(status, Problem) for status in (*one.problems, *usual)}
    unchanged = {304: None} if _is_conditional(method, one) else {}
    return dict(sorted({**found, **unchanged, **one.answers}.items()))


def _is_conditional(method: str, one: Operation) -> bool:
    return method == "GET" and 200 in one.answers


def _headers(method: str, status: int, one: Operation) -> dict[str, Any]:
    names = []
    if status in (200, 304) and _is_conditional(method, one):
        names.append("ETag")
    if status == 200 and one.query is not None and "cursor" in one.query.__struct_fields__:
        names.append("Link")
    if status in (429, 503):
        names.append("Retry-After")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _operation(
    method: str, path: str, one: Operation, shapes: dict[int, Any], by_shape: dict[str, Any]
) -> dict[str, Any]:
    answers = {}
    for status, shape in shapes.items():
        told = shape.description if isinstance(shape, Content) and shape.description else MEANING[status]
        answer: dict[str, Any] = {"description": told}
        content = _media(shape, status, by_shape)
        for further in one.also if status in (200, 410) else ():
            content |= _media(further, status, by_shape)
        if content:
            answer["content"] = content
        if headers := _headers(method, status, one):
            answer["headers"] = headers
        if one.links and status < 300:
            answer["links"] = {
                name: {"operationId": link.operation, "parameters": dict(link.parameters)}
                for name, link in one.links.items()
            }
        answers[str(status)] = answer
    document: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "description": one.description,
        "tags": [one.tag],
        "parameters": [*_path_parameters(path, one), *_query_parameters(one)],
        "responses": answers,
    }
    if _is_conditional(method, one):
        document["parameters"].append({"$ref": "#/components/parameters/IfNoneMatch"})
    if one.repeatable:
        document["parameters"].append({"$ref": "#/components/parameters/IdempotencyKey"})
    if one.body is not None:
        document["requestBody"] = {"required": True, "content": _media(one.body, 0, by_shape)}
    document["security"] = [{way: [one.scope] if way == TOKEN and one.scope else []} for way in one.security]
    return document


def _path_parameters(path: str, one: Operation) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", path):
        shape = one.path[name] if name in one.path else PATH_SHAPES[name]
        yield {"name": name, "in": "path", "required": True, "schema": msgspec.json.schema(shape)}


def _query_parameters(one: Operation) -> Iterator[dict[str, Any]]:
    if one.query is None:
        return
    (_,), components = msgspec.json.schema_components([one.query], ref_template=_REF)
    shape = components[one.query.__name__]
    for name, schema in shape["properties"].items():
        told = schema.pop("description", "")
        yield {
            "name": name,
            "in": "query",
            "required": name in shape["required"],
            "schema": schema,
            **({"description": told} if told else {}),
        }
