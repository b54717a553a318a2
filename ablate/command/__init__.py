"""A command as a trainer: any program that takes its settings as words, whatever its language."""
