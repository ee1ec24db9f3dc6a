"""`encode`: compute frozen features of a data set once, in a file that names how they were made."""

from __future__ import annotations

import contextlib
import json as text
import os
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from protocol.errors import Fault, InputError, unknown_name
from protocol.spec.data import NOT_DECLARED, PACKAGED, Data, EncodedImages, Encoder, FeatureCard, Making
from protocol.spec.recipe import Views
from runners.data import load
from runners.datasets import CARDS, Images
from runners.datasets.images import feature_digest
from runners.datasets.registry import OWN
from runners.encoding import encode_images, resolve_files
from runners.encoding.encode import inputs, preprocessing
from runners.encoding.views import encode_views
from runners.machine.device import choose_device
from runners.terminal.console import console, duration, print_json, table

VIEWS: Final = Views(flip=True, least_area=0.4, jitter=0.5, grey=0.1)
"""Views of `--views`: milder crops than SimCLR's, since frozen features change with scale."""


@dataclass(frozen=True)
class EncodeOptions:
    """The options of `beatrandom encode`."""

    data: str
    encoder: str
    weights: str | None = None
    size: int | None = None
    trained_on: str | None = None
    out: Path | None = None
    device: str = "auto"
    batch: int = 256
    views: int = 0


def encode(*, data_root: Path | None, json: bool, **options: Any) -> None:
    """See `beatrandom encode --help`; `options` are the fields of `EncodeOptions`."""
    chosen = EncodeOptions(**options)
    encoder = _encoder(chosen)
    out = chosen.out or Path(f"{_stem(chosen.data)}-{_stem(chosen.encoder)}.npz")
    if out.suffix != ".npz":
        raise InputError(Fault("--out", "a file that ends in .npz", str(out)))
    if out.exists():
        raise InputError(
            Fault("--out", "a new file", f"{out} exists", "choose another --out, or remove it; nothing was changed")
        )
    data = data_of(chosen.data, chosen.size or PACKAGED.get(chosen.encoder))
    encoder = resolve_files(encoder, data_root)
    with console.status(f"reading {chosen.data}"):
        images, hidden = load(data, data_root)
    if (task := CARDS[images.name].task) != "classification":
        raise InputError(
            Fault(
                f"data set {images.name}",
                "one class per image",
                f"data for {task}",
                "choose another data set; features are of whole images",
            )
        )
    began = time.perf_counter()
    device = choose_device(chosen.device)
    features, views = _encode_with_bar(images, encoder, data_root, device, chosen)
    labels = np.asarray(hidden.for_oracle(), np.int64)
    card = _card(images, encoder, features, views, labels, device)
    card_json = card.model_dump(mode="json")
    parts = _parts(features, labels, images) | ({} if views is None else {"views": views})
    _write(out, parts | {"card": np.asarray(text.dumps(card_json, sort_keys=True))})
    if json:
        print_json({"file": str(out), "card": card_json})
        return
    _show(out, card, time.perf_counter() - began)


def data_of(given: str, size: int | None = None) -> Data:
    """Return the data set for a name, `name:path`, a folder of images, or an .npz.

    Raises:
        InputError: it is none of these.
    """
    name, _, path = given.partition(":")
    if path and name in OWN:
        return Data(name=name, path=path, size=(size, size) if size and name == "folder" else None)
    if given in CARDS and given not in OWN:
        return Data(name=given)
    here = str(Path(given).resolve())
    if Path(given).is_dir():
        return Data(name="folder", path=here, size=(size, size) if size else None)
    if given.endswith(".npz") and Path(given).is_file():
        return Data(name="npz", path=here)
    names = [each for each in CARDS if each not in OWN and CARDS[each].task == "classification"]
    if given in CARDS:
        raise InputError(Fault("DATA", f"{given}:PATH", given, "give its path, relative to --data-root"))
    raise InputError(
        unknown_name("DATA", given, [*names, "medmnist:FILE.npz", "a folder of images", "an .npz of images"])
    )


def _encoder(options: EncodeOptions) -> Encoder:
    try:
        return Encoder(name=options.encoder, weights=options.weights, size=options.size, trained_on=options.trained_on)
    except ValidationError as error:
        faults = [
            Fault(
                f"ENCODER {options.encoder}",
                "an encoder that can be used (beatrandom encode --help)",
                str(item["ctx"]["error"]) if item["type"] == "value_error" else f"{item['loc'][-1]}: {item['msg']}",
            )
            for item in error.errors()
        ]
        raise InputError(faults) from None


def _stem(given: str) -> str:
    """Return a file name for a data set or an encoder as typed."""
    last = Path(given).name
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", last.replace(".npz", "").replace(".npy", "").replace(".py", "")).strip(
        "-."
    )


