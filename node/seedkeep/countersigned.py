"""Who else has seen a record in its registrar's log: cosignatures, and how many of them are asked for.

A registrar that shows people different logs needs its peers to sign both. So what is fetched, verified or
proved has to be countersigned as the person's policy says (a C2SP tlog-policy file, setting ``policy``);
without one, by half, rounded down, of the registrars that the record's home names as its peers and that are
pinned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from seedkeep.core.errors import Error, InvalidInput, UsageError, VerificationFailed
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.cosignature import cosignatures
from seedkeep.core.log.policy import MAX_POLICY_BYTES, Policy
from seedkeep.core.notes import Cosigner, Note, Verifier
from seedkeep.known import KnownRegistrars
from seedkeep.resolve import Resolved

#: a record of this moment is asked for again after these pauses, seconds, until its cosignatures are there
PAUSES_S = (0.5, 1.0, 2.0, 3.0)
_MEET_S = 5.0


@dataclass(frozen=True, slots=True)
class Countersigned:
    """Origins of those that have countersigned a checkpoint, of all that are asked to."""

    by: tuple[str, ...]
    of: tuple[str, ...]

    def __str__(self) -> str:
        if not self.of:
            return "countersigned by nobody: no peers of its registrar are known"
        named = f" ({', '.join(self.by)})" if self.by else ""
        return f"countersigned by {len(self.by)} of {len(self.of)} registrars{named}"

    def fields(self) -> dict[str, Any]:
        """For ``--json``."""
        return {name: list(value) for name, value in asdict(self).items()}


class Countersigning:
    """Judges by the person's policy.

    Args:
        known: pinned registrars, and whom they name as their peers.
        policy: a tlog-policy file, or None for the default.
        meet: asks the registrar at a URL for the key that it has now.
        pauses: before a record is asked for again, seconds.
    """

    def __init__(
        self,
        known: KnownRegistrars,
        policy: Path | None,
        *,
        meet: Callable[[str], Awaitable[object]] | None = None,
        pauses: Iterable[float] = PAUSES_S,
    ) -> None:
        self._known = known
        self._policy = policy
        self._meet = meet
        self._pauses = tuple(pauses)

    def judge(self, checkpoint: str, logs: Iterable[Verifier]) -> Countersigned:
        """Who has countersigned a checkpoint.

        Args:
            checkpoint: the note.
            logs: keys of the registrar whose log it is; where the policy names logs, those alone count.

        Raises:
            VerificationFailed: the log is not trusted, or cosignatures are missing; says whose.
            UsageError: the policy file cannot be used.
        """
        origin = Checkpoint.parse(Note.parse(checkpoint).text).origin
        policy = self._read() if self._policy else self._of_peers(origin)
        try:
            policy.judge(checkpoint, () if policy.logs else logs)
        except VerificationFailed as error:
            raise VerificationFailed(error.what, hint=self._advice(origin)) from error
        asked = [witness.key for witness in policy.witnesses]
        signed = {made.name for made in cosignatures(checkpoint, asked)}
        names = tuple(key.name for key in asked)
        return Countersigned(tuple(name for name in names if name in signed), names)

    async def check(self, found: Resolved) -> tuple[Resolved, Countersigned | None]:
        """Judge a record, after a while if it was recorded this very moment.

        Returns:
            The record with the proof that holds; None for a torrent that has none.

        Raises:
            VerificationFailed, UsageError: see :meth:`judge`.
        """
        pauses = iter(self._pauses)
        while found.record is not None:
            try:
                return found, await asyncio.to_thread(self.judge, found.record.proof.checkpoint, found.keys)
            except VerificationFailed:
                pause = next(pauses, None)
                if pause is None or found.client is None:
                    raise
            await asyncio.gather(self._meet_peers(found.record.event.home), asyncio.sleep(pause))
            again = await found.client.chains.read_even_withdrawn(found.record.rid)
            # what was seen before may be newer than what a mirror tells
            found = replace(found, record=replace(found.record, proof=again.proof, document=again.document))
        return found, None

    async def _meet_peers(self, origin: str) -> None:
        """A peer may have rotated its key since it was pinned."""
        if self._meet is not None:
            urls = await asyncio.to_thread(self._known.peers, origin)
            await asyncio.gather(*(self._meet_one(self._meet, url) for url in urls))

    async def _meet_one(self, meet: Callable[[str], Awaitable[object]], url: str) -> None:
        with suppress(Error, TimeoutError):
            async with asyncio.timeout(_MEET_S):
                await meet(url)

    def _of_peers(self, origin: str) -> Policy:
        home = self._known.by_origin(origin)
        # one key counts once, whatever it is called, and nobody countersigns their own log
        keys = {key.key.raw: Cosigner(key.name, key.key) for key in self._known.peers(origin).values()}
        if home is not None:
            keys.pop(home.key.raw, None)
        return Policy.of_peers(keys.values(), len(keys) // 2)

    def _read(self) -> Policy:
        assert self._policy is not None
        try:
            with self._policy.open("rb") as file:
                return Policy.parse(file.read(MAX_POLICY_BYTES + 1))
        except OSError as error:
            raise UsageError(f"the policy file {self._policy} cannot be read: {error.strerror}") from error
        except InvalidInput as error:
            raise UsageError(f"the policy file {self._policy} is malformed: {error.what}") from error

    def _advice(self, origin: str) -> str:
        soon = "They may not have seen it yet: try again in some minutes."
        if self._policy:
            return f"{soon} What is asked for stands in {self._policy}."
        return (
            f"{soon} If one is gone for good, ask the operator of {origin} to remove it from its peers,"
            " or set a policy of your own (`policy` in client.toml)."
        )
