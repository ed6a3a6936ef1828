"""The texts of mails: pairs of Jinja2 files, ``NAME.txt`` and ``NAME.html``, which an operator may replace.

* The first line of ``NAME.txt`` is ``Subject: …``, then comes an empty line, then the text.
* Whatever is inserted into the plain text is cut to one line without hidden characters, so that a dataset's
  title cannot pretend to be a part of the mail; the filter ``quoted`` inserts several, each after ``> ``.
* What strangers have named (a dataset, a computer) goes through the filter ``unlinked``: short, and nothing
  in it becomes a link in a mail program.
* A context value marked :class:`Secret` is replaced in the copy that is kept.

Every template is compiled at the start, so that a malformed one is told then.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    TemplateError,
)

from seedkeep.core.errors import UsageError

_LOG = logging.getLogger(__name__)
_MAX_LINE = 2000
_MAX_QUOTED_LINES = 200
_MAX_SUBJECT = 150
_HIDDEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+"
)
_MAX_NAME = 120
#: what mail programs take for the beginning of a link: ``scheme:…`` and ``host.tld``
_LINK = re.compile(r"(?<=[a-z]):(?=\S)|(?<=\w)[.\uff0e\u3002\uff61](?=[^\W\d_]{2})", re.IGNORECASE)
_REMOVED = "(removed after sending)"


class Secret(str):
    """A context value that opens something: a link or a code. It is mailed, but not kept."""

    __slots__ = ()


class _Lines(str):
    """Text of several lines that was made safe."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Rendered:
    """One mail's words."""

    subject: str
    text: str
    html: str


def one_line(value: object, limit: int = _MAX_LINE) -> str:
    """Any value as one line without control or direction characters."""
    line = _HIDDEN.sub(" ", str(value)).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def unlinked(value: object) -> str:
    """A name that a stranger gave, cut to 120 characters; ``https://a.org`` is ``https[:]//a[.]org``."""
    return _LINK.sub(r"[\g<0>]", one_line(value, _MAX_NAME))


def quoted(value: object) -> str:
    """A person's words, line by line behind ``> ``."""
    lines = str(value).replace("\r\n", "\n").split("\n")[:_MAX_QUOTED_LINES]
    return _Lines("\n".join(f"> {one_line(line)}".rstrip() for line in lines))


def _for_text(value: object) -> object:
    return value if isinstance(value, _Lines) else one_line(value)


class _Words:
    """All templates from one place."""

    def __init__(self, loader: BaseLoader, common: Mapping[str, Any]) -> None:
        shared: dict[str, Any] = {
            "loader": loader,
            "undefined": StrictUndefined,
            "trim_blocks": True,
            "lstrip_blocks": True,
            "auto_reload": False,
        }
        self._text = Environment(**shared, finalize=_for_text, keep_trailing_newline=True)  # noqa: S701 - plain text
        self._html = Environment(**shared, autoescape=True)
        for environment in (self._text, self._html):
            environment.globals.update(common)
            environment.filters["quoted"] = quoted
            environment.filters["one_line"] = one_line
            environment.filters["unlinked"] = unlinked
        for name in self._text.list_templates(extensions=["txt"]):
            self._compile(self._text, name)
        for name in self._html.list_templates(extensions=["html"]):
            self._compile(self._html, name)

    @staticmethod
    def _compile(environment: Environment, name: str) -> None:
        try:
            environment.get_template(name)
        except TemplateError as error:
            raise UsageError(
                f"the mail template {name} cannot be read: {error}", hint="Correct it, or remove it."
            ) from error

    def render(self, name: str, context: Mapping[str, Any]) -> Rendered:
        whole = self._text.get_template(f"{name}.txt").render(context)
        head, _, text = whole.partition("\n")
        subject = one_line(head.removeprefix("Subject:"), _MAX_SUBJECT)
        html = self._html.get_template(f"{name}.html").render(subject=subject, **context)
        return Rendered(subject, text.strip("\n") + "\n", html)


class Templates:
    """
    Args:
        folder: where an institution keeps its own templates; those of the package stand for missing ones.
        common: what every template is given.

    Raises:
        UsageError: the folder is not there, or a template in it is not one.
    """

    def __init__(self, folder: str, common: Mapping[str, Any]) -> None:
        if folder and not Path(folder).is_dir():
            raise UsageError(
                f"the folder of mail templates {folder} is not there",
                hint="Check the setting mail_templates.",
            )
        loader = PackageLoader("seedkeep_registrar.mail")
        self._packaged = _Words(loader, common)
        self._own = _Words(ChoiceLoader([FileSystemLoader(folder), loader]), common) if folder else None

    def render(self, name: str, context: Mapping[str, Any]) -> Rendered:
        """The words of one mail.

        An institution's template that fails is told in the log, and the package's takes its place: what
        people do must not fail for the words of a mail about it.
        """
        if self._own is not None:
            try:
                return self._own.render(name, context)
            except Exception:  # a template may do anything
                _LOG.exception("the mail template %s of mail_templates fails", name)
        return self._packaged.render(name, context)

    def render_kept(self, name: str, context: Mapping[str, Any]) -> Rendered:
        """The same words with every :class:`Secret` taken out."""
        return self.render(name, {k: _REMOVED if isinstance(v, Secret) else v for k, v in context.items()})
