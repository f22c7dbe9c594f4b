"""A trained detector in one call, for any class names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import Tensor

from clipself_mm.clip.exemplar_embedding import ExemplarEmbedding
from clipself_mm.model_index import find_config, find_model
from clipself_mm.models import join_exemplars, read_names

from .fvit import FViT
from .image_detections import ImageDetections, of_sample
from .open_vocab_inferencer import OpenVocabInferencer

SHIPPED = 'fvit_tiny_shipped_shapes-ov'
"""Name of the detector that comes with the package."""


def check_is_fvit(config: Config, name: str) -> None:
    """Check the type of a config's model, before weights are read.

    Args:
        config: The config.
        name: Its name, for the error.

    Raises:
        TypeError: The model is not an `FViT`.
    """
    given = (config.get('model') or {}).get('type')
    kind = MODELS.get(given) if isinstance(given, str) else given
    if not (isinstance(kind, type) and issubclass(kind, FViT)):
        raise TypeError(f'{name}: expected the config of an FViT, its model is a {given}')


def check_device(device: str) -> None:
    """ValueError if there is no such device."""
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise ValueError(f'device {device!r} cannot be used: {why}') from error


def check_score_thr(score_thr: float) -> None:
    """ValueError if a threshold is not in 0-1."""
    if not 0 <= score_thr <= 1:
        raise ValueError(f'score_thr: expected 0 to 1, got {score_thr}')


class DetectorVocabulary(NamedTuple):
    """The arguments of `FViT.set_vocabulary`."""

    classes: tuple[str, ...]
    """Names of the classes."""
    exemplars: Mapping[str, ExemplarEmbedding]
    """Embedded pictures of some classes, by name."""
    negatives: tuple[str, ...]
    """Names that compete with the classes, but are not detected."""


class OpenVocabDetector:
    """An F-ViT with its weights, by `OpenVocabInferencer`.

    ```python
    detector = OpenVocabDetector()  # the shipped one, trained on Shapes-OV
    (found,) = detector('image.png', texts='red star. blue ring')
    print(found.names, found.scores, found.boxes)
    ```

    Args:
        model: Config file (.py) of an `FViT`, its path below the package (`configs/...`), its
            `Config`, or a name of `model-index.yml`.
        weights: Checkpoint: path, URL or `pkg:PACKAGE/FILE`; by default that of the index.
        device: cpu, cuda:0, ...; by default the GPU if there is one.

    Attributes:
        inferencer: What loads and runs the model.

    Raises:
        FileNotFoundError: The config or the checkpoint is missing.
        ValueError: The name is unknown, there are no weights, or there is no such device.
        TypeError: The model is not an `FViT`.
    """

    def __init__(
        self,
        model: str | Path | Config = SHIPPED,
        weights: str | Path | None = None,
        device: str | None = None,
    ) -> None:
        name = 'the config'
        if not isinstance(model, Config):
            name = str(model)
            if name.endswith('.py'):
                model = Config.fromfile(find_config(name))
            else:
                indexed = find_model(name)
                model, weights = Config.fromfile(indexed.config), weights or indexed.weights
        if weights is None:
            raise ValueError(f'{name}: no weights are published with it: give weights=CHECKPOINT')
        check_is_fvit(model, name)
        if device is not None:
            check_device(device)
        self.inferencer = OpenVocabInferencer(model, str(weights), device, show_progress=False)

    @property
    def model(self) -> FViT:
        """The detector; `set_vocabulary` changes the classes that are the default."""
        return self.inferencer.model

    def __call__(
        self,
        inputs: object,
        texts: str | Sequence[str] | None = None,
        score_thr: float = 0.3,
        batch_size: int = 1,
        exemplars: str | Path | Mapping[str, object] | None = None,
        exemplar_weight: float = 0.5,
        negatives: str | Sequence[str] | None = None,
    ) -> list[ImageDetections]:
        """Detect objects.

        Args:
            inputs: One image or several, see `list_inputs`: paths, folders, PIL images, uint8
                arrays (BGR) and tensors (RGB), of any sizes. They are read batch by batch.
            texts: Class names, the same for all images: one text ('red star. blue ring') or a list
                of names, see `read_names`. By default the classes of the model, or with
                `exemplars` none.
            score_thr: Least score; the model itself returns none below its `score_thr`.
            batch_size: Images in a forward pass.
            exemplars: Pictures of classes: class name to one or a list of crops or `Exemplar`
                (a box in an image), see `list_exemplars`; or a folder with a sub-folder per class;
                or what `embed_exemplars` returned. They follow the classes of `texts`; a class
                that is not among these is given by its pictures alone.
            exemplar_weight: Share of the pictures in 0-1 for classes of `texts`.
            negatives: Names of other objects that compete with `texts`, but are not reported; by
                default `FViT.safe_negatives`, [] for none.

        Returns:
            One result per image, in the order of the inputs.

        Raises:
            ImageReadError, TypeError, ValueError: As in `list_inputs`, `set_vocabulary` and
                `embed_exemplars`; or a weight or the threshold is not in 0-1.
        """
        check_score_thr(score_thr)
        chosen = self.read_vocabulary(texts, exemplars, exemplar_weight, negatives)
        same = texts is exemplars is negatives is None
        with nullcontext() if same else self.model.vocabulary(*chosen):
            found = self.inferencer(inputs, batch_size=batch_size, return_datasamples=True)
        return [of_sample(sample, chosen.classes, score_thr) for sample in found['predictions']]

    def read_vocabulary(
        self,
        texts: str | Sequence[str] | None = None,
        exemplars: str | Path | Mapping[str, object] | None = None,
        exemplar_weight: float = 0.5,
        negatives: str | Sequence[str] | None = None,
    ) -> DetectorVocabulary:
        """Read the classes of a call.

        Args:
            texts: As in a call.
            exemplars: As in a call.
            exemplar_weight: As in a call.
            negatives: As in a call.

        Returns:
            The classes, their pictures and the negatives.

        Raises:
            ImageReadError, TypeError, ValueError: As in a call.
        """
        model = self.model
        names, pictures, others = model.classes, model.exemplars, model.negatives
        if texts is not None or exemplars is not None:
            vectors = {} if exemplars is None else self.embed_exemplars(exemplars)
            named = [] if texts is None else read_names(texts)
            names, pictures = join_exemplars(named, vectors, exemplar_weight)
            others = model.safe_negatives(names)
        if negatives is not None:
            others = tuple(read_names(negatives)) if negatives else ()
        return DetectorVocabulary(names, pictures, others)

    def embed_exemplars(self, exemplars: str | Path | Mapping[str, object]) -> dict[str, Tensor]:
        """Embed the pictures of classes once, for many calls.

        Args:
            exemplars: As in a call; classes that are embedded already stay as they are.

        Returns:
            Class name to unit vector, shape (D).

        Raises:
            ImageReadError, TypeError, ValueError: As in `list_exemplars`; or a picture is broken,
                or a box has no area in its image.
        """
        return self.inferencer.embed_exemplars(exemplars)
