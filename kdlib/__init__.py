"""Multiresolution knowledge distillation for anomaly detection (CVPR 2021), as a small library."""

from kdlib.data import Images, Split, load
from kdlib.detector import Detector
from kdlib.memory import Gaussian, Memory
from kdlib.recipe import Recipe

__version__ = "1.0.0"
__all__ = ["Detector", "Gaussian", "Images", "Memory", "Recipe", "Split", "load"]
