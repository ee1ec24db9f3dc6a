"""Any encoder, its files known by their digests; computed once; nothing of a network stays random unseen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from protocol.errors import InputError
from protocol.record.chain import read
from protocol.record.layout import StudyFolder
from protocol.spec.data import Data, Encoder
from protocol.spec.run_id import RunId
from protocol.spec.study import Study
from protocol.spec.toml_files import parse
from runners.data import load
from runners.datasets import Images
from runners.datasets.duplicates import write_groups
from runners.encoding import encode_images, networks, resolve_files
from runners.encoding.user_encoder import resize_images
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs, resolve
from runners.run.perform import perform

OWN = """
import numpy as np, torch
from pathlib import Path

def embed(images):
    with open(Path(__file__).parent / "calls", "a") as file:
        file.write(f"{len(images)} ")
    flat = images.reshape(len(images), -1).astype(np.float64)
    return flat @ np.random.default_rng(0).normal(size=(flat.shape[1], 9))

class Net:
    def __init__(self, weights=None):
        self.layer = torch.nn.Linear(64, 5)
        if weights is not None:
            self.layer.load_state_dict(torch.load(weights))
    def __call__(self, images):
        return self.layer(torch.from_numpy(images).float().flatten(1))

def fails(images): raise RuntimeError("no such luck")
def flat(images): return images.reshape(len(images), -1).mean(1)
def growing(images): return np.ones((len(images), len(images)))
def words(images): return np.full((len(images), 2), "a")
def infinite(images): return np.full((len(images), 2), 1e300)
number = 3
class Greedy:
    def __init__(self, size): pass
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BEATRANDOM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "enc.py").write_text(OWN)
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def digits() -> Images:
    return load(Data(name="digits"), None)[0]


def calls(tmp_path: Path) -> list[int]:
    return [int(n) for n in (tmp_path / "calls").read_text().split()]


