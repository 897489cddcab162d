"""Networks, training input, training, prediction: the only room with TensorFlow."""
