"""Region accuracy over the size of the dense input (paper, Figure A1)."""