def test_an_own_function_is_asked_once_in_batches_and_in_order(digits: Images, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    features = encode_images(digits, Encoder(name="enc.py:embed"), tmp_path, lambda *done: seen.append(done), batch=500)
    flat = digits.pixels.reshape(digits.n, -1).astype(np.float64)
    expected = (flat @ np.random.default_rng(0).normal(size=(64, 9))).astype(np.float32)
    np.testing.assert_allclose(features, expected, rtol=1e-6)
    assert isinstance(features, np.memmap)
    assert calls(tmp_path) == [500, 500, 500, 297]
    assert seen == [(500, 1797), (1000, 1797), (1500, 1797), (1797, 1797)]
    again = encode_images(digits, Encoder(name=str(tmp_path / "enc.py:embed")), None)  # the same file by another path
    np.testing.assert_array_equal(again, features)
    assert len(calls(tmp_path)) == 4
    known = resolve_files(Encoder(name="enc.py:embed"), tmp_path)
    (tmp_path / "enc.py").unlink()
    np.testing.assert_array_equal(encode_images(digits, known, tmp_path), features)  # what is there needs no file


def test_other_images_of_the_same_shape_are_other_features(digits: Images, tmp_path: Path) -> None:
    before = np.array(encode_images(digits, Encoder(name="enc.py:embed"), tmp_path))
    darker = digits.pixels // 2
    changed = encode_images(replace(digits, pixels=darker, digest="of others"), Encoder(name="enc.py:embed"), tmp_path)
    assert not np.allclose(changed, before)


def test_a_changed_file_is_another_encoder(digits: Images, tmp_path: Path) -> None:
    before = resolve_files(Encoder(name="enc.py:embed"), tmp_path)
    features = np.array(encode_images(digits, before, tmp_path))
    (tmp_path / "enc.py").write_text(OWN.replace("default_rng(0)", "default_rng(1)"))
    assert not np.allclose(encode_images(digits, Encoder(name="enc.py:embed"), tmp_path), features)
    np.testing.assert_array_equal(encode_images(digits, before, tmp_path), features)
    with pytest.raises(InputError, match=r"source(.*\n)*.*digest"):
        resolve_files(before, tmp_path)


def test_an_own_class_is_given_its_weights(digits: Images, tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(64, 5).state_dict(), tmp_path / "w.pth")
    encoder = resolve_files(Encoder(name="enc.py:Net", weights="w.pth"), tmp_path)
    assert encoder.weights_digest is not None
    state = torch.load(tmp_path / "w.pth")
    x = torch.from_numpy(digits.pixels.copy()).float().flatten(1)
    expected = (x @ state["weight"].T + state["bias"]).numpy()
    np.testing.assert_allclose(encode_images(digits, encoder, tmp_path), expected, rtol=1e-4, atol=1e-3)
    drawn = encode_images(digits, Encoder(name="enc.py:Net"), tmp_path)
    (tmp_path / "enc.py").write_text(OWN + "\n")  # another file, the same class
    torch.rand(3)
    np.testing.assert_array_equal(
        encode_images(digits, Encoder(name="enc.py:Net"), tmp_path), drawn
    )  # drawn from a seed


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("enc.py:fails", "no such luck"),
        ("enc.py:flat", r"shape \(256, d\)"),
        ("enc.py:growing", r"shape \(5, 256\)|shape \(\d+, 256\)"),
        ("enc.py:words", "numbers"),
        ("enc.py:infinite", "finite"),
        ("enc.py:number", "a function of images"),
        ("enc.py:Greedy", r"can be instantiated by Greedy\(\)"),
        ("enc.py:embde", "did you mean 'embed'"),
        ("none.py:embed", "nothing at"),
        ("none.npy", "nothing at"),
    ],
)
def test_what_is_wrong_with_an_own_encoder_is_said_and_nothing_kept(
    digits: Images, tmp_path: Path, name: str, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        encode_images(digits, Encoder(name=name), tmp_path)
    assert not list(tmp_path.glob("cache/**/*.npy"))


def test_embeddings_made_elsewhere(digits: Images, tmp_path: Path) -> None:
    mine = np.random.default_rng(1).normal(size=(digits.n, 3))
    np.save(tmp_path / "mine.npy", mine)
    np.testing.assert_array_equal(encode_images(digits, Encoder(name="mine.npy"), tmp_path), mine.astype(np.float32))
    np.save(tmp_path / "mine.npy", mine[1:])
    with pytest.raises(InputError, match="training images first"):
        encode_images(digits, Encoder(name="mine.npy"), tmp_path)


def test_a_network_of_torchvision_is_that_without_its_last_layer(digits: Images, tmp_path: Path) -> None:
    from torchvision.models import resnet18

    some = Images("digits", digits.pixels[:6], 6, 0, digits.classes, "six")
    net = resnet18(num_classes=7).eval()  # another last layer than the library's own
    torch.save({"state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}}, tmp_path / "w.pth")
    before = torch.random.get_rng_state()
    features = encode_images(some, Encoder(name="torchvision:resnet18", weights="w.pth", size=16), tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before)
    x = torch.from_numpy(some.pixels.copy()).permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1) / 255
    x = torch.nn.functional.interpolate(x, size=16, mode="bicubic", antialias=True).clamp(0, 1)
    x = (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    net.fc = torch.nn.Identity()
    np.testing.assert_allclose(features, net(x).detach().numpy(), rtol=1e-3, atol=1e-4)
    untrained = Encoder(name="torchvision:resnet18", weights="untrained", size=16)
    one = networks.build(untrained, None).digest
    torch.rand(1)  # whatever was drawn meanwhile
    assert networks.build(untrained, None).digest == one
    assert not np.allclose(encode_images(some, untrained, None), features)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s | {"layer1.0.conv1.weight": s["layer1.0.conv1.weight"][:1]}, r"1 missing \(layer1.0.conv1.weight"),
        (lambda s: {k: v for k, v in s.items() if not k.startswith("layer4")}, r"30 missing \(layer4"),
        (lambda s: s | {"extra.weight": s["fc.weight"]}, r"1 unknown \(extra.weight"),
        (lambda s: {}, "named tensors"),
        (lambda s: [1, 2], "named tensors"),
    ],
)
def test_weights_that_do_not_fit_to_the_last_tensor_are_refused(tmp_path: Path, change: Any, says: str) -> None:
    from torchvision.models import resnet18

    torch.save(change(resnet18().state_dict()), tmp_path / "w.pth")
    with pytest.raises(InputError, match=says):
        networks.build(Encoder(name="torchvision:resnet18", weights="w.pth"), tmp_path)
    (tmp_path / "w.pth").write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"w\.pth"):
        networks.build(Encoder(name="torchvision:resnet18", weights="w.pth"), tmp_path)


