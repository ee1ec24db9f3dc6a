"""`seal` and `verify`: fix all evidence of a study by one number, and check it later."""

from __future__ import annotations

from pathlib import Path

import typer

from protocol.errors import Fault, InputError
from protocol.record.layout import StudyFolder
from protocol.seal.manifest import Manifest, differences, manifest_of, read_manifest
from protocol.seal.manifest import seal as write_manifest
from protocol.seal.signature import Signature
from protocol.seal.signature import sign as write_signature
from protocol.seal.signature import verify as check_signature
from runners.terminal.console import console, print_json

SHOWN = 20


def seal(folder: Path, sign: Path | None, json: bool) -> None:
    """See `beatrandom seal --help`."""
    study = StudyFolder(folder)
    manifest = write_manifest(study)
    if sign is not None:
        write_signature(study.manifest, sign, study.signature)
    if json:
        print_json(_as_dict(manifest) | {"signed": study.signature.exists()})
        return
    console.print(
        f"sealed: {len(manifest.files)} files, {manifest.finished} of {manifest.planned} planned runs finished"
    )
    if manifest.finished < manifest.planned:
        console.print("The study is not finished. The seal does not cover runs that are made later.")
    console.print(f"manifest {manifest.digest}", soft_wrap=True)
    console.print(
        "Publish this number, or sign it (--sign KEY). Without either, anyone who has the files can make a new seal."
    )


def verify(folder: Path, signers: Path | None, identity: str | None, json: bool) -> None:
    """See `beatrandom verify --help`."""
    if (signers is None) != (identity is None):
        found = "only --signers" if identity is None else "only --identity"
        fix = "give the file of signers and the identity to look for"
        raise InputError(Fault("--signers, --identity", "both or neither", found, fix))
    study = StudyFolder(folder)
    manifest = read_manifest(study)
    changes = differences(manifest, manifest_of(study))
    signature = None
    if study.signature.exists():
        signature = check_signature(study.manifest, study.signature, signers, identity or "")
    code = _exit_code(changes, signature, signer_required=signers is not None)
    if json:
        outcome = {
            "signature": vars(signature) if signature else None,
            "changes": [vars(change) for change in changes],
            "exit_code": code,
        }
        print_json(_as_dict(manifest) | outcome)
    else:
        _show(manifest, changes, signature, signer_required=signers is not None)
    if code:
        raise typer.Exit(code)


def _exit_code(changes: list[Fault], signature: Signature | None, *, signer_required: bool) -> int:
    """Return 1 for changed files or an invalid signature, 3 for a missing one, else 0."""
    if changes or (signature is not None and not signature.good):
        return 1
    return 3 if signer_required and signature is None else 0


def _as_dict(manifest: Manifest) -> dict[str, object]:
    return {
        "schema": manifest.schema_,
        "manifest": manifest.digest,
        "study": manifest.study,
        "files": len(manifest.files),
        "runs": {"planned": manifest.planned, "finished": manifest.finished},
    }


def _show(manifest: Manifest, changes: list[Fault], signature: Signature | None, *, signer_required: bool) -> None:
    console.print(f"manifest {manifest.digest}", soft_wrap=True)
    for change in changes[:SHOWN]:
        console.print(str(change), markup=False, soft_wrap=True)
    if len(changes) > SHOWN:
        console.print(f"… and {len(changes) - SHOWN} more changes")
    changed = f"{len(changes)} changed" if changes else "unchanged"
    console.print(f"{len(manifest.files)} files: {changed} since the seal")
    if signature is None:
        advice = (
            ", so the author of the manifest is unknown"
            if signer_required
            else "; compare the manifest's number with the published one"
        )
        console.print(f"signature: none{advice}")
    elif not signature.good:
        console.print(f"signature: invalid: {signature.said}", markup=False)
    elif signature.known:
        console.print(f"signature: valid, by the required signer ({signature.said})")
    else:
        console.print(
            f"signature: valid for this manifest, by key {signature.said}; "
            "to check whose key that is, give --signers and --identity"
        )
