"""What a model of this course may cost."""

import dataclasses


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
