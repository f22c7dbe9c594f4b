"""A folder of crop embeddings that several processes fill and read at once.

`store.json` says whose embeddings these are (`StoreFacts`). Each process that adds some appends to
a segment of its own, two files of equally many records: `NAME.rows` has the embeddings, `NAME.keys`
a header and, for each row, the key of its crop and a checksum over both. Rows are written before
keys, so a record counts only when it is whole, and whatever a killed process left behind its last
whole record is ignored.
"""

from .store_facts import StoreFacts
from .store_view import StoreView
from .store_writer import StoreWriter

__all__ = ['StoreFacts', 'StoreView', 'StoreWriter']
