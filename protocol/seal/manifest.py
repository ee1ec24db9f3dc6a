"""A manifest of a study: the head of every record and the digest of every file that is evidence.

A hash chain shows an edit inside a record, but whoever holds the files can write the whole record
anew. A manifest fixes all files at once; its own digest, printed in a paper or signed, fixes the
manifest. What that proves and what it cannot is said in protocol/CHEATS.md.
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
from protocol.safe_read import read_bytes
from protocol.spec.base import FrozenModel

SCHEMA: Final = "beatrandom/manifest/1"
DERIVED: Final = frozenset(
    {"analysis", "pictures", "replays", "report.html", "report.pdf", "manifest.json", "manifest.json.sig"}
)
"""At the top of a study folder: what can be rebuilt from the evidence, what others found out about it, and the seal itself."""


class RecordHead(FrozenModel):
    """The hash of a record's last whole line, which fixes all lines before it."""

    head: str
    lines: int
    sealed: bool


class Manifest(FrozenModel):
    """What a study consisted of when it was sealed; equal studies have equal manifests."""

    schema_: Literal["beatrandom/manifest/1"] = SCHEMA
    study: str
    planned: int
    finished: int
    records: dict[str, RecordHead]
    files: dict[str, str]

    @property
    def content(self) -> bytes:
        """The bytes of manifest.json."""
        return canonical_json(self.model_dump(mode="json")) + b"\n"

    @property
    def digest(self) -> str:
        """SHA-256 of manifest.json: the one number to publish."""
        return sha256(self.content)


def manifest_of(folder: StudyFolder) -> Manifest:
    """The manifest of a study as it lies there now.

    Raises:
        InputError: no readable plan, a record that cannot be read, or a link, which a manifest cannot fix.
    """
    study = folder.read_plan()
    files = {name: _digest(folder.path / name) for name in evidence_files(folder)}
    heads: dict[str, RecordHead] = {}
    faults: list[Fault] = []
    for name in files:
        if name.startswith("records/") and name.endswith("/events.jsonl"):
            try:
                record = read(folder.path / name)
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
    """Whether a relative path, were it in a study folder, would be evidence: neither derived nor hidden."""
    parts = PurePosixPath(name).parts
    return bool(parts) and parts[0] not in DERIVED and not any(part.startswith(".") for part in parts)


def evidence_files(folder: StudyFolder) -> list[str]:
    """Relative paths of all evidence, sorted: everything but what is derived, hidden or temporary. Raises InputError for links."""
    found, links = [], []
    for place, folders, files in os.walk(folder.path):
        here = Path(place)
        if here == folder.path:
            folders[:] = [name for name in folders if name not in DERIVED]
            files = [name for name in files if name not in DERIVED]
        folders[:] = [name for name in folders if not name.startswith(".")]
        shown = [here / name for name in (*files, *folders) if not name.startswith(".")]
        links += [path for path in shown if path.is_symlink()]
        found += [path.relative_to(folder.path).as_posix() for path in shown if path.is_file()]
    if links:
        raise InputError(
            [
                Fault(str(path), "a file or folder of its own", "a link", "put what it points at in its place")
                for path in links
            ]
        )
    return sorted(found)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: StudyFolder) -> Manifest:
    """Write manifest.json. Sealing again what has not changed changes nothing.

    Raises:
        InputError: as `manifest_of`; or the study was sealed before and has changed since, which is left as it is.
    """
    manifest = manifest_of(folder)
    if folder.manifest.exists():
        if changes := differences(read_manifest(folder), manifest):
            fix = "move manifest.json and its signature away to seal the study as it is now; nothing was changed"
            raise InputError(
                [*changes, Fault(str(folder.manifest), "the manifest of the study as it is", "an older one", fix)]
            )
        return manifest
    write_atomically(folder.manifest, manifest.content)
    return manifest


def read_manifest(folder: StudyFolder) -> Manifest:
    """The manifest in the study's folder. Raises InputError if it is missing or not what `seal` writes."""
    where = str(folder.manifest)
    try:
        found = read_bytes(folder.manifest)
    except OSError as error:
        raise InputError(
            Fault(where, "a manifest", error.strerror or str(error), "`beatrandom seal` writes it")
        ) from None
    try:
        manifest = Manifest.model_validate_json(found)
    except ValidationError as error:
        raise InputError(
            Fault(where, f"a manifest of schema {SCHEMA}", error.errors()[0]["msg"], "restore it from a copy")
        ) from None
    if manifest.content != found:
        raise InputError(Fault(where, "the very bytes that `seal` writes", "others", "restore it from a copy"))
    return manifest


def differences(sealed: Manifest, now: Manifest) -> list[Fault]:
    """What has changed since the seal: files altered, missing or added, one fault each."""
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
    if not faults:  # the manifest itself was edited: its parts do not go together
        faults = [
            Fault(f"manifest.json: {name}", str(after)[:100], str(before)[:100])
            for name, before, after in rest
            if before != after
        ]
    return faults
