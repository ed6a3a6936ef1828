"""What trackers tell each other: nothing is lost in the letters, and nothing malformed is believed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seedkeep_registrar.processes.signals import MAX_TEXT
from seedkeep_registrar.tracker.sharing import Said, What, decode, encode
from tests.registrar.test_tracker import ANA, BEN, HASH, World, peers_of

SAID = st.builds(
    Said,
    st.sampled_from(What),
    st.binary(min_size=20, max_size=20),
    st.binary(min_size=20, max_size=20),
    st.binary(min_size=6, max_size=6) | st.binary(min_size=18, max_size=18),
)


@given(st.lists(SAID, max_size=400))
def test_letters_are_read_as_they_were_written_and_fit_into_a_signal(said: list[Said]) -> None:
    texts = list(encode(said))
    assert [one for text in texts for one in decode(text)] == said
    assert all(len(text) <= MAX_TEXT for text in texts)


@given(st.text() | st.binary().map(lambda data: data.hex()), st.lists(SAID, min_size=1, max_size=3))
def test_what_is_malformed_is_not_believed(rubbish: str, said: list[Said]) -> None:
    assert all(isinstance(one, Said) for one in decode(rubbish))
    [text] = encode(said)
    assert decode(text[:-4]) == []


async def test_a_tracker_that_heard_of_a_peer_tells_it_to_others() -> None:
    here, there = World(), World()
    await here.announce(ANA, left=0, port=7001)
    there.tracker.heard(list(here.tracker.all_peers()))
    assert (str(ANA), 7001) in peers_of(await there.announce(BEN, left=5, port=7002))


async def test_what_somebody_knew_does_not_undo_what_the_peer_said_since() -> None:
    here, there = World(), World()
    await here.announce(ANA, left=5, port=7001)
    old = list(here.tracker.all_peers())
    await there.announce(ANA, left=0, port=7001)
    there.tracker.heard(old)
    assert (await there.counts())[b"complete"] == 1
    peer = old[0]
    there.tracker.heard([Said(What.STOPPED, HASH, peer.peer_id, peer.endpoint)])
    assert (await there.counts())[b"complete"] == 0
