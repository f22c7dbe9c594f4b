"""The same on ADE20K's classes, and which of COCO's are each of them (our reading of the names).

Classes of equal name match without being listed.
"""

_base_ = './panoptic-fusion_openai-l14-336.py'

animals = ['bird', 'cat', 'dog', 'horse', 'sheep', 'cow', 'elephant', 'bear', 'zebra', 'giraffe']
walls = ['wall-brick', 'wall-stone', 'wall-tile', 'wall-wood', 'wall-other-merged']
matches = {
    'animal': animals,
    'ball': ['sports ball'],
    'blanket, cover': ['blanket'],
    'blind, screen': ['window-blind'],
    'bridge, span': ['bridge'],
    'building': ['building-other-merged'],
    'cabinet': ['cabinet-merged'],
    'ceiling': ['ceiling-merged'],
    'computer': ['laptop'],
    'door': ['door-stuff'],
    'earth, ground': ['dirt-merged'],
    'fence': ['fence-merged'],
    'field': ['playingfield'],
    'floor': ['floor-wood', 'floor-other-merged'],
    'food, solid food': ['food-other-merged'],
    'glass, drinking glass': ['wine glass'],
    'grass': ['grass-merged'],
    'minibike, motorbike': ['motorcycle'],
    'mirror': ['mirror-stuff'],
    'mountain, mount': ['mountain-merged'],
    'plant': ['potted plant'],
    'refrigerator, icebox': ['refrigerator'],
    'road, route': ['road'],
    'rock, stone': ['rock-merged'],
    'rug': ['rug-merged'],
    'sidewalk, pavement': ['pavement-merged'],
    'sky': ['sky-other-merged'],
    'sofa': ['couch'],
    'table': ['dining table', 'table-merged'],
    'toilet, can, commode, crapper, pot, potty, stool, throne': ['toilet'],
    'tree': ['tree-merged'],
    'wall': walls,
    'water': ['water-other'],
    'window': ['window-other'],
}
model = dict(vocabulary='ADE20KPanopticDataset', matches=matches)
