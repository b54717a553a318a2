import subprocess
import sys


def test_torchvision_is_imported_whatever_its_compiled_part_does() -> None:
    code = (
        "from ablate.simclr.base.vision import torchvision\n"
        "import torchvision.transforms.v2; torchvision.models.resnet18"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_another_reason_for_torchvision_to_fail_is_not_hidden() -> None:
    code = (
        "import sys\n"
        "class Failing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torchvision': raise RuntimeError('something else')\n"
        "sys.meta_path.insert(0, Failing())\n"
        "import ablate.simclr.base.vision\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "RuntimeError: something else" in run.stderr
