"""The charts of a page, as Altair charts of plain values."""
