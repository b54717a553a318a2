"""Cells of a study, and conditions on them."""
