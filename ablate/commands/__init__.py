"""The commands, a few lines each over the modules below: one module a subject. What is heavy is imported when used."""
