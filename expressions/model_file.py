"""Says what a model file is and whether it is safe to load, without TensorFlow and without running anything from it.

    python -m expressions.model_file model_1.h5            # about a second; exit 0 accepted, 1 refused, 2 no such file
    python -m expressions.model_file model_1.h5 --json

A file named `.h5` may be a web page, a Git LFS pointer, a text-mangled download or a model that runs somebody's code
when it is loaded. So this module reads bytes, never names:

1. `sniff` looks at the first bytes and says what kind of file it is.
2. `_Hdf5` walks the HDF5 file link by link. It opens no external file, and refuses what Keras never writes.
3. `_Parser` reads the JSON of the architecture against lists of known layers, keys and values (Keras 1.2 to 3.x).
4. `_Inference` works out the shape of every layer's output and of every weight. What the configuration promises must
   be what the file stores: a layer of a million units that stores forty numbers is refused.
5. The stored weights are read once: NaN, infinity, all zero, constant, untrained.

The module stands alone on purpose (standard library, NumPy, h5py): `audit_in_child` runs this very file in a
disposable process with limits on memory, CPU and written bytes, because HDF5 itself may crash on a crafted file.
Use `audit_in_child` for files of other people and `audit` for your own.

What each refusal guards against: code in Lambda layers (CVE-2025-9905), external HDF5 storage that reads other files
(CVE-2026-1669), vocabulary files (CVE-2025-12058), and files of some kilobytes that ask for gigabytes.
"""

import argparse
import copy
import dataclasses
import hashlib
import html
import io
import json
import math
import os
import re
import signal
import stat
import struct
import subprocess
import sys
import threading
import warnings
import zipfile

try:
    import resource
except ImportError:  # Windows has no rlimits; the timeout still holds there.
    resource = None

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

KINDS = {
    "hdf5-model": "a Keras model in HDF5",
    "hdf5-weights": "weights without an architecture, in HDF5",
    "hdf5-architecture": "an architecture without weights, in HDF5",
    "keras-zip": "a Keras 3 model in the .keras format (a zip)",
    "lfs-pointer": "a Git LFS pointer, not the model",
    "html": "a web page",
    "utf8-mangled": "an HDF5 file destroyed by a conversion to text",
    "python-source": "Python source code",
    "pickle": "a Python pickle",
    "empty": "an empty file",
    "truncated": "the beginning of a file",
    "other-hdf5": "an HDF5 file, but not a model",
    "unknown": "nothing that we know as a model",
}


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a model of this course may cost. Ordinary networks stay far below.

    VGG16 at 224 x 224 has 138 million parameters, 3.2 million numbers in its largest output and 31 GFLOP a picture.
    """

    max_file_bytes: int = 2 * 2**30
    max_config_bytes: int = 16 * 2**20
    max_objects: int = 50_000
    max_depth: int = 40
    max_layers: int = 4_000
    max_parameters: int = 200_000_000
    max_activation: int = 2**24  # numbers in one layer's output for one picture: 64 MB as float32
    max_flops: float = 1e11  # per picture
    max_chunk_bytes: int = 256 * 2**20


class _Refused(Exception):
    """Stops the audit at a point after which nothing more can be learnt."""

    def __init__(self, code, what, wanted, try_):
        super().__init__(code)
        self.reason = {"code": code, "what": what, "wanted": wanted, "try": try_}


def _words(text):
    return set(text.split())


# ---------------------------------------------------------------------------------------------------------------------
# What an ordinary Keras model may contain
# ---------------------------------------------------------------------------------------------------------------------

# Other names of the same layers: aliases of Keras, the names of Keras 1, versions of tf.keras.
ALIASES = {
    **{f"Convolution{n}D": f"Conv{n}D" for n in (1, 2, 3)},
    **{f"Convolution{n}DTranspose": f"Conv{n}DTranspose" for n in (1, 2, 3)},
    **{f"SeparableConvolution{n}D": f"SeparableConv{n}D" for n in (1, 2)},
    **{f"MaxPool{n}D": f"MaxPooling{n}D" for n in (1, 2, 3)},
    **{f"AvgPool{n}D": f"AveragePooling{n}D" for n in (1, 2, 3)},
    **{f"GlobalMaxPool{n}D": f"GlobalMaxPooling{n}D" for n in (1, 2, 3)},
    **{f"GlobalAvgPool{n}D": f"GlobalAveragePooling{n}D" for n in (1, 2, 3)},
    "Deconvolution2D": "Conv2DTranspose",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "LSTMV2": "LSTM",
    "GRUV2": "GRU",
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "Convolution2DLSTM": "ConvLSTM2D",
}

MODEL_CLASSES = _words("Sequential Functional Model")

LAYERS = _words(
    """
    InputLayer Dense Activation Flatten Reshape Permute RepeatVector Masking Identity Embedding EinsumDense
    ActivityRegularization Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose DepthwiseConv1D
    DepthwiseConv2D SeparableConv1D SeparableConv2D MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D
    AveragePooling2D AveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GlobalAveragePooling1D
    GlobalAveragePooling2D GlobalAveragePooling3D AdaptiveAveragePooling1D AdaptiveAveragePooling2D
    AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D BatchNormalization
    LayerNormalization GroupNormalization RMSNormalization UnitNormalization SpectralNormalization Normalization
    Rescaling Resizing CenterCrop Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D AlphaDropout
    GaussianDropout GaussianNoise ReLU LeakyReLU PReLU ELU Softmax ThresholdedReLU Add Subtract Multiply Average
    Maximum Minimum Concatenate Dot Merge ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D Cropping3D
    UpSampling1D UpSampling2D UpSampling3D LSTM GRU SimpleRNN RNN LSTMCell GRUCell SimpleRNNCell StackedRNNCells
    Bidirectional TimeDistributed ConvLSTM1D ConvLSTM2D ConvLSTM3D Attention AdditiveAttention MultiHeadAttention
    GroupQueryAttention RandomFlip RandomTranslation RandomRotation RandomZoom RandomContrast RandomBrightness
    RandomCrop RandomHeight RandomWidth RandomShear RandomGrayscale RandomErasing RandomGaussianBlur RandomHue
    RandomSaturation RandomSharpness RandomInvert RandomPosterization RandomColorDegeneration RandomColorJitter
    RandomElasticTransform RandomPerspective AutoContrast Equalization Solarization
    """
)

# Operators of Keras 3 inside a functional model, as in `x * 2 - 1`. They hold no code, only numbers.
OPERATIONS = _words(
    """
    Add Subtract Multiply Divide TrueDivide Negative Absolute Square Sqrt Exp Log Log1p Power Maximum Minimum Clip Relu
    Relu6 Sigmoid Tanh Softmax Softplus Silu Gelu Elu Selu LeakyRelu
    """
)

REFUSED_LAYERS = {
    "Lambda": (
        "lambda",
        "contains a Lambda layer, which stores Python code that would run on loading",
        "replace it by an ordinary layer: `Rescaling(1/255)` or `Rescaling(2, offset=-1)` for scaling, `Resizing` for "
        "sizes, `Concatenate()([x, x, x])` for three channels. Then train and save again",
    ),
    "TFOpLambda": (
        "op-lambda",
        "contains a TFOpLambda layer (Python arithmetic on a Keras tensor, as in `x * 2 - 1`), which no other version "
        "of Keras can load",
        "write the arithmetic as a layer, for example `Rescaling(2, offset=-1)(x)`. Then train and save again",
    ),
    "SlicingOpLambda": (
        "op-lambda",
        "contains a SlicingOpLambda layer (indexing of a Keras tensor, as in `x[:, 1:]`), which no other version of "
        "Keras can load",
        "use `Cropping2D`, `Cropping1D` or `Reshape` instead. Then train and save again",
    ),
    "TensorFlowOpLayer": (
        "op-lambda",
        "contains a TensorFlowOpLayer, a raw TensorFlow operation",
        "write the operation as an ordinary Keras layer. Then train and save again",
    ),
    "TFSMLayer": (
        "tfsm-layer",
        "contains a TFSMLayer, which loads a SavedModel from another place on the disk",
        "build the network from ordinary layers, so that the file holds all of it",
    ),
    **{
        name: (
            "vocabulary",
            f"contains a {name} layer, which can read a vocabulary from a file of the computer that loads it",
            "remove it: pictures and voxels need no vocabulary",
        )
        for name in _words(
            "StringLookup IntegerLookup TextVectorization IndexLookup Hashing HashedCrossing FeatureSpace "
            "CategoryEncoding Discretization CategoryCrossing"
        )
    },
    **{
        name: (
            "foreign-layer",
            f"contains a {name}, a piece of another framework's code",
            "build the network from ordinary Keras layers",
        )
        for name in _words("JaxLayer FlaxLayer TorchModuleWrapper")
    },
}

ACTIVATIONS = _words(
    """
    linear relu relu6 leaky_relu elu selu celu glu gelu gelu_new softmax log_softmax sigmoid hard_sigmoid log_sigmoid
    tanh hard_tanh tanh_shrink softplus softsign swish silu hard_swish hard_silu hard_shrink soft_shrink mish
    exponential sparsemax sparse_plus sparse_sigmoid squareplus threshold
    """
)
ACTIVATION_LAYERS = _words("ReLU LeakyReLU PReLU ELU Softmax ThresholdedReLU Activation")
INITIALIZERS = _words(
    """
    Zeros Ones Constant RandomNormal RandomUniform TruncatedNormal VarianceScaling Orthogonal OrthogonalInitializer
    Identity IdentityInitializer GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform zero zeros one
    ones constant normal uniform random_normal random_uniform truncated_normal variance_scaling orthogonal identity
    glorot_normal glorot_uniform he_normal he_uniform lecun_normal lecun_uniform
    """
)
REGULARIZERS = _words("L1 L2 L1L2 OrthogonalRegularizer l1 l2 l1l2 l1_l2 WeightRegularizer ActivityRegularizer")
CONSTRAINTS = _words(
    "MaxNorm MinMaxNorm NonNeg UnitNorm max_norm maxnorm min_max_norm non_neg nonneg unit_norm unitnorm"
)
DTYPE_POLICIES = _words("DTypePolicy FloatDTypePolicy Policy PolicyV1")
PLAIN_OBJECTS = INITIALIZERS | REGULARIZERS | CONSTRAINTS | DTYPE_POLICIES | ACTIVATION_LAYERS

# Keys of layer configurations from Keras 1.2 to 3.15. A key outside this list may only hold a number, true, false or
# nothing, which no version of Keras can turn into code.
KEYS = _words(
    """
    name trainable dtype batch_input_shape batch_shape input_shape input_dim input_length input_dtype batch_size shape
    sparse ragged optional shared_object_id build_config build_input_shape module class_name registered_name config
    activation activity_regularizer use_bias bias units filters kernel_size strides padding data_format dilation_rate
    groups depth_multiplier output_padding kernel_initializer bias_initializer depthwise_initializer
    pointwise_initializer recurrent_initializer embeddings_initializer kernel_regularizer bias_regularizer
    depthwise_regularizer pointwise_regularizer recurrent_regularizer embeddings_regularizer kernel_constraint
    bias_constraint depthwise_constraint pointwise_constraint recurrent_constraint embeddings_constraint pool_size
    keepdims output_size axis momentum epsilon center scale beta_initializer gamma_initializer
    moving_mean_initializer moving_variance_initializer beta_regularizer gamma_regularizer beta_constraint
    gamma_constraint synchronized renorm renorm_clipping renorm_momentum fused virtual_batch_size adjustment
    rate noise_shape seed stddev sigma alpha negative_slope max_value threshold theta shared_axes alpha_initializer
    alpha_regularizer alpha_constraint target_shape dims n size interpolation cropping factor height_factor
    width_factor fill_mode fill_value mode value_range offset mean variance invert height width
    crop_to_aspect_ratio pad_to_aspect_ratio antialias axes normalize return_sequences return_state go_backwards
    stateful unroll time_major unit_forget_bias dropout recurrent_dropout recurrent_activation implementation
    reset_after zero_output_for_mask use_cudnn cell cells layer backward_layer merge_mode mask_value mask_zero
    output_dim num_heads key_dim value_dim attention_axes output_shape use_scale score_mode flash_attention
    query_shape key_shape value_shape num_query_heads num_key_value_heads head_dim use_gate equation bias_axes rank
    lora_rank lora_alpha quantization_config power_iterations l1 l2 autocast time_distributed
    nb_filter nb_row nb_col nb_dim1 nb_dim2 nb_dim3 kernel_dim1 kernel_dim2 kernel_dim3 filter_length subsample
    subsample_length border_mode dim_ordering init inner_init forget_bias_init inner_activation W_regularizer
    U_regularizer b_regularizer W_constraint U_constraint b_constraint dropout_W dropout_U consume_less p
    pool_length stride atrous_rate gamma_init beta_init beta_init sigma weights concat_axis dot_axes
    output_mask output_mask_type output_shape_type mode_type arguments layers_shapes
    x_factor y_factor sharpness_factor brightness_factor contrast_factor saturation_factor hue_factor
    data_format bounding_box_format max_rotations num_ops addition_factor threshold_factor bins kernel_sizes
    """
)

# Words that a configuration may hold under any other key. Whatever is not here is not a setting of Keras.
SETTINGS = _words(
    """
    valid same causal full channels_last channels_first default tf th auto cpu gpu mem sum mul concat ave avg cos dot
    max min reflect constant nearest wrap edge zeros bilinear bicubic area gaussian lanczos3 lanczos5 mitchellcubic
    horizontal vertical horizontal_and_vertical fan_in fan_out fan_avg uniform normal truncated_normal
    untruncated_normal rescale crop pad float16 bfloat16 float32 float64 xyxy xywh raw batch_norm
    """
)
DTYPE = re.compile(r"(mixed_)?(b?float(16|32|64)|u?int(8|16|32|64)|bool)(_ref)?")
MODULE = re.compile(
    r"(keras|tf_keras|tensorflow\.keras|tensorflow\.python\.keras|keras\.api|keras\.engine\.\w+)"
    r"(\.src)?(\.(models|layers|engine|ops|initializers|regularizers|constraints|activations|dtype_policies|dtype_policies|"
    r"mixed_precision|saving|legacy)(\.\w+)*)?"
)

SHOWN_KEYS = (
    "filters units kernel_size strides padding pool_size activation recurrent_activation rate dilation_rate groups "
    "depth_multiplier use_bias data_format axis momentum epsilon return_sequences size target_shape dims n scale "
    "offset factor height_factor width_factor mode alpha negative_slope max_value cropping num_heads key_dim "
    "merge_mode output_dim interpolation height width stddev trainable"
).split()


def _show(value, length=60):
    """Quotes text of an unknown author: printable and short."""
    text = "".join(character if character.isprintable() else "?" for character in str(value))
    return repr(text if len(text) <= length else text[: length - 1] + "…")


def _product(shape):
    total = 1
    for size in shape:
        total *= size
    return total


def _plural(count, noun):
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _bytes(count):
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return _plural(count, "byte")


def _shape_text(shape):
    if shape is None:
        return "unknown"
    if shape and isinstance(shape[0], (list, tuple)):
        return ", ".join(_shape_text(one) for one in shape)
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"


# ---------------------------------------------------------------------------------------------------------------------
# 1. What kind of file is it?
# ---------------------------------------------------------------------------------------------------------------------

A_MODEL_FILE = 'a model that Keras saved with `model.save("model_1.h5")`'

# First bytes of files that arrive under a model's name now and then.
OTHER_MAGIC = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF", "a PDF document"),
    (b"GIF8", "a GIF picture"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"\x7fELF", "a Linux program"),
    (b"MZ", "a Windows program"),
    (b"\xfe\xff", "UTF-16 text, as PowerShell's `>` writes it"),
    (b"\xff\xfe", "UTF-16 text, as PowerShell's `>` writes it"),
    (b"SQLite format 3", "a database"),
)


def sniff(path):
    """Tells the kind of a file from its bytes.

    Args:
        path: path of a regular file.

    Returns:
        tuple `(kind, reason)`: a key of `KINDS`, where `"hdf5"` and `"zip"` stand for files that need a closer look,
        and a dict `{code, what, wanted, try}` or `None`.

    Raises:
        OSError: the file cannot be read.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(65536)
        file.seek(max(0, size - 66000))
        tail = file.read(66000)

    def reason(kind, code, what, try_, wanted=A_MODEL_FILE):
        return kind, {"code": code, "what": what, "wanted": wanted, "try": try_}

    again = "copy the file again (as binary), or run the training script again and save with `model.save`"
    if size == 0:
        return reason("empty", "empty", "the file has 0 bytes", again)
    if head.startswith(HDF5_SIGNATURE):
        end = _hdf5_end(head)
        if size < 96:
            return reason(
                "truncated", "truncated", f"the file ends after {_plural(size, 'byte')} of an HDF5 header", again
            )
        if end is not None and end > size:
            return reason(
                "truncated",
                "truncated",
                f"the file has {size:,} bytes, but its header says {end:,}: {_bytes(end - size)} are missing",
                "the copy, upload or download stopped early, or the disk was full: copy the file again and compare "
                "the sizes",
            )
        return "hdf5", None
    if len(head) < 8 and HDF5_SIGNATURE.startswith(head):
        return reason("truncated", "truncated", f"the file ends after {_plural(size, 'byte')} of an HDF5 header", again)
    if (b"HDF" in head[:8] and head[:3] == b"\xef\xbf\xbd") or head.startswith(b"\xc2\x89HDF"):
        return reason(
            "utf8-mangled",
            "utf8-mangled",
            "this was an HDF5 file, but a program read it as text and wrote it back: the byte 89 at its start is now "
            + " ".join(f"{byte:02X}" for byte in head[: head.index(b"HDF")])
            + ". Every byte above 127 is lost, so it cannot be repaired",
            "take the original file and send it in binary (a zip is safest); do not open it in an editor, do not "
            "upload it through a text box",
        )
    if head[1:4] == b"HDF" and head[0] in (0x89, 0x09):
        return reason(
            "unknown",
            "newline-mangled",
            "this was an HDF5 file, but its line ends were converted on the way (text mode of FTP or Git), which "
            "damages the numbers inside",
            "copy it again in binary mode; for Git add `*.h5 binary` to .gitattributes",
        )
    for offset in (512, 1024, 2048, 4096, 8192, 16384, 32768):
        if head[offset : offset + 8] == HDF5_SIGNATURE:
            return reason(
                "unknown",
                "user-block",
                f"{offset} bytes of something else stand before the HDF5 data, which Keras never writes",
                "save the model again with `model.save`",
            )
    if head.startswith(b"version https://git-lfs") or (size < 1024 and b"git-lfs" in head and b"oid sha256:" in head):
        match = re.search(rb"^size (\d{1,15})\s*$", head, re.MULTILINE)
        real = f"; the real file has {int(match[1]):,} bytes" if match else ""
        return reason(
            "lfs-pointer",
            "lfs-pointer",
            f"this is a Git LFS pointer of {_plural(size, 'byte')}, not the model{real}",
            "run `git lfs pull` in the repository (or download the file itself, not the page's raw text) and submit "
            "the real file",
        )
    if head.startswith(b"PK\x03\x04") or head.startswith(b"PK\x05\x06"):
        if b"PK\x05\x06" not in tail:
            return reason(
                "truncated",
                "truncated",
                f"the file begins like a .keras file (a zip) but its end is missing after {size:,} bytes",
                "the copy, upload or download stopped early: copy the file again and compare the sizes",
            )
        return "zip", None
    if re.match(rb"\x80[\x01-\x05]", head) or re.match(rb"(\(dp?\d|\(lp\d|c[\w.]+\n[\w.]+\n)", head):
        return reason(
            "pickle",
            "pickle",
            "this is a Python pickle, which can run any code when it is opened, so nobody should open one from "
            "elsewhere",
            'save the model itself, with `model.save("model_1.h5")`, instead of `pickle.dump` or `joblib.dump`',
        )
    stripped = head.lstrip(b"\xef\xbb\xbf \t\r\n\x0b\x0c")
    lower = stripped[:4096].lower()
    if re.match(
        rb"(<!doctype\s+html|<html|<head|<\?xml[^>]*>\s*<!doctype\s+html|<!--.{0,2000}?-->\s*<(!doctype|html))",
        lower,
        re.DOTALL,
    ) or (lower.startswith(b"<") and b"<title" in lower and b"<html" in head.lower()):
        with open(path, "rb") as file:
            page = file.read(2**20).decode("utf-8", "replace")
        match = re.search(r"<title[^>]*>(.{0,400}?)</title", page, re.IGNORECASE | re.DOTALL)
        title = f" titled {_show(' '.join(html.unescape(match[1]).split()), 120)}" if match else ""
        return reason(
            "html",
            "html-page",
            f"this is a web page{title}, not the model: a browser or `wget` saved the page around the download link",
            'open the page and use its download button (on GitHub: "Download raw file"), then check that the file '
            "has megabytes, not kilobytes",
        )
    for magic, name in OTHER_MAGIC:
        if head.startswith(magic):
            return reason(
                "unknown",
                "not-a-model",
                f"this is {name}, not a model",
                "look for the file that `model.save` wrote and submit that",
            )
    if head[4:8] == b"TFL3":
        return reason(
            "unknown",
            "not-a-model",
            "this is a TensorFlow Lite model, which cannot be read back by Keras",
            'submit the file that `model.save("model_1.h5")` wrote before the conversion',
        )
    text = _as_text(head, whole=size <= len(head))
    if text is not None:
        if text.lstrip().startswith(("{", "[")):
            if '"nbformat"' in text or '"cells"' in text:
                what, try_ = "this is a Jupyter notebook", "run it, and submit the .h5 file that `model.save` wrote"
            elif '"class_name"' in text:
                what = "this is the JSON text of an architecture (`model.to_json()`), without the trained weights"
                try_ = 'save both together with `model.save("model_1.h5")`'
            else:
                what, try_ = "this is JSON text", "submit the file that `model.save` wrote"
            return reason("unknown", "json-text", what, try_)
        if _is_python(text):
            first = next((line.strip() for line in text.splitlines() if line.strip()), "")
            return reason(
                "python-source",
                "python-source",
                f"this is Python source code (it begins {_show(first)}), not what the code saved",
                "run the script and submit the .h5 file that `model.save` writes",
            )
        return reason(
            "unknown",
            "text",
            f"this is text (it begins {_show(text.strip()[:60])}), not a model",
            "submit the file that `model.save` wrote",
        )
    if not any(head):
        return reason(
            "unknown", "zeros", f"the first {len(head):,} bytes are all zero: the disk or the network lost them", again
        )
    return reason(
        "unknown",
        "unknown",
        "the first bytes (" + " ".join(f"{byte:02X}" for byte in head[:8]) + ") belong to no model format that we know",
        again,
    )


