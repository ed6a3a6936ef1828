"""Where things lie in a node's data directory, and how much room they take.

    lock                        held while a node runs here
    state.sqlite, -wal, -shm    see :mod:`seedkeep.storage.state`
    ballast                     given up when the disk is full, so that the state can still be written
    control.sock                see :mod:`seedkeep.control`
    taints/<sha256>             the trusted taint lists, by digest
    shared/<content id>.…       manifest, layers and v1 pieces of folders that are seeded in place
    data/<content id>/<name>/…  a dataset's files; data/<content id>/<name> when it is a single file
    data/<content id>.…         its manifest, layers, v1 pieces, and resume data while it is fetched
    data/<content id>.withheld/ files that taints withhold for the time being, by their number in the manifest

Symbolic links below the data directory are never followed, whoever put them there, and nothing outside
of it is ever opened for writing or removed. Room is counted in allocated blocks (``st_blocks``).
Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from seedkeep.core.errors import Error, InvalidInput, NoSpace, UsageError
from seedkeep.core.manifest import FileEntry, Manifest
from seedkeep.core.metainfo import layers_length
from seedkeep.core.paths import is_utf8, printable

_CONTENT_ID = re.compile(r"[0-9a-f]{64}")
#: the documents beside a dataset's files
DOCUMENTS = ("manifest", "layers", "pieces", "resume")
#: what a full disk, quota or file-size limit says
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: size of the ballast, in bytes
BALLAST = 512 << 10
_FOLLOW_NOT = os.O_NOFOLLOW | os.O_CLOEXEC


def allocated(path: Path) -> int:
    """Bytes of all blocks that ``path`` and everything below it take, like ``du``; 0 if it is not there."""
    try:
        total = path.lstat().st_blocks * 512
    except (FileNotFoundError, NotADirectoryError):
        return 0
    if path.is_symlink() or not path.is_dir():
        return total
    with contextlib.suppress(FileNotFoundError), os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                total += allocated(Path(entry.path))
            else:
                with contextlib.suppress(FileNotFoundError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


def write_durably(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` at once and for good.

    Raises:
        NoSpace: the disk is full.
    """
    draft = path.with_name(f"{path.name}.new")
    try:
        with os.fdopen(
            os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FOLLOW_NOT, 0o600), "wb"
        ) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        if error.errno in NO_SPACE:
            raise NoSpace(f"the disk is full: {path.name} cannot be written") from error
        raise Error(f"{path} cannot be written: {error.strerror}") from error


def sync_folder(path: Path) -> None:
    """Make names that were just made or removed in a folder survive a loss of power."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _FOLLOW_NOT)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def open_below(folder: Path, path: str) -> int:
    """A file descriptor for reading the regular file ``path`` below ``folder``, without following links.

    Raises:
        OSError: it is not there, or something on the way is a symbolic link.
    """
    *dirs, name = PurePosixPath(path).parts
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in dirs:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | _FOLLOW_NOT, dir_fd=fd)
            os.close(fd)
            fd = inner
        found = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _FOLLOW_NOT, dir_fd=fd)
    finally:
        os.close(fd)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise OSError(f"{path} is not a regular file")
    return found


def place_of(manifest: Manifest, file: FileEntry) -> str:
    """Where a file lies below its dataset's save path."""
    return manifest.name if manifest.is_single_file else f"{manifest.name}/{file.path}"


