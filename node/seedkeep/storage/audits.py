"""Answering a registrar's audits (see :mod:`seedkeep.core.audit`), off the event loop.

Only a complete dataset is answered for; a tainted one is refused, and so are blocks of files that taints
withhold. Blocks are read from the disk twice, for the commitments and for the openings, so that both rounds
show what is there. A node that finds its own bytes wrong does not send them: it repairs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from seedkeep.core.audit import LeafAt, Opening, commit
from seedkeep.core.errors import Error, VerificationFailed
from seedkeep.core.merkle import BLOCK, leaf_hashes, prove_leaf, split_layer, verify_leaf
from seedkeep.core.metainfo import layer_of
from seedkeep.registrar_messages import Challenge
from seedkeep.storage.documents import Papers
from seedkeep.storage.layout import open_below, place_of
from seedkeep.storage.model import Registrar
from seedkeep.storage.problems import Problems

#: audits that are answered at the same time, and that may wait for that
AT_ONCE = 4
WAITING = 64
MAX_LEAVES = 256


class Rotten(VerificationFailed):
    """The bytes on this node's disk are not what they were."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an audit is about.

    Args:
        refusal: why it is not answered for (tainted, missing, busy), or "".
        folder: where the dataset lies.
        withheld: pieces roots of the files in it that taints withhold.
    """

    refusal: str = ""
    folder: Path = Path()
    papers: Papers | None = None
    withheld: frozenset[str] = frozenset()


class Audits:
    """Answers challenges, :data:`AT_ONCE` at a time, each once; beyond :data:`WAITING` none is heard.

    Args:
        look_up: finds the dataset of a challenge.
        on_rot: told the content id when the node's own bytes turn out wrong.
    """

    def __init__(
        self,
        look_up: Callable[[str], Awaitable[Subject]],
        on_rot: Callable[[str, str], Awaitable[None]],
        problems: Problems,
    ) -> None:
        self._look_up = look_up
        self._on_rot = on_rot
        self._problems = problems
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)
        self.outcomes: dict[str, int] = {}

    def take(self, client: Registrar, challenges: tuple[Challenge, ...]) -> None:
        """Start to answer; what is being answered already is left alone."""
        for challenge in challenges:
            name = f"{client.url} {challenge.id}"
            if name not in self._tasks and len(self._tasks) < WAITING:
                task = asyncio.get_running_loop().create_task(self._answer(client, challenge))
                self._tasks[name] = task
                task.add_done_callback(lambda _, name=name: self._tasks.pop(name, None))  # type: ignore[misc]

    async def close(self) -> None:
        """Stop answering. Idempotent."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, client: Registrar, challenge: Challenge) -> None:
        try:
            async with asyncio.timeout(max(challenge.deadline_s, 1.0)), self._turn:
                outcome = await self._two_rounds(client, challenge)
        except TimeoutError:
            outcome = "late"
        except Rotten as error:
            outcome = "rotten"
            await self._on_rot(challenge.content_id, str(error))
        except Error as error:
            outcome = "unsent"
            self._problems.tell(f"audits of {client.url}", f"An audit could not be answered: {error}")
        else:
            self._problems.clear(f"audits of {client.url}")
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    async def _two_rounds(self, client: Registrar, challenge: Challenge) -> str:
        if len(challenge.leaves) > MAX_LEAVES:
            await client.audit_refuse(challenge.id, "busy")
            return "refused"
        subject = await self._look_up(challenge.content_id)
        if subject.refusal or subject.papers is None:
            await client.audit_refuse(challenge.id, subject.refusal or "missing")
            return "refused"
        papers, folder = subject.papers, subject.folder
        files = papers.manifest.files
        if any(at.file < len(files) and files[at.file].root in subject.withheld for at in challenge.leaves):
            await client.audit_refuse(challenge.id, "withheld")
            return "refused"

        def commitments() -> list[str]:
            return [commit(challenge.nonce, read_block(folder, papers, at)) for at in challenge.leaves]

        asked = await client.audit_commit(challenge.id, await asyncio.to_thread(commitments))
        if not set(asked) <= set(challenge.leaves):
            raise VerificationFailed(f"{client.url} asks to open blocks it had not asked for")
        openings = await asyncio.to_thread(lambda: [open_leaf(folder, papers, at) for at in asked])
        outcome, _ = await client.audit_open(challenge.id, openings)
        return outcome


def read_block(folder: Path, papers: Papers, at: LeafAt) -> bytes:
    """One block from the disk.

    Raises:
        Rotten: it is not there.
        VerificationFailed: the dataset has no such block.
    """
    return _read(folder, papers, at.file, at.leaf, 1)


def open_leaf(folder: Path, papers: Papers, at: LeafAt) -> Opening:
    """A block with its proof, made from the bytes on the disk and checked before anyone sees it.

    Raises:
        Rotten: the bytes do not lead to the file's root.
        VerificationFailed: the dataset has no such block.
    """
    manifest = papers.manifest
    per_piece = manifest.piece_length // BLOCK
    first = at.leaf // per_piece * per_piece
    data = _read(folder, papers, at.file, first, per_piece)
    file = manifest.files[at.file]
    layer = split_layer(layer_of(manifest, papers.layers, at.file))
    proof = prove_leaf(layer, leaf_hashes(data), manifest.piece_length, at.leaf, file.size)
    start = (at.leaf - first) * BLOCK
    block = data[start : start + BLOCK]
    if not verify_leaf(bytes.fromhex(file.root), file.size, at.leaf, block, proof):
        raise Rotten(f"{file.path} has changed on the disk")
    return Opening(at, block, tuple(proof))


def _read(folder: Path, papers: Papers, index: int, first: int, count: int) -> bytes:
    if index >= len(papers.manifest.files) or first * BLOCK >= papers.manifest.files[index].size:
        raise VerificationFailed("an audit asks for a block that the dataset does not have")
    file = papers.manifest.files[index]
    size = min(count * BLOCK, file.size - first * BLOCK)
    try:
        with os.fdopen(open_below(folder, place_of(papers.manifest, file)), "rb", buffering=0) as source:
            source.seek(first * BLOCK)
            parts, left = [], size
            while left and (part := source.read(left)):
                parts.append(part)
                left -= len(part)
    except OSError as error:
        raise Rotten(f"{file.path} cannot be read: {error.strerror}") from error
    if left:
        raise Rotten(f"{file.path} has become shorter")
    return b"".join(parts)
