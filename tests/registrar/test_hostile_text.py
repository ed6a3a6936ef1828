"""Text that some database cannot keep is refused by every database, with words, not with a crash."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seedkeep.core import jcs
from tests.support.registrar import RegistrarUnderTest, shareable

UNSTORABLE = ["a\x00b", "half a pair \ud83d"]


@pytest.mark.parametrize("text", UNSTORABLE)
@pytest.mark.parametrize("field", ["operator", "institution", "country", "software"])
async def test_a_nodes_unstorable_text_is_refused(
    any_registrar: RegistrarUnderTest, field: str, text: str
) -> None:
    message = {"pledge": 1, "port": 1, "operator": "", "institution": "", "country": "", "subjects": []}
    body = json.dumps({**message, "software": "", field: text}).encode()
    answer = await any_registrar.person().send("POST", "/api/v1/nodes", body)
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")


@pytest.mark.parametrize("text", UNSTORABLE)
@pytest.mark.parametrize("field", ["title", "description", "creators", "subjects"])
async def test_a_records_unstorable_text_is_refused(
    any_registrar: RegistrarUnderTest, field: str, text: str
) -> None:
    what, person = shareable(), any_registrar.person()
    await person.upload(what)
    good = what.body().encode()
    body: dict[str, Any] = json.loads(good)
    body["metadata"][field] = [text] if field in ("creators", "subjects") else text
    event: dict[str, Any] = json.loads(person.event(good).leaf())
    if "\x00" in text:
        event = json.loads(person.event(jcs.dumps(body)).leaf())
    sent = json.dumps({"event": event, "body": body}).encode()
    answer = await person.send("POST", "/api/v1/events", sent)
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")


async def test_a_path_with_a_nul_is_no_file(any_registrar: RegistrarUnderTest) -> None:
    document = await any_registrar.person().register(shareable())
    for path in (f"/ws/{document['content_id']}/sample/a%00b", f"/{document['ark']}/a%00b"):
        assert (await any_registrar.person().get(path)).status == 404
