"""The step of a pipeline that decides which of its captions an image is trained with."""

from __future__ import annotations

from mmengine.registry import TRANSFORMS

from ..draw import generator_of


@TRANSFORMS.register_module()
class DrawCaption:
    """Draw one of an image's captions.

    Needs `captions` and `draw`; adds `caption`. The choice comes from the sample's draw, so that it
    is another one in each epoch and the same one in a resumed run.
    """

    def __call__(self, results: dict) -> dict:
        """Draw the caption of one sample."""
        captions = results['captions']
        results['caption'] = captions[int(generator_of(results['draw']).integers(len(captions)))]
        return results
