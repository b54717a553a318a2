"""Charts of study pages, drawn with Altair from plain values."""