def _hdf5_end(head):
    """Reads from the superblock where the file should end, in bytes; None if it does not say."""
    version = head[8] if len(head) > 8 else None
    if version in (0, 1) and len(head) >= 64:
        offset = 24 + (4 if version == 1 else 0) + 16
        size_of_offsets = head[13]
    elif version in (2, 3) and len(head) >= 48:
        offset, size_of_offsets = 28, head[9]
    else:
        return None
    if size_of_offsets != 8:
        return None
    return struct.unpack_from("<Q", head, offset)[0]


def _as_text(head, whole):
    if b"\x00" in head:
        return None
    try:
        return head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The block may end inside a character.
        return head[: error.start].decode("utf-8") if not whole and error.start > len(head) - 4 else None


def _is_python(text):
    lines = [line for line in text.splitlines() if line.strip()]
    pattern = re.compile(
        r"\s*(import [\w., ]+|from [\w.]+ import .+|def \w+\(.*|class \w+.*:|if __name__.*|#!.*python|@\w+|"
        r"[\w.]+(\[[^\]]*\])?\s*=\s*\S+.*|[\w.]+\(.*\)?)\s*(#.*)?$"
    )
    strong = re.compile(r"\s*(import \w+|from [\w.]+ import |def \w+\(|class \w+[(:]|model\.\w+\(|print\()")
    return any(strong.match(line) for line in lines) and sum(bool(pattern.match(line)) for line in lines) * 3 >= len(
        lines
    )


# ---------------------------------------------------------------------------------------------------------------------
# 2. Inside an HDF5 file
# ---------------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class _Dataset:
    """One stored array, as its header declares it."""

    path: str
    shape: tuple
    dtype: str
    kind: str  # NumPy's letter: f, i, u, b, or ? for what is no number
    num_bytes: int
    handle: object


