"""mmdet's inferencer with class names in its predictions and saved files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mmengine
from mmdet.apis import DetInferencer
from mmdet.structures import DetDataSample


class OpenVocabInferencer(DetInferencer):
    """mmdet's `DetInferencer` for an F-ViT; predictions have `label_names`, a name per box.

    A label alone says little where each call may have its own class names.
    """

    def pred2dict(self, data_sample: DetDataSample, pred_out_dir: str = '') -> dict[str, Any]:
        """Convert a prediction.

        Args:
            data_sample: Prediction of an `FViT`.
            pred_out_dir: The result is written to `preds/NAME.json` in this folder, NAME of the
                image's file or a number; '' writes nothing.

        Returns:
            `labels`, `label_names`, `scores`, `bboxes` and perhaps `masks`, as in mmdet.
        """
        result = super().pred2dict(data_sample)
        names = list(data_sample.pred_instances.label_names)
        result = {'labels': result.pop('labels'), 'label_names': names, **result}
        if pred_out_dir:
            path = data_sample.get('img_path')  # None for an array
            if path is not None:
                stem = Path(path).stem
            else:
                stem = str(self.num_predicted_imgs)
                self.num_predicted_imgs += 1
            mmengine.dump(result, str(Path(pred_out_dir, 'preds', f'{stem}.json')))
        return result
