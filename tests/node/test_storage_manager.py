"""What a storage manager does for registrars and its operator, seen from outside."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from seedkeep.core.errors import Conflict, UsageError
from seedkeep.core.manifest import Manifest
from seedkeep.storage.model import Phase
from tests.support.datasets import dataset_of
from tests.support.registrar_simulator import RegistrarSimulator
from tests.support.storage import MB, QUICK, DiskWatch, World, files_of, held, is_whole, random_dataset


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


SMALL = random_dataset("small", [40_000, 0, 70_000])


async def test_an_offered_dataset_is_fetched_verified_attested_and_seeded_on(world: World) -> None:
    cid = await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: world.registrar.holders(cid))
        attestation = world.registrar.attested[0]
        assert attestation.manifest == SMALL.manifest.digest()
        assert (
            attestation.infohash_v1
            == world.registrar.records[world.registrar.rid_of(cid)].dataset.infohash_v1
        )
        assert is_whole(node.layout.root, SMALL)
        await world.stop_sharing()
        async with world.node("b") as other:
            await world.until(lambda: held(other))
            assert is_whole(other.layout.root, SMALL)


async def test_offers_are_taken_in_the_order_of_need_as_room_and_places_allow(world: World) -> None:
    world.swarm.hold()
    cids = [await world.share(random_dataset(f"d{i}", [50_000])) for i in range(5)]
    async with world.node("a", downloads=2) as node:
        await world.until(lambda: len(held(node, Phase.DOWNLOADING)) == 2)
        assert {h.content_id for h in node.state.holdings.values()} == set(cids[:2])
        world.swarm.go()
        await world.until(lambda: len(held(node)) == 5)


async def test_a_10_mb_pledge_offered_50_mb_is_never_exceeded(world: World) -> None:
    for i in range(25):
        await world.share(random_dataset(f"d{i}", [1 * MB, 600_000, 400_000] + [1000] * 20))
    with DiskWatch(world.path / "a") as watch:
        async with world.node("a", pledge=10 * MB) as node:
            await world.until(lambda: len(held(node)) >= 3)
            await world.until(lambda: world.beats(node) > 8)
            assert node.pledge.account().free >= 0
            assert not world.registrar.released
            count = len(held(node))
    assert watch.looks > 20
    assert 6 * MB < watch.most <= 10 * MB
    # A restart holds to the limit as well.
    with DiskWatch(world.path / "a") as watch:
        async with world.node("a", pledge=10 * MB) as node:
            await world.until(lambda: len(held(node)) >= count)
    assert watch.most <= 10 * MB


async def test_a_dataset_that_says_it_is_smaller_than_it_is_does_not_break_the_pledge(world: World) -> None:
    deep = {"/".join(f"directory-{i}-{j}" for j in range(20)): b"x" for i in range(60)}
    await world.share(dataset_of("deep", deep))
    with DiskWatch(world.path / "a") as watch:
        async with world.node("a", pledge=4 * MB) as node:
            await world.until(lambda: world.registrar.released)
            assert not node.state.holdings
    assert watch.most <= 4 * MB


async def test_a_pledge_too_small_for_the_nodes_own_state_is_refused_with_the_size_it_needs(
    world: World,
) -> None:
    with pytest.raises(UsageError, match="too small") as failed:
        async with world.node("a", pledge=200_000):
            pass
    assert "Pledge at least" in failed.value.hint


async def test_the_free_space_floor_is_left_to_others(world: World) -> None:
    await world.share(SMALL)
    async with world.node("a", floor=10**18) as node:
        await world.until(lambda: world.beats(node) > 2)
        assert not node.state.holdings


async def test_two_nodes_cannot_share_a_data_directory(world: World) -> None:
    async with world.node("a"):
        with pytest.raises(Conflict, match="another node"):
            async with world.node("a"):
                pass
    async with world.node("a"):
        pass


async def test_a_restart_seeds_at_once_without_the_registrar_and_without_hashing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    cid = await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
    await world.stop_sharing()
    world.registrar.down = True
    monkeypatch.setattr("seedkeep.engine.memory._hashed", lambda t: pytest.fail("it hashed everything"))
    async with world.node("a") as node:
        await world.until(lambda: node.engine.statuses() and node.engine.status(cid).state == "seeding")
        await world.until(lambda: any("cannot be reached" in p for p in node.problems.texts()))
        world.registrar.down = False
        await world.until(lambda: not node.problems.texts())


async def test_a_download_that_was_interrupted_goes_on(world: World) -> None:
    world.swarm.hold()
    await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: held(node, Phase.DOWNLOADING))
    world.swarm.go()
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        assert is_whole(node.layout.root, SMALL)


async def test_paused_it_takes_and_moves_nothing_and_remembers_it(world: World) -> None:
    async with world.node("a") as node:
        await node.pause()
        await world.share(SMALL)
        await world.until(lambda: world.reported(node) == "paused")
    async with world.node("a") as node:
        await world.until(lambda: world.beats(node) > 2)
        assert not node.state.holdings
        assert node.status()["state"] == "paused"
        await node.resume()
        await world.until(lambda: held(node))


async def test_draining_it_lets_go_only_of_what_the_registrar_releases(world: World) -> None:
    cid = await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        await node.drain()
        await world.until(lambda: world.reported(node) == "draining")
        assert held(node)
        assert not node.status()["drained"]
        world.registrar.copies = 0
        world.registrar.to_release.add(cid)
        world.registrar.changed()
        await world.until(lambda: node.status()["drained"])
        await world.until(lambda: world.registrar.released)
        assert not files_of(node, cid)


async def test_data_stays_when_leases_vanish_and_goes_when_the_registrar_says_so_again_later(
    world: World,
) -> None:
    cid = await world.share(SMALL)
    world.registrar.heartbeat_s = 0.1
    async with world.node("a", patience=replace(QUICK, lost=1.0)) as node:
        await world.until(lambda: held(node))
        # An accident: claiming again is granted.
        world.registrar.forget_leases = True
        await world.until(lambda: world.beats(node) > 8)
        assert held(node)
        # For good: others have it.
        world.registrar.claims.clear()
        world.registrar.copies = 0
        await world.until(lambda: (c := node.state.claim(cid, world.registrar.url)) and c.lost)
        assert held(node)
        await world.until(lambda: not node.state.holdings)
        assert not files_of(node, cid)


async def test_one_copy_serves_two_registrars_until_both_have_let_go(world: World) -> None:
    second = RegistrarSimulator(world.clock, name="second.test")
    cid = await world.share(SMALL)
    second.register(SMALL)
    async with world.node("a", registrars=[world.registrar, second]) as node:
        await world.until(lambda: world.registrar.holders(cid) and second.holders(cid))
        assert len(node.state.holdings) == 1
        for registrar, left in ((second, 1), (world.registrar, 0)):
            registrar.copies = 0
            registrar.to_release.add(cid)
            registrar.changed()
            await world.until(lambda r=registrar: r.released)  # type: ignore[misc]
            await world.until(lambda n=left: len(node.state.holdings) == n)  # type: ignore[misc]


async def test_a_manifest_of_other_data_is_refused(world: World) -> None:
    cid = await world.share(SMALL)
    world.registrar.manifests[cid] = random_dataset("other", [40_000, 0, 70_000]).manifest
    async with world.node("a") as node:
        await world.until(lambda: world.registrar.released)
        assert not node.state.holdings
        assert not files_of(node, cid)
        assert any("manifest of other data" in p for p in node.problems.texts())
        # It is offered again at once, and is not taken again at once.
        seen = world.beats(node)
        await world.until(lambda: world.beats(node) > seen + 3)
        assert len(world.registrar.released) == 1


async def test_layers_that_do_not_give_the_roots_are_refused(world: World) -> None:
    dataset = random_dataset("layered", [200_000])
    cid = await world.share(dataset)
    world.registrar.layers[cid] = bytes(len(dataset.layers))
    async with world.node("a") as node:
        await world.until(lambda: world.registrar.released)
        assert not node.state.holdings
        assert not files_of(node, cid)


async def test_checksums_that_the_bytes_cannot_have_end_in_its_release_and_no_attestation(
    world: World,
) -> None:
    m = SMALL.manifest
    lie = Manifest(m.name, m.piece_length, (replace(m.files[0], md5="0" * 32), *m.files[1:]))
    assert lie.content_id() == m.content_id()
    await world.share(SMALL, manifest=lie)
    async with world.node("a") as node:
        await world.until(lambda: world.registrar.released)
        assert not world.registrar.attested
        assert any("checksums" in p for p in node.problems.texts())


async def test_a_full_disk_ends_in_release_and_a_problem_and_leaves_nothing_behind(world: World) -> None:
    cid = await world.share(SMALL)
    async with world.node("a", capacity=50_000) as node:
        await world.until(lambda: world.registrar.released)
        assert not files_of(node, cid)
        assert any("No room" in p for p in node.problems.texts())


async def test_only_web_seeds_that_pass_the_probe_are_used_and_the_others_are_reported(world: World) -> None:
    good, bad = "http://good.test/", "http://liar.test/"
    world.lying_web_seeds.add(bad)
    home = world.path / "web"
    home.mkdir()
    SMALL.write(home)
    world.swarm.web_seeds = {good: home, bad: home}
    cid = world.registrar.register(SMALL, web_seeds=[bad, good])
    async with world.node("a") as node:
        await world.until(lambda: held(node) and world.registrar.web_seed_reports)
        assert [(c, u) for c, u, _ in world.registrar.web_seed_reports] == [(cid, bad)]


async def test_an_impatient_registrar_is_not_asked_in_a_circle(world: World) -> None:
    world.registrar.heartbeat_s = 5.0
    world.registrar.hasty = True
    for i in range(3):
        await world.share(random_dataset(f"large{i}", [5 * MB]))
    async with world.node("a", pledge=4 * MB) as node:
        await world.until(lambda: node.links[0].status.reachable)
        before = world.beats(node)
        await asyncio.sleep(1.0)
        assert world.beats(node) <= before + 2


async def test_a_companion_is_loaded_while_somebody_asks_and_unloaded_when_idle(world: World) -> None:
    cid = await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        v1 = held(node)[0].infohash_v1
        world.registrar.companions.add(cid)
        world.registrar.changed()
        await world.until(lambda: v1 in {s.key for s in node.engine.statuses()})
        await world.until(lambda: cid in world.registrar.reports[str(node.key.public)].companions)
        world.registrar.companions.clear()
        await world.until(lambda: v1 not in {s.key for s in node.engine.statuses()})


async def test_a_lowered_pledge_gives_the_newest_back(world: World) -> None:
    first = await world.share(random_dataset("first", [2 * MB]))
    async with world.node("a") as node:
        await world.until(lambda: len(held(node)) == 1)
        await world.share(random_dataset("second", [4 * MB]))
        await world.until(lambda: len(held(node)) == 2)
    async with world.node("a", pledge=5 * MB) as node:
        await world.until(lambda: len(node.state.holdings) == 1)
        assert [h.content_id for h in held(node)] == [first]
        await world.until(lambda: node.pledge.account().free >= 0)


async def test_strangers_in_the_data_directory_are_counted_told_and_left_alone(world: World) -> None:
    async with world.node("a"):
        pass
    stray = world.path / "a" / "data" / "holiday.jpg"
    stray.write_bytes(bytes(MB))
    async with world.node("a") as node:
        assert node.pledge.account().used > MB
        assert any("holiday.jpg" in p for p in node.problems.texts())
    assert stray.exists()


async def test_files_that_vanished_are_fetched_again_at_the_start(world: World) -> None:
    cid = await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
    (world.path / "a" / "data" / cid / "small" / "part-0" / "file-0.bin").unlink()
    async with world.node("a") as node:
        await world.until(lambda: held(node) and is_whole(node.layout.root, SMALL))


async def test_the_status_is_plain_json_whose_sums_fit(world: World) -> None:
    await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        status = json.loads(json.dumps(node.status()))
        assert status["datasets"]["complete"] == 1
        assert status["registrars"][0]["reachable"]
        assert status["used"] + status["reserved"] + status["free"] == status["pledge"]
        row = json.loads(json.dumps(node.ls()))[0]
        assert (row["state"], row["have"]) == ("complete", row["bytes"])


async def test_a_registrar_that_answers_nonsense_does_not_stop_the_node(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = RegistrarSimulator(world.clock, name="second.test")
    monkeypatch.setattr(second, "head_note", lambda: None)
    cid = await world.share(SMALL)
    async with world.node("a", registrars=[second, world.registrar]) as node:
        await world.until(lambda: world.registrar.holders(cid))
        await world.until(lambda: any("met a fault" in p for p in node.problems.texts()))


async def test_datasets_of_a_registrar_that_is_served_no_more_are_kept_and_told(world: World) -> None:
    second = RegistrarSimulator(world.clock, name="second.test")
    await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
    async with world.node("a", registrars=[second]) as node:
        assert held(node)
        assert any("serves no more" in p for p in node.problems.texts())
