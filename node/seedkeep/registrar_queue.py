"""A registrar's curation queue, as its client sees it: what waits, and deciding about it.

What it promises: a submission is what its submitter signed, or it is not shown; a decision names what was
verified, and is signed by the curator's own key.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from seedkeep.core import jcs
from seedkeep.core.decision import DECISION, DecisionBody
from seedkeep.core.errors import InvalidInput, NotFound, UsageError, VerificationFailed
from seedkeep.core.events import MAX_BODY_BYTES, Event, sign_event
from seedkeep.core.manifest import Manifest
from seedkeep.core.record import RecordBody
from seedkeep.core.revision import RecordState
from seedkeep.message_fields import Fields, utc
from seedkeep.registrar_http import Transport
from seedkeep.registrar_messages import RegistrarInfo

STATES = ("waiting", "returned", "approved", "rejected", "replaced")
#: states in which a curator may still decide
OPEN = ("waiting", "returned")
_PATH = "/api/v1/submissions"
_MOST_PAGES = 100
_RID_LETTERS = 64


@dataclass(frozen=True, slots=True)
class Submission:
    """One submitted dataset, verified.

    Args:
        document: as the registrar told it: ``state``, ``means``, ``received``, ``decisions`` and more.
    """

    document: Mapping[str, Any]
    event: Event
    body: RecordBody
    state: RecordState

    @classmethod
    def parse(cls, document: Any, rid: str) -> Submission:
        """
        Args:
            rid: of the submission that was asked for.

        Raises:
            InvalidInput: it is malformed.
            VerificationFailed: it is another one, or not what its submitter signed.
        """
        f = Fields(document, "a submission")
        event, body = Event.parse(f.object("event")), jcs.dumps(f.object("body"))
        event.verify()
        event.check_body(body)
        if event.record_id != rid:
            raise VerificationFailed(f"{rid[:12]}… was asked for, and another submission was told")
        return cls(document, event, RecordBody.parse(body), RecordState.begin(event, body))


class RegistrarQueue:
    """
    Args:
        http: sends the requests.
        info: what the registrar says of itself.
    """

    def __init__(self, http: Transport, info: Callable[[], Awaitable[RegistrarInfo]]) -> None:
        self._http = http
        self._info = info

    async def every(self, state: str) -> list[Mapping[str, Any]]:
        """The submissions in a state, the longest waiting first, as told; all where ``state`` is ""."""
        found: list[Mapping[str, Any]] = []
        query = f"?limit=1000&state={quote(state, safe='')}"
        cursor = ""
        for _ in range(_MOST_PAGES):
            answer = await self._ask(_PATH + query + cursor)
            page = answer.get("submissions")
            if not isinstance(page, list) or not all(isinstance(one, Mapping) for one in page):
                raise InvalidInput(f"the queue of {self._http.url} is malformed")
            found += page
            following = answer.get("next")
            if not isinstance(following, str):
                return found
            cursor = f"&cursor={quote(following, safe='')}"
        raise InvalidInput(f"the queue of {self._http.url} has no end")

    async def read(self, beginning: str) -> Submission:
        """One submission.

        Args:
            beginning: its rid; of an open one, a beginning that no other open one has is enough.

        Raises:
            NotFound: there is none, or several begin so.
            VerificationFailed: it is not what its submitter signed.
        """
        rid = await self._named(beginning.lower().removeprefix("rid:"))
        return Submission.parse(await self._ask(f"{_PATH}/{rid}"), rid)

    async def manifest(self, submission: Submission) -> Manifest:
        """The files of a submission, as its record would name them.

        Raises:
            NotFound: the registrar keeps them no more.
            VerificationFailed: they are others.
        """
        dataset = submission.body.dataset
        path = f"{_PATH}/{submission.event.record_id}/manifest"
        base = (await self._info()).public_url
        answer = await self._http.ask("GET", base, path)

        def check() -> Manifest:
            if hashlib.sha256(answer.body).hexdigest() != dataset.manifest:
                raise VerificationFailed("the list of files is not the one that was submitted")
            return Manifest.parse(answer.body)

        return await asyncio.to_thread(check)

    async def decide(
        self, submission: Submission, decision: str, reason: str, now: float
    ) -> Mapping[str, Any]:
        """Approve, return or reject a submission; as it is then.

        Args:
            now: Unix seconds.

        Raises:
            InvalidInput: a reason is needed, or it is too long.
            Refused: this key is no curator's here.
            Conflict: it was decided otherwise already.
        """
        if self._http.key is None:
            raise UsageError("a decision needs a key to sign with", hint="See `seedkeep key new`.")
        info, body = await self._info(), DecisionBody(submission.event.record_id, decision, reason).encode()
        event = sign_event(self._http.key, type=DECISION, body=body, home=info.origin, created=utc(now))
        message = {"event": jcs.loads(event.leaf()), "body": jcs.loads(body, limit=MAX_BODY_BYTES)}
        path = f"{_PATH}/{submission.event.record_id}/{decision}"
        return (await self._http.post(info.public_url, path, message, again=True)).json()

    async def _named(self, beginning: str) -> str:
        if not beginning or set(beginning) - set("0123456789abcdef"):
            raise UsageError(
                f"{beginning[:64]!r} is no id of a submission", hint="See `seedkeep curate list`."
            )
        if len(beginning) == _RID_LETTERS:
            return beginning
        known = [str(one.get("rid", "")) for state in OPEN for one in await self.every(state)]
        matches = [rid for rid in known if rid.startswith(beginning) and len(rid) == _RID_LETTERS]
        if len(matches) != 1:
            problem = "begins no open submission" if not matches else f"begins {len(matches)} submissions"
            raise NotFound(f"{beginning} {problem} at {self._http.url}", hint="See `seedkeep curate list`.")
        return matches[0]

    async def _ask(self, path: str) -> dict[str, Any]:
        return (await self._http.ask("GET", (await self._info()).public_url, path)).json()
