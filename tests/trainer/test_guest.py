"""SimCLR is a guest: ablate knows it by its hooks only, as it knows any other trainer."""

import re
import subprocess
import sys

import pytest

from tests.structure import PACKAGE

EXCEPTIONS = {
    "trainer/find.py": "finds the default trainer and its hooks",
    "commands/data.py": "`ablate data` makes SimCLR's packs",
    "commands/doctor.py": "`ablate doctor` checks SimCLR's number format and torchvision",
}


def test_only_the_module_that_finds_trainers_names_simclr() -> None:
    naming = re.compile(r"ablate\.simclr|\bSIMCLR\b")
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "simclr" and naming.search(path.read_text(encoding="utf-8"))
    }
    assert found == set(EXCEPTIONS)


@pytest.mark.parametrize("module", ["contract", "hooks", "find"])
def test_the_contract_and_the_hooks_import_no_torch(module: str) -> None:
    code = (
        f"import sys, ablate.trainer.{module}; from ablate.trainer.find import find_trainer; find_trainer();"
        "print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
