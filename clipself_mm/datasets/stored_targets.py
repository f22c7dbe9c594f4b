"""What a teacher store answered about the regions of one image."""

from __future__ import annotations

from mmengine.structures import BaseDataElement


class StoredTargets(BaseDataElement):
    """The `stored_targets` of a `RegionSample`: which crops were left out, and their embeddings.

    Data: `embeddings`, those found, float32 of shape (F, D), in the order of the regions.

    Metainfo: `found` (bool of shape (R)), `new_keys` of the crops that were cut (uint64 of shape
    (R - F, 2)), `crops` (the recipe of the crops), `folder` of the store and its `facts`
    (`StoreFacts`, or None while there is no store).
    """
