"""What each data set of the paper is: who offers it, under which licence, in which layout, with how many images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kdlib.errors import unknown
from kdlib.files import cache_folder, data_folder, note_read

Counts = Mapping[str, tuple[int, int, int]]  # normal class or category -> training, normal test, anomalous test images

IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


@dataclass(frozen=True)
class About:
    """One data set.

    Attributes:
        publisher: page of who offers it.
        commercial: whether its licence allows commercial use; None where that is unclear.
        layout: of the files, below the folder that `find` gives.
        counts: of the original; empty where the split is ours.
        places: other folders to look in, below ``$KDLIB_DATA``, torchvision's among them, and elsewhere.
        proof: one of these lies in the right folder.
    """

    title: str
    publisher: str
    licence: str
    commercial: bool | None
    layout: str
    counts: Counts
    places: tuple[str | Path, ...] = ()
    proof: tuple[str, ...] = ("",)

    @property
    def terms(self) -> str:
        """The licence, and what it means at work."""
        note = {True: "", False: ": no commercial use", None: "; ask before commercial use"}[self.commercial]
        return self.licence + note


def _each(train: tuple[int, ...], test: tuple[int, ...]) -> Counts:
    return {str(c): (train[c], test[c], sum(test) - test[c]) for c in range(len(train))}


_IDX_PROOF = (IDX[0], f"{IDX[0]}.gz")

ABOUT: Mapping[str, About] = {
    "mnist": About(
        "MNIST",
        "https://yann.lecun.com/exdb/mnist/",
        "CC BY-SA 3.0",
        True,
        f"{', '.join(IDX)} (.gz or not)",
        _each(
            (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
            (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
        ),
        ("mnist/MNIST/raw", "MNIST/raw"),
        _IDX_PROOF,
    ),
    "fashion_mnist": About(
        "Fashion-MNIST",
        "https://github.com/zalandoresearch/fashion-mnist",
        "MIT",
        True,
        f"{', '.join(IDX)} (.gz or not)",
        _each((6000,) * 10, (1000,) * 10),
        ("fashion_mnist/FashionMNIST/raw", "FashionMNIST/raw", DEBIAN_FASHION_MNIST),
        _IDX_PROOF,
    ),
    "cifar10": About(
        "CIFAR-10",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        "none stated by its authors",
        None,
        "{train,test}/<class>/* as images, or torchvision's cifar-10-batches-py/",
        dict.fromkeys(CIFAR10, (5000, 1000, 9000)),
        ("cifar10/cifar-10-batches-py", "cifar-10-batches-py"),
        ("train", "data_batch_1"),
    ),
    "mvtec_ad": About(
        "MVTec AD",
        "https://www.mvtec.com/company/research/datasets/mvtec-ad",
        "CC BY-NC-SA 4.0",
        False,
        "<category>/train/good/*, <category>/test/<good or defect>/*, <category>/ground_truth/<defect>/<name>_mask.png",
        {
            "bottle": (209, 20, 63),
            "cable": (224, 58, 92),
            "capsule": (219, 23, 109),
            "carpet": (280, 28, 89),
            "grid": (264, 21, 57),
            "hazelnut": (391, 40, 70),
            "leather": (245, 32, 92),
            "metal_nut": (220, 22, 93),
            "pill": (267, 26, 141),
            "screw": (320, 41, 119),
            "tile": (230, 33, 84),
            "toothbrush": (60, 12, 30),
            "transistor": (213, 60, 40),
            "wood": (247, 19, 60),
            "zipper": (240, 32, 119),
        },
    ),
    "retinal_oct": About(
        "Retinal OCT (OCT2017)",
        "https://data.mendeley.com/datasets/rscbjbr9sj/2",
        "CC BY 4.0",
        True,
        "train/NORMAL/*, test/{CNV,DME,DRUSEN,NORMAL}/*; or RESC's train/good/*, test/{good,Ungood}/img/*, "
        "test/Ungood/label/*",
        {"RESC": (26315, 250, 750)},
    ),
    "head_ct": About(
        "HeadCT",
        "https://www.kaggle.com/datasets/felipekitamura/head-ct-hemorrhage",
        "Kaggle, licence unclear",
        None,
        "labels.csv (id,hemorrhage), head_ct/<id>.png",
        {"head_ct": (90, 10, 100)},
    ),
    "brain_mri": About(
        "BrainMRI",
        "https://www.kaggle.com/datasets/navoneel/brain-mri-images-for-brain-tumor-detection",
        "Kaggle, licence unclear",
        None,
        "no/*, yes/*",
        {"brain_mri": (88, 10, 155)},
    ),
}


def find(dataset: str) -> Path | None:
    """The folder where a data set lies; None where it is in none of the known places. Nothing is downloaded.

    The first is ``$KDLIB_DATA/<dataset>``; torchvision's own folders there, and its downloads, are found too.
    """
    if dataset not in ABOUT:
        raise ValueError(unknown("data: no data set of the paper", dataset, ABOUT))
    note_read("data", dataset)
    about = ABOUT[dataset]
    places = [data_folder() / place for place in (dataset, *about.places)]  # an absolute place stays what it is
    places += [cache_folder() / "data" / place for place in about.places if isinstance(place, str)]
    return next((p for p in places if any((p / proof).exists() for proof in about.proof)), None)


def missing(dataset: str, folder: Path | None = None) -> FileNotFoundError:
    """The error for who asks for a data set that is not there: where it was looked for, and where it is offered."""
    about = ABOUT[dataset]
    return FileNotFoundError(
        f"{dataset}: no folder {folder or data_folder() / dataset}. {about.title} is offered at {about.publisher} "
        f"({about.terms}). Layout expected there: {about.layout}. Where it lies elsewhere, name the folder above in "
        "KDLIB_DATA"
    )
