"""Signatures over a manifest by `ssh-keygen -Y` (OpenSSH 8.2 or later); works without a network."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.errors import Fault, InputError
from protocol.record.layout import write_atomically

NAMESPACE: Final = "beatrandom-manifest"
"""Keeps a signature made for something else from passing as one over a manifest."""


@dataclass(frozen=True)
class Signature:
    """What a signature shows: it is `good` or not, by which key; `known`: whether the key was asked of a list of signers."""

    good: bool
    known: bool
    said: str


def sign(content: Path, key: Path, signature: Path) -> None:
    """Sign a file with a private key (or a public key whose private half an agent holds).

    Raises:
        InputError: there is a signature already, no usable key, or no ssh-keygen.
    """
    if signature.exists():
        raise InputError(
            Fault(str(signature), "no signature yet", "one", "move it away to sign anew; nothing was changed")
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
    """Is the signature over `content` by one of `signers` (ssh-keygen's allowed-signers file), as `identity`?

    Without signers only that the signature belongs to the content and to a key, whose fingerprint is told.

    Raises:
        InputError: no ssh-keygen, or no readable file of signers.
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
        with content.open("rb") as file:
            return subprocess.run(["ssh-keygen", "-Y", *words], stdin=file, capture_output=True, check=False)
    except FileNotFoundError as error:
        if error.filename != "ssh-keygen":
            raise
        raise InputError(
            Fault("ssh-keygen", "OpenSSH 8.2 or later on the path", "no such command", "install OpenSSH's client")
        ) from None
