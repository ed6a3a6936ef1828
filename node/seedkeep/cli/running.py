"""How a command runs: its options in common, its event loop, and how it ends.

Every way out is here: an exit code as documented, one line or one JSON object for a failure, and never a
traceback unless ``SEEDKEEP_DEBUG=1`` asks for it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import click

from seedkeep.cli.output import Interrupted, Output
from seedkeep.core.errors import Error, NoSpace, UsageError

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """``--json`` and ``--quiet``."""
    command = click.option("--quiet", "-q", is_flag=True, help="No progress, no notes.")(command)
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)


def registrar_option(command: F) -> F:
    """``--registrar``, which wins over all other ways to find one."""
    return click.option(
        "--registrar", "registrars", multiple=True, metavar="URL", help="Ask this registrar first."
    )(command)


def run(work: Coroutine[Any, Any, T], *, again: str = "") -> T:
    """Run a command's coroutine; Ctrl-C and SIGTERM cancel it and let it put things in order.

    Args:
        again: how to go on after an interruption.

    Raises:
        Interrupted: it was stopped.
    """

    async def whole() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _stop, loop, task)
        return await task

    try:
        return asyncio.run(whole())
    except (asyncio.CancelledError, KeyboardInterrupt) as error:
        raise Interrupted("interrupted", hint=again) from error


def _stop(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    task.cancel()
    # a second Ctrl-C does not wait for anything
    loop.remove_signal_handler(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Commands(click.Group):
    """A group of commands whose failures are shown as :mod:`seedkeep.cli.output` says."""

    def main(  # type: ignore[override]  # click's overloads differ in the return type alone
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> Any:
        """Run the command line and exit with its code."""
        given = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        options = given[: given.index("--")] if "--" in given else given
        output = Output(as_json="--json" in options, quiet=False)
        logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
        run_it = functools.partial(super().main, given, prog_name, **extra)
        sys.exit(self._guarded(output, run_it))

    def _guarded(self, output: Output, work: Callable[[], Any]) -> int:
        try:
            code = work()
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            return UsageError.exit_code
        except click.UsageError as error:
            where = f"See `{error.ctx.command_path} --help`." if error.ctx else ""
            output.error(UsageError(error.format_message(), hint=where))
            return UsageError.exit_code
        except click.ClickException as error:
            output.error(Error(error.format_message()))
            return Error.exit_code
        except (click.Abort, KeyboardInterrupt):
            output.error(Interrupted("interrupted"))
            return Interrupted.exit_code
        except Error as error:
            fields = getattr(error, "fields", None)
            output.error(error, fields)
            return error.exit_code
        except BrokenPipeError:
            # whoever read our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Error.exit_code
        except Exception as error:
            output.error(_unexpected(error))
            return Error.exit_code
        return code if isinstance(code, int) else 0


def _unexpected(error: Exception) -> Error:
    if os.environ.get("SEEDKEEP_DEBUG") == "1":
        traceback.print_exception(error)
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        kind = NoSpace if error.errno in (28, 122) else Error
        return kind(
            f"the system refuses: {error.strerror}{where}", hint="Check the disk, the rights, the network."
        )
    return Error(
        f"unexpected: {type(error).__name__}: {error}",
        hint="This is a mistake in Seedkeep. Run it with SEEDKEEP_DEBUG=1 to see where, and report that.",
    )
