"""The blocks of code in a text in reStructuredText, for tests that run them."""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass

CODE = ("code", "code-block", "sourcecode", "testcode", "testsetup", "testcleanup")
PYTHON = {"", "python", "python3", "py", "pycon", "ipython", "ipython3", "default"}


@dataclass(frozen=True)
class Block:
    """A block of code: its directive, as written ("" of literal blocks), and place."""

    directive: str
    line: int
    code: str

    @property
    def is_python(self):
        """Whether a reader would take it for Python."""
        name, _, language = self.directive.partition("::")
        if ">>>" in self.code or name.startswith(("test", "doctest")):
            return True
        if name:
            return language.strip() in PYTHON
        try:  # literal blocks are of any language
            nodes = list(ast.walk(ast.parse(self.code)))
        except SyntaxError:
            return False
        return any(
            isinstance(node, ast.stmt | ast.Call) and not isinstance(node, ast.Expr)
            for node in nodes
        )


def blocks_of(text):
    """Return the blocks of a text, in order; bare ``>>>`` are blocks, too."""
    lines, blocks = text.splitlines(), []
    for i, line in enumerate(lines):
        found = re.match(r"\s*\.\. ([\w-]+)::(.*)", line)
        literal = not line.strip().startswith("..") and line.rstrip().endswith("::")
        if literal or (found and found[1] in (*CODE, "doctest")):
            directive = f"{found[1]}::{found[2]}".strip() if found else ""
            start, code = indented(lines, i)
            blocks.append(Block(directive, start + 1, code))
        elif line.strip().startswith(">>>") and not any(
            block.line <= i + 1 < block.line + block.code.count("\n") + 1
            for block in blocks
        ):
            blocks.append(Block("doctest::", i + 1, line.strip()))
    return blocks


def indented(lines, i):
    """Return where the block below line ``i`` starts, and the block."""
    # the text of an item of a list begins behind its marker
    indent = len(re.match(r"\s*((?:[*-]|\d+\.)\s+)*", lines[i])[0])
    end = i + 1
    while end < len(lines) and re.match(rf"\s*$|\s{{{indent + 1}}}", lines[end]):
        end += 1
    start = i + 1
    while start < end and re.match(r"\s*(:[\w-]+:|$)", lines[start]):
        start += 1  # options, and lines without anything
    code = textwrap.dedent("\n".join(lines[start:end])).strip("\n")
    return start, code + "\n" if code else ""
