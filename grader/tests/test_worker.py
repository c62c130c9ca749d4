"""What runs inside: how a student's answer, error or model becomes arrays, facts and sentences."""

import numpy as np
import pytest

from grader import probe_inputs, sandbox
from grader.evidence import _questions
from grader.sandbox import limits_from, run_worker
from grader.tests.tiny_submission import CNN, CNNX, TRANSFER, TinyHidden, made_models, write_scripts
from grader.worker import results
from grader.worker.kinship import kinship
from grader.worker.preprocessing import IMAGE_PREPROCESSINGS
from grader.worker.results import BadResult, to_array
from grader.worker.schema import CODE_PROBES, VARIANTS

# Wrong in many ways at once: each function shows another one, so that one worker is enough for all.
ODD_CNN = (
    CNN[: CNN.index("def prepare_images")]
    + """
import matplotlib.pyplot as plt

plt.plot([1, 2])
plt.show()


def prepare_images(pixel_strings):
    result = [text.split() for text in pixel_strings]


def make_model_1():
    raise NotImplementedError("2a: Add an input layer for pictures of shape (48, 48, 1).")


def make_model_2():
    return keras.Sequential([layers.Conv2D(2, 3)])


def train(model, x_train, y_train, x_val, y_val, epochs=5, batch_size=256):
    model.fit(x_train, y_train, epochs=1, verbose=0)
"""
)
ODD_TRANSFER = (
    TRANSFER[: TRANSFER.index("def personalize")]
    + """
class Model(keras.Model):
    pass


def personalize(model, images, labels):
    return model.get_weights()
"""
)
ODD_CNNX = (
    CNNX[: CNNX.index("def voxelize")]
    + """
class Agreeable(np.ndarray):
    def __eq__(self, other):
        return np.ones(self.shape, bool)


def voxelize(points, size=24):
    if size == 12:
        return np.zeros((size, size, size)).view(Agreeable)
    if len(points) == 400:
        points -= 1
        return [[1, 2], [3]]
    if len(points) > 1220:
        open("/nowhere/faces.py")
    return np.full((size, size, size), "seven")


def split_by_subject(subject_ids, test_fraction=0.2, seed=0):
    return np.arange(3) + "1"


def make_model_4():
    while True:
        size = open("labels.txt").read()
        return "model of " + size
"""
)


def run_scripts(folder, level="rlimits", **changed):
    (folder / "submission").mkdir()
    (folder / "photos").mkdir()
    write_scripts(folder / "submission", **changed)
    (folder / "submission" / "labels.txt").write_text("a supporting file")
    probe_inputs.write_photos(folder / "photos", seed=1)
    hidden = TinyHidden()
    probes = [name for name in CODE_PROBES if name not in ("load_photos_other", "voxelize_hidden")]
    return run_worker(
        "grader.worker.code",
        inbox=_questions(hidden),
        limits=limits_from({"function_seconds": 60}),
        probes=probes,
        files={"submission": folder / "submission", "photos": folder / "photos"},
        level=level,
        needs={name: f"{CODE_PROBES[name].script}.import" for name in probes if not name.endswith(".import")},
    )


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """One run over scripts whose functions are all wrong."""
    result = run_scripts(tmp_path_factory.mktemp("odd"), cnn=ODD_CNN, transfer=ODD_TRANSFER, cnnx=ODD_CNNX)
    assert not result.fault
    return result


@pytest.mark.parametrize(
    ("probe", "status", "words"),
    [
        ("prepare_images", "bad_result", "prepare_images returned None. Wanted a float array"),
        ("prepare_images", "bad_result", "Is the return statement missing?"),
        ("make_model_1", "todo", "2a: Add an input layer for pictures of shape (48, 48, 1)."),
        ("personalize", "bad_result", "a list of 6"),
        ("load_photos_train", "missing", "photos/train"),
        ("voxelize", "bad_result", "not of numbers"),
        ("voxelize_size", "bad_result", "a value of type cnnx.Agreeable"),
        ("voxelize_axes", "bad_result", "different lengths"),
        ("voxelize_boundary", "error", "FileNotFoundError"),
        ("voxelize_boundary", "error", '(cnnx.py, line 20: `open("/nowhere/faces.py")`)'),
        ("split_by_subject", "error", '(cnnx.py, line 25: `return np.arange(3) + "1"`)'),
        ("make_model_4", "bad_result", "make_model_4 returned the string 'model of a supporting file'"),
    ],
)
def test_each_wrong_answer_gets_its_own_sentence(odd, probe, status, words):
    found = odd.probes[probe]
    assert found["status"] == status, found
    assert words in found["message"]


