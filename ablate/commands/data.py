"""`ablate data`: data sets downloaded, packed and checked. As in cli.py, what is heavy is imported when it is used."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ablate.simclr.data.index import Index

data_app = typer.Typer(
    help="Get data sets, and pack image folders so that training reads them fast.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Workers = Annotated[int | None, typer.Option(min=1, metavar="N", help="Decoding threads; one a core by default.")]
SkipCorrupt = Annotated[bool, typer.Option("--skip-corrupt", help="Leave out images that cannot be read.")]


@data_app.command()
def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="cifar10, food101, ...; a wrong name lists all.")],
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to; data/NAME by default.")] = None,
    size: Annotated[
        int | None,
        typer.Option(min=8, max=1024, metavar="N", help="Side in pixels to store; the set's own by default."),
    ] = None,
    workers: Workers = None,
    skip_corrupt: SkipCorrupt = False,
) -> None:
    """Download one of torchvision's data sets and pack it."""
    from ablate.errors import UserError, nearest
    from ablate.simclr.data.named import NAMED
    from ablate.simclr.data.named import get as get_named

    if name not in NAMED:
        raise UserError(
            f"unknown data set '{name}'{nearest(name, NAMED)}",
            help=f"data sets are: {', '.join(NAMED)}; for your own images: ablate data pack SRC DST",
        )
    folder = to or Path("data") / name
    with _mistakes(), _bar(name) as progress:
        index = get_named(name, folder, size, workers=workers, progress=progress, skip_corrupt=skip_corrupt)
    _tell(folder, index)


@data_app.command()
def pack(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="An image folder: train/<class>/*, test/<class>/*, perhaps val/.")
    ],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="A new folder.")],
    size: Annotated[int, typer.Option(min=8, max=1024, metavar="N", help="Side in pixels to store.")] = 256,
    workers: Workers = None,
    skip_corrupt: SkipCorrupt = False,
) -> None:
    """Pack an image folder; given again after an interruption, the command goes on where it was."""
    from ablate.simclr.data.pack import pack as pack_folder

    with _mistakes(), _bar(f"packing {source}") as progress:
        index = pack_folder(source, destination, size, workers, progress, skip_corrupt)
    _tell(destination, index)


@data_app.command()
def verify(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A pack.")]) -> None:
    """Compare every file of a pack with its SHA-256."""
    from ablate.simclr.data.index import read_index
    from ablate.simclr.data.packed import Packed

    with _mistakes():
        index = read_index(folder)
        for split in index.splits:
            with _bar(f"verifying {split}") as progress:
                Packed(folder, split).verify(progress)
    _tell(folder, index)


@contextmanager
def _mistakes() -> Iterator[None]:
    """What the data modules say of a folder becomes a mistake of the user's."""
    from ablate.errors import UserError

    try:
        yield
    except (ValueError, FileNotFoundError, NotADirectoryError) as error:
        raise UserError(str(error)) from error


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on the standard error stream, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _tell(folder: Path, index: "Index") -> None:
    counts = ", ".join(f"{split.count:,} {name}" for name, split in index.splits.items())
    print(
        f"{folder}: {counts}; {len(index.classes)} classes, {index.size} pixels, fingerprint {index.fingerprint[:12]}"
    )
    if skipped := [image for split in index.splits.values() for image in split.skipped]:
        print(f"left out as unreadable, listed in {folder / 'index.json'}: {len(skipped)}")
