"""What the demonstration looks at and how it ends its processes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from seedkeep.core.errors import Error, InvalidInput
from seedkeep.demo.disk import Source
from seedkeep.demo.processes import Child, environment


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    root = tmp_path / "sharer" / "set"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_bytes(b"first")
    (root / "sub" / "b.txt").write_bytes(b"second")
    (root / "empty").write_bytes(b"")
    return root


def place(node: Path, name: str, data: bytes) -> None:
    path = node / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_a_source_knows_its_files_and_bytes(dataset: Path) -> None:
    source = Source.scan(dataset)
    assert source.sizes == {"set/a.txt": 5, "set/sub/b.txt": 6, "set/empty": 0}
    assert source.bytes == 11


def test_a_single_file_is_a_source(dataset: Path) -> None:
    assert Source.scan(dataset / "a.txt").sizes == {"a.txt": 5}


def test_a_place_without_files_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no file"):
        Source.scan(tmp_path)
    with pytest.raises(InvalidInput, match="no file"):
        Source.scan(tmp_path / "missing")


def test_only_files_of_the_right_name_and_size_count_as_held(dataset: Path, tmp_path: Path) -> None:
    source, node = Source.scan(dataset), tmp_path / "node"
    place(node, "data/x/set/a.txt", b"first")
    place(node, "data/x/set/sub/b.txt", b"sec")
    place(node, "data/x/set/empty", b"")
    assert source.held_in(node) == {"set/a.txt": 5, "set/empty": 0}
    place(node, "data/x/set/sub/b.txt", b"second")
    assert source.held_in(node) == source.sizes


def test_left_over_bytes_are_found_under_any_name(dataset: Path, tmp_path: Path) -> None:
    source, node = Source.scan(dataset), tmp_path / "node"
    place(node, "state.db", b"other")
    place(node, "data/set/empty", b"")
    assert source.traces_in(node) == []
    place(node, "trash/1234", b"second")
    assert source.traces_in(node) == [node / "trash/1234"]


def test_a_damaged_file_under_its_own_name_is_a_trace(dataset: Path, tmp_path: Path) -> None:
    source, node = Source.scan(dataset), tmp_path / "node"
    place(node, "data/set/a.txt", b"cut")
    assert source.traces_in(node) == [node / "data/set/a.txt"]


def test_a_process_of_the_demonstration_knows_nothing_of_the_users_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDKEEP_CLIENT_REGISTRARS", "https://registrar.example.org")
    variables = environment(tmp_path, {"SEEDKEEP_NODE_FLOOR": "0"})
    assert [name for name in variables if name.startswith("SEEDKEEP_")] == ["SEEDKEEP_NODE_FLOOR"]
    for name in (
        "HOME",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
        "XDG_CACHE_HOME",
        "XDG_RUNTIME_DIR",
    ):
        assert Path(variables[name]).is_relative_to(tmp_path)
        assert Path(variables[name]).stat().st_mode & 0o077 == 0 or name == "HOME"


async def test_a_command_that_says_what_is_wrong_is_not_ready(tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    out.write_text('{"error": {"message": "the port is taken"}}')
    log.touch()
    # it has not ended yet
    child = Child("a registrar", subprocess.Popen(["sleep", "60"], start_new_session=True), out, log)
    try:
        with pytest.raises(Error, match="a registrar did not start: the port is taken"):
            await child.ready(60)
    finally:
        await child.stop()
