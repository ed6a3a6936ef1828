"""Shapes of the problem documents that say more than the usual ones, by status."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from seedkeep_registrar.api.shapes import Event, Match, Statement
from seedkeep_registrar.interface.fields import Ark, Count, Hex64
from seedkeep_registrar.interface.problem import Problem, Taint


class LatestVersion(TypedDict):
    """The newest version of a record."""

    rid: Hex64
    ark: Ark


class ConflictProblem(Problem):
    """What was to be changed is not as its sender thought; of a record: how it is now. Or it belongs to
    another registrar: which; `home_url` is empty where that is not known. Or several records claim a name:
    those."""

    rid: NotRequired[Hex64]
    seq: NotRequired[Count]
    head: NotRequired[Hex64]
    event: NotRequired[Event]
    latest: NotRequired[LatestVersion]
    home: NotRequired[str]
    home_url: NotRequired[str]
    matches: NotRequired[list[Match]]


class WithdrawnProblem(Problem, Statement):
    """The record is withdrawn; this is what is still said of it."""


class TaintedProblem(Problem):
    """The data must not be passed on."""

    taints: NotRequired[list[Taint]]
    path: NotRequired[Annotated[str, Meta(description="Of the file, when only that is withheld.")]]
    rid: NotRequired[Hex64]
    ark: NotRequired[Ark]
    content_id: NotRequired[Hex64]


class Form(TypedDict):
    """One form in which a thing is given."""

    format: str
    media_type: str
    url: str


class Suggestion(TypedDict):
    """A name that may have been meant."""

    ark: Ark
    landing_page: str


class UnknownNameProblem(Problem):
    """There is no such thing here; for a mistyped ARK: what may have been meant."""

    suggestions: NotRequired[list[Suggestion]]


class NotAcceptableProblem(Problem):
    """It is given in other forms than those that Accept names."""

    available: NotRequired[list[Form]]


SHAPES: dict[int, Any] = {
    404: UnknownNameProblem,
    406: NotAcceptableProblem,
    409: ConflictProblem,
    410: WithdrawnProblem,
    412: ConflictProblem,
    451: TaintedProblem,
}
