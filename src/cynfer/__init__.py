"""cynfer runs ONNX models on CPUs."""
