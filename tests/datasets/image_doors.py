"""Each data set of mm that reads pictures, around one picture `a.jpg` of a folder."""

import json

import numpy as np
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

DOORS = {  # type -> scope
    'OpenVocabCocoDataset': 'mmdet',
    'CheckedVOCDataset': 'mmdet',
    'OpenVocabPanopticDataset': 'mmdet',
    'PanopticSegDataset': 'mmseg',
    'ADE847Dataset': 'mmseg',
    'CheckedADE20KDataset': 'mmseg',
    'CheckedCOCOStuffDataset': 'mmseg',
    'CheckedPascalContextDataset59': 'mmseg',
}

XML = """<annotation><size><width>{}</width><height>{}</height><depth>3</depth></size><object>
<name>cat</name><difficult>0</difficult><bndbox><xmin>3</xmin><ymin>3</ymin><xmax>40</xmax>
<ymax>40</ymax></bndbox></object></annotation>"""


def build_door(kind, folder, size, test_mode=False, reader='LoadImageFromFile'):
    """Build a data set whose annotation says that `a.jpg` has `size`; the steps only read it."""
    if kind == 'CheckedVOCDataset':
        for part in ('JPEGImages', 'Annotations'):
            (folder / 'VOC2007' / part).mkdir(parents=True, exist_ok=True)
        (folder / 'VOC2007/JPEGImages/a.jpg').write_bytes((folder / 'a.jpg').read_bytes())
        (folder / 'VOC2007/Annotations/a.xml').write_text(XML.format(*size))
        (folder / 'a.txt').write_text('a\n')
        more = dict(ann_file='a.txt', data_prefix=dict(sub_data_root='VOC2007/'))
    elif kind in ('OpenVocabCocoDataset', 'OpenVocabPanopticDataset', 'PanopticSegDataset'):
        more = _json_door(kind, folder, size)
    else:
        Image.new('L', size).save(folder / 'a.png')
        suffixes = {} if kind == 'ADE847Dataset' else dict(seg_map_suffix='.png')
        more = dict(data_prefix=dict(img_path='', seg_map_path=''), **suffixes)
        if kind == 'CheckedPascalContextDataset59':
            (folder / 'a.txt').write_text('a\n')
            more['ann_file'] = 'a.txt'
        if kind == 'ADE847Dataset':
            names = [f'class {number}' for number in range(847)]
            (folder / 'names.json').write_text(json.dumps(dict(classes=names)))
            more['classes_file'] = str(folder / 'names.json')
    config = dict(type=kind, data_root=f'{folder}/', test_mode=test_mode, **more)
    with DefaultScope.overwrite_default_scope(DOORS[kind]):
        return DATASETS.build(dict(config, pipeline=[dict(type=reader)]))


def _json_door(kind, folder, size):
    """The files and options of a data set with a json."""
    width, height = size
    part = dict(id=5, category_id=1, bbox=[3, 3, 20, 20], area=400, iscrowd=0)
    annotation = dict(part, image_id=1)
    if kind != 'OpenVocabCocoDataset':
        annotation = dict(image_id=1, file_name='a.png', segments_info=[part])
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[..., 0] = 5
        Image.fromarray(pixels).save(folder / 'a.png')
    content = dict(
        images=[dict(id=1, file_name='a.jpg', width=width, height=height)],
        annotations=[annotation],
        categories=[dict(id=1, name='mug', isthing=1)],
    )
    (folder / 'a.json').write_text(json.dumps(content))
    (folder / 'words.json').write_text(json.dumps(dict(classes=['mug'], things=['mug'])))
    prefix = dict(img='', seg='')
    vocabulary = str(folder / 'words.json')
    if kind == 'PanopticSegDataset':
        prefix = dict(img_path='', seg_map_path='')
    if kind == 'OpenVocabPanopticDataset':
        vocabulary = dict(things=['mug'], stuff=[])
    if kind == 'OpenVocabCocoDataset':
        prefix = dict(img='')
    return dict(ann_file='a.json', vocabulary=vocabulary, data_prefix=prefix)
