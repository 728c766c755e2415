"""A drawing: DOT made into SVG or PNG by the renderer that came with us, for light and dark screens.

The renderer is graphviz-pure, which the package of that name installs; Graphviz's own `dot` is the second choice.
"""

import os
import re
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from shutil import which

from micrograd_xor import state

# The colours on paper, in .dot and in .png, each with its counterpart on a dark screen.
PALETTE = {
    "ink": ("#1f2328", "#eef1f5"),
    "adjoint": ("#9a3412", "#ffb77c"),
    "partial": ("#5b3fa8", "#cdb8ff"),
    "paper": ("#ffffff", "#14171c"),
    "layer": ("#f5f6f8", "#1c2027"),
    "leaf": ("#e3eefb", "#1d3450"),
    "value": ("#fdfdfe", "#272c35"),
    "operation": ("#e9ebef", "#3a414d"),
    "line": ("#68717d", "#98a2b0"),
    "border": ("#d3d8de", "#3d4550"),
}
INK = {name: light for name, (light, _) in PALETTE.items()}


@dataclass(frozen=True)
class Drawing:
    """A drawn graph: `dot` is its source, `svg` its picture, and notebooks show it by themselves.

    FileNotFoundError where no renderer is installed, RuntimeError where it refuses the source.

    >>> Drawing("digraph { a -> b }").svg[:5]
    '<?xml'
    """

    dot: str

    @cached_property
    def svg(self) -> str:
        """The picture as SVG, which follows the reader's light or dark colour scheme."""
        head, tag, body = _render(self.dot, "-Tsvg").decode().partition("<svg")
        attributes, end, body = body.partition(">")
        body = re.sub("<title>.*?</title>\n", "", body)  # DOT's names of nodes, which a browser would show as tooltips
        return f"{head}{tag}{attributes}{end}\n<style>{_style()}</style>{body}"

    @property
    def png(self) -> bytes:
        """The picture as PNG, in the colours of paper, 144 dots an inch."""
        return _render(self.dot, "-Tpng", "-Gdpi=144")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file whole or not at all, in the format of its suffix: .svg, .png or .dot.

        ValueError for another suffix; OSError where the folder does not exist or cannot be written.
        """
        path = Path(path)
        formats = {".svg": lambda: self.svg.encode(), ".png": lambda: self.png, ".dot": lambda: self.dot.encode()}
        if path.suffix.lower() not in formats:
            raise ValueError(f"A drawing's file must end in .svg, .png or .dot, got {str(path)!r}. Change its suffix.")
        _write_whole(path, formats[path.suffix.lower()]())

    def _repr_svg_(self) -> str:
        return self.svg


def _style() -> str:
    """The sheet that turns the colours of paper into those of a dark screen."""
    rule = '.micrograd [{0}="{1}"]{{{0}:{2}}}'.format
    rules = [rule(attribute, *pair) for pair in PALETTE.values() for attribute in ("fill", "stroke")]
    return f"@media (prefers-color-scheme: dark) {{{' '.join(rules)}}}"


def _render(dot: str, *flags: str) -> bytes:
    # Not through graphviz.pipe: it runs what a global of that package names, and a user's own `dot` may be named there.
    renderer = _renderer()
    run = subprocess.run([renderer, *flags], input=dot.encode(), capture_output=True, check=False)
    if run.returncode:  # an SVG may have been printed all the same, but not the right one
        complaint = " ".join(run.stderr.decode(errors="replace").split())
        raise RuntimeError(f"A drawing must be sound DOT for {renderer}, got {complaint!r}. Check its source, `.dot`.")
    return run.stdout


@cache
def _renderer() -> str:
    """The path of graphviz-pure; of Graphviz's own dot where it is missing."""
    for executable in _renderers():
        if executable:
            return executable
    raise FileNotFoundError("A renderer must be installed, got none. Run `pip install graphviz-pure`.")


def _renderers() -> Iterator[str | None]:
    yield which("graphviz-pure", path=sysconfig.get_path("scripts"))
    with suppress(PackageNotFoundError):
        for file in files("graphviz-pure") or ():
            yield which(file.locate()) if file.stem == "graphviz-pure" else None
    yield which("graphviz-pure")
    yield which("dot")


def _write_whole(path: Path, content: bytes) -> None:
    try:
        state.write(content, path)
    except OSError as error:
        complaint = f"A drawing's file must be writable, got {str(path)!r}: {error.strerror}. Choose another folder."
        raise type(error)(complaint) from None