def test_no_message_speaks_of_the_sandbox(odd):
    for name, probe in odd.probes.items():
        assert "Traceback" not in probe["message"], name
        assert "sandbox" not in probe["message"] and "/inbox" not in probe["message"], name


def test_training_says_what_was_seen(odd):
    facts = odd.probes["train"]["facts"]
    assert facts["is_history"] is False and facts["returned"] == "None"
    assert facts["weights_changed"]
    assert (facts["num_training_steps"], facts["wanted_steps"]) == (2, 4)


def test_an_unbuilt_model_is_described_as_such(odd):
    facts = odd.probes["make_model_2"]["facts"]
    assert facts["is_model"] and facts["input_shape"] is None and facts["compiled"] is None


def test_a_figure_at_import_is_noticed_and_opens_no_window(odd):
    assert odd.probes["cnn.import"]["status"] == "ok"
    assert odd.probes["cnn.import"]["facts"]["num_figures"] == 1
    assert odd.probes["cnnx.import"]["facts"]["num_figures"] == 0


def test_photos_come_back_upright_and_in_range(odd):
    assert odd.probes["load_photos"]["status"] == "ok", odd.probes["load_photos"]
    images, labels = odd.arrays["load_photos.images"], odd.arrays["load_photos.labels"]
    expected = np.stack([probe_inputs.make_fields(1, seed=100 + label)[0] for label in labels])
    assert np.abs(images[..., 0] - expected).mean() < 0.02


# Values --------------------------------------------------------------------------------------------------------------


class Liar:
    """Looks like an array to whoever asks it."""

    shape, dtype, ndim, nbytes = (24, 24, 24), np.dtype("float32"), 3, 8

    def __array__(self, *_, **__):
        raise AssertionError("its code must not run")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "returned None. Wanted counts. Is the return statement missing?"),
        (Liar(), "Liar"),
        (np.array([None, 1]), "not numbers"),
        ([1, [2, 3]], "cannot make an array of (its entries have different lengths)"),
        (["a"], "not of numbers"),
        ({"x": 1}, "a dict of 1"),
        (np.ma.masked_array([1, 2]), "numpy.ma"),
        (np.zeros((), [("x", int)]), "not of numbers"),
        (np.zeros(1000), "MB is plenty"),
        ([0] * 1000, "too much to look at"),
        (np.zeros, "a value of type"),
        (lambda x: x, "the function <lambda> itself"),
        (np.array([1j]), "complex128"),
    ],
)
def test_what_is_no_plain_array_is_refused_with_a_sentence(value, words):
    with pytest.raises(BadResult) as caught:
        to_array(value, "voxelize", "counts", 4000)
    assert words in str(caught.value)


@pytest.mark.parametrize("value", [[1, 2], (1.5, 2), np.float32(3), np.zeros((2, 2), ">f4"), np.eye(3)[::-1].T])
def test_plain_values_become_native_arrays(value):
    array = to_array(value, "voxelize", "counts", 4000)
    assert type(array) is np.ndarray and array.dtype.isnative and array.flags.c_contiguous
    assert np.array_equal(array, value)


def test_errors_name_the_deepest_line_of_the_student_alone(tmp_path):
    folder = tmp_path / "inbox" / "submission"
    folder.mkdir(parents=True)
    (folder / "helper.py").write_text("import json\n\ndef read(text):\n    return json.loads(text)\n")
    namespace = {}
    exec(compile((folder / "helper.py").read_text(), str(folder / "helper.py"), "exec"), namespace)
    with pytest.raises(ValueError) as caught:
        namespace["read"]("{")
    message, theirs = results.describe_error(caught.value, folder)
    assert message.startswith("JSONDecodeError: ") and message.endswith(
        "(helper.py, line 4: `return json.loads(text)`)"
    )
    assert not theirs, "raised inside json, called by the student"
    hidden = OSError(f"cannot open {folder}/data/x.csv, see {tmp_path}/work/abc/notes")
    assert results.describe_error(hidden, folder)[0] == "OSError: cannot open data/x.csv, see notes"


