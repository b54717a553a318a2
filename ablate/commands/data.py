"""`ablate data`: downloading, packing and checking data sets."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.commands.options import Command
from ablate.errors import as_path

if TYPE_CHECKING:
    from ablate.simclr.data.listing import Index

data_app = typer.Typer(
    help="Download data sets and pack image folders for fast reading.", no_args_is_help=True, rich_markup_mode=None
)

Workers = Annotated[int | None, typer.Option(min=1, metavar="N", help="Decoding threads. Default: one per core.")]
Share = Annotated[
    float | None,
    typer.Option(
        "--split", min=0.0001, max=0.9999, metavar="SHARE", help="Draw this share of every class for testing."
    ),
]
Background = Annotated[str, typer.Option(metavar="#RRGGBB", help="The color under transparent pixels.")]
WhiteLevel = Annotated[
    float | None,
    typer.Option(metavar="N", min=1e-6, help="White in gray images deeper than 8 bits, if the file does not state it."),
]
SkipCorrupt = Annotated[bool, typer.Option("--skip-corrupt", help="Leave out images that cannot be read.")]


@data_app.command(cls=Command)
def get(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="For example cifar10 or food101. An unknown name lists all names.")
    ],
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", parser=as_path, help="Destination. Default: data/NAME.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=8, max=1024, metavar="N", help="Side of the stored images in pixels. Default: that of the data set."
        ),
    ] = None,
    workers: Workers = None,
    skip_corrupt: SkipCorrupt = False,
) -> None:
    """Download a data set of torchvision and pack it."""
    from ablate.errors import UserError, nearest
    from ablate.simclr.data.named import NAMED
    from ablate.simclr.data.named import get as get_named

    if name not in NAMED:
        raise UserError(
            f"unknown data set '{name}'{nearest(name, NAMED)}",
            help=f"data sets are: {', '.join(NAMED)}; for your own images: ablate data pack SRC DST",
        )
    folder = to or Path("data") / name
    with _user_errors(), _bar(name) as progress:
        index = get_named(name, folder, size, workers=workers, progress=progress, skip_corrupt=skip_corrupt)
    _print_pack(folder, index)


@data_app.command(cls=Command)
def pack(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC",
            parser=as_path,
            help="An image folder (train/<class>/*, test/<class>/*, optionally val/<class>/*), a CSV list, or a folder "
            "of archives (WebDataset's .tar, Hugging Face's .parquet).",
        ),
    ],
    destination: Annotated[Path, typer.Argument(metavar="DST", parser=as_path, help="A new folder.")],
    size: Annotated[int, typer.Option(min=8, max=1024, metavar="N", help="Side of the stored images in pixels.")] = 256,
    workers: Workers = None,
    skip_corrupt: SkipCorrupt = False,
    split: Share = None,
    background: Background = "#ffffff",
    white_level: WhiteLevel = None,
) -> None:
    """Pack an image folder. After an interruption, the same command resumes."""
    from ablate.simclr.data.pack import pack as pack_folder
    from ablate.simclr.data.reader import Conversion

    conversion = Conversion(_color(background), white_level)
    with _user_errors(), _bar(f"packing {source}") as progress:
        index = pack_folder(source, destination, size, workers, progress, skip_corrupt, split, conversion)
    _print_pack(destination, index)


@data_app.command(cls=Command)
def look(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", parser=as_path, help="An image folder, or a CSV list of images.")
    ],
    sheet: Annotated[
        Path, typer.Option(metavar="FILE", parser=as_path, help="Where to write the contact sheet.")
    ] = Path("contact-sheet.png"),
    split: Share = None,
    background: Background = "#ffffff",
    white_level: WhiteLevel = None,
) -> None:
    """Decode every image; print what training would read, what not and why; and write a contact sheet."""
    from ablate.simclr.data.look import contact_sheet, look_into, report
    from ablate.simclr.data.reader import Conversion

    conversion = Conversion(_color(background), white_level)
    with _user_errors():
        with _bar(f"reading {folder}") as progress:
            looked = look_into(folder, split, conversion, progress)
        print("\n".join(report(looked)))
        if len(looked.splits["train"].read):
            contact_sheet(looked, conversion).save(sheet, "PNG")
            print(f"contact sheet: {sheet}")


@data_app.command(cls=Command)
def verify(folder: Annotated[Path, typer.Argument(metavar="DIR", parser=as_path, help="A pack.")]) -> None:
    """Check every file of a pack against its SHA-256."""
    from ablate.simclr.data.listing import read_index
    from ablate.simclr.data.packed import Packed

    with _user_errors():
        index = read_index(folder)
        for split in index.splits:
            with _bar(f"verifying {split}") as progress:
                Packed(folder, split).verify(progress)
    _print_pack(folder, index)


def _color(text: str) -> str:
    """The color, if it is one."""
    from ablate.errors import UserError, value_text

    if not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise UserError(f"--background {value_text(text)} is not a color", help="write #rrggbb, for example '#808080'")
    return text


@contextmanager
def _user_errors() -> Iterator[None]:
    """Report errors of the data modules as UserError."""
    from ablate.errors import UserError

    try:
        yield
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, if that is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ablate.records.plain import console as terminal

    console = terminal(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_pack(folder: Path, index: "Index") -> None:
    from ablate.records.plain import plural

    counts = ", ".join(f"{split.count:,} {name}" for name, split in index.splits.items())
    print(
        f"{folder}: {counts}; {len(index.classes)} classes, {index.size} pixels, fingerprint {index.fingerprint[:12]}"
    )
    if skipped := [image for split in index.splits.values() for image in split.skipped]:
        print(f"{plural(len(skipped), 'unreadable image')} left out (listed in {folder / 'index.json'})")