def _encode_with_bar(
    images: Images, encoder: Encoder, root: Path | None, device: str, chosen: EncodeOptions
) -> tuple[NDArray[np.float32], NDArray[np.float16] | None]:
    """Return features, and those of views if there are any; show progress, throughput and the time left."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("images, {task.fields[rate]} images/s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:

        def report(what: str, total: int) -> Callable[[int, int], None]:
            task, began = bar.add_task(f"{what} on {device}", total=total, rate="…"), time.perf_counter()

            def update(done: int, _: int) -> None:
                bar.update(task, completed=done, rate=f"{done / (time.perf_counter() - began):.0f}")

            return update

        shown = report("encoding", images.n)
        features = encode_images(images, encoder, root, shown, device, chosen.batch)
        if not chosen.views:
            return features, None
        shown = report("views", images.train_size * chosen.views)
        described = VIEWS.model_dump(mode="json")
        return features, encode_views(
            images, encoder, root, _draw_view, chosen.views, described, shown, device, chosen.batch
        )


def _draw_view(images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Draw one random view of each image."""
    import torch

    from runners.regimes.augment.two_views import random_view

    x = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    view = random_view(x, VIEWS, torch.Generator().manual_seed(seed)).clamp(0, 255).round().to(torch.uint8)
    drawn: NDArray[np.uint8] = view.permute(0, 2, 3, 1).contiguous().numpy()
    return drawn


def _card(
    images: Images,
    encoder: Encoder,
    features: NDArray[np.float32],
    views: NDArray[np.float16] | None,
    labels: NDArray[np.int64],
    device: str,
) -> FeatureCard:
    """Describe the features for other readers, and for the records of runs on them."""
    height, width, channels = images.pixels.shape[1:]
    return FeatureCard(
        encoder=encoder.model_copy(update={"trained_on": encoder.learned_from}),
        source=EncodedImages(
            name=images.name,
            digest=images.digest,
            training=images.train_size,
            test=images.test_size,
            shape=(height, width, channels),
        ),
        features=features.shape[1],
        digest=feature_digest(features[:, None, None, :], labels, images.train_size, views),
        made=Making(
            device=device,
            versions=inputs(images, encoder)["versions"],
            preprocessing=preprocessing(encoder),
        ),
        views=0 if views is None else views.shape[1],
    )


def _parts(features: NDArray[np.float32], labels: NDArray[np.int64], images: Images) -> dict[str, NDArray[Any]]:
    n = images.train_size
    parts: dict[str, NDArray[Any]] = {"features": features[:n], "labels": labels[:n]}
    if images.test_size:
        parts |= {"test_features": features[n:], "test_labels": labels[n:]}
    return parts | {"classes": np.asarray(images.classes)}


def _write(out: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write array by array (mapped ones need no memory) under a temporary name, then link."""
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        with contextlib.suppress(PermissionError):  # the file system has no links
            os.link(name, out)  # never overwrites a file that appeared meanwhile
            return
        Path(name).rename(out)
    except FileExistsError:
        raise InputError(
            Fault("--out", "a new file", f"{out} exists", "choose another --out; nothing was changed")
        ) from None
    finally:
        Path(name).unlink(missing_ok=True)


def _show(out: Path, card: FeatureCard, seconds: float) -> None:
    encoder, source = card.encoder, card.source
    rows = [
        (
            "images",
            f"{source.name}, {source.training:,} for training, {source.test:,} for testing; "
            f"digest {source.digest[:16]}",
        ),
        ("encoder", encoder.name),
        ("weights", f"{encoder.weights or 'its own'}{_short(encoder.weights_digest)}"),
        ("trained on", encoder.learned_from),
        ("features", f"{card.features} per image; digest {card.digest[:16]}"),
        *([("views", f"{card.views} of every training image")] if card.views else []),
        *([("preprocessing", card.made.preprocessing)] if card.made.preprocessing else []),
        ("made", f"on {card.made.device} in {duration(seconds)}"),
    ]
    console.print(table(f"{out}", ["what", "which"], rows))
    if encoder.learned_from == NOT_DECLARED:
        console.print(
            "If the encoder was trained with labels of these images, results on them are worthless. "
            "Declare its training data with --trained-on."
        )
    use = f'data = {{ name = "features", path = "{out}" }} and model = {{ name = "linear" }} (or "mlp") in a study'
    console.print(
        f"To use it: {use}. The path is relative to --data-root, or to the current folder without one.", markup=False
    )


def _short(digest: str | None) -> str:
    return f"; digest {digest[:16]}" if digest else ""
