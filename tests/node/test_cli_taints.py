"""``seedkeep taint`` with several curators: hold, propose with all that is said, approve."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from seedkeep.core.keys import PrivateKey
from tests.node.test_cli import Ended, seedkeep
from tests.support.registrar import new_key, registrar_with, shareable


def person(home: Path, key: PrivateKey) -> Path:
    place = home / ".config/seedkeep/key.pem"
    place.parent.mkdir(parents=True)
    place.touch(mode=0o600)
    place.write_bytes(key.to_pem())
    return home


async def test_one_holds_two_decide(tmp_path: Path) -> None:
    keys = new_key(), new_key()
    one, two = (person(tmp_path / name, key) for name, key in zip(("one", "two"), keys, strict=True))
    async with registrar_with(tmp_path, "", curators=tuple(str(k.public) for k in keys)) as registrar:
        ark = (await registrar.person().register(shareable("sample", {"a": b"bad", "b": b"good"})))["ark"]

        async def taint(home: Path, *arguments: str) -> Any:
            ended: Ended = await seedkeep(home, "taint", *arguments, "--json", "--registrar", registrar.url)
            assert ended.code == 0, ended
            return ended.json

        held = await taint(one, "hold", f"{ark}/a", "--reason", "being looked at", "--hours", "5")
        root = f"root:{hashlib.sha256(b'bad').hexdigest()}"
        assert (held["state"], held["subject"]) == ("standing", root)
        ruling = tmp_path / "ruling.pdf"
        ruling.write_bytes(b"a ruling")
        why = ("--category", "court-order", "--reason", "a court said so", "--evidence", str(ruling))
        more = ("--basis", "3 O 7/26", "--jurisdiction", "DE", "--appeal", "write to us")
        proposed = await taint(one, "add", f"{ark}/a", "--effect", "remove", *why, *more)
        assert (proposed["state"], proposed["subject"]) == ("proposed", root)
        agreed = await taint(two, "approve", proposed["id"][:10], "--reason", "so it did")
        assert (agreed["id"], agreed["state"]) == (proposed["id"], "standing")
        listed = {t["id"]: t for t in (await taint(two, "list"))["taints"]}
        assert (listed[held["id"]]["effect"], listed[held["id"]]["state"]) == ("hide", "standing")
        shown = listed[proposed["id"]]
        assert shown["evidence"] == hashlib.sha256(b"a ruling").hexdigest()
        assert (shown["basis"], shown["jurisdiction"], shown["appeal"]) == ("3 O 7/26", "DE", "write to us")
