"""What every route of the native interface does alike, whoever wrote it."""

from __future__ import annotations

import pytest

from tests.support.registrar import RegistrarUnderTest, shareable


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/seedkeep?x=1",
        "/api/v1/taints/head?x=1",
        "/api/v1/records?limit=1&x=1",
        f"/api/v1/records/{'0' * 64}?x=1",
        "/api/v1/openapi.json?x=1",
    ],
)
async def test_an_unknown_parameter_is_refused_by_name(registrar: RegistrarUnderTest, path: str) -> None:
    answer = await registrar.curator.get(path)
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")
    assert "`x`" in answer.json["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", f"/api/v1/records/{'0' * 64}", {"GET", "HEAD"}),
        ("PUT", "/api/v1/nodes", {"GET", "HEAD", "POST"}),
        ("PATCH", f"/api/v1/objects/{'0' * 64}", {"GET", "HEAD", "PUT"}),
        ("POST", "/.well-known/seedkeep", {"GET", "HEAD"}),
    ],
)
async def test_a_wrong_method_is_told_which_ones_there_are(
    registrar: RegistrarUnderTest, method: str, path: str, allowed: set[str]
) -> None:
    answer = await registrar.curator.get(path, method=method)
    assert (answer.status, answer.json["status"]) == (405, 405)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert set(answer.headers["Allow"].split(",")) == allowed
    options = await registrar.curator.get(path, method="OPTIONS")
    assert (options.status, options.body) == (204, b"")
    assert set(options.headers["Allow"].split(",")) == {*allowed, "OPTIONS"}


async def test_an_unknown_path_is_a_problem_document(registrar: RegistrarUnderTest) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answer = await registrar.curator.get("/api/v1/nothing", method=method)
        assert (answer.status, answer.json["code"]) == (404, "not_found")


async def test_documents_are_not_sent_again_to_those_who_have_them(
    registrar: RegistrarUnderTest,
) -> None:
    person = registrar.person()
    record = await person.register(shareable())
    for path in (
        f"/api/v1/records/{record['rid']}",
        f"/api/v1/records/{record['rid']}/manifest",
        "/api/v1/records",
        "/api/v1/taints/head",
        f"/torrents/{record['content_id']}.torrent",
        f"/torrents/{record['content_id']}.v1.torrent",
        "/api/v1/openapi.json",
    ):
        first = await person.get(path)
        assert "Cache-Control" in first.headers, path
        tag = first.headers["ETag"]
        for asked in (tag, f'"other", W/{tag}', "*"):
            again = await person.get(path, headers={"If-None-Match": asked})
            assert (again.status, again.body) == (304, b""), (path, asked)
            assert again.headers["ETag"] == tag
            assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
        other = await person.get(path, headers={"If-None-Match": '"other"'})
        assert (other.status, other.body) == (200, first.body), path
        head = await person.get(path, method="HEAD")
        assert (head.status, head.headers["ETag"]) == (200, tag)


async def test_an_etag_changes_with_the_document(registrar: RegistrarUnderTest) -> None:
    person = registrar.person()
    path = f"/api/v1/records/{(await person.register(shareable()))['rid']}"
    before = (await person.get(path)).headers["ETag"]
    await registrar.person().hold(shareable())
    answer = await person.get(path, headers={"If-None-Match": before})
    assert answer.status == 200
    assert answer.headers["ETag"] != before