def test_a_syntax_error_names_its_line(tmp_path):
    folder = tmp_path / "inbox" / "submission"
    folder.mkdir(parents=True)
    (folder / "cnn.py").write_text("x = 1\ny = (\n")
    with pytest.raises(SyntaxError) as caught:
        compile((folder / "cnn.py").read_text(), str(folder / "cnn.py"), "exec")
    assert (
        results.describe_error(caught.value, folder)[0] == "SyntaxError: '(' was never closed (cnn.py, line 2: `y = (`)"
    )


# Models --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd_models(tmp_path_factory):
    """One run over models that are not what was wanted."""
    made = made_models(tmp_path_factory.getbasetemp())
    text = tmp_path_factory.mktemp("text") / "text.h5"
    text.write_text("no model")
    chosen = {
        "model_1": made / "coloured.h5",
        "model_2": made / "broken.h5",
        "model_3": made / "six.h5",
        "model_4": text,
        "model_ec1": made / "model_1.h5",
    }
    result = run_worker(
        "grader.worker.models",
        job={"models": {name: {"file": f"models/{path.name}"} for name, path in chosen.items()}},
        inbox={"images": TinyHidden().images[..., 0], "voxels": np.zeros((4, 24, 24, 24), "float32")},
        limits=limits_from(),
        probes=list(chosen),
        files={f"models/{path.name}": path for path in chosen.values()},
        level="rlimits",
    )
    assert not result.fault
    return result


def test_a_coloured_input_is_resized_and_repeated(odd_models):
    found = odd_models.probes["model_1"]
    assert found["status"] == "ok", found
    assert found["facts"]["adapted"] == "resized from 48×48 to 32×32, grey repeated in 3 channels"
    assert odd_models.arrays["model_1.hidden"].shape == (20, 7)
    assert np.allclose(odd_models.arrays["model_1.hidden"].sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model_2", "NaN or infinity for 100% of the hidden faces"),
        ("model_3", "has output shape (None, 6). Wanted (None, 7)"),
        ("model_4", "Keras could not use model_4"),
        ("model_ec1", "has input shape (None, 48, 48, 1). Wanted (None, 24, 24, 24, 1)"),
    ],
)
def test_a_model_that_does_not_fit_says_why(odd_models, name, words):
    assert odd_models.probes[name]["status"] == "error"
    assert words in odd_models.probes[name]["message"]


def test_kinship_tells_a_child_from_a_stranger():
    random = np.random.default_rng(0)

    def layers(change=0.0, start=None):
        shapes = [("Conv2D", [(3, 3, 1, 8), (8,)]), ("Dense", [(40, 7), (7,)])]
        start = start or [(kind, [random.normal(size=shape) for shape in sizes]) for kind, sizes in shapes]
        return [(kind, [w + change * random.normal(size=w.shape) for w in weights]) for kind, weights in start]

    parent = layers()
    same, child = kinship(parent, parent), kinship(parent, layers(0.05, parent))
    stranger = kinship(parent, layers())
    assert same["identical"] and same["relative_distance"] == 0
    assert not child["identical"] and child["shared_layers"] == 2
    assert child["correlation"] > 0.99 and child["relative_distance"] == pytest.approx(0.05, rel=0.2)
    assert abs(stranger["correlation"]) < 0.2
    new_head = kinship(parent, [parent[0], ("Dense", [np.zeros((40, 9)), np.zeros(9)])])
    assert new_head["shared_layers"] == 1 and not new_head["identical"]