class _Hdf5:
    """Walks an HDF5 file by its hard links and checks how every array is stored.

    Args:
        source: path, or a file object of a model inside a zip.
        size: int, bytes of the file.
        limits: Limits.

    After construction: `datasets` and `groups` map absolute paths to handles, `reasons` says what is refused.
    """

    def __init__(self, source, size, limits):
        import h5py

        self.h5py = h5py
        self.limits = limits
        self.size = size
        self.reasons = []
        self.datasets = {}
        self.groups = {}
        try:
            self.file = h5py.File(source, "r", **({"locking": False} if isinstance(source, str) else {}))
        except Exception as error:
            raise _damaged(error) from None
        try:
            self._walk()
        except _Refused:
            raise
        except Exception as error:
            raise _damaged(error) from None

    def close(self):
        for dataset in self.datasets.values():
            dataset.handle = None
        self.groups.clear()
        self.file.close()

    def _refuse(self, code, what, try_="save the model again with `model.save`, in one file"):
        if len(self.reasons) < 20:
            self.reasons.append(
                {
                    "code": code,
                    "what": what,
                    "wanted": "a file that holds all of its numbers itself, as `model.save` writes it",
                    "try": try_,
                }
            )

    def _walk(self):
        h5py = self.h5py
        links = h5py.h5l
        root = h5py.h5g.open(self.file.id, b"/")
        first = h5py.h5o.get_info(root)
        seen = {(first.fileno, first.addr)}
        stack = [(root, "", 0)]
        count = 0
        while stack:
            group, path, depth = stack.pop()
            self.groups[path or "/"] = group
            if depth > self.limits.max_depth:
                raise _Refused(
                    "too-deep",
                    f"groups are nested more than {self.limits.max_depth} deep in the file",
                    "a file as `model.save` writes it",
                    "save the model again with `model.save`",
                )
            for name in group:
                count += 1
                if count > self.limits.max_objects:
                    raise _Refused(
                        "too-many-objects",
                        f"the file has more than {self.limits.max_objects:,} entries",
                        "a file as `model.save` writes it",
                        "save the model again with `model.save`",
                    )
                text = path + "/" + name.decode("utf-8", "backslashreplace")
                kind = group.links.get_info(name).type
                if kind == links.TYPE_EXTERNAL:
                    self._refuse("external-link", f"the entry {_show(text)} points into another file")
                    continue
                if kind == links.TYPE_SOFT:
                    self._refuse("soft-link", f"the entry {_show(text)} only points to another place by its name")
                    continue
                if kind != links.TYPE_HARD:
                    self._refuse("user-link", f"the entry {_show(text)} is a link of an unknown kind")
                    continue
                item = h5py.h5o.open(group, name)
                info = h5py.h5o.get_info(item)
                address = (info.fileno, info.addr)
                if address in seen:
                    self._refuse("aliased", f"the entry {_show(text)} stands in the file under two names")
                    continue
                seen.add(address)
                if isinstance(item, h5py.h5g.GroupID):
                    stack.append((item, text, depth + 1))
                elif isinstance(item, h5py.h5d.DatasetID):
                    self._dataset(item, text)
        stored = sum(dataset.num_bytes for dataset in self.datasets.values() if dataset.kind != "compressed")
        if stored > max(self.size, 1) * 64 + 2**20 or stored > self.limits.max_file_bytes:
            self._refuse("declared-size", f"the arrays claim {_bytes(stored)} in a file of {_bytes(self.size)}")

    def _dataset(self, item, text):
        h5py = self.h5py
        plist = item.get_create_plist()
        layout = plist.get_layout()
        if layout == h5py.h5d.VIRTUAL:
            self._refuse("virtual-dataset", f"the array {_show(text)} is virtual: its numbers stand in other places")
            return
        if layout == h5py.h5d.CONTIGUOUS and plist.get_external_count():
            self._refuse("external-storage", f"the numbers of {_show(text)} stand in another file of the computer")
            return
        filters = [plist.get_filter(index)[0] for index in range(plist.get_nfilters())]
        known = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
        if set(filters) - known:
            self._refuse(
                "filter",
                f"the array {_show(text)} is packed by the HDF5 filter {sorted(set(filters) - known)}, "
                "which Keras never uses",
            )
            return
        stored_type = item.get_type()
        class_names = {h5py.h5t.FLOAT: "f", h5py.h5t.INTEGER: "i", h5py.h5t.ENUM: "b"}
        kind = class_names.get(stored_type.get_class())
        if kind is None:
            # Keras itself stores words only as attributes; foreign arrays of words are left unread.
            self.datasets[text] = _Dataset(text, (), "not a number", "?", 0, item)
            return
        itemsize = stored_type.get_size()
        if itemsize > 16:
            self._refuse("datatype", f"one number of {_show(text)} takes {itemsize:,} bytes")
            return
        shape = tuple(item.shape)
        declared = _product(shape) * itemsize
        stored = item.get_storage_size()
        packed = h5py.h5z.FILTER_DEFLATE in filters
        # Deflate packs weights by a few per cent; only constant arrays shrink more, and they are small.
        if declared > (64 * stored + 2**16 if packed and stored else stored):
            self._refuse(
                "declared-size",
                f"the array {_show(text)} claims the shape {_shape_text(shape)}, which is {_bytes(declared)}, but the "
                f"file stores {_bytes(stored)} of it",
            )
            return
        if layout == h5py.h5d.CHUNKED:
            chunk = _product(plist.get_chunk()) * itemsize
            if chunk > max(2 * declared, 2**20) or chunk > self.limits.max_chunk_bytes:
                self._refuse("chunk-size", f"the array {_show(text)} is stored in chunks of {_bytes(chunk)}")
                return
        dtype = stored_type.dtype
        self.datasets[text] = _Dataset(text, shape, dtype.name, dtype.kind, declared, item)

    def text(self, path, name):
        """Reads an attribute that holds text. Returns str, or None where there is none.

        Raises:
            _Refused: it is too large or no text.
        """
        value = self._attribute(path, name)
        if value is None:
            return None
        if hasattr(value, "reshape"):
            value = value.reshape(-1)[0] if value.size == 1 else None
        if isinstance(value, bytes):
            value = value.decode("utf-8", "surrogateescape")
        if not isinstance(value, str):
            raise _Refused(
                "damaged",
                f"the attribute {name} is no text",
                "a file as `model.save` writes it",
                "save the model again with `model.save`",
            )
        return value.rstrip("\x00")

    def names(self, path, name):
        """Reads an attribute that holds a list of names, which Keras splits into `name0`, `name1`, … above 64 kB."""
        value = self._attribute(path, name)
        if value is None:
            parts = []
            while (part := self._attribute(path, f"{name}{len(parts)}")) is not None:
                parts.append(part)
                if len(parts) > 10_000:
                    break
            if not parts:
                return None
            items = [item for part in parts for item in part.reshape(-1).tolist()]
        else:
            items = value.reshape(-1).tolist() if hasattr(value, "reshape") else [value]
        return [item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else str(item) for item in items]

    def _attribute(self, path, name):
        h5py = self.h5py
        group = self.groups.get(path or "/")
        if group is None or not h5py.h5a.exists(group, name.encode()):
            return None
        attribute = h5py.h5a.open(group, name.encode())
        kind = attribute.get_type().get_class()
        # A null shape has no elements; `get_storage_size` fails on an empty attribute, which Keras writes often.
        size = _product(attribute.shape or ()) * attribute.get_type().get_size()
        if size > self.limits.max_config_bytes:
            raise _Refused(
                "config-too-large",
                f"the attribute {name} claims {_bytes(size)}",
                f"at most {_bytes(self.limits.max_config_bytes)}",
                "save the model again with `model.save`",
            )
        # NumPy makes an empty list of names an array of float64.
        if kind != h5py.h5t.STRING and not (kind == h5py.h5t.FLOAT and size == 0):
            raise _Refused(
                "damaged",
                f"the attribute {name} is no text",
                "a file as `model.save` writes it",
                "save the model again with `model.save`",
            )
        try:
            return h5py.Group(group).attrs[name]
        except Exception as error:
            raise _damaged(error) from None


def _damaged(error):
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return _Refused(
            "memory",
            "reading the file asked for more memory than a model of this course needs",
            A_MODEL_FILE,
            "save the model again with `model.save`",
        )
    return _Refused(
        "damaged",
        f"the file begins like HDF5, but cannot be read: {_show(text, 160)}",
        A_MODEL_FILE,
        "it was damaged on the way or saving was interrupted: copy it again, or run the training script again",
    )


# ---------------------------------------------------------------------------------------------------------------------
# 3. The architecture, against lists of what Keras knows
# ---------------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(eq=False)
class _Layer:
    """One layer of the architecture, in today's names."""

    name: str
    class_name: str
    config: dict
    kind: str = "layer"  # or sequential, functional, operation
    children: list = dataclasses.field(default_factory=list)
    calls: list = dataclasses.field(default_factory=list)  # [[(layer name, node, tensor), …], …]
    inputs: list = dataclasses.field(default_factory=list)  # the same references
    outputs: list = dataclasses.field(default_factory=list)
    numbers: list = dataclasses.field(default_factory=list)  # constants of an operation
    legacy: bool = False  # Keras 1
    declared: tuple | None = None  # input shape that the configuration states
    # Filled by the inference:
    output_shape: object = None
    expected: list | None = None  # shapes of the weights, None if unknown


class _Parser:
    """Turns the JSON of an architecture into `_Layer`s and collects what it refuses.

    Args:
        limits: Limits.
    """

    def __init__(self, limits):
        self.limits = limits
        self.reasons = []
        self.notes = []
        self.num_layers = 0
        self._said = set()

    def refuse(self, code, what, try_, wanted="ordinary Keras layers with ordinary settings"):
        if (code, what) not in self._said and len(self.reasons) < 30:
            self._said.add((code, what))
            self.reasons.append({"code": code, "what": what, "wanted": wanted, "try": try_})

    def note(self, code, what):
        if (code, what) not in self._said and len(self.notes) < 30:
            self._said.add((code, what))
            self.notes.append({"code": code, "what": what})

    def parse(self, entry, depth=0):
        """Checks one `{"class_name", "config", …}` and returns its `_Layer`, or None if it is refused."""
        if depth > self.limits.max_depth:
            raise _Refused(
                "too-deep",
                f"models are nested more than {self.limits.max_depth} deep",
                "a network that a person can read",
                "flatten the network",
            )
        self.num_layers += 1
        if self.num_layers > self.limits.max_layers:
            raise _Refused(
                "too-many-layers",
                f"the network has more than {self.limits.max_layers:,} layers",
                "a network of ordinary size",
                "make the network smaller",
            )
        if not isinstance(entry, dict) or not isinstance(entry.get("class_name"), str):
            self.refuse(
                "config-unreadable",
                f"a layer is described by {_show(json.dumps(entry)[:80])}",
                "save the model again with `model.save`",
                "a class name and a configuration",
            )
            return None
        original = entry["class_name"]
        config = entry.get("config")
        module = entry.get("module")
        short = original.split(">")[-1]
        if short in REFUSED_LAYERS:
            code, what, try_ = REFUSED_LAYERS[short]
            self.refuse(code, "the network " + what + self._named(entry), try_)
            return None
        is_operation = isinstance(module, str) and re.match(r"keras(\.src)?\.ops\b", module) is not None
        class_name = ALIASES.get(original, original)
        # An .h5 file drops the module, so that only the name tells.
        is_operation |= module is None and class_name in OPERATIONS - LAYERS and entry.get("inbound_nodes") is not None
        known = class_name in OPERATIONS if is_operation else class_name in LAYERS or class_name in MODEL_CLASSES
        registered = entry.get("registered_name")
        if not known or (registered is not None and registered != original) or ">" in original:
            self.refuse(
                "custom-class",
                f"the network contains {_show(original)}{self._named(entry)}, which is no layer of Keras that this "
                "course knows. Its code is not in the file, and we run no code that comes with a model",
                "build the network from the layers of `keras.layers` alone, train it and save it again",
            )
            return None
        if module is not None and not (isinstance(module, str) and MODULE.fullmatch(module)):
            self.refuse(
                "module",
                f"the layer {_show(original)} names the Python module {_show(module)} instead of Keras",
                "build the network from the layers of `keras.layers` alone and save it again",
            )
            return None
        for key in ("build_config", "name", "inbound_nodes", "shared_object_id", "compile_config"):
            if key not in ("inbound_nodes", "compile_config") and key in entry:
                self._value(entry[key], key, class_name, depth)
        if class_name in MODEL_CLASSES:
            return self._model(entry, class_name, config, depth)
        if not isinstance(config, dict):
            self.refuse(
                "config-unreadable",
                f"the layer {_show(original)} has no configuration",
                "save the model again with `model.save`",
            )
            return None
        children = []
        for key in ("layer", "backward_layer", "cell"):
            if config.get(key) is not None:
                cells = config[key] if isinstance(config[key], list) else [config[key]]
                children += [self.parse(child, depth + 1) for child in cells]
        if isinstance(config.get("cells"), list):
            children += [self.parse(child, depth + 1) for child in config["cells"]]
        if any(child is None for child in children):
            return None
        for key, value in config.items():
            if key not in ("layer", "backward_layer", "cell", "cells"):
                self._value(value, key, class_name, depth)
        modern, legacy = _modern(original, class_name, config)
        name = str(entry.get("name") or config.get("name") or class_name)
        layer = _Layer(name, class_name, modern, children=children, legacy=legacy)
        layer.kind = "operation" if is_operation else "layer"
        layer.declared = _declared_shape(modern)
        layer.calls = self._calls(entry.get("inbound_nodes"), layer, depth)
        if layer.numbers and class_name in OPERATIONS & LAYERS and all(len(call) < 2 for call in layer.calls):
            layer.kind = "operation"
        if layer.kind == "operation":
            self.note(
                "operation",
                "the network has arithmetic between its layers, as in `x * 2 - 1`; Keras 3 writes "
                "that to .h5 files but cannot load it back (`Rescaling(2, offset=-1)` avoids this)",
            )
        return layer

    def _named(self, entry):
        config = entry.get("config")
        name = entry.get("name") or (config.get("name") if isinstance(config, dict) else None)
        return f" (named {_show(name, 40)})" if name else ""

    def _model(self, entry, class_name, config, depth):
        legacy_list = isinstance(config, list)
        if legacy_list:
            config = {"layers": config}
            self.note("list-config", "the Sequential's configuration is a list, as Keras before 2.2.3 wrote it")
        if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
            self.refuse(
                "config-unreadable",
                f"the model {_show(class_name)} lists no layers",
                "build it with keras.Sequential or keras.Model(inputs, outputs) and save it again",
            )
            return None
        for key, value in config.items():
            if key not in ("layers", "input_layers", "output_layers"):
                self._value(value, key, class_name, depth)
        children = [self.parse(child, depth + 1) for child in config["layers"]]
        if any(child is None for child in children):
            return None
        name = str(entry.get("name") or config.get("name") or class_name.lower())
        names = {child.name for child in children}
        if len(names) < max(len(children), 1):
            self.refuse(
                "config-unreadable",
                f"the model {_show(name)} has {'two layers of one name' if children else 'no layers'}",
                "give every layer its own name and save the model again",
            )
            return None
        layer = _Layer(name, class_name, {"name": name}, children=children)
        layer.kind = "sequential" if class_name == "Sequential" else "functional"
        layer.declared = _declared_shape(config)
        if layer.kind == "functional":
            layer.inputs = _references(config.get("input_layers"))
            layer.outputs = _references(config.get("output_layers"))
            if not layer.outputs or {reference[0] for reference in layer.inputs + layer.outputs} - names:
                self.refuse(
                    "config-unreadable",
                    f"the model {_show(name)} does not say which of its layers are its inputs and outputs",
                    "build it with keras.Model(inputs, outputs) and save it again",
                )
                return None
        layer.calls = self._calls(entry.get("inbound_nodes"), layer, depth)
        return layer

    def _calls(self, nodes, layer, depth):
        """Reads which tensors each call of a layer takes, from the format of Keras 1 and 2 or of Keras 3."""
        if nodes is None:
            return []
        if not isinstance(nodes, list) or len(nodes) > self.limits.max_layers:
            self.refuse(
                "config-unreadable",
                f"the connections of {_show(layer.name)} cannot be read",
                "save the model again with `model.save`",
            )
            return []
        calls = []
        for node in nodes:
            references = []
            if isinstance(node, dict):
                for key in ("args", "kwargs"):
                    self._arguments(node.get(key), references, layer, 0)
            elif isinstance(node, list):
                items = [node] if len(node) >= 3 and isinstance(node[0], str) else node
                for item in items:
                    if isinstance(item, list) and len(item) >= 3 and isinstance(item[0], str):
                        references.append(_reference(item))
                        self._arguments(item[3:], references, layer, 0)
                    else:
                        self._arguments(item, references, layer, 0)
            calls.append(references)
        return calls

    def _arguments(self, value, references, layer, depth):
        if depth > 12:
            raise _Refused(
                "too-deep",
                f"the arguments of {_show(layer.name)} are nested more than 12 deep",
                "a network as Keras saves it",
                "save the model again with `model.save`",
            )
        if isinstance(value, (bool, type(None))):
            return
        if isinstance(value, (int, float)):
            layer.numbers.append(value)
        elif isinstance(value, str):
            if value not in SETTINGS and not DTYPE.fullmatch(value):
                self.refuse(
                    "config-value",
                    f"the layer {_show(layer.name)} is called with the text {_show(value)}",
                    "call layers with tensors and numbers only",
                )
        elif isinstance(value, list):
            if len(value) in (3, 4) and isinstance(value[0], str) and all(type(one) is int for one in value[1:3]):
                references.append(_reference(value))
                value = value[3:]
            for item in value[:4096]:
                self._arguments(item, references, layer, depth + 1)
        elif isinstance(value, dict):
            name = value.get("class_name")
            if name == "__keras_tensor__" and isinstance(value.get("config"), dict):
                references.append(_reference(value["config"].get("keras_history")))
            elif name == "__tuple__":
                self._arguments(value.get("items"), references, layer, depth + 1)
            elif name is None:
                for item in value.values():
                    self._arguments(item, references, layer, depth + 1)
            else:
                self.refuse(
                    "custom-object",
                    f"the layer {_show(layer.name)} is called with an object {_show(name)}",
                    "call layers with tensors and numbers only",
                )

    def _value(self, value, key, owner, depth):
        """Checks one setting: numbers always, words and objects only where they are Keras's own."""
        where = f"the setting {_show(key, 40)} of {_show(owner, 40)}"
        if depth > self.limits.max_depth:
            raise _Refused(
                "too-deep",
                f"{where} is nested more than {self.limits.max_depth} deep",
                "a network as Keras saves it",
                "save the model again with `model.save`",
            )
        if value is None or isinstance(value, (bool, int, float)):
            if isinstance(value, int) and not -(2**64) < value < 2**64:
                self.refuse(
                    "config-value",
                    f"{where} is a number beyond all measure",
                    "build the layer with the settings that the Keras documentation lists",
                )
            elif key not in KEYS and value not in (None, False, True):
                self.note("unknown-setting", f"{where} is not one that we know; it holds {_show(value)}")
        elif isinstance(value, list):
            for item in value:
                self._value(item, key, owner, depth + 1)
        elif isinstance(value, str):
            self._word(value, key, where)
        elif isinstance(value, dict):
            if "class_name" in value:
                self._object(value, key, where, owner, depth)
            elif key in KEYS:
                for inner, item in value.items():
                    self._value(item, inner, owner, depth + 1)
            elif not _is_numeric(value):
                self.refuse(
                    "config-key",
                    f"{where} is no setting of a Keras layer and holds {_show(json.dumps(value))}",
                    "build the layer with the settings that the Keras documentation lists",
                )

    def _word(self, value, key, where):
        lower = key.lower()
        if key in ("name", "class_name", "registered_name") or value == "":
            fine = len(value) <= 400
        elif key in ("activation", "recurrent_activation", "inner_activation"):
            if value not in ACTIVATIONS:
                self.refuse(
                    "custom-activation",
                    f"{where} is {_show(value)}, which is no activation function of Keras",
                    'use one of Keras\'s own, such as "relu", "leaky_relu", "elu", "softmax"',
                )
            return
        elif lower.endswith("_initializer") or "init" in lower:
            fine = value in INITIALIZERS
        elif lower.endswith("_regularizer"):
            fine = value in REGULARIZERS
        elif lower.endswith("_constraint"):
            fine = value in CONSTRAINTS
        elif "dtype" in lower:
            fine = DTYPE.fullmatch(value) is not None
        elif key == "equation":
            fine = re.fullmatch(r"[A-Za-z.,\-> ]{1,80}", value) is not None
        elif key == "bias_axes":
            fine = re.fullmatch(r"[A-Za-z]{1,20}", value) is not None
        elif key == "module":
            fine = MODULE.fullmatch(value) is not None
        elif key in ("vocabulary", "filepath", "function", "path", "filename", "file"):
            fine = False
        else:
            fine = value in SETTINGS or value in ACTIVATIONS
        if not fine:
            self.refuse(
                "config-value",
                f"{where} is {_show(value)}, which Keras does not know",
                "build the layer with the settings that the Keras documentation lists",
            )

    def _object(self, value, key, where, owner, depth):
        name = value.get("class_name")
        module = value.get("module")
        if name == "__tuple__" or name == "__tensor__" or name == "__numpy__":
            inner = value.get("items") if name == "__tuple__" else (value.get("config") or {}).get("value")
            self._value(inner, key, owner, depth + 1)
            return
        if module is not None and not (isinstance(module, str) and MODULE.fullmatch(module)):
            self.refuse(
                "module",
                f"{where} names the Python module {_show(module)} instead of Keras",
                "use Keras's own activations, initializers and regularizers, and save the model again",
            )
            return
        if name == "function":
            # Keras 2 wraps an activation's name so.
            self._word(str(value.get("config")), "activation", where)
            return
        registered = value.get("registered_name")
        own = isinstance(name, str) and name in PLAIN_OBJECTS and (registered is None or registered == name)
        if not own:
            self.refuse(
                "custom-object",
                f"{where} is an object of the class {_show(name)}, which is not one of Keras's",
                "use Keras's own activations, initializers and regularizers, and save the model again",
            )
            return
        config = value.get("config")
        if isinstance(config, dict):
            for inner, item in config.items():
                if name in ACTIVATION_LAYERS or name in DTYPE_POLICIES or inner not in KEYS:
                    self._setting_of_object(item, inner, owner, depth, name)
                else:
                    self._value(item, inner, owner, depth + 1)
        elif config is not None:
            self._value(config, key, owner, depth + 1)

    def _setting_of_object(self, item, inner, owner, depth, name):
        if inner == "name" and name in DTYPE_POLICIES:
            self._word(str(item), "dtype", f"the dtype of {_show(owner, 40)}")
        elif isinstance(item, str) and inner in ("mode", "distribution"):
            self._word(item, "mode", f"the setting {_show(inner)} of {_show(owner, 40)}")
        elif isinstance(item, (bool, int, float, type(None))):
            return
        else:
            self._value(item, inner, owner, depth + 1)


