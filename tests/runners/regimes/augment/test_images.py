"""Every image its own draw; each operation against torchvision's on one image, or by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as TF  # noqa: N812

from protocol.errors import InputError
from protocol.spec.recipe import Augmentation, RandAugment, Regime
from protocol.spec.toml_files import parse
from runners.models.resident import Scaling
from runners.regimes.augment import prefetch
from runners.regimes.augment import randaugment as ra
from runners.regimes.augment.images import Draws, cutout, flip_and_shift, refuse_impossible, training_batch


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(channels: int = 3, side: int = 16, seed: int = 1) -> torch.Tensor:
    return torch.randint(0, 256, (1, channels, side, side), generator=gen(seed)).float()


UNIT = Scaling(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1))


def batch_of(pixels: torch.Tensor, rows: torch.Tensor, spec: Augmentation, draws: torch.Generator) -> torch.Tensor:
    return training_batch(
        pixels, rows, spec, UNIT, Draws.draw(spec, len(rows), pixels.shape[1], pixels.shape[2], draws)
    )


def moved(pixels: torch.Tensor, rows: torch.Tensor, spec: Augmentation, draws: torch.Generator) -> torch.Tensor:
    drawn = Draws.draw(spec, len(rows), pixels.shape[1], pixels.shape[2], draws)
    return flip_and_shift(pixels, rows, drawn.moves, drawn.mirrored)


@pytest.mark.parametrize(
    ("spec", "least"),
    [
        (Augmentation(flip=True), 2),
        (Augmentation(shift=2), 15),
        (Augmentation(flip=True, shift=4), 40),
        (Augmentation(cutout=5), 40),
        (Augmentation(rand_augment=RandAugment(ops=1, magnitude=8.0)), 12),
        (Augmentation(rand_augment=RandAugment(ops=2, magnitude=8.0)), 40),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_64_equal_images_become_many(spec: Augmentation, least: int, channels: int) -> None:
    pixels = picture(channels).permute(0, 2, 3, 1).to(torch.uint8)
    out = batch_of(pixels, torch.zeros(64, dtype=torch.int64), spec, gen())
    assert out.shape == (64, channels, 16, 16)
    assert len({image.numpy().tobytes() for image in out}) >= least
    again = batch_of(pixels, torch.zeros(64, dtype=torch.int64), spec, gen())
    assert torch.equal(out, again)
    other = batch_of(pixels, torch.zeros(64, dtype=torch.int64), spec, gen(1))
    assert not torch.equal(out, other)


def test_no_augmentation_is_the_images_themselves() -> None:
    pixels = torch.randint(0, 256, (5, 4, 6, 3), generator=gen()).to(torch.uint8)
    out = batch_of(pixels, torch.tensor([3, 0]), Augmentation(), gen())
    assert torch.equal(out, pixels[[3, 0]].permute(0, 3, 1, 2).float())


def test_shifts_are_crops_of_the_reflected_image_and_all_occur() -> None:
    pixels = torch.randint(0, 256, (1, 5, 7, 2), generator=gen()).to(torch.uint8)
    padded = torch.nn.functional.pad(pixels.permute(0, 3, 1, 2).float(), (2, 2, 2, 2), mode="reflect").to(torch.uint8)
    crops = {
        (y, x): padded[0, :, y : y + 5, x : x + 7].permute(1, 2, 0).numpy().tobytes()
        for y in range(5)
        for x in range(5)
    }
    out = moved(pixels, torch.zeros(400, dtype=torch.int64), Augmentation(shift=2), gen())
    seen = {image.numpy().tobytes() for image in out}
    assert seen == set(crops.values())


def test_half_of_the_images_are_mirrored() -> None:
    pixels = torch.arange(12, dtype=torch.uint8).view(1, 3, 4, 1)
    out = moved(pixels, torch.zeros(1000, dtype=torch.int64), Augmentation(flip=True), gen())
    mirrored = (out == pixels.flip(2)).flatten(1).all(1)
    plain = (out == pixels).flatten(1).all(1)
    assert (mirrored ^ plain).all()
    assert 430 < int(mirrored.sum()) < 570


def test_cutout_blanks_one_square_that_may_hang_over_the_border() -> None:
    corners = Draws.draw(Augmentation(cutout=3), 500, 8, 8, gen()).corners
    assert corners is not None
    out = cutout(torch.ones(500, 2, 8, 8), 3, corners)
    blanks = (out[:, 0] == 0).sum((1, 2))
    assert set(blanks.tolist()) == {4, 6, 9}
    assert torch.equal(out[:, 0], out[:, 1])
    assert (out == 0).any(0).all()  # every pixel has its turn


@pytest.mark.parametrize("strength", [-1.0, -0.4, 0.3, 0.9])
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("brightness", lambda x, s: TF.adjust_brightness(x, 1 + 0.9 * s)),
        ("colour", lambda x, s: TF.adjust_saturation(x, 1 + 0.9 * s)),
        ("contrast", lambda x, s: TF.adjust_contrast(x, 1 + 0.9 * s)),
        ("sharpness", lambda x, s: TF.adjust_sharpness(x, 1 + 0.9 * s)),
        ("posterise", lambda x, s: TF.posterize(x, 8 - round(4 * abs(s)))),
        ("solarise", lambda x, s: TF.solarize(x, math.ceil(255 * (1 - abs(s))))),
        ("autocontrast", lambda x, s: TF.autocontrast(x)),
        ("equalise", lambda x, s: TF.equalize(x)),
        ("identity", lambda x, s: x),
    ],
)
def test_colour_operations_agree_with_torchvision(name: str, reference, strength: float) -> None:  # type: ignore[no-untyped-def]
    x = torch.cat([picture(side=32), 40 + picture(side=32, seed=2) // 4])
    ours = ra.COLOUR[name](x, torch.full((2, 1, 1, 1), strength))
    theirs = torch.stack([reference(image.to(torch.uint8), strength) for image in x]).float()
    assert (ours - theirs).abs().max() <= 1.01  # torchvision truncates to whole grey values, and more than once
    assert name == "identity" or not torch.equal(ours, x)


@pytest.mark.parametrize("strength", [-1.0, 0.5])
@pytest.mark.parametrize("name", list(ra.GEOMETRIC))
def test_geometric_operations_agree_with_torchvision(name: str, strength: float) -> None:
    x = torch.rand(1, 2, 12, 20, generator=gen())
    options = {"scale": 1.0, "interpolation": InterpolationMode.BILINEAR, "fill": None}
    none = {"angle": 0.0, "translate": [0, 0], "shear": [0.0, 0.0]}
    slope = math.degrees(math.atan(0.3 * strength))
    theirs = {
        "rotate": lambda: TF.rotate(x, 30 * strength, InterpolationMode.BILINEAR),
        "shear-x": lambda: TF.affine(x, **(none | {"shear": [slope, 0.0], "center": [0, 0]}), **options),
        "shear-y": lambda: TF.affine(x, **(none | {"shear": [0.0, slope], "center": [0, 0]}), **options),
        "translate-x": lambda: TF.affine(x, **(none | {"translate": [-20 * strength * 150 / 331, 0]}), **options),
        "translate-y": lambda: TF.affine(x, **(none | {"translate": [0, -12 * strength * 150 / 331]}), **options),
    }[name]()
    ours = ra.warp(x, ra.GEOMETRIC[name](torch.tensor([strength]), 12, 20))
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)


def test_every_operation_gets_its_turn_and_touches_only_its_images() -> None:
    x = (40 + picture(side=32) // 4).expand(600, 3, 32, 32)
    strength = torch.ones(600)
    for k, name in enumerate([*ra.GEOMETRIC, *ra.COLOUR]):
        choice = torch.full((600,), 5)  # identity
        choice[17] = k
        out = ra._one_layer(x, choice, strength)
        changed = (out != x).flatten(1).any(1).nonzero().flatten().tolist()
        assert changed == ([] if name == "identity" else [17])
    out = ra.rand_augment(x, ra.draw_layers(len(x), 1, 9.0, gen()))
    assert len({image.numpy().tobytes() for image in out}) >= 20  # 14 operations, 9 of them in two directions


def test_a_mixed_batch_gets_what_each_image_would_get_alone() -> None:
    x = torch.randint(0, 256, (40, 3, 9, 12), generator=gen()).float().contiguous(memory_format=torch.channels_last)
    choice = torch.randperm(40, generator=gen(1)) % 14
    strength = 2 * torch.rand(40, generator=gen(2)) - 1
    alone = torch.cat([ra._one_layer(x[i : i + 1], choice[i : i + 1], strength[i : i + 1]) for i in range(40)])
    assert torch.equal(ra._one_layer(x, choice, strength), alone)


@pytest.mark.parametrize("name", list(ra.COLOUR))
@pytest.mark.parametrize("channels", [1, 3])
def test_what_an_operation_makes_of_an_image_does_not_depend_on_how_many_there_are(name: str, channels: int) -> None:
    tenths = torch.randint(
        0, 2551, (3000, channels, 8, 8), generator=gen()
    )  # so that means of neighbours often lie at a half
    x = (tenths / 10).contiguous(memory_format=torch.channels_last)
    strength = (2 * torch.rand(3000, generator=gen(1)) - 1).view(-1, 1, 1, 1)
    parts = zip(torch.split(x, 1), torch.split(strength, 1), strict=True)
    assert torch.equal(ra.COLOUR[name](x, strength), torch.cat([ra.COLOUR[name](*part) for part in parts]))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (28, 28), (7, 13), (48, 64)])
def test_places_are_torchs_own_to_the_byte(height: int, width: int) -> None:
    strength = 2 * torch.rand(8, generator=gen()) - 1
    maps = torch.cat([f(strength, height, width) for f in ra.GEOMETRIC.values()])
    theirs = torch.nn.functional.affine_grid(maps, [len(maps), 3, height, width], align_corners=False)
    assert torch.equal(ra._places(maps, height, width), theirs)


def test_flipped_and_shifted_images_are_the_asked_ones() -> None:
    pixels = torch.arange(30, dtype=torch.uint8).view(30, 1, 1, 1).expand(30, 6, 5, 2).contiguous()
    asked = torch.tensor([3, 29, 0, 3])
    assert torch.equal(moved(pixels, asked, Augmentation(flip=True, shift=2), gen()), pixels[asked])


@pytest.mark.parametrize("pixels_at_once", [1, 3 * 5 * 64, 10**9])
def test_how_many_batches_are_made_together_changes_no_byte(
    pixels_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = torch.randint(0, 256, (20, 8, 8, 3), generator=gen()).to(torch.uint8)
    spec = Augmentation(flip=True, shift=2, rand_augment=RandAugment(ops=2, magnitude=8.0), cutout=4)
    order = torch.randint(0, 20, (7, 5), generator=gen(1))
    monkeypatch.setitem(prefetch.PIXELS_AT_ONCE, "cpu", pixels_at_once)
    calls = []

    def made(rows: torch.Tensor, drawn: Draws) -> torch.Tensor:
        calls.append(len(rows))
        return training_batch(pixels, rows, spec, UNIT, drawn)

    together = list(prefetch.prefetch(iter(order), spec, (8, 8), torch.device("cpu"), gen(2), made))
    draws = gen(2)
    assert len(together) == 7
    assert all(torch.equal(got, batch_of(pixels, rows, spec, draws)) for got, rows in zip(together, order, strict=True))
    assert calls == {1: [5] * 7, 3 * 5 * 64: [15, 15, 5], 10**9: [35]}[pixels_at_once]


def test_too_large_shifts_are_refused() -> None:
    def regime(shift: int) -> Regime:
        table = {"name": "r", "steps": 1, "batch_size": 4, "optimizer": {"name": "sgd", "lr": 0.1}}
        return parse(Regime, table | {"augmentation": {"shift": shift}}, "r")

    with pytest.raises(InputError, match="shift"):
        refuse_impossible(regime(8), 8, 8)
    refuse_impossible(regime(7), 8, 8)
