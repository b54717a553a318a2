"""Names and texts of plan files as SQL has them, whatever stands in them."""

VALUE = "TRY_CAST(trials.numbers ->> ('/' || replace(replace(cells.metric, '~', '~0'), '/', '~1')) AS DOUBLE)"
"""The number that a cell's study is about; a JSON pointer, since it can name any key."""


def sql_name(name: str) -> str:
    """The name of a view or a column."""
    return '"' + name.replace('"', '""') + '"'


def sql_text(text: str) -> str:
    """A text."""
    return "'" + text.replace("'", "''") + "'"