def _is_numeric(value, depth=0):
    if depth > 8:
        return False
    if isinstance(value, dict):
        return all(_is_numeric(item, depth + 1) for item in value.values())
    if isinstance(value, list):
        return all(_is_numeric(item, depth + 1) for item in value)
    return value is None or isinstance(value, (bool, int, float))


def _reference(item):
    if isinstance(item, (list, tuple)) and len(item) >= 3 and isinstance(item[0], str):
        node, tensor = item[1], item[2]
        if type(node) is int and type(tensor) is int:
            return (item[0], node, tensor)
    return ("", 0, 0)


def _references(value):
    """Reads `input_layers` and `output_layers`: one reference, a list of them, or a dict of them."""
    if isinstance(value, dict):
        return [reference for item in value.values() for reference in _references(item)]
    if not isinstance(value, list):
        return []
    if len(value) >= 3 and isinstance(value[0], str):
        return [_reference(value)]
    return [reference for item in value for reference in _references(item)]


def _sizes(value, rank=None):
    """Reads `3`, `[3, 3]` or Keras's tuple as a list of ints, repeated to `rank`."""
    if isinstance(value, dict) and value.get("class_name") == "__tuple__":
        value = value.get("items")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [int(value)] * (rank or 1)
    return [int(size) for size in value]


def _declared_shape(config):
    """Returns the shape with batch that a configuration states, as a tuple with None for any, or None."""
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    if isinstance(shape, dict):
        shape = shape.get("items")
    if shape is None and config.get("input_shape"):
        shape = [None, *_plain_list(config["input_shape"])]
    if shape is None and isinstance(config.get("input_dim"), int) and "input_length" not in config:
        shape = [None, config["input_dim"]]
    if shape is None and isinstance(config.get("build_input_shape"), list):
        shape = config["build_input_shape"]
    if not isinstance(shape, list) or len(shape) > 8:
        return None
    if not all(size is None or (type(size) is int and size >= 0) for size in shape):
        return None
    return tuple(shape)


def _plain_list(value):
    if isinstance(value, dict):
        value = value.get("items")
    return value if isinstance(value, list) else []


RENAMED_KEYS = {
    "nb_filter": "filters",
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "pool_length": "pool_size",
    "stride": "strides",
    "filter_length": "kernel_size",
    "p": "rate",
    "bias": "use_bias",
    "init": "kernel_initializer",
    "inner_activation": "recurrent_activation",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
    "atrous_rate": "dilation_rate",
}


def _modern(original, class_name, config):
    """Renames the settings of Keras 1. Returns the new configuration and whether anything was old."""
    old = {"nb_filter", "border_mode", "dim_ordering", "W_regularizer", "p", "init", "nb_row"} & set(config)
    if not old and not ("output_dim" in config and class_name in ("Dense", "LSTM", "GRU", "SimpleRNN")):
        return config, False
    modern = {}
    for key, value in config.items():
        modern[RENAMED_KEYS.get(key, key)] = value
    if class_name in ("Dense", "LSTM", "GRU", "SimpleRNN") and "output_dim" in modern:
        modern["units"] = modern.pop("output_dim")
    if "nb_row" in modern:
        modern["kernel_size"] = [modern.pop("nb_row"), modern.pop("nb_col", 1)]
    if "kernel_dim1" in modern:
        modern["kernel_size"] = [modern.pop(f"kernel_dim{axis}", 1) for axis in (1, 2, 3)]
    if "dim_ordering" in modern:
        ordering = modern.pop("dim_ordering")
        modern["data_format"] = "channels_first" if ordering == "th" else "channels_last"
    return modern, True


# ---------------------------------------------------------------------------------------------------------------------
# 4. Shapes: what the configuration promises
# ---------------------------------------------------------------------------------------------------------------------


# No count of this module grows beyond, so that sums of absurd ones stay numbers that can be printed.
HUGE = 10**30
ASSUMED_SIZE = 48


class _Unknown(Exception):
    """The shape depends on something that the configuration does not state."""


def _known(*sizes):
    if any(size is None for size in sizes):
        raise _Unknown
    return sizes if len(sizes) > 1 else sizes[0]


def _channels_first(config):
    return config.get("data_format") == "channels_first"


def _split(shape, config, rank):
    """Splits a picture's shape into its spatial sizes and its number of channels."""
    if shape is None or len(shape) != rank + 2:
        raise _Unknown
    if _channels_first(config):
        return list(shape[2:]), shape[1]
    return list(shape[1:-1]), shape[-1]


def _join(batch, spatial, channels, config):
    if _channels_first(config):
        return (batch, channels, *spatial)
    return (batch, *spatial, channels)


