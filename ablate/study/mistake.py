"""What a validator raises on a value of a study file."""


class Mistake(ValueError):
    """What is wrong with a value; `item` is the number of that one of its items, and `help` what to do."""

    def __init__(self, message: str, help: str | None = None, item: int | None = None) -> None:
        super().__init__(message)
        self.help = help
        self.item = item
