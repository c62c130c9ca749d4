"""Checks of steps 4 and 11: the students' own networks, before training."""

import pytest

from grader.outcome import Failed


def expect_network(work, probe, input_shape):
    """Fails unless a function built a compiled Keras model with the right shapes."""
    facts = work.facts(probe)
    shape = tuple(facts["input_shape"] or ())
    if shape != (None, *input_shape):
        seen = f"the input has shape {shape}" if shape else "the network has no input yet"
        raise Failed(seen, f"{(None, *input_shape)}", f"begin with keras.Input({input_shape})")
    output = tuple(facts["output_shape"] or ())
    if output != (None, 7):
        raise Failed(f"the output has shape {output}", "(None, 7), one probability per emotion", "end in Dense(7)")
    if facts["compiled"] is None:
        raise Failed("the model is not compiled", "a compiled model", "call model.compile before you return the model")
    return facts


@pytest.mark.item("4")
def test_model_2_is_a_network_of_your_own(work):
    """make_model_2 builds a compiled network from pictures to 7 probabilities."""
    expect_network(work, "make_model_2", (48, 48, 1))


@pytest.mark.item("11")
def test_model_4_is_a_3d_network(work):
    """make_model_4 builds a compiled 3-D convolutional network."""
    facts = expect_network(work, "make_model_4", (24, 24, 24, 1))
    names = [layer["class_name"] for layer in facts["layer_list"]]
    if "Conv3D" not in names:
        raise Failed(f"layers: {', '.join(names)}", "at least one Conv3D", "see keras.layers.Conv3D and MaxPool3D")
