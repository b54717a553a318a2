"""What is told of the studies in `broken/`. `python -m tests.study.approve` writes it; read the difference."""

from pathlib import Path

from ablate.errors import UserError
from ablate.study.expansion.expand import expand
from ablate.study.load import load_profile, load_study

BROKEN = Path(__file__).parent / "broken"


def told(path: Path) -> str:
    """The whole message on a study at the embedded profile; nothing where it is right."""
    try:
        expand(load_study(str(path)), load_profile("embedded", path))
    except UserError as error:
        return f"{error}\n"
    return ""


def told_of(path: Path) -> str:
    """The same with the file's name alone."""
    return told(path).replace(str(path), path.name)


if __name__ == "__main__":
    for study in sorted(BROKEN.glob("*.toml")):
        study.with_suffix(".txt").write_text(told_of(study), encoding="utf-8")
