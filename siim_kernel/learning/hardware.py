"""What TensorFlow says of this machine, as one line of JSON: `python -m siim_kernel.learning.hardware`.

A program of its own, as TensorFlow takes seconds to load and a broken one may end its process.
"""

import json

import keras
import numpy as np
import tensorflow as tf

from siim_kernel.learning import training


def report():
    """A dict: tensorflow, keras (versions), gpus (name and compute_capability of each), mixed_precision (bool).

    A small network is trained for a step on the device that training would use: what the versions promise, the libraries of a
    GPU may not keep.
    """
    gpus = []
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        gpus.append({"name": details.get("device_name", gpu.name), "compute_capability": list(details.get("compute_capability", ()))})
        tf.config.experimental.set_memory_growth(gpu, True)  # others may be at work on it
    inputs = keras.Input((32, 32, 1))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(features))
    model.compile(optimizer="sgd", loss="categorical_crossentropy")
    model.train_on_batch(np.ones((2, 32, 32, 1), np.float32), np.eye(4, dtype=np.float32)[:2])
    return {
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "gpus": gpus,
        "mixed_precision": training.mixed_precision_here(),
    }


if __name__ == "__main__":
    print(json.dumps(report()))