def test_scalings_are_those_their_names_say():
    images = TinyHidden().images[..., 0].copy()
    images[0] = 7
    scaled = {key: IMAGE_PREPROCESSINGS[key](images, None) for key in ("", *VARIANTS)}
    assert scaled[""].max() <= 1 and scaled["0_255"].max() > 200
    assert scaled["minus1_1"].min() == pytest.approx(-1, abs=0.01)
    assert scaled["standardized"][1].std() == pytest.approx(1, abs=1e-4)
    assert np.ptp(scaled["minmax"][1]) == pytest.approx(1, abs=1e-6)
    assert all(np.isfinite(value).all() for value in scaled.values()), "the first picture is constant"


# Right in unusual ways: each function is one that an honest student wrote and that a narrow grader would refuse.
UNUSUAL_CNN = (
    CNN[: CNN.index("def prepare_images")]
    + """
import matplotlib

matplotlib.use("TkAgg")


def prepare_images(pixel_strings):
    pixels = np.loadtxt(pixel_strings, dtype="float32")
    return pixels.reshape(len(pixel_strings), 48, 48, 1)[[i for i in range(pixels.shape[0])]] / 255


def make_model_1():
    model = keras.Sequential([keras.Input((48, 48, 1)), layers.Flatten(), layers.Dense(7, activation=layers.Softmax())])
    model.compile(loss=keras.losses.categorical_crossentropy, optimizer="adam")
    return model


def make_model_2():
    output = layers.Dense(7, "softmax", name="only_in_my_model_2")
    model = keras.Sequential([keras.Input((48, 48, 1)), layers.Flatten(), output])
    model.compile(loss=["categorical_crossentropy"], optimizer="adam")
    return model


def train(model, x_train, y_train, x_val, y_val, epochs=5, batch_size=256):
    validation = (x_val, y_val)
    history = model.fit(x_train, y_train, batch_size, epochs, verbose=0, validation_data=validation)
    model.save("best.keras")
    keras.models.load_model("best.keras")
    return history
"""
)
UNUSUAL_TRANSFER = """
from PIL import Image
import numpy as np
from expressions.labels import emotion_in
from expressions.photos import open_photo


def load_photos(folder):
    paths = sorted(folder.iterdir())
    images = [np.asarray(open_photo(path).convert("L").resize((48, 48)), "float32") / 255 for path in paths]
    return np.stack(images)[..., np.newaxis], [emotion_in(path.stem) for path in paths]


def personalize(model, images, labels):
    model.get_layer("only_in_my_model_2").trainable = True
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    model.fit(images, labels, epochs=2, verbose=0)
    return model
"""
UNUSUAL_CNNX = (
    CNNX[: CNNX.index("def split_by_subject")]
    + """
def split_by_subject(subject_ids, *, test_fraction=0.2, seed=0):
    subject_ids = np.asarray(subject_ids)
    people = np.random.default_rng(seed).permutation(np.unique(subject_ids))
    test = np.isin(subject_ids, people[: round(len(people) * test_fraction)])
    return np.flatnonzero(~test).tolist(), np.flatnonzero(test).tolist()
"""
)


@pytest.fixture(scope="module")
def unusual(tmp_path_factory):
    """One run over scripts that are right in ways of their own, as strictly held as this machine can."""
    folder = tmp_path_factory.mktemp("unusual")
    level = "rlimits" if sandbox.level_named("landlock").missing() else "landlock"
    result = run_scripts(folder, level, cnn=UNUSUAL_CNN, transfer=UNUSUAL_TRANSFER, cnnx=UNUSUAL_CNNX)
    assert not result.fault
    return result


@pytest.mark.parametrize(
    "probe",
    ["cnn.import", "prepare_images", "prepare_images_alone", "train", "load_photos", "personalize", "split_by_subject"],
)
def test_unusual_but_right_functions_work(unusual, probe):
    assert unusual.probes[probe]["status"] == "ok", unusual.probes[probe]["message"]


def test_losses_and_activations_have_one_name_however_they_are_given(unusual):
    first, second = unusual.probes["make_model_1"]["facts"], unusual.probes["make_model_2"]["facts"]
    assert first["compiled"]["loss"] == second["compiled"]["loss"] == "categorical_crossentropy"
    assert first["layer_list"][-1]["config"]["activation"] == "softmax"