class Layout:
    """The data directory of one node.

    Args:
        root: the data directory; made, for its owner only, when it is not there.

    Raises:
        UsageError: its name is not UTF-8. Error: it cannot be made, or is not a directory.
    """

    def __init__(self, root: Path) -> None:
        if not is_utf8(str(root.absolute())):
            hint = "Rename it, or choose another one with --data."
            raise UsageError(f"the name of {printable(str(root))} is not UTF-8", hint=hint)
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root = root.resolve(strict=True)
            for name in ("data", "taints", "shared"):
                place = self.root / name
                place.mkdir(mode=0o700, exist_ok=True)
                if place.is_symlink():
                    raise Error(f"{place} is a symbolic link", hint="A node's data lie in its own directory.")
            self.block = max(4096, os.statvfs(self.root).f_frsize)
        except OSError as error:
            raise Error(
                f"the data directory {root} cannot be used: {error.strerror}",
                hint="Choose another one with --data, or change its owner.",
            ) from error

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def database(self) -> Path:
        return self.root / "state.sqlite"

    def put_ballast(self) -> None:
        """Make the ballast, unless it is there or the disk is nearly full."""
        place = self.root / "ballast"
        if not place.exists() and self.free_on_disk() > 8 * BALLAST:
            with contextlib.suppress(Error):
                write_durably(place, bytes(BALLAST))

    def drop_ballast(self) -> bool:
        """Give the ballast up; False when there was none."""
        try:
            (self.root / "ballast").unlink()
        except OSError:
            return False
        return True

    def save_path(self, content_id: str) -> Path:
        """The folder that holds ``<name>`` of a dataset."""
        return self.root / "data" / _checked(content_id)

    def document(self, content_id: str, kind: str) -> Path:
        """A file of :data:`DOCUMENTS` beside the dataset."""
        return self.root / "data" / f"{_checked(content_id)}.{kind}"

    def shared_document(self, content_id: str, kind: str) -> Path:
        """The same for a folder that is seeded in place."""
        return self.root / "shared" / f"{_checked(content_id)}.{kind}"

    def taint_list(self, sha256: str) -> Path:
        """A trusted taint list."""
        return self.root / "taints" / _checked(sha256)

    def prepare(self, content_id: str) -> None:
        """Make the folder for a dataset's files; symbolic links in it go, not what they lead to.

        The engine follows links: it would write, and count, what lies outside of the data directory.

        Raises:
            NoSpace, Error.
        """
        folder = self.save_path(content_id)
        try:
            if folder.is_symlink():
                folder.unlink()
            folder.mkdir(mode=0o700, exist_ok=True)
            for inner, folders, files in os.walk(folder):
                for path in (Path(inner, name) for name in (*folders, *files)):
                    if path.is_symlink():
                        path.unlink()
        except OSError as error:
            kind = NoSpace if error.errno in NO_SPACE else Error
            raise kind(
                f"a folder for {content_id[:12]}… cannot be made: {os.strerror(error.errno or 0)}"
            ) from error

    def remove(self, content_id: str) -> None:
        """Remove a dataset's files and documents. Again: does nothing.

        Raises:
            Error: something of it cannot be removed.
        """
        try:
            self._remove_folder(self._aside(content_id))
            self._remove_folder(self.save_path(content_id))
            for path in self._documents(content_id):
                path.unlink(missing_ok=True)
            sync_folder(self.root / "data")
        except OSError as error:
            raise _not_removed(content_id, error) from error

    def remove_files(self, content_id: str) -> None:
        """Remove a dataset's files but not its documents.

        Raises:
            Error: something of it cannot be removed.
        """
        try:
            self._remove_folder(self.save_path(content_id))
        except OSError as error:
            raise _not_removed(content_id, error) from error

    def withhold(
        self, content_id: str, manifest: Manifest, hidden: Collection[str], wiped: Collection[str]
    ) -> None:
        """Put some files of a dataset out of the engine's reach, delete some, put all others back. Again:
        does nothing. Nothing may have the dataset open, and what is known of a download is forgotten.

        Args:
            hidden, wiped: pieces roots.

        Raises:
            Error: the disk does not let it.
        """
        aside, folder = self._aside(content_id), self.save_path(content_id)
        self.prepare(content_id)
        try:
            if aside.is_symlink():
                aside.unlink()
            kept = {entry.name for entry in os.scandir(aside)} if aside.is_dir() else set()
            folders = {folder, folder.parent}
            for number, file in enumerate(manifest.files):
                if not (file.root in hidden or file.root in wiped or str(number) in kept):
                    continue
                place, other = folder / place_of(manifest, file), aside / str(number)
                folders.add(place.parent)
                if file.root in wiped:
                    place.unlink(missing_ok=True)
                    other.unlink(missing_ok=True)
                elif file.root in hidden:
                    aside.mkdir(mode=0o700, exist_ok=True)
                    if os.path.lexists(place):
                        place.rename(other)
                else:
                    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    other.rename(place)
            self.document(content_id, "resume").unlink(missing_ok=True)
            (folder / f".{content_id[:40]}.parts").unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                aside.rmdir()
            for path in folders:
                if path.is_dir():
                    sync_folder(path)
        except OSError as error:
            raise _not_removed(content_id, error) from error

    def is_aside(self, content_id: str, number: int) -> bool:
        """Whether :meth:`withhold` has kept file ``number`` of a dataset."""
        return (self._aside(content_id) / str(number)).is_file()

    def _aside(self, content_id: str) -> Path:
        return self.root / "data" / f"{_checked(content_id)}.withheld"

    def _remove_folder(self, folder: Path) -> None:
        if folder.is_symlink():
            folder.unlink()
        elif folder.exists():
            # Its descent is by directory descriptors, so that a link put in its way is not followed.
            shutil.rmtree(folder)

    def _documents(self, content_id: str) -> Iterator[Path]:
        for kind in DOCUMENTS:
            yield self.document(content_id, kind)
            yield self.document(content_id, f"{kind}.new")

    def remove_shared(self, content_id: str) -> None:
        """Forget the documents of a folder that was seeded in place; the folder itself is not touched."""
        for kind in DOCUMENTS:
            self.shared_document(content_id, kind).unlink(missing_ok=True)

    def sweep_shared(self, known: frozenset[str]) -> None:
        """Remove the documents of all folders but the ``known`` ones."""
        for path in (self.root / "shared").iterdir():
            if path.name[:64] not in known:
                path.unlink(missing_ok=True)

    def taken_by(self, content_id: str) -> int:
        """Allocated bytes of one dataset with its documents."""
        files = allocated(self.save_path(content_id)) + allocated(self._aside(content_id))
        return files + sum(map(allocated, self._documents(content_id)))

    def overhead(self, known: frozenset[str]) -> tuple[int, list[str]]:
        """Allocated bytes of all that is not one of the ``known`` datasets, and the names of strangers.

        Strangers are entries of ``data/`` that belong to no known dataset; they are counted, never removed.
        The ballast is not counted: it holds a part of the room that the database may still take.
        """
        total, strangers = self.root.lstat().st_blocks * 512, []
        for entry in os.scandir(self.root):
            if entry.name not in ("data", "ballast"):
                total += allocated(Path(entry.path))
        data = self.root / "data"
        total += data.lstat().st_blocks * 512
        for entry in os.scandir(data):
            if entry.name[:64] not in known:
                strangers.append(entry.name)
                total += allocated(Path(entry.path))
        return total, strangers

    def footprint(self, manifest: Manifest) -> int:
        """An upper bound of what a dataset allocates while it is fetched and held, in bytes.

        Files and directories rounded up to blocks, directory entries twice (half-full index blocks),
        its documents, resume data twice (the new one is written beside the old one), and one block in
        4096 plus 64 KiB for extent maps.
        """
        entries: dict[str, int] = defaultdict(int)
        whole = 0
        for file in manifest.files:
            whole += self._blocks(file.size)
            path = PurePosixPath(place_of(manifest, file))
            inner = str(path)
            for folder in path.parents:
                outer = str(folder)
                known = outer in entries
                entries[outer] += 16 + len(inner.rpartition("/")[2].encode())
                if known:
                    break
                inner = outer
        whole += sum(self._blocks(2 * size) + self.block for size in entries.values())
        documents = sum(len(line) for line in manifest.lines()), layers_length(manifest), _pieces(manifest)
        whole += sum(map(self._blocks, documents)) + 2 * self._blocks(self.resume_limit(manifest))
        return whole + manifest.bytes // 4096 + (64 << 10)

    def resume_limit(self, manifest: Manifest) -> int:
        """The largest resume data that is kept, in bytes: all block hashes, and what else there is."""
        return (32 << 10) + layers_length(manifest) + manifest.bytes // 512 + 64 * len(manifest.files)

    def _blocks(self, size: int) -> int:
        return -(-size // self.block) * self.block

    def free_on_disk(self) -> int:
        """Bytes that the file system still gives to this user."""
        found = os.statvfs(self.root)
        return found.f_bavail * found.f_frsize


def _pieces(manifest: Manifest) -> int:
    return 20 * -(-manifest.bytes // manifest.piece_length)


def _not_removed(content_id: str, error: OSError) -> Error:
    return Error(
        f"data of {content_id[:12]}… cannot be removed: {error.strerror} ({error.filename})",
        hint="Check the disk and the rights of the data directory.",
    )


def _checked(digest: str) -> str:
    if not _CONTENT_ID.fullmatch(digest):
        raise InvalidInput(f"{digest[:80]!r} is not 64 hex digits")
    return digest
