"""Layers and functions that files of older Keras need and Keras 3 does not have."""

import keras

from grader.worker.repair import UNARY


@keras.saving.register_keras_serializable("grader")
def old_hard_sigmoid(x):
    """Computes the `hard_sigmoid` of Keras 1 and 2: 0.2 x + 0.5, cut to 0 … 1."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


class ThresholdedReLU(keras.layers.Layer):
    """Lets values above `theta` pass; Keras 3 has dropped it."""

    def __init__(self, theta=1.0, **kwargs):
        super().__init__(**kwargs)
        self.theta = float(theta)

    def call(self, inputs):
        """Returns inputs above theta, and zero in place of the others."""
        return inputs * keras.ops.cast(keras.ops.greater(inputs, self.theta), inputs.dtype)


class Arithmetic(keras.layers.Layer):
    """One operation between tensors and numbers: what `x * 2 - 1` leaves in a file.

    Args:
        operation: str, a value of `repair.OPERATIONS`.
        numbers: dict from place (0 or 1) to the number that stands there; tensors fill the other places.
    """

    def __init__(self, operation, numbers, **kwargs):
        super().__init__(**kwargs)
        self.operation, self.numbers = operation, {int(place): float(number) for place, number in numbers.items()}

    def call(self, *tensors):
        """Computes the operation; tensors come in their order."""
        waiting = list(tensors)
        values = [
            keras.ops.cast(self.numbers[place], tensors[0].dtype) if place in self.numbers else waiting.pop(0)
            for place in range(1 if self.operation in UNARY else 2)
        ]
        return getattr(keras.ops, self.operation)(*values)

    def get_config(self):
        """Returns what describes this layer: its operation stands in its name."""
        return {**super().get_config(), "operation": self.operation}


class _TrainingOnly(keras.layers.Layer):
    """Passes its input on: what dropout, noise and augmentation do when a network predicts."""

    def __init__(self, settings, **kwargs):
        super().__init__(**kwargs)
        self._settings = dict(settings)

    def call(self, inputs):
        """Returns the inputs."""
        return inputs

    def get_config(self):
        """Returns the settings that the file states."""
        return {**self._settings, **super().get_config()}


def training_only(class_name, settings, **kwargs):
    """Makes a layer that is called like one that acts in training only, and passes its input on."""
    return type(class_name, (_TrainingOnly,), {})(settings, **kwargs)
