"""Runs as files: ONNX for any runtime, torch for torch alone; each is compared with the run before it is kept."""
