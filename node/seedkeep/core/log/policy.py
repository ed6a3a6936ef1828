"""Whose cosignatures a checkpoint needs before it is believed: the policy file of C2SP tlog-policy.

Example::

    log registrar.example+3f2a…+AbC…
    witness alpha alpha.example+91b0…+BDe…  https://alpha.example
    witness beta beta.example+0c77…+BGh…
    group peers any alpha beta
    quorum peers

Only Ed25519 keys are known here: logs of type 0x01, witnesses of type 0x04.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from seedkeep.core.errors import InvalidInput, VerificationFailed
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.cosignature import cosignatures
from seedkeep.core.notes import Cosigner, Note, Verifier, read_text

MAX_POLICY_BYTES = 64 * 1024
NONE = "none"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_BLANK = re.compile(r"[ \t]+")
_NUMBER = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Log:
    """A log whose checkpoints are accepted, and where it is ("" when not said)."""

    key: Verifier
    url: str = ""


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness: its name within the policy, its key, and where it is ("" when not said)."""

    name: str
    key: Cosigner
    url: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """``needed`` of its members (witnesses or groups) make the group count."""

    name: str
    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Which logs are accepted, and who must have cosigned.

    Args:
        logs: accepted logs; may be empty where the log is known otherwise.
        witnesses, groups: as defined, groups only from what stands before them.
        quorum: the name of a witness or group, or ``none``.
    """

    logs: tuple[Log, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    groups: tuple[Group, ...] = field(default=())
    quorum: str = NONE

    @classmethod
    def of_peers(cls, cosigners: Iterable[Cosigner], needed: int) -> Policy:
        """The policy that ``needed`` of ``cosigners`` must have cosigned; none when that is 0.

        Raises:
            InvalidInput: more are needed than there are.
        """
        witnesses = tuple(Witness(f"peer{n}", key) for n, key in enumerate(cosigners, 1))
        if not needed:
            return cls(witnesses=witnesses)
        if needed > len(witnesses):
            raise InvalidInput(f"{needed} cosignatures are asked of {len(witnesses)} registrars")
        group = Group("peers", needed, tuple(w.name for w in witnesses))
        return cls(witnesses=witnesses, groups=(group,), quorum=group.name)

    def __str__(self) -> str:
        lines = [f"log {log.key} {log.url}".rstrip() for log in self.logs]
        lines += [f"witness {w.name} {w.key} {w.url}".rstrip() for w in self.witnesses]
        lines += [f"group {g.name} {g.needed} {' '.join(g.members)}" for g in self.groups]
        return "".join(f"{line}\n" for line in [*lines, f"quorum {self.quorum}"])

    @classmethod
    def parse(cls, data: str | bytes) -> Policy:
        """
        Raises:
            InvalidInput: it is no policy file; says which line.
        """
        text = read_text("a policy", data, MAX_POLICY_BYTES)
        if _CONTROL.search(text):
            raise InvalidInput(
                "a policy holds a control character", hint="Lines end with a newline alone, without CR."
            )
        reader = _Reader()
        for number, line in enumerate(text.split("\n"), 1):
            words = [word for word in _BLANK.split(line) if word]
            if words and not words[0].startswith("#"):
                try:
                    reader.read(words)
                except InvalidInput as error:
                    raise InvalidInput(f"line {number} of the policy: {error.what}") from error
        if reader.quorum is None:
            raise InvalidInput("a policy has exactly one line `quorum`, this one has none")
        return cls(tuple(reader.logs), tuple(reader.witnesses), tuple(reader.groups), reader.quorum)

    def judge(self, note: str | bytes, logs: Iterable[Verifier] = ()) -> Checkpoint:
        """Decide whether a checkpoint may be believed.

        Args:
            note: with its cosignatures.
            logs: logs that are accepted besides :attr:`logs`.

        Raises:
            InvalidInput: it is no checkpoint.
            VerificationFailed: no accepted log signed it, or cosignatures are missing; says whose.
        """
        origin = Checkpoint.parse(Note.parse(note).text).origin
        keys = [key for key in (*logs, *(log.key for log in self.logs)) if key.name == origin]
        if not keys:
            raise VerificationFailed(f"the log {origin[:200]!r} is not one that is trusted here")
        checkpoint = _open_any(note, keys)
        signed = {c.cosigner for c in cosignatures(note, [w.key for w in self.witnesses])}
        counts = {w.name for w in self.witnesses if w.key in signed}
        for group in self.groups:
            if len(counts.intersection(group.members)) >= group.needed:
                counts.add(group.name)
        if self.quorum != NONE and self.quorum not in counts:
            raise VerificationFailed(
                f"the checkpoint of {origin} at {checkpoint.size} entries lacks cosignatures: "
                + self._lacking(self.quorum, counts),
                hint="Its witnesses may not have seen it yet: try again in some minutes.",
            )
        return checkpoint

    def _lacking(self, name: str, counts: set[str]) -> str:
        group = next((g for g in self.groups if g.name == name), None)
        if group is None:
            return next(w.key.name for w in self.witnesses if w.name == name)
        missing = [self._lacking(member, counts) for member in group.members if member not in counts]
        return f"{group.needed - len(group.members) + len(missing)} more of ({', '.join(missing)})"


def _open_any(note: str | bytes, keys: Sequence[Verifier]) -> Checkpoint:
    for key in keys[:-1]:
        try:
            return Checkpoint.open(note, key)
        except VerificationFailed:
            continue
    return Checkpoint.open(note, keys[-1])


class _Reader:
    """Reads line after line; what is defined so far is what a line may name."""

    def __init__(self) -> None:
        self.logs: list[Log] = []
        self.witnesses: list[Witness] = []
        self.groups: list[Group] = []
        self.quorum: str | None = None
        self._names: set[str] = {NONE}
        self._grouped: set[str] = set()

    def read(self, words: Sequence[str]) -> None:
        kind, *rest = words
        match kind, rest:
            case "log", [vkey, *url] if len(url) <= 1:
                key = Verifier.parse(vkey)
                if any(log.key.key == key.key for log in self.logs):
                    raise InvalidInput(f"the key of log {key.name} stands here twice")
                self.logs.append(Log(key, "".join(url)))
            case "witness", [name, vkey, *url] if len(url) <= 1:
                cosigner = Cosigner.parse(vkey)
                if any(w.key.key == cosigner.key for w in self.witnesses):
                    raise InvalidInput(f"the key of witness {name} stands here twice")
                self._define(name)
                self.witnesses.append(Witness(name, cosigner, "".join(url)))
            case "group", [name, count, *members] if members:
                self._group(name, count, members)
            case "quorum", [name]:
                if self.quorum is not None:
                    raise InvalidInput("there is a second line `quorum`")
                if name not in self._names:
                    raise InvalidInput(f"{name!r} is not defined before it is used")
                self.quorum = name
            case _:
                raise InvalidInput(f"{' '.join(words)[:120]!r} is not understood")

    def _define(self, name: str) -> None:
        if name in self._names:
            raise InvalidInput(f"{name!r} is defined twice")
        self._names.add(name)

    def _group(self, name: str, count: str, members: Sequence[str]) -> None:
        for member in members:
            if member not in self._names or member == NONE:
                raise InvalidInput(f"{member!r} is not defined before it is used")
            if member in self._grouped:
                raise InvalidInput(f"{member!r} is a member twice")
            self._grouped.add(member)
        if count not in ("all", "any") and not _NUMBER.fullmatch(count):
            raise InvalidInput(f"{count!r} is neither a number, `all` nor `any`")
        needed = {"all": len(members), "any": 1}.get(count) or int(count)
        if needed > len(members):
            raise InvalidInput(f"{needed} of {len(members)} members can never be reached")
        self._define(name)
        self.groups.append(Group(name, needed, tuple(members)))
