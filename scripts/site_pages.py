"""A hook of MkDocs: what the site shows that stands elsewhere in the project, and links to it.

benchmarks/README.md, CONTRIBUTING.md and CHANGELOG.md are written once, where a reader of the repository
looks for them; the site shows them as its own. So it does with the commands' help.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from rq_ses.cli import main

BORROWED = {
    "benchmarks.md": "benchmarks/README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
}
"""Pages of the site by files of the project."""

ELSEWHERE = {**{source: page for page, source in BORROWED.items()}, "README.md": "index.md"}

_LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")
_HELP_MARK = "<!-- the help of every command -->"
_WIDTH = 80


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the borrowed pages."""
    root = _root(config)
    for page, source in BORROWED.items():
        files.append(File.generated(config, page, content=_moved((root / source).read_text(), source, page)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Lead links out of docs/ to the pages that stand for their targets; put the commands' help in."""
    source = page.file.src_uri
    if source in BORROWED:
        return markdown
    if source == "reference/cli.md":
        if _HELP_MARK not in markdown:
            raise ValueError(f"docs/{source} lacks the mark that the commands' help replaces: {_HELP_MARK}")
        return markdown.replace(
            _HELP_MARK, "\n".join(_help(click.Context(main, info_name="rq-ses", **main.context_settings)))
        )
    return _moved(markdown, f"docs/{source}", source)


def _help(context: click.Context, level: int = 2) -> Iterator[str]:
    """Yield the help of a command and its commands, each under a heading."""
    formatter = click.HelpFormatter(width=_WIDTH)
    context.command.format_help(context, formatter)
    yield f"{'#' * level} {context.command_path}\n\n```text\n{formatter.getvalue()}```\n"
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield from _help(click.Context(command, parent=context, info_name=name), level + 1)


def _root(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path).parent


def _moved(text: str, source: str, page: str) -> str:
    """Return `text` of the project's file `source` with its links as `page` of the site needs them."""

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        place = ELSEWHERE.get(target) or (
            target.removeprefix("docs/") if target.startswith("docs/") else None
        )
        anchor = match[2] or ""
        if target == "README.md" and anchor == "#settings":
            place, anchor = "settings.md", ""
        if place is None:
            return match[0]
        return posixpath.relpath(place, posixpath.dirname(page) or ".") + anchor

    return _LINK.sub(link, text)
