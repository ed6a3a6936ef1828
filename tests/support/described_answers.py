"""Holds every answer of the native interface to the registrar's own OpenAPI document.

``tests/support/registrar.py`` loads the document of the first registrar that it starts, and checks each
answer that a test gets: status, media type, and the body against its schema, with nothing undescribed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

_PREFIXES = ("/api/v1/", "/.well-known/", "/torrents/")
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


class Described:
    """An OpenAPI document as something that answers can be checked against."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._components = {"schemas": {n: _closed(s) for n, s in document["components"]["schemas"].items()}}
        templates = sorted(document["paths"], key=lambda t: -len(re.sub(r"{\w+}", "", t)))
        self._paths = [(_pattern(t), t, document["paths"][t]) for t in templates]
        self._validators: dict[str, Any] = {}

    def operation(self, method: str, path: str) -> tuple[str, Mapping[str, Any]] | None:
        """The path template and operation of a request; None when there is none."""
        for pattern, template, operations in self._paths:
            if pattern.fullmatch(path.partition("?")[0]):
                found = operations.get(method.lower())
                if found is None and method == "HEAD":
                    found = operations.get("get")
                if found is not None:
                    return template, found
        return None

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """
        Raises:
            AssertionError: the document does not say that this request can be answered so.
        """
        if not path.startswith(_PREFIXES) or method == "OPTIONS":
            return
        found = self.operation(method, path)
        what = f"{method} {path[:100]} → {status}"
        if found is None:
            assert status in (404, 405), f"{what}: no operation of the document"
            answer: Mapping[str, Any] = {"content": _PROBLEM}
        else:
            responses = found[1]["responses"]
            assert str(status) in responses, f"{what}: this status is not described ({body[:300]!r})"
            answer = responses[str(status)]
        content = answer.get("content", {})
        if method == "HEAD" or status == 304 or not content:
            assert body == b"", f"{what}: a body where none is described"
            return
        media = headers.get("Content-Type", "").partition(";")[0]
        assert media in content, f"{what}: {media!r} is not described, {', '.join(content)} are"
        schema = content[media].get("schema")
        if schema and media in ("application/json", "application/problem+json"):
            self._validate(what, schema, json.loads(body))

    def _validate(self, what: str, schema: Mapping[str, Any], value: Any) -> None:
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            whole = {**_closed(schema), "components": self._components}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole)
        problems = [
            f"{'/'.join(map(str, e.instance_path)) or 'the answer'}: {e.message[:300]}"
            for e in self._validators[key].iter_errors(value)
        ]
        assert not problems, f"{what}: not as described: {'; '.join(problems[:5])}"


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"({\w+})", template)
    return re.compile("".join("[^/]+" if p.startswith("{") else re.escape(p) for p in parts))


def _closed(schema: Any) -> Any:
    """The schema, with no further properties where some are described."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = {name: _closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), Mapping):
        closed.setdefault("additionalProperties", False)
    return closed
