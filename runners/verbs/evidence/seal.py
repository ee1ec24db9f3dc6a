"""`seal` and `verify`: fix all evidence of a study by one number, and see whether it still holds."""

from __future__ import annotations

from pathlib import Path

import typer

from protocol.errors import Fault, InputError
from protocol.record.layout import StudyFolder
from protocol.seal.manifest import Manifest, differences, manifest_of, read_manifest
from protocol.seal.manifest import seal as write_manifest
from protocol.seal.signature import Signature, sign
from protocol.seal.signature import verify as check_signature
from runners.verbs.shared.console import console, print_json

SHOWN = 20


def seal(path: Path, key: Path | None, json: bool) -> None:
    """See `beatrandom seal --help`."""
    folder = StudyFolder(path)
    manifest = write_manifest(folder)
    if key is not None:
        sign(folder.manifest, key, folder.signature)
    if json:
        print_json(_told(manifest) | {"signed": folder.signature.exists()})
        return
    console.print(
        f"sealed: {len(manifest.files)} files, {manifest.finished} of {manifest.planned} planned runs finished"
    )
    if manifest.finished < manifest.planned:
        console.print("The study is not finished: runs made later are not under this seal.")
    console.print(f"manifest {manifest.digest}", soft_wrap=True)
    console.print(
        "Publish this number, or sign it (--sign KEY): without either, the seal can be made anew by whoever holds the files."
    )


def verify(path: Path, signers: Path | None, identity: str | None, json: bool) -> None:
    """See `beatrandom verify --help`."""
    if (signers is None) != (identity is None):
        raise InputError(
            Fault(
                "--signers, --identity",
                "both or neither",
                "one of them",
                "give the file and the name to look for in it",
            )
        )
    folder = StudyFolder(path)
    manifest = read_manifest(folder)
    changes = differences(manifest, manifest_of(folder))
    signature = None
    if folder.signature.exists():
        signature = check_signature(folder.manifest, folder.signature, signers, identity or "")
    code = _code(changes, signature, asked=signers is not None)
    if json:
        told = {
            "signature": vars(signature) if signature else None,
            "changes": [vars(change) for change in changes],
            "exit_code": code,
        }
        print_json(_told(manifest) | told)
    else:
        _show(manifest, changes, signature, asked=signers is not None)
    if code:
        raise typer.Exit(code)


def _code(changes: list[Fault], signature: Signature | None, *, asked: bool) -> int:
    """1: altered, or a signature that does not hold; 3: a signer was asked for and nobody signed; else 0."""
    if changes or (signature is not None and not signature.good):
        return 1
    return 3 if asked and signature is None else 0


def _told(manifest: Manifest) -> dict[str, object]:
    return {
        "schema": manifest.schema_,
        "manifest": manifest.digest,
        "study": manifest.study,
        "files": len(manifest.files),
        "runs": {"planned": manifest.planned, "finished": manifest.finished},
    }


def _show(manifest: Manifest, changes: list[Fault], signature: Signature | None, *, asked: bool) -> None:
    console.print(f"manifest {manifest.digest}", soft_wrap=True)
    for change in changes[:SHOWN]:
        console.print(str(change), markup=False, soft_wrap=True)
    if len(changes) > SHOWN:
        console.print(f"… and {len(changes) - SHOWN} more changes")
    console.print(
        f"{len(manifest.files)} files: {f'{len(changes)} changed since the seal' if changes else 'unchanged since the seal'}"
    )
    if signature is None:
        console.print(
            "signature: none"
            + (
                ", so nobody vouches for the manifest"
                if asked
                else "; compare the manifest's number with the published one"
            )
        )
    elif not signature.good:
        console.print(f"signature: does not hold: {signature.said}", markup=False)
    elif signature.known:
        console.print(f"signature: good, by the signer asked for ({signature.said})")
    else:
        console.print(
            f"signature: belongs to this manifest and to key {signature.said}; whose key that is, --signers and --identity answer"
        )
