"""What an ordinary Keras model may contain: the lists that every file is read against, Keras 1.2 to 3.15."""

import re


def words(text):
    """Makes a set of the words of a text."""
    return set(text.split())


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

MODEL_CLASSES = words("Sequential Functional Model")

LAYERS = words(
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
    RandomElasticTransform RandomPerspective AutoContrast Equalization Solarization RandAugment AugMix MixUp CutMix
    """
)

# Operators of Keras 3 inside a functional model, as in `x * 2 - 1`. They hold no code, only numbers.
OPERATIONS = words(
    """
    Add Subtract Multiply Divide TrueDivide Negative Absolute Square Sqrt Exp Log Log1p Power Maximum Minimum Clip Relu
    Relu6 Sigmoid Tanh Softmax Softplus Silu Gelu Elu Selu LeakyRelu
    """
)

# The same in Keras 2, where a TFOpLambda names a function of TensorFlow: its name, and the operator of Keras 3 for it.
TF_OPERATIONS = {
    "__operators__.add": "Add",
    "math.add": "Add",
    "add": "Add",
    "math.subtract": "Subtract",
    "subtract": "Subtract",
    "math.multiply": "Multiply",
    "multiply": "Multiply",
    "math.truediv": "TrueDivide",
    "math.divide": "TrueDivide",
    "divide": "TrueDivide",
    "math.negative": "Negative",
    "math.abs": "Absolute",
    "math.square": "Square",
    "math.sqrt": "Sqrt",
    "math.exp": "Exp",
    "math.log": "Log",
    "math.pow": "Power",
    "math.maximum": "Maximum",
    "math.minimum": "Minimum",
    "clip_by_value": "Clip",
    "nn.relu": "Relu",
    "nn.softmax": "Softmax",
    "math.sigmoid": "Sigmoid",
    "nn.sigmoid": "Sigmoid",
    "math.tanh": "Tanh",
    "nn.tanh": "Tanh",
    "cast": "Cast",
}

# Functions of keras.ops that leave such an entry too, but need more than numbers.
OTHER_OPERATIONS = words(
    """
    GetItem Cast Mean Sum Max Min Std Var Prod Argmax Reshape Transpose Squeeze ExpandDims Stack Repeat Tile Pad Roll
    Flip Matmul Einsum Dot Where Resize RGBToGrayscale GrayscaleToRGB Conv Norm Sin Cos Floor Ceil Round Mod Split
    BroadcastTo Concatenate Ravel Moveaxis Swapaxes Reciprocal OneHot Erf Logsumexp AveragePool MaxPool Normalize
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
        "contains a TFOpLambda layer, a function of TensorFlow called on a Keras tensor, and not one of plain "
        "arithmetic with numbers, such as `x * 2 - 1`. No other version of Keras can load it",
        "use layers in its place: `Rescaling(2, offset=-1)` for arithmetic, `Resizing` for `tf.image.resize`, "
        "`Concatenate()([x, x, x])` for three channels, `Reshape` or `Flatten`. Then train and save again",
    ),
    "MultiBackendOpLambda": (
        "op-lambda",
        "contains a function called on a Keras tensor",
        "write it as an ordinary Keras layer. Then train and save again",
    ),
    "SlicingOpLambda": (
        "op-lambda",
        "contains a SlicingOpLambda layer (indexing of a Keras tensor, as in `x[:, 1:]`), which no other version of "
        "Keras can load",
        "use `Cropping2D`, `Cropping1D` or `Reshape` instead. Then train and save again",
    ),
    "TensorFlowOpLayer": (
        "op-lambda",
        "contains a TensorFlowOpLayer, a raw operation of TensorFlow 2.0 to 2.3 (Python arithmetic or a function of "
        "TensorFlow on a Keras tensor), which no other version of Keras can load",
        "write the operation as a layer, for example `Rescaling(2, offset=-1)(x)`. Then train and save again",
    ),
    **{
        name: (
            "removed-layer",
            f"contains a {name} layer, which today's Keras no longer has, so that nobody can load the file",
            try_,
        )
        for name, try_ in (
            ("LocallyConnected1D", "use Conv1D in its place, train again and save again"),
            ("LocallyConnected2D", "use Conv2D in its place, train again and save again"),
            ("MaxoutDense", "use Dense with an activation in its place, train again and save again"),
            ("Highway", "use Dense layers with Multiply and Add in its place, train again and save again"),
            ("SReLU", "use PReLU in its place, train again and save again"),
            ("ParametricSoftplus", "use PReLU in its place, train again and save again"),
        )
    },
    **{
        name: (
            "custom-class",
            f"contains a {name} layer, which stands in keras.applications or another package and not among Keras's "
            "layers. Its code is not in the file, and we run no code that comes with a model",
            try_,
        )
        for name, try_ in (
            ("FixedDropout", "use `Dropout` in its place (or keras.applications.EfficientNetB0), then save again"),
            ("Swish", 'use `Activation("swish")` in its place, then save again'),
            ("HardSwish", 'use `Activation("hard_swish")` in its place, then save again'),
            ("LayerScale", "use another backbone than ConvNeXt, such as keras.applications.MobileNetV2"),
            ("StochasticDepth", "use `Dropout` in its place, or another backbone, such as MobileNetV2"),
            ("CustomScaleLayer", "use another backbone, such as keras.applications.MobileNetV2 or Xception"),
            ("KerasLayer", "use a backbone of keras.applications in place of TensorFlow Hub, train and save again"),
            ("Capsule", "build the network from the layers of `keras.layers` alone"),
        )
    },
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
        for name in words(
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
        for name in words("JaxLayer FlaxLayer TorchModuleWrapper")
    },
}

