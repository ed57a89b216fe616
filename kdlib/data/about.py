"""What each data set of the paper is: who offers it, under which licence, in which layout, and where it lies."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kdlib.errors import unknown
from kdlib.files import cache_folder, data_folder, note_read

IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
DIGITS = tuple("0123456789")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MVTEC_AD = ("bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut", "pill", "screw")
MVTEC_AD += ("tile", "toothbrush", "transistor", "wood", "zipper")
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


@dataclass(frozen=True)
class About:
    """One data set.

    Attributes:
        publisher: page of who offers it.
        commercial: whether its licence allows commercial use; None where that is unclear.
        layout: of the files, below the folder that `find` gives.
        normals: its normal classes or categories.
        places: other folders to look in, below ``$KDLIB_DATA``, torchvision's among them, and elsewhere.
        proof: one of these lies in the right folder.
    """

    title: str
    publisher: str
    licence: str
    commercial: bool | None
    layout: str
    normals: tuple[str, ...]
    places: tuple[str | Path, ...] = ()
    proof: tuple[str, ...] = ("",)

    @property
    def terms(self) -> str:
        """The licence, and what it means at work."""
        note = {True: "", False: ": no commercial use", None: "; ask before commercial use"}[self.commercial]
        return self.licence + note


ABOUT: Mapping[str, About] = {
    "mnist": About(
        "MNIST",
        "https://yann.lecun.com/exdb/mnist/",
        "CC BY-SA 3.0",
        True,
        f"{', '.join(IDX)} (.gz or not)",
        DIGITS,
        ("mnist/MNIST/raw", "MNIST/raw"),
        (IDX[0], f"{IDX[0]}.gz"),
    ),
    "fashion_mnist": About(
        "Fashion-MNIST",
        "https://github.com/zalandoresearch/fashion-mnist",
        "MIT",
        True,
        f"{', '.join(IDX)} (.gz or not)",
        DIGITS,
        ("fashion_mnist/FashionMNIST/raw", "FashionMNIST/raw", DEBIAN_FASHION_MNIST),
        (IDX[0], f"{IDX[0]}.gz"),
    ),
    "cifar10": About(
        "CIFAR-10",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        "none stated by its authors",
        None,
        "{train,test}/<class>/* as images, or torchvision's cifar-10-batches-py/",
        CIFAR10,
        ("cifar10/cifar-10-batches-py", "cifar-10-batches-py"),
        ("train", "data_batch_1"),
    ),
    "mvtec_ad": About(
        "MVTec AD",
        "https://www.mvtec.com/company/research/datasets/mvtec-ad",
        "CC BY-NC-SA 4.0",
        False,
        "<category>/train/good/*, <category>/test/<good or defect>/*, <category>/ground_truth/<defect>/<name>_mask.png",
        MVTEC_AD,
    ),
    "retinal_oct": About(
        "Retinal OCT (OCT2017)",
        "https://data.mendeley.com/datasets/rscbjbr9sj/2",
        "CC BY 4.0",
        True,
        "train/NORMAL/*, test/{CNV,DME,DRUSEN,NORMAL}/*; or RESC's train/good/*, test/{good,Ungood}/img/*, "
        "test/Ungood/label/*",
        ("RESC",),
    ),
    "head_ct": About(
        "HeadCT",
        "https://www.kaggle.com/datasets/felipekitamura/head-ct-hemorrhage",
        "Kaggle, licence unclear",
        None,
        "labels.csv (id,hemorrhage), head_ct/<id>.png",
        ("head_ct",),
    ),
    "brain_mri": About(
        "BrainMRI",
        "https://www.kaggle.com/datasets/navoneel/brain-mri-images-for-brain-tumor-detection",
        "Kaggle, licence unclear",
        None,
        "no/*, yes/*",
        ("brain_mri",),
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
