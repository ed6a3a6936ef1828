"""Whether a client wants a page or a document (RFC 9110, section 12.5.1); pure."""

from __future__ import annotations

_HTML = ("text/html", "application/xhtml+xml")
_JSON = ("application/json", "application/problem+json")


def _weights(accept: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in accept.split(",")[:64]:
        kind, *parameters = (p.strip().lower() for p in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        weights[kind] = max(weight, weights.get(kind, 0.0))
    return weights


def wants_json(accept: str) -> bool:
    """Whether ``Accept`` names JSON and prefers it to HTML."""
    weights = _weights(accept)
    json = max(weights.get(kind, 0.0) for kind in _JSON)
    return json > max(weights.get(kind, 0.0) for kind in _HTML)


def names_html(accept: str) -> bool:
    """Whether ``Accept`` names HTML, as browsers do, and prefers it."""
    weights = _weights(accept)
    return not wants_json(accept) and max(weights.get(kind, 0.0) for kind in _HTML) > 0