ACTIVATIONS = words(
    """
    linear relu relu6 leaky_relu elu selu celu glu gelu gelu_new softmax log_softmax sigmoid hard_sigmoid log_sigmoid
    tanh hard_tanh tanh_shrink softplus softsign swish silu hard_swish hard_silu hard_shrink soft_shrink mish
    exponential sparsemax sparse_plus sparse_sigmoid squareplus threshold
    """
)
# `activation=tf.nn.softmax` leaves the function's own name in the file.
ACTIVATION_FUNCTIONS = {name: name for name in ACTIVATIONS} | {
    "softmax_v2": "softmax",
    "log_softmax_v2": "log_softmax",
}
ACTIVATION_LAYERS = words("ReLU LeakyReLU PReLU ELU Softmax ThresholdedReLU Activation")
INITIALIZERS = words(
    """
    Zeros Ones Constant RandomNormal RandomUniform TruncatedNormal VarianceScaling Orthogonal OrthogonalInitializer
    Identity IdentityInitializer GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform zero zeros one
    ones constant normal uniform random_normal random_uniform truncated_normal variance_scaling orthogonal identity
    glorot_normal glorot_uniform he_normal he_uniform lecun_normal lecun_uniform
    """
)
# TensorFlow 1.13 to 2.0 counted versions in the class names.
INITIALIZERS |= {name + version for name in INITIALIZERS if name[0].isupper() for version in ("V1", "V2")}
REGULARIZERS = words("L1 L2 L1L2 OrthogonalRegularizer l1 l2 l1l2 l1_l2 WeightRegularizer ActivityRegularizer")
CONSTRAINTS = words(
    "MaxNorm MinMaxNorm NonNeg UnitNorm max_norm maxnorm min_max_norm non_neg nonneg unit_norm unitnorm"
)
DTYPE_POLICIES = words("DTypePolicy FloatDTypePolicy Policy PolicyV1")
PLAIN_OBJECTS = INITIALIZERS | REGULARIZERS | CONSTRAINTS | DTYPE_POLICIES | ACTIVATION_LAYERS

# Keys of layer configurations from Keras 1.2 to 3.15. A key outside this list may only hold a number, true, false or
# nothing, which no version of Keras can turn into code.
KEYS = words(
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
SETTINGS = words(
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
    "merge_mode output_dim interpolation height width stddev trainable function"
).split()
