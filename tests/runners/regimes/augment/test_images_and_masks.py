"""Images and masks move together, every image by draws of its own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from protocol.metrics import VOID
from protocol.spec.recipe import Augmentation
from runners.models.resident import Scaling
from runners.regimes.augment import images_and_masks
from runners.regimes.augment.images_and_masks import Window, jitter_colours, joint_batch

SPECS = {
    "flip": Augmentation(flip=True),
    "crop": Augmentation(flip=True, crop=12),
    "zoom": Augmentation(flip=True, zoom=(0.7, 1.6)),
    "zoom and crop": Augmentation(zoom=(0.8, 1.4), crop=14),
}
AS_IT_IS = Scaling(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1))


def blocks(n: int) -> tuple[Tensor, Tensor]:
    """Images whose grey value says the class of every pixel: squares of 6 pixels, 20 + 50 * class."""
    small = torch.randint(0, 4, (n, 4, 4), generator=torch.Generator().manual_seed(0))
    maps = small.repeat_interleave(6, 1).repeat_interleave(6, 2).to(torch.uint8)
    return (20 + 50 * maps)[..., None], maps


def misplaced(spec: Augmentation, n: int = 32) -> float:
    """Return the share of pixels whose grey value is that of a class other than the mask's.

    Edges, where values mix, are left out.
    """
    pixels, maps = blocks(n)
    x, masks = joint_batch(pixels, torch.arange(n), maps, spec, AS_IT_IS, torch.Generator().manual_seed(1))
    said = (x[:, 0] - 20) / 50
    clear = ((said - said.round()).abs() < 0.02) & (masks != VOID)
    assert clear.float().mean() > 0.3
    return float((said.round()[clear] != masks[clear]).float().mean())


@pytest.mark.parametrize("name", SPECS)
def test_masks_stay_on_their_images(name: str) -> None:
    assert misplaced(SPECS[name]) < 0.01  # bilinear mixtures of 0 and 2 look like a 1


@pytest.mark.parametrize("name", SPECS)
def test_a_planted_misalignment_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mask mirrored where the image is not, and the other way round: the test above would fail."""
    cut, resampled = images_and_masks._cut, images_and_masks._resample

    def with_a_mirrored_mask(inner):  # type: ignore[no-untyped-def]
        return lambda *given: (lambda x, m: (x, m.flip(2)))(*inner(*given))

    monkeypatch.setattr(images_and_masks, "_cut", with_a_mirrored_mask(cut))
    monkeypatch.setattr(images_and_masks, "_resample", with_a_mirrored_mask(resampled))
    assert misplaced(SPECS[name]) > 0.1


@pytest.mark.parametrize("name", SPECS)
def test_equal_inputs_become_many_outputs(name: str) -> None:
    pixels, maps = blocks(1)
    x, masks = joint_batch(
        pixels, torch.zeros(64, dtype=torch.int64), maps.repeat(64, 1, 1), SPECS[name], AS_IT_IS, torch.Generator()
    )
    least = 2 if name == "flip" else 20
    assert len({image.numpy().tobytes() for image in x}) >= least
    assert len({mask.numpy().tobytes() for mask in masks}) >= least


def test_what_lies_outside_is_void_and_the_pools_mean() -> None:
    pixels, maps = blocks(8)
    scaling = Scaling(torch.full((1, 1, 1, 1), 95.0), torch.full((1, 1, 1, 1), 50.0))
    x, masks = joint_batch(
        pixels, torch.arange(8), maps, Augmentation(zoom=(0.5, 0.5)), scaling, torch.Generator().manual_seed(2)
    )
    void = masks == VOID
    assert void.float().mean() == pytest.approx(0.75, abs=0.1)  # half as large on either side
    inner = (
        torch.nn.functional.max_pool2d((~void).float()[:, None], 5, 1, 2)[:, 0] == 0
    )  # two pixels away from the image
    assert (x[:, 0][inner] == 0).all()


def test_crops_and_flips_are_torchvisions() -> None:
    from torchvision.transforms.v2 import functional as F  # noqa: N812  # its usual name

    pixels, maps = blocks(16)
    spec, rows = SPECS["crop"], torch.arange(16)
    window = Window.draw(spec, 16, 24, 24, torch.Generator().manual_seed(5))
    x, masks = joint_batch(pixels, rows, maps, spec, AS_IT_IS, torch.Generator().manual_seed(5))
    for i in range(16):
        image, mask = pixels[i].permute(2, 0, 1).float(), maps[i]
        place = (int(window.top[i]), int(window.left[i]), 12, 12)
        image, mask = F.crop(image, *place), F.crop(mask[None], *place)[0]
        if window.mirrored[i]:
            image, mask = F.horizontal_flip(image), F.horizontal_flip(mask[None])[0]
        torch.testing.assert_close(x[i], image)
        assert torch.equal(masks[i], mask)


def test_colour_is_torchvisions_and_leaves_masks_alone() -> None:
    from torchvision.transforms.v2 import functional as F  # noqa: N812  # its usual name

    x = torch.rand((5, 3, 7, 6), generator=torch.Generator().manual_seed(0)) * 255
    factors = torch.tensor([[0.8, 1.2, 1.0, 0.9, 1.1], [1.1, 0.9, 1.2, 0.8, 1.0], [0.7, 1.3, 1.0, 1.2, 0.8]])
    got = jitter_colours(x, factors, 0.3)
    for i in range(5):
        bright, contrast, saturation = factors[:, i].tolist()
        one = F.adjust_saturation(F.adjust_contrast(F.adjust_brightness(x[i] / 255, bright), contrast), saturation)
        torch.testing.assert_close(got[i] / 255, one, atol=2e-3, rtol=0)
    assert jitter_colours(x, factors, 0.0) is x
    pixels, maps = blocks(4)
    assert torch.equal(
        joint_batch(pixels, torch.arange(4), maps, Augmentation(colour=0.5), AS_IT_IS, torch.Generator())[1], maps
    )


def test_nothing_asked_for_changes_nothing() -> None:
    pixels, maps = blocks(4)
    x, masks = joint_batch(pixels, torch.arange(4), maps, Augmentation(), AS_IT_IS, torch.Generator())
    assert torch.equal(x, pixels.permute(0, 3, 1, 2).float())
    assert torch.equal(masks, maps)
