"""The gradient of Eq. 4 by critical point and term."""

import numpy as np
import torch
from torch import Tensor

from kdlab.terms import Terms
from kdlib import Detector, Split
from kdlib.activations import prepare
from kdlib.networks import CRITICAL_POINTS


def literal_gradient(detector: Detector, x: Tensor, point: str, term: str) -> np.ndarray:
    """d of Eq. 1 or 3 at one critical point / d x, written out."""
    image = x.clone().requires_grad_()
    s, c = detector.source(image)[point], detector.cloner(image)[point]
    if term == "value":
        total = ((s - c) ** 2).mean((1, 2, 3)).sum()
    else:
        total = (1 - torch.cosine_similarity(s.flatten(1), c.flatten(1))).sum()
    (gradient,) = torch.autograd.grad(total, image)
    return gradient.numpy()


def test_signed_gradients_of_each_term(fitted: Detector, digits: Split) -> None:
    x = prepare(digits.test[:4].pixels(32), fitted.recipe, fitted.device)
    found = Terms(fitted, x).signed_gradients()
    for i, point in enumerate(CRITICAL_POINTS):
        for j, term in enumerate(("value", "direction")):
            wanted = literal_gradient(fitted, x, point, term)
            np.testing.assert_allclose(found[i, j], wanted, rtol=1e-2, atol=1e-3 * np.abs(wanted).max())
