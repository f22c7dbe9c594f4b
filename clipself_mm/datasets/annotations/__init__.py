"""Reading and checking of annotation files and vocabularies."""
