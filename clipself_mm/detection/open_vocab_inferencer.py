"""mmdet's inferencer: any kind of image, class names in its predictions and saved files."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import cv2
import mmcv
import mmengine
import numpy as np
from mmdet.apis import DetInferencer
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import Compose
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from clipself_mm.datasets.annotations.image_listing import EXTENSIONS
from clipself_mm.datasets.exemplars import list_exemplars
from clipself_mm.datasets.input_images import InputImage, OutputNames, list_inputs
from clipself_mm.datasets.structures import ImageReadError
from clipself_mm.models import embed_exemplars


def prepare(pipeline: Callable[[dict], dict], sample: dict, label: str) -> dict:
    """Put one sample through the pipeline of an inferencer.

    Args:
        pipeline: The pipeline.
        sample: `img` (BGR, uint8 of shape (H, W, 3)), and what mmdet adds to it.
        label: Path or number of the image, for the error.

    Raises:
        ImageReadError: A side has less than one pixel after resizing.
    """
    try:
        return pipeline(sample)
    except cv2.error as error:
        raise ImageReadError(label, f'cannot be resized: {error.err}') from error


class OpenVocabInferencer(DetInferencer):
    """mmdet's `DetInferencer` for an F-ViT; predictions have `label_names`, a name per box.

    A label alone says little where each call may have its own class names.

    Inputs are those of `list_inputs`; arrays are BGR. They are read batch by batch, as `LoadRGB`
    reads them. With `out_dir`, each image has `vis/NAME` and `preds/NAME.json`: NAME is that of
    its file, below the folder that was given; see `OutputNames` for images that share one.
    `out_dir` may lie in that folder.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._output_names: dict[str, OutputNames] = defaultdict(OutputNames)

    def __call__(
        self,
        inputs: object,
        *args: object,
        texts: str | Sequence[str] | None = None,
        out_dir: str | Path = '',
        **kwargs: object,
    ) -> dict[str, Any]:
        """Detect objects.

        Args:
            inputs: One image or several, see `list_inputs`.
            *args: As in mmdet.
            texts: Class names of this call, see `read_names`: one text for all images, or a list
                with one per image. By default the classes of the config.
            out_dir: Folder for figures and predictions; '' writes nothing.
            **kwargs: As in mmdet.

        Returns:
            `predictions`, see `pred2dict`, and with `return_vis` their figures (RGB, (H, W, 3))
            as `visualization`.

        Raises:
            ImageReadError, TypeError, ValueError: As in `list_inputs`; or `texts` has not one
                text per image.
        """
        out_dir = str(out_dir)
        images = list_inputs(inputs, leave_out=os.path.join(out_dir, 'vis') if out_dir else '')
        if not (texts is None or isinstance(texts, str)) and len(texts) != len(images):
            raise ValueError(
                f'texts: expected one text per image, got {len(texts)} for {len(images)}; the '
                "class names of all images are one text: 'red star. blue ring'"
            )
        if out_dir:
            names = self._output_names[out_dir].choose(images)
            images = [replace(i, name=name) for i, name in zip(images, names, strict=True)]
        return super().__call__(images, *args, texts=texts, out_dir=out_dir, **kwargs)

    def embed_exemplars(self, exemplars: str | Path | Mapping[str, object]) -> dict[str, Tensor]:
        """Embed the pictures of classes by the tower of the detector.

        Args:
            exemplars: Pictures of classes, see `list_exemplars`; classes whose value is a vector of
                this method stay as they are.

        Returns:
            Class name to unit vector, shape (D).

        Raises:
            ImageReadError, TypeError, ValueError: As in `list_exemplars` and
                `clipself_mm.models.embed_exemplars`.
        """
        done: dict[str, Tensor] = {}
        if isinstance(exemplars, Mapping):
            done = {
                name: given
                for name, given in exemplars.items()
                if isinstance(given, Tensor) and given.ndim == 1 and given.is_floating_point()
            }
            exemplars = {name: given for name, given in exemplars.items() if name not in done}
        tower = self.model.backbone.tower
        for name, vector in done.items():
            if len(vector) != tower.dim:
                raise ValueError(
                    f'exemplars of {name!r}: expected {tower.dim} numbers (features of the tower), '
                    f'got {len(vector)}'
                )
        if done and not exemplars:
            return done
        embedded = embed_exemplars(tower, list_exemplars(exemplars), self._input_side)
        if both := embedded.keys() & done.keys():
            raise ValueError(f'exemplars of {min(both)!r}: has pictures and a vector')
        return done | embedded

    def _input_side(self, image: np.ndarray) -> int:
        """Longest side of an image (RGB) behind the test pipeline, in pixels."""
        sample = dict(img=image[..., ::-1].copy(), img_id=0)
        packed = prepare(self.pipeline, sample, 'picture of an exemplar')
        return max(packed['inputs'].shape[-2:])

    def _init_pipeline(self, cfg: Config) -> Compose:
        """As in mmdet; a `LoadBGR` is replaced too, for images are given to it as arrays."""
        steps = cfg.test_dataloader.dataset.pipeline
        for index, step in enumerate(steps):
            if step['type'] == 'LoadBGR':
                floats = step.get('to_float32', False)
                steps[index] = dict(type='LoadImageFromFile', to_float32=floats)
        return super()._init_pipeline(cfg)

    def _inputs_to_list(self, inputs: object) -> list[InputImage]:
        """As `list_inputs`."""
        return list_inputs(inputs)

    def preprocess(self, inputs: list, batch_size: int = 1, **kwargs: object) -> DataLoader:
        """Batches that are read when they are needed.

        Args:
            inputs: Images, or dicts with `img` and what mmdet adds to it.
            batch_size: Images per batch.
            **kwargs: Not used, as in mmdet.

        Returns:
            Per batch, the source images (BGR) and the input of the model.
        """
        return DataLoader(
            cast(Dataset, inputs),  # a list is enough
            batch_size,
            collate_fn=lambda batch: self.collate_fn([self._load(given) for given in batch]),
        )

    def _load(self, given: InputImage | dict) -> tuple[np.ndarray, dict]:
        """Source image (BGR) and sample of one input."""
        sample = dict(given) if isinstance(given, dict) else dict(img=given)
        (image,) = list_inputs(sample['img'])
        pixels = image.read_bgr()
        packed = prepare(self.pipeline, dict(sample, img=pixels.copy()), image.label)
        packed['data_samples'].set_metainfo(dict(img_path=image.path, output_name=image.name))
        return pixels, packed

    def visualize(
        self,
        inputs: Sequence[np.ndarray],
        preds: Sequence[DetDataSample],
        return_vis: bool = False,
        show: bool = False,
        no_save_vis: bool = False,
        img_out_dir: str = '',
        **kwargs: object,
    ) -> list[np.ndarray] | None:
        """Draw the predictions of a batch.

        Args:
            inputs: Source images (BGR, uint8 of shape (H, W, 3)).
            preds: Their predictions.
            return_vis: Whether to return the figures.
            show: Whether to show them in a window.
            no_save_vis: Whether to write none.
            img_out_dir: They are written to `vis/` in this folder; '' writes nothing.
            **kwargs: As in mmdet.

        Returns:
            With `return_vis` the figures: RGB, shape (H, W, 3).
        """
        save = bool(img_out_dir) and not no_save_vis
        figures = []
        for pixels, sample in zip(inputs, preds, strict=True):
            if not (save or show or return_vis):
                break
            (figure,) = super().visualize(
                [pixels[..., ::-1]], [sample], return_vis=True, show=show, **kwargs
            )
            if save:
                ending = os.path.splitext(sample.img_path or '')[1]
                name = sample.output_name + (ending if ending.lower() in EXTENSIONS else '.jpg')
                mmcv.imwrite(figure[..., ::-1], os.path.join(img_out_dir, 'vis', name))
            if return_vis:
                figures.append(figure)
        return figures if return_vis else None

    def pred2dict(self, data_sample: DetDataSample, pred_out_dir: str = '') -> dict[str, Any]:
        """Convert a prediction.

        Args:
            data_sample: Prediction of an `FViT`.
            pred_out_dir: The result is written to `preds/NAME.json` in this folder; '' writes
                nothing.

        Returns:
            `img_path` (None for an image without a file), `labels`, `label_names`, `scores`,
            `bboxes` and perhaps `masks`, as in mmdet.
        """
        result = super().pred2dict(data_sample)
        result = {
            'img_path': data_sample.img_path,
            'labels': result.pop('labels'),
            'label_names': list(data_sample.pred_instances.label_names),
            **result,
        }
        if pred_out_dir:
            name = f'{data_sample.output_name}.json'
            mmengine.dump(result, os.path.join(pred_out_dir, 'preds', name))
        return result