def _window(size, kernel, stride, padding, dilation=1):
    if size is None:
        return None
    if padding in ("same", "causal"):
        return -(-size // stride)
    if padding == "full":
        return -(-(size + dilation * (kernel - 1)) // stride)
    return (size - dilation * (kernel - 1) - 1) // stride + 1


def _rank_of(class_name):
    match = re.search(r"(\d)D", class_name)
    return int(match[1]) if match else None


def _multiply_known(sizes):
    return None if any(size is None for size in sizes) else _product(sizes)


def _infer_conv(name, config, shapes):
    rank = _rank_of(name)
    spatial, channels = _split(shapes[0], config, rank)
    kernel = _sizes(config["kernel_size"], rank)
    strides = _sizes(config.get("strides") or 1, rank)
    dilation = _sizes(config.get("dilation_rate") or 1, rank)
    padding = config.get("padding", "valid")
    use_bias = config.get("use_bias", True)
    if name.startswith("Depthwise") or name.startswith("Separable"):
        multiplier = config.get("depth_multiplier", 1)
        _known(channels)
        weights = [(*kernel, channels, multiplier)]
        filters = channels * multiplier
        cost = _product(kernel) * filters
        if name.startswith("Separable"):
            weights.append((*[1] * rank, filters, config["filters"]))
            cost += filters * config["filters"]
            filters = config["filters"]
    else:
        filters = config["filters"]
        per_group = _known(channels) // (config.get("groups") or 1)
        weights = [(*kernel, per_group, filters)]
        cost = _product(weights[0])
    if use_bias:
        weights.append((filters,))
    sizes = [_window(*parts) for parts in zip(spatial, kernel, strides, [padding] * rank, dilation, strict=True)]
    places = _multiply_known(sizes)
    return _join(shapes[0][0], sizes, filters, config), weights, 2 * cost * (places or 1)


def _infer_conv_transpose(name, config, shapes):
    rank = _rank_of(name)
    spatial, channels = _split(shapes[0], config, rank)
    kernel = _sizes(config["kernel_size"], rank)
    strides = _sizes(config.get("strides") or 1, rank)
    padding = config.get("padding", "valid")
    extra = config.get("output_padding")
    filters = config["filters"]
    weights = [(*kernel, filters, _known(channels))]
    if config.get("use_bias", True):
        weights.append((filters,))
    sizes = []
    for axis, size in enumerate(spatial):
        if size is None:
            sizes.append(None)
        elif extra is not None:
            pad = kernel[axis] // 2 if padding == "same" else 0
            sizes.append((size - 1) * strides[axis] + kernel[axis] - 2 * pad + _sizes(extra, rank)[axis])
        elif padding == "same":
            sizes.append(size * strides[axis])
        else:
            sizes.append(size * strides[axis] + max(kernel[axis] - strides[axis], 0))
    places = _multiply_known(spatial)
    return _join(shapes[0][0], sizes, filters, config), weights, 2 * _product(weights[0]) * (places or 1)


def _infer_pool(name, config, shapes):
    rank = _rank_of(name)
    spatial, channels = _split(shapes[0], config, rank)
    if name.startswith("Global"):
        if config.get("keepdims"):
            return _join(shapes[0][0], [1] * rank, channels, config), [], 0
        return (shapes[0][0], channels), [], 0
    if name.startswith("Adaptive"):
        return _join(shapes[0][0], _sizes(config["output_size"], rank), channels, config), [], 0
    pool = _sizes(config.get("pool_size") or 2, rank)
    strides = _sizes(config.get("strides") or pool, rank)
    padding = config.get("padding", "valid")
    sizes = [_window(*parts) for parts in zip(spatial, pool, strides, [padding] * rank, strict=True)]
    return _join(shapes[0][0], sizes, channels, config), [], _product(pool) * (_multiply_known(sizes) or 1)


def _infer_dense(name, config, shapes):
    inputs, units = _known(shapes[0][-1]), config["units"]
    weights = [(inputs, units)] + ([(units,)] if config.get("use_bias", True) else [])
    return (*shapes[0][:-1], units), weights, 2 * inputs * units * (_multiply_known(shapes[0][1:-1]) or 1)


def _infer_flatten(name, config, shapes):
    return (shapes[0][0], _multiply_known(shapes[0][1:])), [], 0


def _infer_reshape(name, config, shapes):
    target = [None if size is None else int(size) for size in _sizes(config["target_shape"])]
    if -1 in target:
        total = _multiply_known(shapes[0][1:])
        rest = _product(size for size in target if size != -1)
        target[target.index(-1)] = None if total is None or rest == 0 else total // rest
    return (shapes[0][0], *target), [], 0


def _axes(config, rank):
    axes = config.get("axis", -1)
    axes = _sizes(axes) if not isinstance(axes, int) else [axes]
    return sorted(axis % rank for axis in axes)


def _infer_normalization(name, config, shapes):
    shape = shapes[0]
    axes = _axes(config, len(shape))
    sizes = tuple(_known(shape[axis]) for axis in axes)
    weights = []
    if name == "RMSNormalization":
        return shape, [sizes], _elements(shape)
    if config.get("scale", True):
        weights.append(sizes)
    if config.get("center", True):
        weights.append(sizes)
    if name == "BatchNormalization":
        if config.get("renorm"):
            raise _Unknown
        weights += [sizes, sizes]
    return shape, weights, 4 * _elements(shape)


def _elements(shape):
    return min(_product(1 if size is None else size for size in shape[1:]), HUGE)


def _infer_pad(name, config, shapes):
    rank = _rank_of(name)
    spatial, channels = _split(shapes[0], config, rank)
    amounts = config["padding"] if name.startswith("Zero") else config["cropping"]
    if isinstance(amounts, dict):
        amounts = amounts["items"]
    if isinstance(amounts, int):
        amounts = [amounts] * rank
    if rank == 1 and len(amounts) == 2 and isinstance(amounts[0], int):
        amounts = [amounts]
    sign = 1 if name.startswith("Zero") else -1
    sizes = []
    for size, amount in zip(spatial, amounts, strict=True):
        before, after = _sizes(amount, 2)
        sizes.append(None if size is None else size + sign * (before + after))
    return _join(shapes[0][0], sizes, channels, config), [], 0


def _infer_upsampling(name, config, shapes):
    rank = _rank_of(name)
    spatial, channels = _split(shapes[0], config, rank)
    factors = _sizes(config.get("size") or config.get("length") or 2, rank)
    sizes = [None if size is None else size * factor for size, factor in zip(spatial, factors, strict=True)]
    return _join(shapes[0][0], sizes, channels, config), [], 0


def _infer_resize(name, config, shapes):
    _spatial, channels = _split(shapes[0], config, 2)
    return (
        _join(shapes[0][0], [config["height"], config["width"]], channels, config),
        [],
        8 * (config["height"] * config["width"] * (channels or 1)),
    )


def _infer_random_size(name, config, shapes):
    spatial, channels = _split(shapes[0], config, 2)
    spatial[0 if name == "RandomHeight" else 1] = None
    return _join(shapes[0][0], spatial, channels, config), [], 0


def _infer_merge(name, config, shapes):
    if name == "Concatenate" or (name == "Merge" and config.get("mode") == "concat"):
        axis = config.get("axis", config.get("concat_axis", -1)) % len(shapes[0])
        sizes = [shape[axis] for shape in shapes]
        total = None if None in sizes else sum(sizes)
        return (*shapes[0][:axis], total, *shapes[0][axis + 1 :]), [], 0
    if name == "Merge" and config.get("mode") not in ("sum", "mul", "ave", "max"):
        raise _Unknown
    rank = max(len(shape) for shape in shapes)
    output = []
    for sizes in zip(*[(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes], strict=True):
        output.append(None if None in sizes else max(sizes))
    output[0] = shapes[0][0]
    return tuple(output), [], len(shapes) * _elements(tuple(output))


def _infer_dot(name, config, shapes):
    first, second = shapes
    axes = config["axes"]
    axes = [axes, axes] if isinstance(axes, int) else _sizes(axes)
    one, two = axes[0] % len(first), axes[1] % len(second)
    output = [size for axis, size in enumerate(first) if axis != one]
    output += [size for axis, size in enumerate(second) if axis not in (0, two)]
    if len(output) == 1:
        output.append(1)
    return tuple(output), [], 2 * _elements(tuple(output)) * (first[one] or 1)


def _infer_recurrent(name, config, shapes):
    gates = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}[name]
    batch, steps, inputs = shapes[0]
    units = config["units"]
    weights = [(_known(inputs), gates * units), (units, gates * units)]
    if config.get("use_bias", True):
        two = name == "GRU" and config.get("reset_after", False)
        weights.append((2, gates * units) if two else (gates * units,))
    output = (batch, steps, units) if config.get("return_sequences") else (batch, units)
    if config.get("return_state"):
        raise _Unknown
    return output, weights, 2 * gates * units * (inputs + units) * (steps or 1)


def _infer_conv_recurrent(name, config, shapes):
    rank = _rank_of(name)
    batch, steps = shapes[0][:2]
    inner = (batch, *shapes[0][2:])
    conv = dict(config, filters=4 * config["filters"], use_bias=False)
    output, (kernel,), flops = _infer_conv(f"Conv{rank}D", conv, [inner])
    filters = config["filters"]
    recurrent = (*kernel[:rank], filters, 4 * filters)
    weights = [kernel, recurrent] + ([(4 * filters,)] if config.get("use_bias", True) else [])
    output = _join(batch, _split(output, config, rank)[0], filters, config)
    if config.get("return_sequences"):
        output = (batch, steps, *output[1:])
    return output, weights, 3 * flops * (steps or 1)


def _infer_prelu(name, config, shapes):
    alpha = list(shapes[0][1:])
    for axis in config.get("shared_axes") or []:
        alpha[axis - 1] = 1
    return shapes[0], [tuple(_known(size) for size in alpha)], _elements(shapes[0])


def _infer_embedding(name, config, shapes):
    return (*shapes[0], config["output_dim"]), [(config["input_dim"], config["output_dim"])], 0


def _infer_attention(name, config, shapes):
    heads, key = config["num_heads"], config["key_dim"]
    value = config.get("value_dim") or key
    query_in = _known(shapes[0][-1])
    value_in = _known(shapes[min(1, len(shapes) - 1)][-1])
    if config.get("output_shape") or len(shapes) > 3 or len(shapes[0]) != 3:
        raise _Unknown
    weights = [(query_in, heads, key), (value_in, heads, key), (value_in, heads, value), (heads, value, query_in)]
    if config.get("use_bias", True):
        weights += [(heads, key), (heads, key), (heads, value), (query_in,)]
    steps = shapes[0][1] or 1
    other = shapes[min(1, len(shapes) - 1)][1] or 1
    flops = 2 * steps * sum(_product(shape) for shape in weights) + 4 * steps * other * heads * (key + value)
    return shapes[0], weights, flops


def _infer_dot_attention(name, config, shapes):
    weights = None
    if name == "Attention" and not config.get("use_scale") and config.get("score_mode", "dot") == "dot":
        weights = []
    steps, other, width = shapes[0][1], shapes[1][1], shapes[1][-1]
    return (*shapes[0][:-1], width), weights, 4 * (steps or 1) * (other or 1) * (width or 1)


def _infer_same(name, config, shapes):
    return shapes[0], [], _elements(shapes[0])


def _infer_permute(name, config, shapes):
    return (shapes[0][0], *[shapes[0][axis] for axis in _sizes(config["dims"])]), [], 0


def _infer_repeat(name, config, shapes):
    return (shapes[0][0], config["n"], shapes[0][1]), [], 0


def _infer_normalization_layer(name, config, shapes):
    return shapes[0], None, 2 * _elements(shapes[0])


RULES = {
    **dict.fromkeys(
        _words("Conv1D Conv2D Conv3D DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D"), _infer_conv
    ),
    **dict.fromkeys(_words("Conv1DTranspose Conv2DTranspose Conv3DTranspose"), _infer_conv_transpose),
    **dict.fromkeys([name for name in LAYERS if "Pooling" in name], _infer_pool),
    "Dense": _infer_dense,
    "Flatten": _infer_flatten,
    "Reshape": _infer_reshape,
    "Permute": _infer_permute,
    "RepeatVector": _infer_repeat,
    **dict.fromkeys(
        _words("BatchNormalization LayerNormalization GroupNormalization RMSNormalization"), _infer_normalization
    ),
    "Normalization": _infer_normalization_layer,
    **dict.fromkeys([name for name in LAYERS if name.startswith(("ZeroPadding", "Cropping"))], _infer_pad),
    **dict.fromkeys(_words("UpSampling1D UpSampling2D UpSampling3D"), _infer_upsampling),
    **dict.fromkeys(_words("Resizing CenterCrop RandomCrop"), _infer_resize),
    **dict.fromkeys(_words("RandomHeight RandomWidth"), _infer_random_size),
    **dict.fromkeys(_words("Add Subtract Multiply Average Maximum Minimum Concatenate Merge"), _infer_merge),
    "Dot": _infer_dot,
    **dict.fromkeys(_words("LSTM GRU SimpleRNN"), _infer_recurrent),
    **dict.fromkeys(_words("ConvLSTM1D ConvLSTM2D ConvLSTM3D"), _infer_conv_recurrent),
    "PReLU": _infer_prelu,
    "Embedding": _infer_embedding,
    "MultiHeadAttention": _infer_attention,
    **dict.fromkeys(_words("Attention AdditiveAttention"), _infer_dot_attention),
    **dict.fromkeys(
        [
            name
            for name in LAYERS
            if name.startswith("Random") and name not in ("RandomCrop", "RandomHeight", "RandomWidth")
        ],
        _infer_same,
    ),
    **dict.fromkeys(
        _words(
            "Activation Masking Identity ActivityRegularization UnitNormalization Rescaling Dropout SpatialDropout1D "
            "SpatialDropout2D SpatialDropout3D AlphaDropout GaussianDropout GaussianNoise ReLU LeakyReLU ELU Softmax "
            "ThresholdedReLU AutoContrast Equalization Solarization"
        ),
        _infer_same,
    ),
}


class _Inference:
    """Works out output shapes, weight shapes and the cost of one prediction.

    Args:
        limits: Limits.

    After `run`: every `_Layer` has `output_shape` and `expected`; `max_activation` numbers in the largest output of one
    picture, `total_activation` in all of them, `flops` of one picture, `None` where a size is unknown.
    """

    def __init__(self, limits):
        self.limits = limits
        self.max_activation = 0
        self.max_layer = None
        self.impossible = None
        self.memory = {}

    def run(self, model, input_shapes):
        """Returns the output shapes of a model, a list of tuples or None."""
        outputs, cost = self._model(model, input_shapes)
        self.flops, self.total_activation = cost
        return outputs

    def _layer(self, layer, shapes):
        """Returns the output shapes of one call of a layer and its cost `(flops, numbers)`."""
        key = (id(layer), tuple(shapes))
        if key in self.memory:
            return self.memory[key]
        if layer.kind in ("sequential", "functional"):
            result = self._model(layer, shapes)
        else:
            result = self._plain(layer, shapes)
        self.memory[key] = result
        return result

    def _plain(self, layer, shapes):
        try:
            output, weights, flops = self._rule(layer, shapes)
            if not all(
                size is None or type(size) is int for shape in [output or (), *(weights or ())] for size in shape
            ):
                # A configuration may hold a word or a list where a number belongs.
                raise _Unknown
            flops = min(flops, HUGE)
        except (
            _Unknown,
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            AttributeError,
            ZeroDivisionError,
            OverflowError,
        ):
            output, weights, flops = None, None, 0
        if output is not None:
            output = tuple(output)
            if any(size is not None and size <= 0 for size in output[1:]) and self.impossible is None:
                self.impossible = (layer, shapes)
            elements = _elements(output)
            if elements > self.max_activation:
                self.max_activation, self.max_layer = elements, layer
        if layer.output_shape is None:
            layer.output_shape = output
            layer.expected = weights
        return [output], (flops, _elements(output) if output else 0)

    def _rule(self, layer, shapes):
        name, config = layer.class_name, layer.config
        if name == "InputLayer":
            return (shapes[0] if shapes and shapes[0] is not None else layer.declared), [], 0
        if not shapes or any(shape is None for shape in shapes):
            if layer.declared is None:
                raise _Unknown
            shapes = [layer.declared]
        if layer.kind == "operation":
            return (*_infer_merge("Add", {}, shapes)[:2], _elements(shapes[0]))
        if name == "TimeDistributed":
            (child,) = layer.children
            (output,), (flops, _) = self._layer(child, [(shapes[0][0], *shapes[0][2:])])
            if output is None:
                return None, child.expected, 0
            return (output[0], shapes[0][1], *output[1:]), child.expected, flops * (shapes[0][1] or 1)
        if name == "Bidirectional":
            child = layer.children[0]
            (output,), (flops, _) = self._layer(child, shapes[:1])
            for other in layer.children[1:]:
                self._layer(other, shapes[:1])
            weights = None if child.expected is None else child.expected * 2
            if output is not None and config.get("merge_mode", "concat") == "concat":
                output = (*output[:-1], 2 * output[-1])
            elif config.get("merge_mode", "concat") is None:
                output = None
            return output, weights, 2 * flops
        if name == "SpectralNormalization":
            (output,), (flops, _) = self._layer(layer.children[0], shapes)
            return output, None, flops
        rule = RULES.get(name)
        if rule is None:
            raise _Unknown
        output, weights, flops = rule(name, config, shapes)
        if layer.legacy and name in ("LSTM", "GRU", "SimpleRNN"):
            weights = None
        return output, weights, flops

    def _model(self, model, shapes):
        if model.kind == "sequential":
            return self._sequential(model, shapes)
        return self._functional(model, shapes)

    def _sequential(self, model, shapes):
        shapes = list(shapes) or [model.declared]
        if shapes[0] is None and model.children:
            shapes = [model.declared or _first_shape(model)]
        flops = numbers = 0
        for child in model.children:
            shapes, cost = self._layer(child, [shape for shape in shapes])
            flops, numbers = flops + cost[0], numbers + cost[1]
        self._summarise(model, shapes)
        return shapes, (flops, numbers)

    def _functional(self, model, shapes):
        children = {child.name: child for child in model.children}
        tensors = {}
        flops = numbers = 0
        for index, (name, node, tensor) in enumerate(model.inputs):
            child = children.get(name)
            if child is None:
                continue
            shape = shapes[index] if index < len(shapes) and shapes[index] is not None else child.declared
            tensors[name, node, tensor] = shape
            if child.output_shape is None:
                child.output_shape, child.expected = shape, []
        waiting = [
            (child, node, references)
            for child in model.children
            for node, references in enumerate(child.calls)
            if references
        ]
        # Keras 2 numbers the calls of a nested model from 1: a reference to a node that never comes means the last.
        ready = {(name, node) for name, node, _ in tensors}
        last_calls = {child.name: len(child.calls) - 1 for child in model.children}

        def find(reference):
            name, node, tensor = reference
            node = min(node, max(last_calls.get(name, 0), 0))
            return (name, node, tensor), (name, node) in ready

        while waiting:
            rest = []
            for child, node, references in waiting:
                found = [find(reference) for reference in references]
                if not all(is_ready for _, is_ready in found):
                    rest.append((child, node, references))
                    continue
                outputs, cost = self._layer(child, [tensors.get(key) for key, _ in found])
                flops, numbers = flops + cost[0], numbers + cost[1]
                ready.add((child.name, node))
                for tensor, output in enumerate(outputs):
                    tensors[child.name, node, tensor] = output
            if len(rest) == len(waiting):
                break
            waiting = rest
        outputs = [tensors.get(find(reference)[0]) for reference in model.outputs]
        self._summarise(model, outputs)
        return outputs, (flops, numbers)

    def _summarise(self, model, outputs):
        if model.output_shape is None:
            model.output_shape = outputs[0] if len(outputs) == 1 else outputs
            expected = [child.expected for child in model.children]
            model.expected = (
                None if any(one is None for one in expected) else [shape for one in expected for shape in one]
            )


def _first_shape(model):
    """Returns the input shape that a model states, or the first of its layers that states one."""
    if model.declared is not None:
        return model.declared
    if model.kind == "functional":
        inputs = [child.declared for name, _, _ in model.inputs for child in model.children if child.name == name]
        return inputs[0] if inputs else None
    for child in model.children[:1]:
        if child.kind in ("sequential", "functional"):
            return _first_shape(child)
        if child.declared is not None:
            return child.declared
        if child.class_name in ("TimeDistributed", "Bidirectional") and child.children:
            return None
    return None


# ---------------------------------------------------------------------------------------------------------------------
# 5. The audit
# ---------------------------------------------------------------------------------------------------------------------


def audit(path, weights=True, name=None, limits=None):
    """Audits a model file in this process. For files of other people use `audit_in_child`.

    Args:
        path: path of the file; its bytes are read, its name is not believed.
        weights: bool, `False` reads the structure only: no SHA-256, no statistics of the weights.
        name: str, the name under which the file was handed in, if `path` has another; a `.keras` zip is accepted
            only under a name that ends in `.keras`, because Keras does not load it under any other.
        limits: Limits.

    Returns:
        dict ready for JSON. `kind` (a key of `KINDS`), `accepted` (bool), `reasons` (list of
        `{code, what, wanted, try}`, empty exactly when accepted), `notes` (list of `{code, what}`, nothing that
        refuses), `keras_version`, `backend`, `layers` (class names in order, nested models as one), `input_shape` and
        `output_shape` (with `None` for the batch; a list of shapes if there are several), `num_parameters` (numbers
        stored as weights), `sha256`, `num_bytes`, `layer_list`, `last_activation`, `optimizer_state`,
        `functional_inputs`, `model_class`, `config_format`, `max_activation` (numbers in the largest output of one
        picture), `flops` (per picture) and `weight_facts`.

    Raises:
        OSError: the file cannot be opened.
    """
    path = os.fspath(path)
    limits = limits or Limits()
    result = _empty_result()
    information = os.stat(path)
    if not stat.S_ISREG(information.st_mode):
        result["reasons"].append(
            {
                "code": "not-a-file",
                "what": "this is no ordinary file",
                "wanted": A_MODEL_FILE,
                "try": "submit the file itself",
            }
        )
        return result
    result["num_bytes"] = information.st_size
    if information.st_size > limits.max_file_bytes:
        result["reasons"].append(
            {
                "code": "too-large",
                "what": f"the file has {_bytes(information.st_size)}",
                "wanted": f"at most {_bytes(limits.max_file_bytes)}",
                "try": "make the network smaller, or save it without its optimizer: `model.save(path, "
                "include_optimizer=False)`",
            }
        )
        return result
    kind, reason = sniff(path)
    result["kind"] = kind
    if reason is not None:
        result["reasons"].append(reason)
    elif kind == "hdf5":
        _audit_hdf5(path, information.st_size, result, weights, limits)
    else:
        _audit_zip(path, information.st_size, result, weights, limits, name or os.path.basename(path))
    if weights:
        with open(path, "rb") as file:
            result["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    result["accepted"] = not result["reasons"]
    return result


def _empty_result():
    return {
        "kind": "unknown",
        "accepted": False,
        "reasons": [],
        "notes": [],
        "keras_version": None,
        "backend": None,
        "layers": [],
        "input_shape": None,
        "output_shape": None,
        "num_parameters": None,
        "sha256": None,
        "num_bytes": None,
        "layer_list": [],
        "last_activation": None,
        "optimizer_state": False,
        "functional_inputs": [],
        "model_class": None,
        "config_format": None,
        "max_activation": None,
        "total_activation": None,
        "flops": None,
        "weight_facts": None,
    }


def _audit_hdf5(path, size, result, weights, limits):
    result["kind"] = "other-hdf5"
    try:
        store = _Hdf5(path, size, limits)
    except _Refused as refusal:
        result["reasons"].append(refusal.reason)
        return
    try:
        _audit_store(store, result, weights, limits)
    except _Refused as refusal:
        result["reasons"] += store.reasons + [refusal.reason]
    except Exception as error:
        # HDF5 reports damage wherever it meets it; the student needs the sentence, not our stack.
        result["reasons"] += store.reasons + [_damaged(error).reason]
    finally:
        store.close()


def _audit_store(store, result, weights, limits):
    """Audits an open HDF5 file in the layout of `model.save("x.h5")`."""
    base = "/model_weights" if "/model_weights" in store.groups else "/"
    config_text = store.text("/", "model_config")
    layer_names = store.names(base, "layer_names")
    numbers = [dataset for dataset in store.datasets.values() if dataset.kind != "?"]
    result["optimizer_state"] = any(path.startswith("/optimizer_weights/") for path in store.datasets)
    for key in ("keras_version", "backend"):
        value = store.text("/", key) or store.text(base, key)
        result[key] = None if value is None else value[:40]

    if config_text is None:
        _audit_without_config(store, result, base, layer_names, numbers)
        return
    stored_something = any(path.startswith(base) for path in store.datasets) and layer_names is not None
    result["kind"] = "hdf5-model" if stored_something else "hdf5-architecture"
    result["reasons"] += store.reasons
    model, parser = _parse_text(config_text, result, limits)
    if model is None:
        return
    # The loader goes by these names, so they must lead to the arrays that we checked.
    groups = {name: [] for name in layer_names or []}
    missing = 0
    for name in groups:
        for weight in store.names(f"{base.rstrip('/')}/{name}", "weight_names") or []:
            dataset = store.datasets.get(f"{base.rstrip('/')}/{name}/{weight}")
            if dataset is None:
                missing += 1
                if missing <= 3 and not store.reasons:
                    parser.refuse(
                        "missing-weights",
                        f"the weight {_show(weight)} of the layer {_show(name)} is listed but not stored",
                        "save the model again with `model.save`",
                        "every weight in the file",
                    )
            else:
                groups[name].append((weight, dataset))
    by_layer = {id(child): groups.get(child.name, []) for child in model.children}
    if not model.children:
        by_layer = {id(model): groups.get(model.name, [])}
    _compare(model, by_layer, parser, result, limits, architecture_only=not stored_something)
    if not stored_something and any(child.expected for child in model.children):
        result["reasons"].append(
            {
                "code": "architecture-only",
                "what": f"the file describes a network of {_plural(len(model.children), 'layer')}, but holds "
                "none of its weights",
                "wanted": "architecture and trained weights in one file",
                "try": 'save the trained model with `model.save("model_1.h5")`',
            }
        )
    elif not stored_something:
        result["kind"] = "hdf5-model"
    if weights and not result["reasons"]:
        _weight_facts(model, result)
    _finish(result, parser)


def _audit_without_config(store, result, base, layer_names, numbers):
    legacy_weights = layer_names is not None or store.h5py.h5a.exists(store.groups["/"], b"nb_layers")
    new_weights = (
        "/layers" in store.groups
        or "/_layer_checkpoint_dependencies" in store.groups
        or any(path.endswith("/vars") for path in store.groups)
    )
    result["reasons"] += store.reasons
    if not (legacy_weights or (new_weights and numbers)):
        names = [_show(path.lstrip("/"), 30) for path in list(store.datasets)[:3]]
        inside = f"it holds {', '.join(names)}" if names else "it holds no arrays"
        result["kind"] = "other-hdf5"
        result["reasons"].append(
            {
                "code": "other-hdf5",
                "what": f"this is an HDF5 file, but Keras did not write it as a model: {inside}",
                "wanted": A_MODEL_FILE,
                "try": "look for the file that `model.save` wrote; a .h5 file can also hold a data set",
            }
        )
        return
    result["kind"] = "hdf5-weights"
    total = 0
    for name in layer_names or []:
        entry = {
            "name": name,
            "class_name": None,
            "config": {},
            "output_shape": None,
            "num_parameters": 0,
            "weights": [],
        }
        for weight in store.names(f"{base.rstrip('/')}/{name}", "weight_names") or []:
            dataset = store.datasets.get(f"{base.rstrip('/')}/{name}/{weight}")
            if dataset is not None:
                entry["weights"].append({"name": weight, "shape": list(dataset.shape), "dtype": dataset.dtype})
                entry["num_parameters"] += _product(dataset.shape)
        total += entry["num_parameters"]
        result["layer_list"].append(entry)
    if not result["layer_list"]:
        total = sum(
            _product(dataset.shape)
            for dataset in numbers
            if "/optimizer" not in dataset.path and "seed_generator" not in dataset.path
        )
    result["num_parameters"] = total
    layers = f" of {_plural(len(result['layer_list']), 'layer')}" if result["layer_list"] else ""
    result["reasons"].append(
        {
            "code": "weights-only",
            "what": f"the file holds the weights{layers} ({total:,} numbers), but not the architecture, without "
            "which they are of no use",
            "wanted": "architecture and weights in one file",
            "try": 'in the script that trained the network write `model.save("model_1.h5")` in place of '
            "`model.save_weights(...)` (and leave out `save_weights_only=True` in ModelCheckpoint)",
        }
    )


def _parse_text(text, result, limits):
    """Reads the architecture's JSON. Returns `(model, parser)`, where model is None if it is refused."""
    parser = _Parser(limits)
    if len(text) > limits.max_config_bytes:
        raise _Refused(
            "config-too-large",
            f"the architecture takes {_bytes(len(text))}",
            f"at most {_bytes(limits.max_config_bytes)}",
            "save the model again with `model.save`",
        )
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _Refused(
            "config-unreadable",
            f"the architecture is no readable JSON ({_show(error, 80)})",
            "the JSON that `model.save` writes",
            "save the model again with `model.save`",
        ) from None
    if isinstance(entry, dict):
        result["model_class"] = str(entry.get("class_name"))[:60]
        result["config_format"] = "list" if isinstance(entry.get("config"), list) else "dict"
    try:
        model = parser.parse(entry)
    except RecursionError:
        raise _Refused(
            "too-deep",
            "the architecture is nested too deep to read",
            "the JSON that `model.save` writes",
            "save the model again with `model.save`",
        ) from None
    if model is not None and model.kind == "layer":
        parser.refuse(
            "config-unreadable",
            f"the architecture is a single layer {_show(model.class_name)}, no model",
            "save the whole model with `model.save`",
        )
        model = None
    if model is None or parser.reasons:
        result["reasons"] += parser.reasons
        result["notes"] += parser.notes
        if isinstance(entry, dict):
            result["layers"] = _class_names(entry)
        return None, parser
    return model, parser


def _class_names(entry):
    """Lists the class names of a refused architecture, as far as they can be read."""
    config = entry.get("config")
    layers = config if isinstance(config, list) else config.get("layers") if isinstance(config, dict) else None
    if not isinstance(layers, list):
        return []
    return [str(layer.get("class_name"))[:60] for layer in layers[:1000] if isinstance(layer, dict)]


# Weights that Keras stores beside the parameters: the state of random generators.
STATE = re.compile(r"seed_generator|StateVar|state_var|rng_state")
# The weight that does a layer's work: `conv2d/kernel:0`, `dense_1_W`, `vars/0` in a .keras file.
KERNEL = re.compile(r"(kernel|embeddings|_W)(:\d+)?$|(^|/)vars/0$")


def _compare(model, by_layer, parser, result, limits, architecture_only=False):
    """Infers all shapes, compares them with what is stored, and fills the result's structure."""
    inference = _Inference(limits)
    if model.kind == "functional":
        inputs = []
        for name, _, _ in model.inputs:
            child = next((child for child in model.children if child.name == name), None)
            inputs.append(child.declared if child is not None else None)
        result["functional_inputs"] = [
            {"name": name, "shape": None if shape is None else list(shape)}
            for (name, _, _), shape in zip(model.inputs, inputs, strict=True)
        ]
    else:
        inputs = [_first_shape(model)]
    try:
        outputs = inference.run(model, inputs)
        cost = inference
        if any(shape is not None and None in shape[1:] for shape in inputs):
            # A network for pictures of any size costs what it would on pictures of this one.
            cost = _Inference(limits)
            sized = [
                shape and (shape[0], *[ASSUMED_SIZE if size is None else size for size in shape[1:]])
                for shape in inputs
            ]
            cost.run(copy.deepcopy(model), sized)
    except RecursionError:
        raise _Refused(
            "too-deep", "the models are nested too deep", "a network that a person can read", "flatten the network"
        ) from None

    first = model.children[0] if model.children else None
    if (
        model.kind == "sequential"
        and first is not None
        and first.class_name != "InputLayer"
        and first.kind == "layer"
        and first.declared is not None
    ):
        parser.note(
            "first-layer-input",
            f"the first layer ({first.class_name}) states the input shape {_shape_text(first.declared)} itself, as "
            "Keras 1 and 2 wrote it; Keras 3 loads such a file without complaint and with a wrong input rank",
        )
    result["layers"] = [child.class_name for child in model.children]
    total = 0
    for child in model.children:
        stored = by_layer.get(id(child), [])
        entry = _layer_entry(child, stored)
        total += entry["num_parameters"]
        result["layer_list"].append(entry)
        if not architecture_only:
            _compare_layer(child, stored, parser)
    result["num_parameters"] = 0 if architecture_only else total
    result["input_shape"] = _json_shapes(inputs)
    result["output_shape"] = _json_shapes(outputs)
    result["max_activation"] = cost.max_activation
    result["total_activation"] = cost.total_activation
    result["flops"] = cost.flops
    result["last_activation"] = _last_activation(model)
    if cost.impossible is not None:
        layer, shapes = cost.impossible
        parser.refuse(
            "impossible-shape",
            f"the layer {_show(layer.name)} would make an output of the shape "
            f"{_shape_text(layer.output_shape)} from {_shape_text(shapes[0] if shapes else None)}",
            "use a smaller kernel, pool or cropping",
            "at least one number along each axis",
        )
    if total > limits.max_parameters:
        parser.refuse(
            "too-many-parameters",
            f"the network has {total:,} parameters",
            "use fewer filters or units, or pool before Flatten",
            f"at most {limits.max_parameters:,}",
        )
    if cost.max_activation > limits.max_activation:
        parser.refuse(
            "activation-size",
            f"the layer {_show(cost.max_layer.name)} makes {cost.max_activation:,} numbers from one picture",
            "use fewer filters, a smaller size, or pool earlier",
            f"at most {limits.max_activation:,}",
        )
    if cost.flops > limits.max_flops:
        parser.refuse(
            "flops",
            f"one prediction takes {cost.flops / 1e9:,.0f} GFLOP",
            "use fewer filters, a smaller input, or pool earlier",
            f"at most {limits.max_flops / 1e9:,.0f} GFLOP",
        )
    result["reasons"] += parser.reasons


def _compare_layer(layer, stored, parser):
    """Refuses a layer whose weights are not those that its configuration promises."""
    shapes = sorted(dataset.shape for name, dataset in stored if not STATE.search(name))
    if layer.expected is None:
        total = sum(_product(shape) for shape in shapes)
        for key, value in _promises(layer):
            if value > max(total, 1):
                parser.refuse(
                    "weights-mismatch",
                    f"the layer {_show(layer.name)} ({layer.class_name}) says {key}={value:,}, but the file stores "
                    f"{_plural(total, 'number')} for it",
                    "save the model again with `model.save`",
                    "the weights that the configuration promises",
                )
        return
    expected = sorted(layer.expected)
    if expected == shapes:
        return
    if layer.legacy and sorted(tuple(sorted(shape)) for shape in expected) == sorted(
        tuple(sorted(shape)) for shape in shapes
    ):
        return
    if layer.class_name in ("LSTM", "GRU") and sum(map(_product, shapes)) in (
        sum(map(_product, expected)),
        sum(map(_product, expected)) + max(map(_product, expected[:1])),
    ):
        # CuDNN layers of Keras 2 store the bias twice.
        return
    if not shapes:
        what = f"the file stores no weights for the layer {_show(layer.name)} ({layer.class_name})"
        code = "missing-weights"
    else:
        what = (
            f"the layer {_show(layer.name)} ({layer.class_name}) is configured for weights of the shapes "
            f"{_shape_list(expected)}, but the file stores {_shape_list(shapes)}"
        )
        code = "weights-mismatch"
    parser.refuse(code, what, "save the model again with `model.save`", "the weights that the configuration promises")


def _shape_list(shapes):
    texts = [_shape_text(shape) for shape in shapes[:6]] + (["…"] if len(shapes) > 6 else [])
    return ", ".join(texts) if texts else "none"


def _promises(layer):
    """Yields the sizes that a configuration promises, where the weights' shapes are not known."""
    for key in ("units", "filters", "output_dim", "input_dim", "num_heads", "key_dim", "value_dim"):
        value = layer.config.get(key)
        if type(value) is int and value > 1:
            yield key, value
    for child in layer.children:
        if child.expected is None:
            yield from _promises(child)


def _layer_entry(layer, stored):
    entry = {
        "name": layer.name,
        "class_name": layer.class_name,
        "config": {key: _shown(layer.config[key]) for key in SHOWN_KEYS if key in layer.config},
        "output_shape": _json_shapes(
            layer.output_shape if isinstance(layer.output_shape, list) else [layer.output_shape]
        ),
        "num_parameters": sum(_product(dataset.shape) for name, dataset in stored if not STATE.search(name)),
        "weights": [{"name": name, "shape": list(dataset.shape), "dtype": dataset.dtype} for name, dataset in stored],
    }
    if layer.kind == "operation":
        entry["config"]["numbers"] = _shown(layer.numbers)
    if layer.children:
        left = list(stored)
        entry["layers"] = []
        for child in layer.children:
            own = [item for item in left if child.name in item[0].split("/")]
            left = [item for item in left if item not in own]
            entry["layers"].append(_layer_entry(child, own))
    layer.stored = stored
    return entry


def _shown(value):
    if isinstance(value, dict):
        if value.get("class_name") == "__tuple__":
            return value.get("items")
        config = value.get("config")
        return config if isinstance(config, str) else value.get("class_name")
    if isinstance(value, list):
        return [_shown(item) for item in value[:16]]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json_shapes(shapes):
    shapes = [None if shape is None else list(shape) for shape in shapes]
    if len(shapes) == 1:
        return shapes[0]
    return shapes or None


def _last_activation(model):
    """Returns the name of the activation that makes the model's output, or None."""
    last = model.children[-1] if model.children else None
    if model.kind == "functional" and model.outputs:
        last = next((child for child in model.children if child.name == model.outputs[0][0]), None)
    if last is None:
        return None
    if last.kind in ("sequential", "functional"):
        return _last_activation(last)
    if last.class_name in ("Softmax", "ReLU", "LeakyReLU", "ELU", "PReLU") or last.kind == "operation":
        return {"LeakyReLU": "leaky_relu"}.get(last.class_name, last.class_name.lower())
    activation = _shown(last.config.get("activation"))
    return activation if isinstance(activation, str) else "linear"


def _weight_facts(model, result):
    """Reads every weight once and says which layers hold NaN, infinity, only zeros or one value.

    Adds `minimum`, `maximum` to each weight of `layer_list`, and `weight_facts`: lists of layer names, `untrained`
    (True if every bias and every moving statistic still has its first value, None if there is none), and `sha256` of
    all weights, which stays the same when the file around them changes.
    """
    import numpy

    facts = {"nan": [], "inf": [], "all_zero": [], "constant": [], "untrained": None, "sha256": None}
    digest = hashlib.sha256()
    initial = []
    for child, entry in zip(model.children, result["layer_list"], strict=True):
        for (name, dataset), shown in zip(child.stored, entry["weights"], strict=True):
            if STATE.search(name):
                continue
            digest.update(f"{dataset.shape}{dataset.dtype}".encode())
            low, high, finite, has_nan = None, None, True, False
            for block in _blocks(dataset):
                digest.update(block.data if block.flags.c_contiguous else block.tobytes())
                if block.size == 0:
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    smallest, largest = block.min().item(), block.max().item()
                if not (math.isfinite(smallest) and math.isfinite(largest)):
                    finite = False
                    if numpy.isnan(block).any():
                        has_nan = True
                        continue
                low = smallest if low is None else min(low, smallest)
                high = largest if high is None else max(high, largest)
            shown["minimum"] = low if low is not None and math.isfinite(low) else None
            shown["maximum"] = high if high is not None and math.isfinite(high) else None
            if has_nan:
                facts["nan"].append(child.name)
            if any(value is not None and math.isinf(value) for value in (low, high)):
                facts["inf"].append(child.name)
            is_kernel = KERNEL.search(name) is not None and len(dataset.shape) > 1 and _product(dataset.shape) > 1
            if is_kernel and finite and low == high:
                facts["all_zero" if low == 0 else "constant"].append(child.name)
            first = _first_value(name)
            if first is not None and not is_kernel:
                initial.append(finite and low == first and high == first)
    for key in ("nan", "inf", "all_zero", "constant"):
        facts[key] = list(dict.fromkeys(facts[key]))
    if initial:
        facts["untrained"] = all(initial)
    facts["sha256"] = digest.hexdigest()
    result["weight_facts"] = facts
    for key, text in (("nan", "NaN (not a number)"), ("inf", "infinite numbers")):
        if facts[key]:
            result["notes"].append(
                {
                    "code": f"weights-{key}",
                    "what": f"the weights of {', '.join(facts[key][:5])} hold "
                    f"{text}: training diverged, and predictions will be NaN",
                }
            )
    if facts["all_zero"]:
        result["notes"].append(
            {"code": "weights-zero", "what": f"all weights of {', '.join(facts['all_zero'][:5])} are 0"}
        )
    if facts["untrained"]:
        result["notes"].append(
            {
                "code": "untrained",
                "what": "every bias and moving statistic still has its first value: "
                "this network was probably saved before training",
            }
        )


def _first_value(name):
    """Returns the value that a weight has before training, for those where every initializer agrees."""
    last = name.split("/")[-1].split(":")[0]
    if re.fullmatch(r"(.*_)?(bias|beta|moving_mean|running_mean|b)(_\d+)?", last):
        return 0.0
    if re.fullmatch(r"(.*_)?(moving_variance|running_std|gamma)(_\d+)?", last):
        return 1.0
    return None


def _blocks(dataset):
    """Yields an array in blocks of at most about 32 MB, each read once."""
    import h5py
    import numpy

    array = h5py.Dataset(dataset.handle)
    rows = dataset.shape[0] if dataset.shape else 0
    step = rows if dataset.num_bytes <= 2**25 else max(1, rows * 2**25 // dataset.num_bytes)
    if not dataset.shape or step >= rows:
        yield numpy.atleast_1d(array[()])
        return
    for start in range(0, rows, step):
        yield array[start : start + step]


def _finish(result, parser):
    """Puts the parser's notes into the result."""
    result["notes"] = parser.notes + result["notes"]


# .keras: a zip that holds config.json, metadata.json and model.weights.h5 -------------------------------------------


class _Slice(io.RawIOBase):
    """A stretch of a file as a file, so that the weights inside a zip are read in place."""

    def __init__(self, file, start, size):
        self.source, self.start, self.size, self.position = file, start, size, 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        self.position = offset + (0, self.position, self.size)[whence]
        return self.position

    def tell(self):
        return self.position

    def readinto(self, buffer):
        count = max(0, min(len(buffer), self.size - self.position))
        self.source.seek(self.start + self.position)
        view = memoryview(buffer)[:count]
        done = self.source.readinto(view) or 0
        self.position += done
        return done


def _audit_zip(path, size, result, weights, limits, name):
    result["kind"] = "unknown"
    try:
        _audit_zip_inside(path, size, result, weights, limits, name)
    except _Refused as refusal:
        result["reasons"].append(refusal.reason)
    except Exception as error:
        result["reasons"].append(
            {
                "code": "damaged",
                "what": f"the file begins like a zip (.keras), but cannot be read: {_show(error, 120)}",
                "wanted": A_MODEL_FILE,
                "try": "it was damaged on the way: copy it again, or run the training script again",
            }
        )


def _audit_zip_inside(path, size, result, weights, limits, name):
    with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        names = {entry.filename: entry for entry in entries}
        if "config.json" not in names:
            _not_a_keras_zip(result, list(names))
            return
        result["kind"] = "keras-zip"
        if len(entries) > 1000 or len(names) != len(entries):
            raise _Refused(
                "zip-entries",
                f"the zip has {len(entries):,} entries, or one twice",
                "the three files that `model.save` writes",
                "save the model again with `model.save`",
            )
        if not name.lower().endswith(".keras"):
            result["reasons"].append(
                {
                    "code": "keras-zip-name",
                    "what": f"the file is called {_show(name)}, but its content is the .keras format; Keras looks at "
                    "the name and will not load it",
                    "wanted": "HDF5 in a file that ends in .h5",
                    "try": "load it under a name that ends in .keras and save it again: "
                    '`keras.models.load_model("model_1.keras").save("model_1.h5")`',
                }
            )
        for extra in names:
            if extra.startswith("assets/") and not extra.endswith("/"):
                result["reasons"].append(
                    {
                        "code": "vocabulary",
                        "what": f"the file carries an asset {_show(extra)}, as text layers do",
                        "wanted": "a network of ordinary layers",
                        "try": "remove layers that need files: pictures and voxels need none",
                    }
                )
                break
        config = _zip_bytes(archive, names["config.json"], limits.max_config_bytes)
        if "metadata.json" in names:
            try:
                metadata = json.loads(_zip_bytes(archive, names["metadata.json"], 2**20))
                result["keras_version"] = str(metadata.get("keras_version"))[:40]
            except (ValueError, AttributeError, RecursionError):
                result["notes"].append({"code": "metadata", "what": "the file's metadata cannot be read"})
        model, parser = _parse_text(config.decode("utf-8", "replace"), result, limits)
        if model is None:
            return
        entry = names.get("model.weights.h5")
        if entry is None:
            raise _Refused(
                "architecture-only",
                "the file describes a network, but holds none of its weights",
                "architecture and trained weights in one file",
                "save the trained model with `model.save`",
            )
        if entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 1:
            file.seek(entry.header_offset)
            header = file.read(30)
            start = entry.header_offset + 30 + sum(struct.unpack_from("<HH", header, 26))
            if header[:4] != b"PK\x03\x04" or start + entry.file_size > size:
                raise ValueError("the weights lie outside the file")
            source = io.BufferedReader(_Slice(file, start, entry.file_size), 2**20)
        else:
            source = io.BytesIO(_zip_bytes(archive, entry, min(2**28, 100 * size)))
        store = _Hdf5(source, entry.file_size, limits)
        try:
            result["reasons"] += store.reasons
            result["optimizer_state"] = any(path.startswith("/optimizer/vars") for path in store.datasets)
            by_layer = {}
            _zip_weights(store, model, "", by_layer)
            _compare(model, by_layer, parser, result, limits)
            if weights and not result["reasons"]:
                _weight_facts(model, result)
            _finish(result, parser)
        finally:
            store.close()


def _zip_weights(store, model, prefix, by_layer):
    """Finds each layer's arrays in the layout of Keras 3, which counts layers by class and does not use their names."""
    counts = {}
    parent = next(
        (prefix + part for part in ("/layers", "/_layer_checkpoint_dependencies") if prefix + part in store.groups),
        prefix + "/layers",
    )
    for child in model.children:
        snake = re.sub(r"\W+", "", child.class_name)
        snake = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", snake)
        snake = re.sub("([a-z])([A-Z])", r"\1_\2", snake).lower()
        count = counts.get(snake, 0)
        counts[snake] = count + 1
        group = f"{parent}/{snake}" + (f"_{count}" if count else "") + "/"
        by_layer[id(child)] = [
            (path[len(group) :], dataset) for path, dataset in store.datasets.items() if path.startswith(group)
        ]
        if child.kind in ("sequential", "functional"):
            _zip_weights(store, child, group.rstrip("/"), by_layer)


def _zip_bytes(archive, entry, limit):
    if entry.flag_bits & 1 or entry.file_size > limit:
        raise _Refused(
            "config-too-large",
            f"the entry {_show(entry.filename)} is encrypted or claims {_bytes(entry.file_size)}",
            f"at most {_bytes(limit)}",
            "save the model again with `model.save`",
        )
    with archive.open(entry) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise _Refused(
            "config-too-large",
            f"the entry {_show(entry.filename)} is larger than {_bytes(limit)}",
            f"at most {_bytes(limit)}",
            "save the model again with `model.save`",
        )
    return data


def _not_a_keras_zip(result, names):
    """Names a zip that is no .keras file."""
    if any(name.endswith("data.pkl") for name in names):
        result["kind"] = "pickle"
        what, try_ = "this is a PyTorch file, a zip around a Python pickle", "train the network with Keras"
    elif any(name.endswith("saved_model.pb") for name in names):
        what, try_ = "this is a zipped SavedModel folder of TensorFlow", 'save with `model.save("model_1.h5")`'
    elif any(name.lower().endswith((".h5", ".hdf5", ".keras")) for name in names):
        inner = next(name for name in names if name.lower().endswith((".h5", ".hdf5", ".keras")))
        what, try_ = f"this is a zip that holds {_show(inner)}", "unpack it and submit the file inside"
    elif any(name.endswith(".npy") for name in names):
        what, try_ = "this is a NumPy archive (.npz)", "submit the file that `model.save` wrote"
    else:
        what, try_ = "this is a zip, but not a model in the .keras format", "submit the file that `model.save` wrote"
    result["reasons"].append({"code": "not-a-model", "what": what, "wanted": A_MODEL_FILE, "try": try_})


# ---------------------------------------------------------------------------------------------------------------------
# The disposable child
# ---------------------------------------------------------------------------------------------------------------------

CHILD_MEMORY = 3 * 2**30
MAX_REPORT_BYTES = 64 * 2**20


def audit_in_child(path, timeout=20, weights=True, name=None):
    """Audits a file in a disposable process with limits, so that a crafted file can at most kill that process.

    Args:
        path: path of the file.
        timeout: float, seconds of wall time, and of CPU time.
        weights: bool, as in `audit`.
        name: str, as in `audit`.

    Returns:
        the dict of `audit`. A child that crashes, runs too long or asks for too much memory gives one more reason
        (`child-crashed`, `child-timeout`, `child-memory`), never an exception.

    Raises:
        OSError: the file does not exist or cannot be read.
    """
    path = os.path.abspath(os.fspath(path))
    information = os.stat(path)
    if stat.S_ISREG(information.st_mode):
        with open(path, "rb"):
            pass
    job = json.dumps({"path": path, "weights": weights, "name": name, "seconds": timeout})
    environment = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if key in os.environ}
    # No filter plug-ins, one thread, and wrong prefixes for anything that HDF5 might look for elsewhere.
    environment |= {
        "HDF5_PLUGIN_PRELOAD": "::",
        "HDF5_USE_FILE_LOCKING": "FALSE",
        "HDF5_VDS_PREFIX": os.devnull,
        "HDF5_EXTFILE_PREFIX": os.devnull,
        "HDF5_EXT_PREFIX": os.devnull,
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
    }
    child = subprocess.Popen(
        [sys.executable, "-I", os.path.abspath(__file__), "--child", job],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=os.path.abspath(os.sep),
        start_new_session=True,
    )
    parts = {}

    def drain(stream, key, limit):
        data = stream.read(limit)
        parts[key] = data
        while stream.read(65536):
            pass

    readers = [
        threading.Thread(target=drain, args=(child.stdout, "out", MAX_REPORT_BYTES), daemon=True),
        threading.Thread(target=drain, args=(child.stderr, "err", 2**16), daemon=True),
    ]
    for reader in readers:
        reader.start()
    timed_out = False
    try:
        child.wait(timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
    finally:
        try:
            if hasattr(os, "killpg"):
                os.killpg(child.pid, signal.SIGKILL)
            else:
                child.kill()
        except (ProcessLookupError, PermissionError):
            pass
        child.wait()
        for reader in readers:
            reader.join(5)
        child.stdout.close()
        child.stderr.close()
    return _child_report(path, information, parts, child.returncode, timed_out, timeout)


def _child_report(path, information, parts, code, timed_out, timeout):
    result = None
    if code == 0 and not timed_out:
        try:
            result = json.loads(parts.get("out", b""))
        except (ValueError, RecursionError):
            result = None
        if not (isinstance(result, dict) and set(_empty_result()) <= set(result) and result["kind"] in KINDS):
            result = None
    if result is not None:
        return result
    result = _empty_result()
    result["num_bytes"] = information.st_size
    error = parts.get("err", b"").decode("utf-8", "replace")
    again = "save the model again with `model.save`; if it still fails, show the file to the teaching staff"
    if timed_out or (hasattr(signal, "SIGXCPU") and code in (-signal.SIGXCPU, -signal.SIGKILL)):
        reason = "child-timeout", f"reading the file took more than {timeout:g} seconds", again
    elif "MemoryError" in error or "bad_alloc" in error:
        reason = "child-memory", "reading the file asked for more memory than a model of this course needs", again
    else:
        last = next((line for line in reversed(error.strip().splitlines()) if line.strip()), "")
        detail = f"signal {-code}" if code and code < 0 else _show(last, 120)
        reason = "child-crashed", f"the program that reads HDF5 crashed on this file ({detail})", again
    result["reasons"].append({"code": reason[0], "what": reason[1], "wanted": A_MODEL_FILE, "try": reason[2]})
    return result


def _child_main(job):
    job = json.loads(job)
    if resource is not None:
        seconds = math.ceil(job["seconds"]) + 1
        for limit, value in (
            (resource.RLIMIT_AS, CHILD_MEMORY),
            (resource.RLIMIT_CPU, seconds),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NOFILE, 64),
        ):
            _, hard = resource.getrlimit(limit)
            if hard != resource.RLIM_INFINITY:
                value = min(value, hard)
            try:
                resource.setrlimit(limit, (value, value))
            except (ValueError, OSError):
                # macOS refuses some of them; the others and the timeout still hold.
                pass
    result = audit(job["path"], weights=job["weights"], name=job["name"])
    sys.stdout.write(json.dumps(result))
    sys.stdout.flush()
    # Skips HDF5's own clean-up, where a damaged file can still crash.
    os._exit(0)


# ---------------------------------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------------------------------


def describe(result, name):
    """Writes an audit for people.

    Args:
        result: dict of `audit`.
        name: str, the file's name.

    Returns:
        str of several lines.
    """
    lines = [f"{name}   {'accepted' if result['accepted'] else 'REFUSED'}"]
    version = f", saved by Keras {result['keras_version']}" if result["keras_version"] else ""
    lines.append(f"  Kind        {KINDS[result['kind']]}{version}")
    if result["num_bytes"] is not None:
        lines.append(
            f"  Size        {result['num_bytes']:,} bytes"
            + (", with the optimizer's state" if result["optimizer_state"] else "")
        )
    if result["input_shape"] is not None:
        lines.append(f"  Input       {_shape_text(result['input_shape'])}")
    if result["output_shape"] is not None:
        lines.append(f"  Output      {_shape_text(result['output_shape'])}, activation {result['last_activation']}")
    if result["num_parameters"] is not None:
        lines.append(f"  Parameters  {result['num_parameters']:,}")
    if result["flops"]:
        lines.append(f"  Cost        {result['flops'] / 1e6:,.1f} MFLOP a picture")
    for entry in result["layer_list"] if result["kind"] in ("hdf5-model", "keras-zip") else []:
        shape = entry["output_shape"]
        shape = "" if shape is None else _shape_text(shape)
        lines.append(
            f"    {entry['name'][:28]:28} {entry['class_name'][:24]:24} {shape:26} {entry['num_parameters']:>12,}"
        )
    if result["sha256"]:
        lines.append(f"  SHA-256     {result['sha256']}")
    for note in result["notes"]:
        lines.append(f"  Note        {note['what']}")
    for reason in result["reasons"]:
        lines += [
            f"  What        {reason['what']}",
            f"  Wanted      {reason['wanted']}",
            f"  Try         {reason['try']}",
        ]
    return "\n".join(lines)


def main(arguments=None):
    """Runs the command line. Returns 0 if the file is accepted and 1 if not."""
    parser = argparse.ArgumentParser(
        prog="python -m expressions.model_file",
        description="Says what a model file is, and whether the grader would load it. Runs nothing from the file.",
    )
    parser.add_argument("file", metavar="FILE", help="a model file, such as model_1.h5")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    options = parser.parse_args(arguments)
    try:
        result = audit_in_child(options.file)
    except OSError as error:
        parser.error(f"cannot read {options.file}: {error.strerror or error}")
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        print(describe(result, os.path.basename(options.file)))
    return 0 if result["accepted"] else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _child_main(sys.argv[2])
    sys.exit(main())
