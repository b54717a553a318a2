"""Checks of a study beyond its schema."""
