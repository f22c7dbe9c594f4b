"""Boxes of objects in any images, found without labels and without json by EVA-02 CLIP ViT-B/16.

    python tools/test.py configs/clipself/object-regions_eva02-b16_images.py --cfg-options \
        test_dataloader.dataset.source=/path/to/images

``source`` is a folder or a list file (docs/scale.md). Writes data/image_objects.json, which lists
the images by their paths in the folder or list, for
clipself_eva02-b16_objects-folder_8xb2-6e_images.py. An image that cannot be read is an error.
Not measured yet.
"""

_base_ = './object-regions_eva02-b16_coco.py'

pipeline = _base_.test_dataloader.dataset.pipeline
pipeline[0].exif = 'apply'  # no annotated size says how the photo lies
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='UnlabelledImages',
        source='data/images',
        test_mode=True,
        pipeline=pipeline,
    )
)
test_evaluator = dict(out_file='data/image_objects.json')
