"""`encode`: from images to frozen features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runners.cli.options import AsJson, DataRoot, Device

app = typer.Typer()
PANEL = "Run a study"


@app.command(rich_help_panel=PANEL)
def encode(
    data: Annotated[
        str,
        typer.Argument(
            help="A data set by name (`beatrandom datasets`), a folder with one folder a class, an .npz of images, or `medmnist:FILE.npz`.",
            show_default=False,
        ),
    ],
    encoder: Annotated[
        str,
        typer.Argument(
            help="`timm:NAME`, `torchvision:NAME`, your own `file.py:NAME`, or `file.npy` of embeddings.",
            show_default=False,
        ),
    ],
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            help="Of timm and torchvision: a file (torch.save or safetensors), **pretrained** (fetched by the library) or **untrained**. "
            "Your own class is given the file.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            "--size",
            min=1,
            help="Side in pixels that images are scaled to.",
            show_default="the network's own; yours: as they are",
        ),
    ] = None,
    trained_on: Annotated[
        str | None,
        typer.Option(
            "--trained-on",
            help="What the weights learned from, and with whose labels; kept with the features.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write.", show_default="./DATA-ENCODER.npz")] = None,
    data_root: DataRoot = None,
    device: Device = "auto",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images at a time.")] = 256,
    json: AsJson = False,
) -> None:
    """Turn images into frozen features, once. A run on them trains a linear or small probe: a few seconds of one core.

    The features go into one .npz, with a card that names encoder, digests of weights and images, and what the weights learned from;
    the same images and encoder asked for again are found in the cache (`gc --cache`). Then, in a study:

    `data = { name = "features", path = "cifar10-vit.npz" }`, `model = { name = "linear" }`, no augmentation.

    Or leave this command out and name the encoder in the protocol, which `run` then asks on first use; its digests are part of the
    fingerprint: `data = { name = "cifar10", encoder = { name = "timm:resnet18", weights = "resnet18.pth" } }`

    Your own encoder is a function of images (uint8, n × height × width × channels) to numbers (n × d), or a class with `__call__`.

    Examples:

    `encode cifar10 timm:vit_small_patch14_dinov2.lvd142m --weights dinov2.pth --size 98 --trained-on "LVD-142M, no labels"`

    `encode my-photos/ torchvision:resnet50 --weights pretrained --trained-on "ImageNet-1k, with labels" --out photos.npz`

    `encode images.npz my_encoder.py:embed` · `encode fashion-mnist embeddings.npy` · `encode digits torchvision:resnet18 --weights untrained`
    """
    from runners.verbs.browse import encode as verb

    verb.encode(verb.Asked(data, encoder, weights, size, trained_on, out, device, batch), data_root, json)
