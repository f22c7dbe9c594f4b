"""Towers to files: open_clip's, the authors' and Hugging Face's layouts, ONNX."""
