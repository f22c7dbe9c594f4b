"""CLIPSelf of EVA-02 CLIP ViT-L/14-336 with region proposals; the teacher embeds each crop once.

    tools/dist_train.sh \
        configs/clipself/clipself_eva02-l14-336_proposals-cached_8xb2-6e_coco.py 8 --amp

Trains as clipself_eva02-l14-336_proposals_8xb2-6e_coco.py. An image with at most 20 proposals has
the same crops in every epoch: from the second on, their embeddings come from a cache on a local
disk (docs/teacher-cache.md). Expected: not measured.
"""

_base_ = './clipself_eva02-l14-336_proposals_8xb2-6e_coco.py'

teacher_cache = 'work_dirs/teacher_cache/eva02-l14-336_proposals_coco'
_base_.train_dataloader.dataset.pipeline[2].update(type='CropUncachedRegions', folder=teacher_cache)
# With --amp on a GPU the teacher computes in half precision anyway.
model = dict(teacher_cache=dict(folder=teacher_cache, dtype='float16'))
