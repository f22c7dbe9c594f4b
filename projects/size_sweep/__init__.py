"""Region accuracy against the size of the dense input (paper, Figure A1)."""
