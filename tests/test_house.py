"""The house stays in order: one version, pinned dependencies, one-way arrows, files that say what they do."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import seedkeep
from seedkeep.cli.main import cli
from tests.support.require import require

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (ROOT / "node", ROOT / "registrar")
TOP_LEVEL = {
    *("node", "registrar", "tests", "configs", "docs", ".ci"),
    *("pyproject.toml", "requirements.lock", "Dockerfile", ".dockerignore", ".gitignore"),
    *("README.md", "CHANGELOG.md", "LICENSE"),
}
LOCKED_EXTRAS = ("build", "postgresql", "test")
MAX_LINES = 480
#: what core may not import: sockets, files, databases, clock, randomness, processes, threads
IMPURE = {
    *("asyncio", "socket", "ssl", "http", "urllib.request", "aiohttp", "zeroconf", "boto3", "botocore"),
    *("os", "io", "shutil", "tempfile", "glob", "fcntl", "mmap", "sqlite3", "sqlalchemy", "psycopg"),
    *("time", "random", "secrets", "uuid", "subprocess", "multiprocessing", "threading", "concurrent"),
    *("click", "rich", "libtorrent"),
}
#: hosts of package indexes, in parts so that this file names none either
INDEX_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("deb", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("proxy", "golang", "org"),
        ("crates", "io"),
        ("maven", "org"),
    )
]


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name."""
    found = {}
    for source in SOURCES:
        for path in sorted(source.rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _runtime_nodes(child)


@cache
def imports(name: str) -> frozenset[str]:
    """Dotted names that a module imports, ours resolved to modules."""
    path = modules()[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in _runtime_nodes(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, *([base] if base else [])])
            for alias in node.names:
                deeper = f"{base}.{alias.name}"
                found.add(deeper if deeper in modules() else base)
    return frozenset(found)


def _within(name: str, packages: set[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:n]) in packages for n in range(1, len(parts) + 1))


def tracked() -> list[Path]:
    """The files of the repository, as git knows them."""
    require((ROOT / ".git").exists(), "this is not a git work tree")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [path for name in listing.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def pyproject() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


# --- version and dependencies ---


def test_the_version_is_written_in_one_place() -> None:
    assert importlib.metadata.version("seedkeep") == seedkeep.__version__
    texts = [path.read_text() for path in [ROOT / "pyproject.toml", *modules().values()]]
    assigned = [t for t in texts if re.search(r"^(__version__|version)\s*=\s*[\"']", t, re.MULTILINE)]
    assert len(assigned) == 1


def test_every_imported_package_is_a_declared_dependency() -> None:
    project = pyproject()["project"]
    assert isinstance(project, dict)
    declared = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    # imported only where a database of that kind is set
    extra = project["optional-dependencies"]["postgresql"]
    declared |= {canonicalize_name(Requirement(text).name) for text in extra}
    declared |= {
        "seedkeep",
        "botocore",
        "markupsafe",
        "multidict",
        "yarl",
    }  # the last: faces of declared ones
    homes = importlib.metadata.packages_distributions()
    wrong = []
    for name in modules():
        outside = {i.split(".")[0] for i in imports(name)} - {"seedkeep", "seedkeep_registrar"}
        for top in outside - set(sys.stdlib_module_names):
            if not {canonicalize_name(home) for home in homes.get(top, [top])} & declared:
                wrong.append(f"{name} → {top}")
    assert wrong == []


def locked() -> dict[str, tuple[Version, int]]:
    """Package → pinned version and number of hashes."""
    found = {}
    for entry in re.split(r"\n(?=[A-Za-z0-9])", (ROOT / "requirements.lock").read_text()):
        pin = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*])?==([^\s;\\]+)", entry)
        assert pin, f"not a pin: {entry[:60]!r}"
        found[canonicalize_name(pin[1])] = (Version(pin[2]), entry.count("--hash=sha256:"))
    return found


