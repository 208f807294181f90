"""A table for a terminal and for a page."""

from dataclasses import dataclass

from rich.table import Table as RichTable

__all__ = ["Row", "Table"]

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings; the first column is words, the others figures."""

    title: str
    headings: Row
    rows: tuple[Row, ...]

    def to_terminal(self) -> RichTable:
        """Return it for a terminal."""
        table = RichTable(title=self.title, title_justify="left")
        for number, heading in enumerate(self.headings):
            table.add_column(heading, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def to_markdown(self) -> str:
        """Return it for a page."""
        lines = [self.headings, ("---",) * len(self.headings), *self.rows]
        drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{self.title}:\n\n{drawn}\n"
