"""Sign and verify a manifest with `ssh-keygen -Y` (OpenSSH 8.2 or later); needs no network."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.errors import Fault, InputError
from protocol.record.layout import write_atomically
from protocol.safe_read import open_file

NAMESPACE: Final = "beatrandom-manifest"
"""Purpose of the signature: one made for another purpose is not accepted."""


@dataclass(frozen=True)
class Signature:
    """Result of a verification.

    Attributes:
        good: whether the signature is valid.
        known: whether the key was looked up in a list of signers.
        said: fingerprint of the key, or the message of ssh-keygen.
    """

    good: bool
    known: bool
    said: str


def sign(content: Path, key: Path, signature: Path) -> None:
    """Sign a file with a private key (or a public key whose private half an agent holds).

    Raises:
        InputError: a signature exists already, the key cannot be used, or ssh-keygen is missing.
    """
    if signature.exists():
        raise InputError(
            Fault(str(signature), "no file", "a signature", "move it away to sign again; nothing was changed")
        )
    done = _ssh_keygen(["sign", "-n", NAMESPACE, "-f", str(key)], content)
    if done.returncode or not done.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        said = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise InputError(
            Fault(
                f"signing key {key}",
                "a key that ssh-keygen can sign with",
                said,
                "give a private key: ssh-keygen -t ed25519",
            )
        )
    write_atomically(signature, done.stdout)


def verify(content: Path, signature: Path, signers: Path | None, identity: str) -> Signature:
    """Verify that the signature of `content` is by `identity`, one of the allowed `signers`.

    `signers` is an allowed-signers file of ssh-keygen. Without it, verify only that it is a
    signature of the content by some key, whose fingerprint is returned.

    Raises:
        InputError: ssh-keygen or the file of signers is missing.
    """
    if signers is None:
        done = _ssh_keygen(["check-novalidate", "-n", NAMESPACE, "-s", str(signature)], content)
    else:
        if not signers.is_file():
            raise InputError(
                Fault(str(signers), "a file of allowed signers (man ssh-keygen)", "no such file", "check the path")
            )
        done = _ssh_keygen(
            ["verify", "-n", NAMESPACE, "-s", str(signature), "-f", str(signers), "-I", identity], content
        )
    said = (done.stdout + b"\n" + done.stderr).decode(errors="replace")
    key = re.search(r"SHA256:[A-Za-z0-9+/=]+", said)
    good = done.returncode == 0 and key is not None
    return Signature(good, signers is not None, key.group() if good and key else " ".join(said.split())[:200])


def _ssh_keygen(words: list[str], content: Path) -> subprocess.CompletedProcess[bytes]:
    try:
        with open_file(content) as file:
            return subprocess.run(["ssh-keygen", "-Y", *words], stdin=file, capture_output=True, check=False)
    except FileNotFoundError as error:
        if error.filename != "ssh-keygen":
            raise
        raise InputError(
            Fault("ssh-keygen", "OpenSSH 8.2 or later on the path", "no such command", "install OpenSSH's client")
        ) from None
