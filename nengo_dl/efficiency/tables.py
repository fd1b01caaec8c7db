"""
Tables of numbers: named columns, and rows that are dictionaries.

In: rows. Out: text for a terminal, or HTML for a notebook.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: What stands where there is no value.
NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """
    One column of a table.

    Parameters
    ----------
    key : str
        Which value of a row is shown.
    heading : str
        What stands above it.
    form : str
        How numbers are written, as `format` takes it.
    """

    key: str
    heading: str
    form: str = ""

    def cell(self, row: Mapping[str, Any]) -> str:
        """Return the text of one cell; None is shown as a dash."""
        value = row.get(self.key)
        if value is None:
            return NOTHING
        return str(value) if isinstance(value, str) else format(value, self.form)


@dataclass(frozen=True)
class Table:
    """
    A table.

    Parameters
    ----------
    title : str
        What stands above the table.
    columns : sequence of Column
        The columns, of which the first one names the row.
    rows : sequence of dict
        The values of every row by the keys of the columns.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]

    def cells(self) -> list[list[str]]:
        """Return the texts of all cells, row by row, the headings first."""
        headings = [column.heading for column in self.columns]
        return [headings, *([c.cell(row) for c in self.columns] for row in self.rows)]

    def text(self) -> str:
        """Return the table for a terminal, with columns of numbers to the right."""
        cells = self.cells()
        widths = [max(map(len, column)) for column in zip(*cells)]
        lines = [
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths))
            ).rstrip()
            for row in cells
        ]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([self.title, *lines])

    def html(self) -> str:
        """Return the table for a notebook."""
        headings, *rows = [[html.escape(text) for text in row] for row in self.cells()]
        lines = [f"<p><b>{html.escape(self.title)}</b></p>", "<table>"]
        for tag, row in [("th", headings), *(("td", row) for row in rows)]:
            lines.append(
                f"<tr>{''.join(f'<{tag}>{text}</{tag}>' for text in row)}</tr>"
            )
        return "\n".join([*lines, "</table>"])