def test_unknown_networks_and_weights_that_cannot_be_fetched_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    with pytest.raises(InputError, match="resnet18"):
        networks.build(Encoder(name="torchvision:resnet19", weights="untrained"), None)

    def offline(*_: Any, **__: Any) -> None:
        raise OSError("Name or service not known\nmore")

    monkeypatch.setattr(torchvision.models, "get_model", offline)
    with pytest.raises(InputError, match=r"Name or service not known\n.*give a file as weights"):
        resolve_files(Encoder(name="torchvision:resnet18", weights="pretrained"), None)


def test_networks_of_timm(digits: Images, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed (extra timm)")
    some = Images("digits", digits.pixels[:3], 3, 0, digits.classes, "three")
    vit = timm.create_model("vit_tiny_patch16_224", num_classes=4, img_size=32).eval()
    torch.save(vit.state_dict(), tmp_path / "w.pth")
    encoder = Encoder(name="timm:vit_tiny_patch16_224", weights="w.pth", size=32)
    network = networks.build(encoder, tmp_path)
    features = encode_images(some, encoder, tmp_path)
    assert features.shape == (3, 192)
    x = torch.from_numpy(resize_images(some.pixels, 32)).permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1) / 255
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in (network.mean, network.deviation))
    expected = vit.forward_head(vit.forward_features((x - mean) / deviation), pre_logits=True).detach().numpy()
    np.testing.assert_allclose(features, expected, rtol=0.05, atol=0.05)  # `scaled` rounds to grey levels
    larger = timm.create_model("vit_tiny_patch16_224", num_classes=4, img_size=64).eval()
    torch.save(larger.state_dict(), tmp_path / "w.pth")
    assert networks.build(encoder, tmp_path).digest != network.digest  # timm fits the positions to the size
    with pytest.raises(InputError, match="did you mean resnet18"):
        networks.build(Encoder(name="timm:resnett18", weights="untrained"), None)
    with pytest.raises(InputError, match="all tensors of timm:resnet18"):
        networks.build(Encoder(name="timm:resnet18", weights="w.pth"), tmp_path)


def test_without_timm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match="--extra timm"):
        networks.build(Encoder(name="timm:resnet18", weights="untrained"), None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "resnet18"}, "expected 'timm:NAME'"),
        ({"name": "timm:resnet18"}, "needs weights"),
        ({"name": "a.py:f", "weights": "untrained"}, "belongs to timm and torchvision"),
        ({"name": "a.npy", "size": 3}, "neither weights nor size"),
    ],
)
def test_what_is_no_encoder_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Encoder(**change)


def test_wide_images_keep_their_middle() -> None:
    wide = np.zeros((2, 4, 10, 1), np.uint8)
    wide[:, :, 3:7] = 200
    np.testing.assert_array_equal(resize_images(wide, 4), np.full((2, 4, 4, 1), 200))
    assert resize_images(wide, 8).shape == (2, 8, 8, 1)


def study(**encoder: Any) -> Study:
    protocol = {
        "name": "p",
        "data": {"name": "digits", "encoder": {"name": "enc.py:embed"} | encoder},
        "splits": {"test_size": 500},
        "budgets": [50, 100],
        "model": {"name": "linear"},
        "regime": {"name": "probe", "steps": 40, "batch_size": 32, "optimizer": {"name": "adamw", "lr": 0.02}},
    }
    return parse(
        Study,
        {"name": "s", "protocols": [protocol], "strategies": [{"name": "random"}, {"name": "margin"}], "seeds": [0, 1]},
        "s",
    )


def test_a_protocol_names_its_encoder_and_its_runs_ask_it_once(tmp_path: Path) -> None:
    made = resolve(study(trained_on="nothing"), tmp_path, tmp_path)
    assert made.protocols[0].data.encoder is not None
    assert len(str(made.protocols[0].data.encoder.source_digest)) == 64
    curves = []
    for isolate in (False, True):
        folder = StudyFolder(tmp_path / f"study-{isolate}")
        adopt(folder, made, tmp_path)
        result = perform(jobs(folder, made, tmp_path, "cpu", 1, planned_runs(made)[:1], isolate)[0])
        assert result.state == "done", result.message
        record = read(folder.run(RunId("p", "random", 0)).events)
        curves.append([(r.metrics, r.query) for r in record.rounds])
    assert curves[0] == curves[1]
    assert curves[0][1][0]["accuracy"] > 0.6
    assert sum(calls(tmp_path)) == 1797
    run = record.run
    assert run is not None
    assert run.protocol.data.encoder == made.protocols[0].data.encoder
    assert run.data.name == "digits"
    assert run.data.digest != load(Data(name="digits"), None)[0].digest


