"""No answer of the native interface is undescribed, whatever is asked: explored by schemathesis."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from tests.support.api_explorer import explore
from tests.support.registrar import registrar_with, shareable

#: cases made up for each operation, besides those of each limit; set it higher for a longer search
EXAMPLES = int(os.environ.get("SEEDKEEP_API_EXAMPLES", "3"))
#: operations that must have succeeded: what is explored is not only a wall of refusals
REACHED = {
    "GET /.well-known/seedkeep",
    "GET /api/v1/nodes",
    "GET /api/v1/objects/{sha256}",
    "GET /api/v1/records",
    "GET /api/v1/records/{rid}",
    "GET /api/v1/records/{rid}/manifest",
    "GET /api/v1/records/{rid}/web-seed-reports",
    "GET /api/v1/resolve",
    "GET /api/v1/taints",
    "GET /api/v1/taints/head",
    "GET /torrents/{content_id}.torrent",
    "GET /torrents/{content_id}.v1.torrent",
    "POST /api/v1/claims",
    "POST /api/v1/events",
    "POST /api/v1/heartbeat",
    "POST /api/v1/nodes",
    "POST /api/v1/web-seed-reports",
}


async def test_whatever_is_asked_the_answer_is_as_described(tmp_path: Path) -> None:
    async with registrar_with(tmp_path, requests_per_minute=0, requests_per_minute_sender=0) as registrar:
        curator = registrar.curator
        what = shareable("kept")
        body = what.body(web_seeds=("https://example.org/kept/",)).encode()
        event = curator.event(body)
        await curator.upload(what)
        kept = (await curator.submit(event, body)).json
        gone = await registrar.person().register(shareable("gone"))
        assert (await curator.taint(f"content:{gone['content_id']}")).status == 201
        await curator.hold(what)
        found = await asyncio.to_thread(
            explore,
            registrar.url,
            curator.key,
            EXAMPLES,
            {
                "path.rid": [kept["rid"], gone["rid"]],
                "path.content_id": [kept["content_id"], gone["content_id"]],
                "path.sha256": [kept["body"]["dataset"]["manifest"], gone["body"]["dataset"]["manifest"]],
                "query.id": [kept["ark"], kept["content_id"], gone["ark"]],
                "query.wait": [0.01],
            },
            {
                "post_event": {"event": json.loads(event.leaf()), "body": json.loads(body)},
                "introduce_node": {"pledge": 1000, "port": 6881},
                "heartbeat": {
                    "state": "active",
                    "pledge": 1000,
                    "used": 0,
                    "reserved": 0,
                    "port": 6881,
                    "claims": [{"content_id": kept["content_id"], "state": "complete", "bytes": 1}],
                },
                "claim_dataset": {"content_id": kept["content_id"]},
                "report_web_seed": {
                    "content_id": kept["content_id"],
                    "web_seed": "https://example.org/kept/",
                },
            },
        )
    assert not found.problems, "\n".join(sorted(set(found.problems)))
    succeeded = {label for label, status in found.answers if status < 300}
    assert succeeded >= REACHED, REACHED - succeeded
