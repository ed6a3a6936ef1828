"""``/api/v1/docs``: the OpenAPI document as pages to read, one for each operation and shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from aiohttp import web
from msgspec import Meta

from seedkeep.core.errors import NotFound
from seedkeep_registrar.api.openapi import DOCUMENT, Document
from seedkeep_registrar.interface.operation import Content, operation
from seedkeep_registrar.pages.render import show

routes = web.RouteTableDef()
_WAYS = {"signature": "a signature by a key", "token": "a token", "session": "a browser's session"}


class _Views:
    """What the pages show, made when the first of them is asked for."""

    def __init__(self, document: Document) -> None:
        self._document = document

    @cached_property
    def parts(self) -> dict[str, dict[str, Any]]:
        return parts(self._document.told)

    @cached_property
    def whole(self) -> dict[str, Any]:
        return _view(self._document.told, self.parts)


_VIEWS: web.AppKey[_Views] = web.AppKey("interface_views", _Views)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a type's name; ``shape``: of the shape that it leads to, or ""."""

    text: str
    shape: str = ""


@routes.get("/api/v1/docs")
@operation("Read about this interface", tag="Discovery", answers={200: Content("text/html")})
async def interface_page(request: web.Request) -> web.Response:
    """This document as a page, with a page for each operation and shape."""
    return show(request, "interface.html", **request.app[_VIEWS].whole)


@routes.get("/api/v1/docs/{name}")
@operation(
    "Read about an operation or shape",
    tag="Discovery",
    answers={200: Content("text/html")},
    problems=(404,),
    path={"name": Annotated[str, Meta(min_length=1, max_length=100, description="operationId, or a shape.")]},
)
async def interface_part_page(request: web.Request) -> web.Response:
    """One part of this document as a page."""
    part = request.app[_VIEWS].parts.get(request.match_info["name"])
    if part is None:
        raise NotFound("there is no such operation or shape", hint="Look at /api/v1/docs.")
    return show(request, "interface_part.html", part=part)


def parts_of(schema: Mapping[str, Any]) -> list[Part]:
    """What a schema takes, in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return [Part(name, name)]
    if "anyOf" in schema:
        return _joined([parts_of(one) for one in schema["anyOf"]], " or ")
    if "const" in schema:
        return [Part(_literal(schema["const"]))]
    if "enum" in schema:
        return [Part(" or ".join(map(_literal, schema["enum"])))]
    kind = schema.get("type", "anything")
    if kind == "array":
        return [Part("list of "), *parts_of(schema.get("items", {}))]
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return [Part("text to "), *parts_of(schema["additionalProperties"])]
    words = {"string": "text", "integer": "whole number", "boolean": "true or false", "null": "null"}
    return [Part(words.get(kind, str(kind)) + "".join(_limits(schema)))]


def _joined(every: list[list[Part]], between: str) -> list[Part]:
    joined = list(every[0])
    for one in every[1:]:
        joined += [Part(between), *one]
    return joined


def _literal(value: object) -> str:
    return f"“{value}”" if isinstance(value, str) else str(value)


def _limits(schema: Mapping[str, Any]) -> Iterator[str]:
    if "minimum" in schema and "maximum" in schema:
        yield f", {schema['minimum']} to {schema['maximum']}"
    elif "minimum" in schema:
        yield f", at least {schema['minimum']}"
    if "pattern" in schema:
        yield f" like {schema['pattern']}"
    elif "maxLength" in schema:
        yield f" of at most {schema['maxLength']} characters"


def _field(
    name: str, schema: Mapping[str, Any], *, required: bool, told: str = "", place: str = ""
) -> dict[str, Any]:
    default = schema.get("default")
    return {
        "name": name,
        "place": place,
        "type": parts_of(schema),
        "required": required,
        "told": (told or schema.get("description", "")).replace("`", ""),
        "default": "" if default in (None, "", []) else str(default),
    }


def _shape(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    required = schema.get("required", ())
    return {
        "tag": "",
        "method": "",
        "name": name,
        "told": schema.get("description", ""),
        "fields": [
            _field(field, one, required=field in required)
            for field, one in schema.get("properties", {}).items()
        ],
    }


def _operation(document: Mapping[str, Any], method: str, path: str, one: Mapping[str, Any]) -> dict[str, Any]:
    known = document["components"]["parameters"]
    parameters = [known[p["$ref"].rpartition("/")[2]] if "$ref" in p else p for p in one["parameters"]]
    return {
        "tag": one["tags"][0],
        "method": method.upper(),
        "path": path,
        "name": one["operationId"],
        "summary": one["summary"],
        "told": one["description"],
        "ways": " or ".join(_WAYS[way] for given in one["security"] for way in given),
        "scope": next((scope for given in one["security"] for s in given.values() for scope in s), ""),
        "parameters": [
            _field(
                p["name"],
                p["schema"],
                required=p.get("required", False),
                told=p.get("description", ""),
                place=p["in"],
            )
            for p in parameters
        ],
        "body": _media(one["requestBody"]) if "requestBody" in one else [],
        "answers": [
            {"status": status, "told": answer["description"], "media": _media(answer)}
            for status, answer in one["responses"].items()
        ],
    }


def _media(content: Mapping[str, Any]) -> list[tuple[str, list[Part]]]:
    """Each media type with what it holds; bytes say nothing more."""
    return [
        (media, [] if one["schema"].get("type") == "string" else parts_of(one["schema"]))
        for media, one in content.get("content", {}).items()
    ]


def parts(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the page of each operation and each shape shows, by its name."""
    found = {
        one["operationId"]: _operation(document, method, path, one)
        for path, methods in document["paths"].items()
        for method, one in methods.items()
    }
    shapes = document["components"]["schemas"]
    return {**found, **{name: _shape(name, shapes[name]) for name in sorted(shapes)}}


def _view(document: Mapping[str, Any], every: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """What the first page shows."""
    return {
        "info": document["info"],
        "groups": {
            tag["name"]: [one for one in every.values() if one["tag"] == tag["name"]]
            for tag in document["tags"]
        },
        "shapes": [one["name"] for one in every.values() if not one["method"]],
    }


def setup(app: web.Application) -> None:
    """Add the pages; the document has to be set up before."""
    app.add_routes(routes)
    app[_VIEWS] = _Views(app[DOCUMENT])