def test_the_fingerprint_holds_the_encoders_digests_and_not_its_paths(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "other.py").write_text(OWN)
    torch.save(torch.nn.Linear(64, 5).state_dict(), tmp_path / "w.pth")
    torch.save(torch.nn.Linear(64, 5).state_dict(), tmp_path / "v.pth")

    def prints(**encoder: Any) -> str:
        return resolve(study(**encoder), tmp_path, tmp_path).protocols[0].fingerprint

    before = prints()
    assert prints(name="there/other.py:embed", trained_on="my own photographs") == before
    different = [before, prints(name="enc.py:Net"), prints(size=16), prints(name="enc.py:Net", weights="w.pth")]
    different += [prints(name="enc.py:Net", weights="v.pth"), prints(name="torchvision:resnet18", weights="untrained")]
    (tmp_path / "enc.py").write_text(OWN + "#")
    different.append(prints())
    assert len(set(different)) == 7
    with pytest.raises(InputError, match="nothing at"):
        prints(name="gone.py:embed")


def test_files_beside_the_studys_file_are_found_and_named_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "studies").mkdir()
    (tmp_path / "enc.py").rename(tmp_path / "studies" / "enc.py")
    torch.save(torch.nn.Linear(64, 5).state_dict(), tmp_path / "studies" / "w.pth")
    monkeypatch.chdir(tmp_path / "here")
    asked = study(name="enc.py:Net", weights="w.pth")
    encoder = resolve(asked, tmp_path / "studies", None).protocols[0].data.encoder
    assert encoder is not None
    assert (encoder.name, encoder.weights) == ("../studies/enc.py:Net", "../studies/w.pth")
    images, _ = load(Data(name="digits", encoder=encoder), None)
    assert images.channels == 5
    (tmp_path / "here" / "enc.py").write_text(OWN)
    encoder = resolve(asked, tmp_path / "studies", None).protocols[0].data.encoder
    assert encoder is not None
    assert encoder.name == "enc.py:Net"  # here comes first
    with pytest.raises(InputError, match=r"gone\.py or .*studies/gone\.py"):
        resolve(study(name="gone.py:f"), tmp_path / "studies", None)


def test_features_and_masks_have_no_encoder(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", features=np.ones((4, 2), np.float32), labels=np.arange(4) % 2)
    with pytest.raises(InputError, match="features already"):
        load(Data(name="features", path="f.npz", encoder=Encoder(name="enc.py:embed")), tmp_path)
    table = study().protocols[0].model_dump(mode="json") | {"task": "segmentation", "metric": "mean_iou"}
    with pytest.raises(InputError, match=r"data\.encoder embeds whole images"):
        parse(type(study().protocols[0]), table, "t")


def test_features_are_as_alike_as_their_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 250, (8, 6, 6)).astype(np.uint8)
    pixels[5] = pixels[2] + 1
    np.savez(tmp_path / "twins.npz", images=pixels, labels=np.arange(8) % 2)
    images, _ = load(Data(name="npz", path="twins.npz", encoder=Encoder(name="enc.py:embed")), tmp_path)
    assert images.pixels.dtype == np.float32
    write_groups(StudyFolder(tmp_path / "study"), images)
    with np.load(StudyFolder(tmp_path / "study").twins(images.digest)) as kept:
        assert len(set(kept["content"])) == 8
        assert [i for i in range(8) if kept["look"][i] == kept["look"][2]] == [2, 5]


def test_what_is_made_of_the_images_is_encoded(tmp_path: Path) -> None:
    images, labels = load(Data(name="digits", resolution=4, encoder=Encoder(name="enc.py:embed")), tmp_path)
    small, same = load(Data(name="digits", resolution=4), None)
    flat = small.pixels.reshape(small.n, -1).astype(np.float64)
    expected = flat @ np.random.default_rng(0).normal(size=(16, 9))
    np.testing.assert_allclose(images.pixels[:, 0, 0], expected.astype(np.float32), rtol=1e-6)
    np.testing.assert_array_equal(labels.for_oracle(), same.for_oracle())
