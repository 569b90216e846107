"""An organisation's root and its devices, made by the command line as people make them."""

from pathlib import Path

from callseal.seal.keys import device_id, read_signing_key
from support.bundle import PASSPHRASE
from support.commands import Commands, Ran


def passphrase_in(folder: Path) -> Path:
    """Write a passphrase file; return it."""
    path = folder / "passphrase"
    path.touch(mode=0o600)
    path.write_text(PASSPHRASE + "\n")
    return path


def make_root(callseal: Commands, folder: Path, passphrase: Path, name: str = "root.key") -> Path:
    """Make an organisation's root; return its key's file."""
    root = folder / name
    options = ("--signing", "--organisation", "Example Insurance", "--passphrase-file", passphrase)
    ran = callseal("keys", "new", *options, "-o", root)
    assert ran.code == 0, ran.err
    return root


def make_device(callseal: Commands, folder: Path) -> str:
    """Set a device up in a folder; return its id."""
    ran = callseal("init", "--dir", folder, "--site", "bj", "--pbx", "sip:pbx.example")
    assert ran.code == 0, ran.err
    return device_id(read_signing_key(folder / "device.key").public_key())


def certify(callseal: Commands, asked: Path, root: Path, passphrase: Path, out: Path, *more: str) -> Ran:
    """Let the root certify what a request, or a public half, asks for."""
    options = ("--root", root, "-o", out, "--passphrase-file", passphrase)
    return callseal("keys", "certify", asked, *options, *more)
