"""Weights of a file go into the encoder they are of; whatever does not fit is refused with what is wrong."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from protocol.errors import InputError
from protocol.spec.protocol import Model
from runners.datasets.files import file_digest
from runners.models.segmentation import build
from runners.models.weights_file import match_tensors, read_tensors
from tests.runners.models.test_segmentation import images

Tensors = dict[str, torch.Tensor]
SMP = pytest.mark.skipif(
    importlib.util.find_spec("segmentation_models_pytorch") is None, reason="the extra smp is not installed"
)


def encoder(name: str, channels: int = 3) -> nn.Module:
    return build(Model(name=name), images(channels), 0).body.encoding()


def classifier(kind: str) -> Tensors:
    """An untrained classifier's own tensors, as its file would hold them, each unlike any initial value."""
    state = getattr(torchvision.models, kind)(weights=None).state_dict()
    drawn = torch.Generator().manual_seed(1)
    return {name: torch.rand(t.shape, generator=drawn) if t.is_floating_point() else t + 3 for name, t in state.items()}


@pytest.fixture(scope="module")
def resnet18() -> Tensors:
    return classifier("resnet18")


def test_a_classifiers_file_fits_the_backbones_of_torchvision() -> None:
    for name, kind, key in (
        ("lraspp-mobilenet", "mobilenet_v3_large", "features.16.0.weight"),
        ("deeplabv3-resnet50", "resnet50", "layer4.2.conv3.weight"),
    ):
        part, tensors = encoder(name), classifier(kind)
        part.load_state_dict(match_tensors(part, tensors, "f", name))
        assert torch.equal(part.state_dict()[key.removeprefix("features.")], tensors[key])


@SMP
def test_an_encoder_with_a_classifiers_weights_computes_what_the_classifier_does(resnet18: Tensors) -> None:
    body = build(Model(name="smp:Unet:resnet18"), images(), 0).eval().body
    theirs = torchvision.models.resnet18(weights=None).eval()
    theirs.load_state_dict({k: v * 0.1 if v.is_floating_point() else v for k, v in resnet18.items()})
    body.encoding().load_state_dict(match_tensors(body.encoding(), theirs.state_dict(), "f", "x"))
    x = torch.rand(2, 3, 64, 64)
    deepest = nn.Sequential(*list(theirs.children())[:-2])(x)
    torch.testing.assert_close(body.encode(x)[-1], deepest)
    assert deepest.std() > 0


@pytest.mark.parametrize(
    "wrap",
    [
        lambda t: {f"backbone.{k}": v for k, v in t.items()} | {"classifier.0.weight": torch.ones(3)},
        lambda t: {f"module.{k}": v for k, v in t.items()},
        lambda t: {"epoch": 3, "state_dict": t},
        lambda t: {k: v for k, v in t.items() if not k.endswith("num_batches_tracked")},
        lambda t: {k: v.double() if v.is_floating_point() else v for k, v in t.items()},
    ],
)
@SMP
def test_other_spellings_of_the_same_tensors(resnet18: Tensors, wrap: Any, tmp_path: Path) -> None:
    torch.save(wrap(resnet18), tmp_path / "w.pth")
    part = encoder("smp:Unet:resnet18")
    state = match_tensors(part, read_tensors(tmp_path / "w.pth", None), "f", "x")
    assert set(state) == set(part.state_dict())
    for name, tensor in state.items():
        assert tensor.dtype == part.state_dict()[name].dtype
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(tensor, resnet18[name].to(tensor.dtype))


@SMP
def test_encoders_of_timm_take_timms_file(tmp_path: Path) -> None:
    import timm

    theirs = timm.create_model("resnet18", pretrained=False).state_dict()
    part = encoder("smp:Unet:tu-resnet18")
    state = match_tensors(part, theirs, "f", "x")
    assert torch.equal(state["model.layer1.0.conv1.weight"], theirs["layer1.0.conv1.weight"])
    from safetensors.torch import save_file

    save_file(theirs, tmp_path / "w.safetensors")
    again = read_tensors(tmp_path / "w.safetensors", file_digest(tmp_path / "w.safetensors"))
    assert torch.equal(again["conv1.weight"], theirs["conv1.weight"])


def test_a_networks_own_encoder_fits_itself() -> None:
    part = encoder("unet-small")
    state = {f"body.down.{k}": v + 1 for k, v in part.state_dict().items()}
    with pytest.raises(InputError, match="missing"):
        match_tensors(part, state, "f", "x")
    assert torch.equal(
        match_tensors(part, {k.removeprefix("body.down."): v for k, v in state.items()}, "f", "x")["0.0.weight"],
        state["body.down.0.0.weight"],
    )


@SMP
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda t: {k: v for k, v in t.items() if not k.startswith("layer2.1.conv")},
            "2 missing: layer2.1.conv1.weight, layer2.1.conv2.weight",
        ),
        (
            lambda t: t | {"conv1.weight": torch.ones(64, 1, 7, 7)},
            r"1 of another shape: conv1.weight \(64, 1, 7, 7\) for \(64, 3, 7, 7\)",
        ),
        (lambda t: t | {"layer3.2.conv1.weight": torch.ones(1)}, "1 of further layers: layer3.2.conv1.weight"),
    ],
)
def test_what_does_not_fit_is_told(resnet18: Tensors, change: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        match_tensors(encoder("smp:Unet:resnet18"), change(resnet18), "f", "x")


def test_a_deeper_network_of_the_family_is_refused() -> None:
    with pytest.raises(InputError, match=r"of further layers: layer3\.6"):
        match_tensors(encoder("deeplabv3-resnet50"), classifier("resnet101"), "f", "x")


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("code of a file was run",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no weights", "named tensors"),
        ([1, 2], "list"),
        ({"epoch": 3}, "no tensors"),
        (Evil(), "named tensors"),
    ],
)
def test_files_that_hold_no_weights_are_refused(
    content: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(InputError, match=said):
        read_tensors(path, None)
    assert "code of a file" not in capsys.readouterr().out


def test_another_file_and_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_tensors(tmp_path / "w.pth", "0" * 64)
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="SHA-256 000"):
        read_tensors(tmp_path / "w.pth", "0" * 64)
