"""Metrics of localization on the pixels of a category: `python benchmarks/metrics.py [images [size]]`, 100 of 256 px.

Maps are smoothed noise with defects and ties, in single precision, as a detector gives them. Each metric is timed in
turn, five times, scikit-learn's AUROC beside the same arrays; best and median are shown, and the memory that each way
takes beside its arguments. Run it with nothing else running. The last line is JSON.
"""

import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage
from skimage.morphology import disk
from sklearn.metrics import roc_auc_score

from kdlab.experiments.records import commit, processor
from kdlab.localization import f1_and_iou, localization_metrics, pixel_threshold
from kdlib import metrics

ROUNDS = 5


def category(images: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks, maps (N, S, S) and labels (N,): four images of five have one to three ellipses, higher on the average."""
    random = np.random.default_rng(0)
    labels = (np.arange(images) % 5 != 0).astype(int)
    masks = np.zeros((images, size, size), dtype=bool)
    y, x = np.mgrid[:size, :size] / size
    for number in np.flatnonzero(labels):
        for _ in range(random.integers(1, 4)):
            row, column, height, width = random.uniform((0, 0, 0.02, 0.02), (1, 1, 0.15, 0.15))
            masks[number] |= ((y - row) / height) ** 2 + ((x - column) / width) ** 2 < 1
    noise = random.random(masks.shape, dtype=np.float32)
    maps = ndimage.gaussian_filter(noise, (0, size / 64, size / 64))
    maps += np.float32(1.5 * maps.std()) * ndimage.gaussian_filter(masks.astype(np.float32), (0, size / 64, size / 64))
    return masks, ndimage.grey_opening(maps, footprint=disk(1)[None]), labels  # the opening makes ties


def main(images: int = 100, size: int = 256) -> None:
    """Print a line a way, and all as JSON."""
    masks, maps, labels = category(images, size)
    threshold = pixel_threshold(maps[labels == 0])
    ways: dict[str, Callable[[], object]] = {
        "pixel AUROC": lambda: metrics.auroc(masks, maps),
        "pixel AUROC, scikit-learn": lambda: roc_auc_score(masks.ravel(), maps.ravel()),
        "AUPRO": lambda: metrics.aupro(masks, maps),
        "F1 and IoU": lambda: f1_and_iou(masks, maps, threshold),
        "threshold": lambda: pixel_threshold(maps),
        "all, and all of defective": lambda: localization_metrics(masks, maps, labels),
    }
    distinct = np.unique(maps).size
    print(f"{maps.size:,} pixels, {distinct:,} different values, {masks.mean():.1%} defective, {maps.nbytes:,} bytes")
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    found: dict[str, float] = {}
    for name, way in ways.items():
        tracemalloc.start()
        way()
        memory = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        best, median = min(times[name]), statistics.median(times[name])
        print(f"{name}: best {best:.2f} s, median {median:.2f} s, {memory:.0f} MiB beside its arguments")
        found |= {f"{name}, s": round(median, 3), f"{name}, MiB": round(memory)}
    about = {"pixels": maps.size, "processor": processor(), "threads": torch.get_num_threads(), "commit": commit()}
    print(json.dumps({"benchmark": "metrics", **found, **about}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
