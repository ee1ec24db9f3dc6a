"""Manifest of a study: the head of every record and the digest of every file that is evidence.

A hash chain shows an edit inside a record, but the owner of the files can rewrite the whole record. A manifest fixes
all files at once; its own digest, printed in a paper or signed, fixes the manifest. protocol/CHEATS.md says what that
proves.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from pydantic import ValidationError

from protocol.digests import canonical_json, sha256
from protocol.errors import Fault, InputError, RecordError
from protocol.record.chain import read
from protocol.record.layout import StudyFolder, write_atomically
from protocol.safe_read import open_file
from protocol.spec.base import FrozenModel

SCHEMA: Final = "beatrandom/manifest/1"
LARGEST_MANIFEST: Final = 2**26
DERIVED: Final = frozenset(
    {"analysis", "pictures", "replays", "report.html", "report.pdf", "manifest.json", "manifest.json.sig"}
)
"""Names in a study folder that are not evidence: what can be rebuilt, replays by others, and the seal itself."""


class RecordHead(FrozenModel):
    """Hash of a record's last complete line, which fixes all earlier lines."""

    head: str
    lines: int
    sealed: bool


class Manifest(FrozenModel):
    """Content of a study when it was sealed; equal studies have equal manifests."""

    schema_: Literal["beatrandom/manifest/1"] = SCHEMA
    study: str
    planned: int
    finished: int
    records: dict[str, RecordHead]
    files: dict[str, str]

    @property
    def content(self) -> bytes:
        """Return the bytes of manifest.json."""
        return canonical_json(self.model_dump(mode="json")) + b"\n"

    @property
    def digest(self) -> str:
        """Return the SHA-256 of manifest.json, the one number to publish."""
        return sha256(self.content)


def manifest_of(folder: StudyFolder) -> Manifest:
    """Build the manifest of a study in its present state.

    Raises:
        InputError: the plan or a record cannot be read, or there is a link, which a manifest cannot fix.
    """
    study = folder.read_plan()
    files = {name: _digest(folder, name) for name in evidence_files(folder)}
    heads: dict[str, RecordHead] = {}
    faults: list[Fault] = []
    for name in files:
        if name.startswith("records/") and name.endswith("/events.jsonl"):
            try:
                record = read(folder.path / name, folder.path)
            except RecordError as error:
                faults += error.faults
                continue
            heads[name] = RecordHead(head=record.head, lines=len(record.lines), sealed=record.sealed)
    if faults:
        raise InputError(faults)
    runs = {str(folder.run(run).events.relative_to(folder.path)) for run in study.runs()}
    finished = sum(heads[name].sealed for name in runs if name in heads)
    return Manifest(study=study.fingerprint, planned=len(runs), finished=finished, records=heads, files=files)


def is_evidence(name: str) -> bool:
    """Return whether a relative path in a study folder is evidence: neither derived nor hidden."""
    parts = PurePosixPath(name).parts
    return bool(parts) and parts[0] not in DERIVED and not any(part.startswith(".") for part in parts)


def evidence_files(folder: StudyFolder) -> list[str]:
    """Return relative paths of all evidence, sorted.

    Derived, hidden and temporary files are left out.

    Raises:
        InputError: there are links.
    """
    folder.refuse_links(is_evidence)
    names = []
    for place, folders, files in os.walk(folder.path):
        here = Path(place)
        if here == folder.path:
            folders[:] = [name for name in folders if name not in DERIVED]
            files = [name for name in files if name not in DERIVED]
        folders[:] = [name for name in folders if not name.startswith(".")]
        shown = [here / name for name in (*files, *folders) if not name.startswith(".")]
        names += [path.relative_to(folder.path).as_posix() for path in shown if path.is_file()]
    return sorted(names)


def _digest(folder: StudyFolder, name: str) -> str:
    with open_file(folder.path / name, root=folder.path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: StudyFolder) -> Manifest:
    """Write manifest.json. Sealing an unchanged study again changes nothing.

    Raises:
        InputError: as `manifest_of`; or the study has changed since it was sealed; the old manifest is kept.
    """
    manifest = manifest_of(folder)
    if folder.manifest.exists():
        if changes := differences(read_manifest(folder), manifest):
            fix = "move manifest.json and its signature away to seal the present study; nothing was changed"
            raise InputError(
                [
                    *changes,
                    Fault(
                        str(folder.manifest),
                        "the manifest of the present study",
                        f"one with {len(changes)} differences",
                        fix,
                    ),
                ]
            )
        return manifest
    write_atomically(folder.manifest, manifest.content)
    return manifest


def read_manifest(folder: StudyFolder) -> Manifest:
    """Read the study's manifest. Raises InputError if it is missing or not as `seal` writes it."""
    where = str(folder.manifest)
    try:
        content = folder.read(folder.manifest, LARGEST_MANIFEST)
    except OSError as error:
        raise InputError(
            Fault(where, "a manifest", error.strerror or str(error), "`beatrandom seal` writes it")
        ) from None
    return parse_manifest(content, where)


def parse_manifest(content: bytes, where: str) -> Manifest:
    """Return the manifest in the content of a file. Raises InputError if it is not as `seal` writes it."""
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        raise InputError(
            Fault(where, f"a manifest of schema {SCHEMA}", error.errors()[0]["msg"], "restore it from a copy")
        ) from None
    if manifest.content != content:
        raise InputError(
            Fault(where, "the bytes that `seal` writes", "the same content in other bytes", "restore it from a copy")
        )
    return manifest


def differences(sealed: Manifest, now: Manifest) -> list[Fault]:
    """Return one fault per file that was changed, removed or added since the study was sealed."""
    faults = []
    for name in sorted(sealed.files.keys() | now.files.keys()):
        before, after = sealed.files.get(name), now.files.get(name)
        if before is None:
            faults.append(Fault(name, "no such file, as when the study was sealed", "a file"))
        elif after is None:
            faults.append(Fault(name, "a file, as when the study was sealed", "no such file"))
        elif before != after:
            faults.append(Fault(name, f"SHA-256 {before[:16]}, as when the study was sealed", after[:16]))
    rest: tuple[tuple[str, Any, Any], ...] = (
        ("plan", sealed.study, now.study),
        ("runs", (sealed.planned, sealed.finished), (now.planned, now.finished)),
        ("heads", sealed.records, now.records),
    )
    if not faults:  # the manifest itself was edited: its parts contradict each other
        faults = [
            Fault(f"manifest.json: {name}", str(after)[:100], str(before)[:100])
            for name, before, after in rest
            if before != after
        ]
    return faults
