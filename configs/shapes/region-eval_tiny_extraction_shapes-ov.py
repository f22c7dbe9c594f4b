"""Ways to a region's feature side by side on Shapes-OV val (paper, Table A1).

    python tools/make_shapes_ov.py
    python tools/test.py configs/shapes/region-eval_tiny_extraction_shapes-ov.py

One run gives the table's rows 1 to 3: image crops, dense features by the value path, masked
attention. Row 4 is the dense features of a refined tower:
``--cfg-options model.tower.model=local-dir:WORK_DIR/tower``.
"""

_base_ = ['region-eval_tiny_shapes-ov.py']

model = dict(
    classifier=dict(
        extractors=[
            dict(type='CropFeatures'),
            dict(type='DenseFeatures'),
            dict(type='MaskedAttentionFeatures'),
        ]
    )
)
