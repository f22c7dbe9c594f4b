"""Export of CLIPs: layouts of open_clip, the official implementation and transformers; ONNX."""