def test_the_lock_pins_every_dependency_with_hashes() -> None:
    project = pyproject()["project"]
    assert isinstance(project, dict)
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(r for name in LOCKED_EXTRAS for r in extras[name])]
    pins = locked()
    for text in wanted:
        requirement = Requirement(text)
        version, _ = pins[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, f"requirements.lock has {version}, wanted {text}"
    assert [name for name, (_, hashes) in pins.items() if not hashes] == []


def test_no_file_names_a_package_index() -> None:
    named = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        named += [f"{path.relative_to(ROOT)}: {host}" for host in INDEX_HOSTS if host in text]
    assert named == []
    assert not re.search(r"^-|https?://", (ROOT / "requirements.lock").read_text(), re.MULTILINE)


def test_the_package_carries_its_sample() -> None:
    sample = Path(seedkeep.__file__).parent / "sample" / "lambda-phage"
    sequence = (sample / "lambda_virus.fa").read_text().split("\n", 1)[1].replace("\n", "")
    assert len(sequence) == 48502
    assert (sample / "README.txt").is_file()


# --- arrows ---


def test_only_the_engine_imports_libtorrent() -> None:
    assert [n for n in modules() if _within("libtorrent", set(imports(n)))] in ([], ["seedkeep.engine.lt"])


def test_core_imports_nothing_of_ours_and_nothing_impure() -> None:
    wrong = []
    for name in modules():
        if _within(name, {"seedkeep.core"}):
            ours = [i for i in imports(name) if _within(i, {"seedkeep", "seedkeep_registrar"})]
            wrong += [f"{name} → {i}" for i in ours if not _within(i, {"seedkeep.core"})]
            wrong += [f"{name} → {i}" for i in imports(name) if _within(i, IMPURE)]
    assert wrong == []


def test_the_registrar_imports_only_core_of_the_node() -> None:
    allowed = {"seedkeep.core"}
    wrong = [
        f"{name} → {i}"
        for name in modules()
        if _within(name, {"seedkeep_registrar"})
        for i in imports(name)
        if _within(i, {"seedkeep"}) and not _within(i, allowed) and i != "seedkeep"
    ]
    assert wrong == []


def test_the_node_never_imports_the_registrar() -> None:
    wrong = [
        n
        for n in modules()
        if _within(n, {"seedkeep"}) and any(_within(i, {"seedkeep_registrar"}) for i in imports(n))
    ]
    assert wrong == []


def test_no_imports_run_in_a_circle() -> None:
    graph = {n: {i for i in imports(n) if i in modules() and i != n} for n in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


# --- files ---


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_is_short_and_says_what_it_promises(name: str) -> None:
    text = modules()[name].read_text()
    assert text.count("\n") <= MAX_LINES
    assert ast.get_docstring(ast.parse(text)), "a module opens with a docstring"
    assert "util" not in name, "name a module by its purpose"


def test_nothing_lies_around_at_the_top() -> None:
    found = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert found - TOP_LEVEL == set()


def test_the_plan_of_the_house_names_every_room() -> None:
    plan = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {name.split(".")[1] for name in modules() if name.count(".") > 1}
    assert [room for room in sorted(rooms) if f"{room}/" not in plan] == []


def documented_commands() -> list[str]:
    """Every ``seedkeep …`` line of README and configs, without what follows a shell operator."""
    texts = [(ROOT / "README.md").read_text()]
    texts += [path.read_text() for path in (ROOT / "configs").rglob("*.service")]
    found = [m[1] for t in texts for m in re.finditer(r"^(?:ExecStart=\S*/)?(seedkeep .*)$", t, re.MULTILINE)]
    return [re.split(r" [&|;#] ?", line)[0] for line in found]


@pytest.mark.parametrize("line", documented_commands())
def test_a_documented_command_exists_with_its_options(line: str) -> None:
    command: click.Command = cli
    words = shlex.split(line)[1:]
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None, f"there is no such command: {line}"
        command = found
    known = {name for parameter in command.params for name in parameter.opts}
    assert [word for word in words if word.startswith("-") and word not in known] == []


def test_ci_runs_the_tests_as_the_readme_says() -> None:
    commands = re.findall(r"^python3 -m venv .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(commands) == 2, "the README has two commands"
    demo, tests = commands
    assert demo.endswith("seedkeep demo")
    assert tests.endswith("python -m pytest")
    assert "\npython -m pytest\n" in (ROOT / ".ci/run").read_text()
