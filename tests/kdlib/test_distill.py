"""Distillation: kept activations, lambda, determinism, checkpoints."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from conftest import TINY, known
from torch import Tensor

from kdlib import Detector, Recipe, Split, load
from kdlib.activations import make_source, prepare, source_activations, take
from kdlib.distill import Training, augment, balanced_lambda, distill, make_cloner
from kdlib.metrics import auroc
from kdlib.networks import Cloner, Source

CPU = torch.device("cpu")
Activations = dict[str, Tensor]
Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def pixels(digits: Split) -> Tensor:
    return digits.train.pixels(32)


@pytest.fixture(scope="module")
def activations(source: Source, pixels: Tensor) -> Activations:
    return source_activations(source, pixels, TINY)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: Patch) -> Path:
    monkeypatch.setenv("KDLIB_WORK", str(tmp_path / "work"))
    return tmp_path / "work" / "activations"


def same(first: Cloner, second: Cloner) -> bool:
    other = second.state_dict()
    return all(torch.equal(v, other[k]) for k, v in first.state_dict().items())


def test_kept_activations_are_the_source_s(source: Source, pixels: Tensor, activations: Activations) -> None:
    chosen = torch.tensor([7, 0, 31, 7])
    with torch.inference_mode():
        expected = source(prepare(pixels[chosen], TINY, CPU))
    for point, found in take(activations, chosen, CPU).items():
        torch.testing.assert_close(found, expected[point], rtol=1e-4, atol=1e-5)
        assert found.is_contiguous(memory_format=torch.channels_last)


def test_mapped_and_kept_activations(
    source: Source, pixels: Tensor, activations: Activations, work: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr("kdlib.activations._free_memory", lambda: 0)
    mapped = source_activations(source, pixels, TINY)
    assert all(torch.equal(mapped[p], a) for p, a in activations.items())
    assert not list(work.iterdir())
    source_activations(source, pixels, TINY, key="zeros")
    monkeypatch.setattr("kdlib.activations._fill", lambda *_: pytest.fail("computed again"))
    found = source_activations(source, pixels, TINY, key="zeros")
    assert all(torch.equal(found[p], a) for p, a in activations.items())
    (folder,) = work.iterdir()
    assert sorted(p.name for p in folder.iterdir()) == sorted(activations)


def test_other_settings_have_other_activations(source_weights: Activations, pixels: Tensor, work: Path) -> None:
    source = Source(source_weights, critical_points=["pool2"])
    for precision in (torch.float32, torch.bfloat16):
        source.to(precision)
        for recipe, key in ((TINY, "zeros"), (TINY.replace(normalize=True), "zeros"), (TINY, "ones")):
            source_activations(source, pixels, recipe, key=key)
    assert len(list(work.iterdir())) == 6


@pytest.mark.parametrize("key", ["", "zeros"])
def test_interruption_leaves_nothing(source: Source, pixels: Tensor, work: Path, key: str, monkeypatch: Patch) -> None:
    batches = []

    def interrupted(pixels: Tensor, *settings: object) -> Tensor:
        batches.append(len(pixels))
        if len(batches) == 3:
            raise KeyboardInterrupt
        return prepare(pixels, TINY, CPU)

    monkeypatch.setattr("kdlib.activations._free_memory", lambda: 0)
    monkeypatch.setattr("kdlib.activations.batch_length", lambda *_: 8)
    monkeypatch.setattr("kdlib.activations.prepare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        source_activations(source, pixels, TINY, key=key)
    assert batches == [1, 8, 8]
    assert not list(work.iterdir())


def test_no_room_for_activations(source: Source, pixels: Tensor, work: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr("kdlib.activations._free_memory", lambda: 0)
    monkeypatch.setattr("kdlib.activations.shutil.disk_usage", lambda _: type("usage", (), {"free": 1000}))
    with pytest.raises(OSError, match=r"need 0\.0 GB, 0\.0 GB are free"):
        source_activations(source, pixels, TINY)
    assert not list(work.iterdir())


def test_source_has_the_precision_of_the_recipe() -> None:
    assert make_source(TINY, CPU).dtype == torch.float32
    assert make_source(TINY.replace(precision="bf16"), CPU).dtype == torch.bfloat16


@pytest.mark.slow
def test_half_precision_does_not_move_auroc() -> None:
    """A difficult digit, so that there is something to move."""
    split = load("digits", "8")
    test = split.test[:240]
    detector = Detector(TINY.replace(epochs=5)).fit(split.train[:48])
    everywhere = Detector(TINY.replace(precision="bf16"))
    everywhere.cloner, everywhere.training = detector.cloner, detector.training
    images = test.pixels(32)
    single = source_activations(detector.source, images, TINY)
    half = {p: a.bfloat16() for p, a in single.items()}
    scores = [detector.score_pixels(images, kept) for kept in (single, half)] + [everywhere.score_pixels(images)]
    found = [known(auroc(known(test.labels), each)) for each in scores]
    assert 0.4 < found[0] < 0.999
    assert np.ptp(found) < 0.001


def test_prepare() -> None:
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(prepare(pixels, TINY, CPU), pixels / 255)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(prepare(pixels, TINY.replace(normalize=True), CPU), (pixels / 255 - mean) / std)


def test_lambda_balances_the_terms_of_the_untrained_cloner(pixels: Tensor, activations: Activations) -> None:
    cloner = make_cloner(TINY, CPU, seed=0)
    before = {k: v.clone() for k, v in cloner.state_dict().items()}
    parts = [slice(0, 16), slice(16, 32)]
    batches = ((prepare(pixels[p], TINY, CPU), take(activations, p, CPU)) for p in parts)
    found = balanced_lambda(cloner, batches, half=False)
    assert all(torch.equal(v, before[k]) for k, v in cloner.state_dict().items())  # running statistics, too
    value, direction = 0.0, 0.0
    cloner.train()
    for p in parts:
        with torch.no_grad():
            c = cloner(prepare(pixels[p], TINY, CPU))
        for point, s in take(activations, p, CPU).items():
            value += F.mse_loss(c[point], s).item()
            direction += (1 - F.cosine_similarity(s.flatten(1), c[point].flatten(1))).mean().item()
    assert found == pytest.approx(value / direction, rel=1e-4)


def test_first_step_is_adam_on_the_mean_discrepancy(pixels: Tensor, activations: Activations) -> None:
    recipe = TINY.replace(epochs=1, batch_size=32, lam=3.0)
    cloner, expected = (make_cloner(recipe, CPU, seed=0) for _ in range(2))
    state = distill(cloner, pixels, activations, recipe, seed=0)
    adam = torch.optim.Adam(expected.parameters(), lr=1e-3)
    loss = torch.zeros(())
    for point, c in expected.train()(prepare(pixels, recipe, CPU)).items():
        s = activations[point]
        loss = loss + F.mse_loss(c, s) + 3 * (1 - F.cosine_similarity(s.flatten(1), c.flatten(1))).mean()
    loss.backward()
    adam.step()
    assert state.losses == [pytest.approx(loss.item(), rel=1e-5)]
    assert state.lam == 3
    pairs = zip(cloner.parameters(), expected.parameters(), strict=True)
    close = [torch.isclose(p, q, rtol=0, atol=1e-5).float().mean() for p, q in pairs]
    assert min(close) > 0.95  # Adam's first step is the sign of the gradient: where that is 0, rounding decides


def test_same_seed_same_cloner(pixels: Tensor, activations: Activations) -> None:
    cloners, losses = [], []
    for seed in (1, 1, 2):
        torch.rand(1)  # what other code draws does not matter
        state = torch.random.get_rng_state()
        cloners.append(make_cloner(TINY, CPU, seed=seed))
        losses.append(distill(cloners[-1], pixels, activations, TINY, seed=seed).losses)
        assert torch.equal(torch.random.get_rng_state(), state)  # nor what this draws
    assert same(cloners[0], cloners[1])
    assert losses[0] == losses[1]
    assert not same(cloners[0], cloners[2])


@pytest.mark.filterwarnings("ignore:.*overflow")
def test_a_loss_that_is_no_number_stops_training(pixels: Tensor, activations: Activations, tmp_path: Path) -> None:
    broken = {p: a.clone() for p, a in activations.items()}
    broken["pool2"][3, 0, 0, 0] = torch.nan
    path = tmp_path / "checkpoint"
    with pytest.raises(FloatingPointError, match="the loss of epoch 1 is nan"):
        distill(make_cloner(TINY, CPU, seed=0), pixels, broken, TINY.replace(lam=1), seed=0, checkpoint=path)
    assert not path.exists()


LONGER = TINY.replace(epochs=4)


def train(
    pixels: Tensor, activations: Activations, checkpoint: Path | None, *, recipe: Recipe = LONGER, fails_at: int = 0
) -> tuple[Cloner, Training]:
    def evaluate(epoch: int) -> dict[str, float]:
        if epoch == fails_at:
            raise InterruptedError
        return {"half": epoch / 2}

    cloner, often = make_cloner(recipe, CPU, seed=3), {"checkpoint": checkpoint, "checkpoint_seconds": 0}
    return cloner, distill(cloner, pixels, activations, recipe, seed=3, evaluate=evaluate, **often)  # type: ignore[arg-type]


@pytest.mark.parametrize("fails_at", [1, 2, 4])
def test_interrupted_training_ends_the_same(
    pixels: Tensor, activations: Activations, tmp_path: Path, fails_at: int
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(InterruptedError):
        train(pixels, activations, path, fails_at=fails_at)
    assert path.exists() == (fails_at > 1)
    continued, state = train(pixels, activations, path)
    whole, expected = train(pixels, activations, None)
    assert same(continued, whole)
    assert not whole.training
    assert expected.epoch == len(expected.losses) == 4
    assert expected.losses[-1] < 0.85 * expected.losses[0]  # it learns
    assert (state.losses, state.lam, state.evaluations) == (expected.losses, expected.lam, expected.evaluations)
    assert [e["epoch"] for e in state.evaluations] == [1, 2, 3, 4]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    again, state = train(pixels, activations, path, fails_at=4)  # which is not repeated
    assert same(again, whole)
    assert state.epoch == 4


def test_foreign_checkpoint(pixels: Tensor, activations: Activations, tmp_path: Path, bomb: bytes) -> None:
    path = tmp_path / "checkpoint.safetensors"
    other = safetensors.torch.save({"a": torch.zeros(1)}, {"format": "kdlib.detector/1"})
    for content in (bomb, b"", other):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"\.safetensors: .*(not a safetensors file|another kind of file)"):
            train(pixels, activations, path)
        assert path.read_bytes() == content


def test_checkpoint_of_another_training(pixels: Tensor, activations: Activations, tmp_path: Path) -> None:
    train(pixels, activations, path := tmp_path / "checkpoint.safetensors")
    for recipe, seed, images in (
        (LONGER.replace(learning_rate=0.01), 3, pixels),
        (LONGER.replace(conv_bias=True), 3, pixels),
        (LONGER, 4, pixels),
        (LONGER, 3, pixels.flip(0)),
    ):
        with pytest.raises(ValueError, match=r"checkpoint\.safetensors: .*(other|another)"):
            distill(make_cloner(recipe, CPU, seed=3), images, activations, recipe, seed=seed, checkpoint=path)


def test_augmentation_turns_and_scales_within_its_limits() -> None:
    """A bar is turned by at most 20 degrees and scaled by 0.9 to 1.05, seen in its second moments."""
    bar = torch.zeros(200, 3, 64, 64, dtype=torch.uint8)
    bar[:, :, 28:36, 12:52] = 255  # 8 x 40, lying
    turned = augment(bar, torch.Generator().manual_seed(0)).double()[:, 0] / 255
    assert turned.shape == (200, 64, 64)
    place = torch.arange(64) - 31.5
    mass = turned.sum((1, 2))
    xx, yy, xy = ((turned * m).sum((1, 2)) / mass for m in (place**2, place[:, None] ** 2, place * place[:, None]))
    angles = torch.rad2deg(torch.atan2(2 * xy, xx - yy) / 2)
    scales = (mass / (8 * 40)).sqrt()
    assert angles.abs().max() < 20.5
    assert angles.min() < -15 < 15 < angles.max()
    assert 0.88 < scales.min() < 0.92
    assert 1.03 < scales.max() < 1.07


def test_augmented_distillation_asks_the_source(source: Source, pixels: Tensor, activations: Activations) -> None:
    def losses(recipe: Recipe, known: Source | Activations) -> list[float]:
        return distill(make_cloner(recipe, CPU, seed=0), pixels, known, recipe, seed=0).losses

    augmented = TINY.replace(augment=True)
    assert losses(augmented, source) == losses(augmented, source) != losses(TINY, source)
    np.testing.assert_allclose(losses(TINY, source), losses(TINY, activations), rtol=1e-5)
    with pytest.raises(ValueError, match="the recipe augments; expected the source instead of its activations"):
        losses(augmented, activations)
