"""What mkdocs is told about the repository: its README is the first page, and links leave docs/.

Pages are written for the repository, where a link to ``../examples/demo.py`` works. On the site
each file that is linked so becomes a page of its own, under ``repository/``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FIRST = ROOT / "README.md"
LINK = re.compile(r"(?<=\]\()([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the README, and all that it and other pages link to outside of docs/."""
    found, new = set(), {FIRST, *DOCS.rglob("*.md")}
    while new:
        found |= new
        new = {linked for path in new if path.suffix == ".md" for linked in _linked(path)} - found
    for path in sorted(found):
        if not path.is_relative_to(DOCS):
            files.append(File.generated(config, _place(path), content=_content(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links between files of the repository links between pages."""
    here = page.file.src_uri
    origin = next((path for path in _outside(here) if path.is_file()), DOCS / here)

    def moved(link: re.Match[str]) -> str:
        target = _resolved(origin, link[1])
        if target is None:
            return link[1]
        return os.path.relpath(_place(target), Path(here).parent)

    return LINK.sub(moved, markdown)


def _outside(place: str) -> list[Path]:
    """Return the files of the repository that may be behind a page."""
    if place == "index.md":
        return [FIRST]
    path = place.removeprefix("repository/")
    return [ROOT / path, ROOT / path.removesuffix(".md")] if path != place else []


def _place(path: Path) -> str:
    """Return where a file of the repository is on the site."""
    if path == FIRST:
        return "index.md"
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    place = f"repository/{path.relative_to(ROOT).as_posix()}"
    return place if path.suffix == ".md" else place + ".md"


def _content(path: Path) -> str:
    text = path.read_text()
    if path.suffix == ".md":
        return text
    name = path.relative_to(ROOT).as_posix()
    return f"# `{name}`\n\n````{path.suffix.removeprefix('.')}\n{text}````\n"


def _resolved(origin: Path, link: str) -> Path | None:
    path = (origin.parent / link).resolve()
    return path if path.is_file() and path.is_relative_to(ROOT) else None


def _linked(origin: Path) -> set[Path]:
    """Return the files outside of docs/ that a page links to."""
    paths = {_resolved(origin, link) for link in LINK.findall(origin.read_text())}
    return {path for path in paths if path is not None and not path.is_relative_to(DOCS)}
