"""Explores a registrar's whole OpenAPI document with schemathesis, signing every request.

Cases are derived from the document alone and are the same in every run; names of things that are there, and
whole bodies that only a signer can make, are mixed in so that also the good cases are reached.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from requests import PreparedRequest
from requests.auth import AuthBase
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder

from seedkeep.core.httpsig import sign_request
from seedkeep.core.keys import PrivateKey

CHECKS = {
    "not_a_server_error": {"enabled": True},
    # a signature cannot be good for a made-up body: what is sound by its schema may still be refused
    "positive_data_acceptance": {"enabled": False},
    # every request is signed, with or without the header that stands for it
    "ignored_auth": {"enabled": False},
}


class Signer(AuthBase):
    """Signs the request as it goes out (RFC 9421)."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        body = request.body or b""
        data = body.encode() if isinstance(body, str) else body
        headers = sign_request(
            self._key,
            request.method or "",
            request.url or "",
            sha256=hashlib.sha256(data).hexdigest(),
            created=int(time.time()),
            nonce=os.urandom(16).hex(),
        )
        request.headers.update(headers)
        return request


@dataclass
class Found:
    """What exploring gave.

    Args:
        problems: each with how to repeat it.
        answers: how often each operation gave each status.
    """

    problems: list[str] = field(default_factory=list)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)

    def add(self, recorder: ScenarioRecorder) -> None:
        """Count a scenario's answers and keep its failed checks."""
        for case_id, interaction in recorder.interactions.items():
            if interaction.response is not None:
                label = recorder.cases[case_id].value.operation.label
                self.answers[label, interaction.response.status_code] += 1
        for checks in recorder.checks.values():
            for check in checks:
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    self.problems.append(f"{recorder.label}: {failure.title}: {failure.message[:600]}")


def explore(
    url: str, key: PrivateKey, examples: int, names: Mapping[str, Sequence[str]], bodies: Mapping[str, Any]
) -> Found:
    """Run all of schemathesis' phases, its stateful one along the links too.

    Args:
        key: signs every request.
        examples: how many cases of each operation are made up.
        names: values that are there, by where the parameter is and what it is called (``path.rid``).
        bodies: good bodies, by operationId.
    """
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "suppress-health-check": ["all"],
            "cache": {"enabled": False},
            "continue-on-failure": True,
            "request-timeout": 60,
            "dictionaries": {name: {"values": list(values)} for name, values in names.items()},
            "parameters": {name: {"dictionary": name, "probability": 0.7} for name in names},
            "base-url": url,
            "checks": CHECKS,
            "generation": {
                "deterministic": True,
                "max-examples": examples,
                "no-shrink": True,
                "database": "none",
            },
            "phases": {"stateful": {"max-steps": 4}},
        }
    )
    document = requests.get(f"{url}/api/v1/openapi.json", timeout=60).json()
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation["parameters"]:
                if values := names.get(f"{parameter.get('in')}.{parameter.get('name')}"):
                    parameter["example"] = values[0]
            if operation["operationId"] in bodies:
                content = operation["requestBody"]["content"]["application/json"]
                content["example"] = bodies[operation["operationId"]]
    schema = schemathesis.openapi.from_dict(document, config=config)
    schema.auth.set_from_requests(Signer(key))
    found = Found()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            found.add(event.recorder)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            found.problems.append(f"{type(event).__name__}: {event}")
    return found
