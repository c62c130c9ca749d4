"""The drawing behind `expressions.plotting.plot_architecture`: a card for each layer, beside the block it puts out."""

from dataclasses import dataclass
from math import log2

GREY, INK, FAINT = "#6B6B6B", "#222222", "#D9D9D9"

# Inches. The numbers belong together: a card is as wide as its longest line.
CARD_WIDTH, CARD_HEIGHT, CARD_GAP = 4.1, 0.56, 0.24
BLOCK_WIDTH, GUTTER, MARGIN, HEAD = 1.1, 0.75, 0.3, 0.95
MAX_NESTED = 40

# Family of layers -> colour of its band and block. Okabe and Ito's set; the card's first word says it too.
_COLORS = {
    "input": "#8C8C8C",
    "convolution": "#0072B2",
    "pooling": "#56B4E9",
    "dense": "#D55E00",
    "normalization": "#009E73",
    "regularization": "#CC79A7",
    "reshape": "#B8B8B8",
    "merge": "#222222",
    "model": "#E69F00",
    "other": "#8C8C8C",
}
_FAMILIES = (
    ("normalization", ("BatchNorm", "LayerNorm", "GroupNorm", "UnitNorm", "Activation", "ReLU", "ELU", "Softmax")),
    ("input", ("InputLayer", "Rescaling", "Resizing", "Normalization", "CenterCrop")),
    ("regularization", ("Dropout", "Random", "Noise", "AugMix", "MixUp", "CutMix", "Regularization")),
    ("convolution", ("Conv",)),
    ("pooling", ("Pool",)),
    ("dense", ("Dense", "Embedding", "Attention", "LSTM", "GRU")),
    ("reshape", ("Flatten", "Reshape", "Permute", "Repeat", "Padding", "Cropping", "UpSampling")),
    ("merge", ("Add", "Concatenate", "Multiply", "Subtract", "Average", "Maximum", "Minimum", "Dot")),
)


@dataclass(frozen=True)
class LayerCard:
    """What a card says.

    Attributes:
        name: str, the layer's name in the model.
        kind: str, its class.
        family: str, key of the colours.
        details: str, its settings in a few words.
        shape: tuple of int or `None`, the output without the batch, or `None` if unknown.
        num_parameters: int.
        depth: int, 0 for the model's own layers, 1 for those of a model inside it.
        sources: tuple of names of the layers it gets its input from.
    """

    name: str
    kind: str
    family: str
    details: str
    shape: tuple | None
    num_parameters: int
    depth: int
    sources: tuple


def list_layers(model, depth=0):
    """Returns a `LayerCard` for each layer, in the order of the computation.

    Args:
        model: `keras.Model`.
        depth: int, how far the model is inside another.

    Returns:
        List of `LayerCard`.

    Raises:
        ValueError: the model has no layers yet.
    """
    layers = list(getattr(model, "layers", ()))
    if not layers:
        raise ValueError(f"{getattr(model, 'name', model)!r} has no layers. Wanted a model that has been built.")
    cards = []
    if depth == 0 and not any(_is_input(layer) for layer in layers):
        # A Sequential model keeps its input out of its list of layers.
        shape = getattr(model, "input_shape", None)
        if isinstance(shape, tuple) and not any(isinstance(size, tuple) for size in shape):
            cards.append(LayerCard("input", "Input", "input", "", tuple(shape[1:]), 0, 0, ()))
    for layer in layers:
        if depth and _is_input(layer):
            continue
        inner = list(getattr(layer, "layers", ()))
        sources = _sources_of(layer, model)
        above = [card.name for card in cards if card.depth == depth]
        if sources is None or not any(source in above for source in sources):
            sources = tuple(above[-1:])
        kind = "Input" if _is_input(layer) else type(layer).__name__
        cards.append(
            LayerCard(
                layer.name,
                kind,
                "model" if inner else _family(type(layer).__name__),
                f"a model with {len(inner)} layers" if inner else _details(layer),
                _shape_of(layer, "output"),
                int(layer.count_params()),
                depth,
                sources,
            )
        )
        if inner and len(inner) <= MAX_NESTED:
            cards += list_layers(layer, depth + 1)
    return cards


def draw_layers(cards, name, num_parameters):
    """Draws the cards of a model.

    Args:
        cards: list of `LayerCard`.
        name: str, the model's name.
        num_parameters: int, of the whole model.

    Returns:
        The `matplotlib.figure.Figure`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    num_columns = _num_columns(len(cards))
    per_column = -(-len(cards) // num_columns)
    column_width = BLOCK_WIDTH + CARD_WIDTH
    width = 2 * MARGIN + num_columns * column_width + (num_columns - 1) * GUTTER + _skip_room(cards, per_column)
    height = HEAD + MARGIN + per_column * (CARD_HEIGHT + CARD_GAP)
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()

    axes.text(MARGIN, 0.42, name, fontsize=17, fontweight="bold", va="center")
    own = sum(card.depth == 0 and card.kind != "Input" for card in cards)
    total = f"{num_parameters:,} parameters in {own} layer{'' if own == 1 else 's'}"
    axes.text(width - MARGIN, 0.42, total, fontsize=12, color=GREY, va="center", ha="right")

    places = []
    for index in range(len(cards)):
        column, row = divmod(index, per_column)
        left = MARGIN + column * (column_width + GUTTER)
        places.append((left, HEAD + row * (CARD_HEIGHT + CARD_GAP), column))
    largest = max(
        (max(card.shape[:-1]) for card in cards if card.shape and len(card.shape) > 1 and _known(card)), default=1
    )
    for card, (left, top, _) in zip(cards, places, strict=True):
        _draw_block(axes, card, left + 0.5 * BLOCK_WIDTH - 0.12, top + CARD_HEIGHT / 2, largest)
        _draw_card(axes, card, left + BLOCK_WIDTH, top)
    _draw_connections(axes, cards, places)
    return figure


def _num_columns(num_cards):
    if num_cards <= 13:
        return 1
    # A page is read more easily when it is wider than high, but not by much.
    page = 1.45
    best = min(range(1, num_cards + 1), key=lambda columns: abs(_aspect(num_cards, columns) - page))
    return max(best, 2)


def _aspect(num_cards, num_columns):
    rows = -(-num_cards // num_columns)
    return num_columns * (BLOCK_WIDTH + CARD_WIDTH + GUTTER) / (HEAD + rows * (CARD_HEIGHT + CARD_GAP))


def _draw_card(axes, card, left, top):
    from matplotlib.patches import FancyBboxPatch, Rectangle

    left += 0.22 * card.depth
    width = CARD_WIDTH - 0.22 * card.depth
    color = _COLORS[card.family]
    box = FancyBboxPatch(
        (left, top),
        width,
        CARD_HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.06",
        facecolor="#F6F7F8",
        edgecolor=FAINT,
        linewidth=0.8,
        zorder=2,
    )
    axes.add_patch(box)
    band = Rectangle((left, top), 0.085, CARD_HEIGHT, facecolor=color, edgecolor="none", zorder=3)
    axes.add_patch(band)
    band.set_clip_path(box)
    middle = top + CARD_HEIGHT / 2
    start, end = left + 0.2, left + width - 0.12
    first, second = middle - 0.115, middle + 0.125
    shape = _write(axes, end, first, _shape_text(card.shape), end - start, size=10.5, align="right")
    kind = _write(axes, start, first, card.kind, end - start - shape - 0.1, size=11, bold=True)
    number = f"{card.num_parameters:,} parameters" if card.num_parameters else ""
    used = _write(axes, end, second, number, end - start, size=9, color=GREY, align="right")
    if card.details:
        room = end - start - shape - kind - 0.2
        _write(axes, start + kind + 0.1, first, card.name, room, size=8.5, color=GREY)
        _write(axes, start, second, card.details, end - start - used - 0.1, size=9.5)
    else:
        _write(axes, start, second, card.name, end - start - used - 0.1, size=8.5, color=GREY)


def _write(axes, x, y, text, room, size, bold=False, color=INK, align="left"):
    """Writes a line no wider than `room` inches, cut short if it must be; returns its width in inches."""
    weight = "bold" if bold else "normal"
    label = axes.text(
        x,
        y,
        text,
        fontsize=size,
        fontweight=weight,
        color=color,
        ha=align,
        va="center_baseline",
        zorder=4,
        clip_on=False,
    )
    renderer = axes.figure.canvas.get_renderer()
    for length in range(len(text), -1, -1):
        label.set_text(_shortened(text, length))
        used = label.get_window_extent(renderer).width / axes.figure.dpi if label.get_text() else 0.0
        if used <= room:
            break
    return used


def _draw_block(axes, card, x, y, largest):
    """Draws the output as a block: face for height and width, thickness for channels, a bar for a vector."""
    from matplotlib.patches import Polygon

    if not card.shape or not _known(card) or card.family == "model":
        return
    color = _COLORS[card.family]
    sizes, channels = card.shape[:-1], card.shape[-1]
    thickness = 0.05 + 0.045 * log2(max(channels, 1))
    if not sizes:
        high = 0.05 + 0.05 * log2(max(channels, 1))
        sides = [(0.055, high, 0.0)]
        thickness = 0.055
    else:
        high = max(0.055, 0.42 * (sizes[0] / largest) ** 0.6)
        deep = max(0.055, 0.42 * (sizes[min(1, len(sizes) - 1)] / largest) ** 0.6)
        sides = [(thickness, high, 0.4 * deep)]
    wide, high, slant = sides[0]
    high = min(high, CARD_HEIGHT - 0.02)
    left, right = x - (wide + slant) / 2, x + (wide - slant) / 2
    bottom, top = y + (high + 0.5 * slant) / 2, y - (high - 0.5 * slant) / 2
    edge = {"edgecolor": "white", "linewidth": 0.7, "zorder": 3, "joinstyle": "round"}
    lift = 0.5 * slant
    if slant:
        axes.add_patch(
            Polygon(
                [(left, top), (left + slant, top - lift), (right + slant, top - lift), (right, top)],
                facecolor=_mixed(color, "#FFFFFF", 0.45),
                **edge,
            )
        )
        axes.add_patch(
            Polygon(
                [(right, top), (right + slant, top - lift), (right + slant, bottom - lift), (right, bottom)],
                facecolor=_mixed(color, "#000000", 0.22),
                **edge,
            )
        )
    axes.add_patch(Polygon([(left, bottom), (left, top), (right, top), (right, bottom)], facecolor=color, **edge))


def _draw_connections(axes, cards, places):
    _draw_brackets(axes, cards, places)
    arrow = {
        "arrowstyle": "-|>,head_width=0.13,head_length=0.22",
        "color": GREY,
        "linewidth": 1.1,
        "shrinkA": 0,
        "shrinkB": 0,
    }
    rows = {}
    for index, card in enumerate(cards):
        rows[card.depth, card.name] = index
    fed = set()
    lane = 0
    for index, card in enumerate(cards):
        left, top, column = places[index]
        x = left + BLOCK_WIDTH + 0.5 * CARD_WIDTH
        for source in card.sources:
            start = rows.get((card.depth, source))
            if start is None or start >= index:
                continue
            if start == index - 1 or start == _owner(cards, index - 1, card.depth):
                fed.add(index)
                continue
            from_left, from_top, from_column = places[start]
            if from_column != column:
                axes.text(
                    left + BLOCK_WIDTH + CARD_WIDTH + 0.06,
                    top + 0.28,
                    f"+ {source}",
                    fontsize=8,
                    color=GREY,
                    va="center",
                )
                continue
            out = from_left + BLOCK_WIDTH + CARD_WIDTH
            side = out + 0.14 + 0.09 * (lane % 4)
            lane += 1
            y_from, y_to = from_top + 0.36, top + 0.2
            axes.plot(
                [out, side, side], [y_from, y_from, y_to], color=GREY, linewidth=1.1, zorder=1, solid_joinstyle="round"
            )
            axes.annotate("", (out, y_to), (side, y_to), arrowprops=arrow, zorder=1)
        if index and (index in fed or (card.depth and cards[index - 1].family == "model")):
            if places[index - 1][2] == column:
                axes.annotate("", (x, top - 0.01), (x, top - CARD_GAP + 0.01), arrowprops=arrow, zorder=1)
            else:
                above_left, above_top, _ = places[index - 1]
                start_x = above_left + BLOCK_WIDTH + 0.5 * CARD_WIDTH
                low = above_top + CARD_HEIGHT + 0.13
                gutter = above_left + BLOCK_WIDTH + CARD_WIDTH + 0.5 * GUTTER
                high = top - 0.26
                path_x = [start_x, start_x, gutter, gutter, x, x]
                path_y = [above_top + CARD_HEIGHT, low, low, high, high, top - 0.12]
                axes.plot(path_x, path_y, color=GREY, linewidth=1.1, zorder=1, solid_joinstyle="round")
                axes.annotate("", (x, top - 0.01), (x, top - 0.2), arrowprops=arrow, zorder=1)


def _draw_brackets(axes, cards, places):
    """Draws a line down the left side of the layers that belong to a model inside the model."""
    for index, card in enumerate(cards):
        if card.depth:
            left, top, _ = places[index]
            x = left + BLOCK_WIDTH + 0.22 * (card.depth - 1) + 0.0425
            above = top - CARD_GAP if index and places[index - 1][0] == left else top
            axes.plot(
                [x, x],
                [above, top + CARD_HEIGHT],
                color=_COLORS["model"],
                linewidth=2.4,
                zorder=1,
                solid_capstyle="butt",
            )


def _owner(cards, index, depth):
    """Returns the index of the card at this depth that a card is, or is inside of."""
    while index > 0 and cards[index].depth > depth:
        index -= 1
    return index


def _skip_room(cards, per_column):
    known = {card.name: index for index, card in enumerate(cards)}
    skips = [
        (known[source], index)
        for index, card in enumerate(cards)
        for source in card.sources
        if source in known and index - known[source] > 1 and not card.depth
    ]
    return 0.5 if skips else 0


def _is_input(layer):
    return type(layer).__name__ == "InputLayer"


def _family(kind):
    for family, words in _FAMILIES:
        if any(word in kind for word in words):
            return family
    return "other"


def _details(layer):
    try:
        config = layer.get_config()
    except (NotImplementedError, TypeError, ValueError):
        return ""
    parts = []
    if "kernel_size" in config:
        kernel = "×".join(map(str, config["kernel_size"]))
        parts.append(f"{config['filters']} filters {kernel}" if "filters" in config else kernel)
    if "pool_size" in config:
        pool = config["pool_size"]
        parts.append("×".join(map(str, pool if isinstance(pool, list | tuple) else [pool])))
    strides = config.get("strides")
    if strides:
        strides = strides if isinstance(strides, list | tuple) else [strides]
        usual = config.get("pool_size") or [1] * len(strides)
        if list(strides) != list(usual if isinstance(usual, list | tuple) else [usual]):
            same = len(set(strides)) == 1
            parts.append(f"step {strides[0] if same else '×'.join(map(str, strides))}")
    if config.get("padding") == "same":
        parts.append("same")
    for key, words in _SETTINGS:
        value = config.get(key)
        # BatchNormalization has a `scale` too, which is a switch; a slope of 0 is a plain ReLU.
        if value is not None and not isinstance(value, dict | bool) and value != 0:
            value = f"{value:.4g}" if isinstance(value, float) else value
            parts.append(words.format(value))
    activation = config.get("activation")
    if isinstance(activation, dict):
        activation = activation.get("class_name") or activation.get("config")
    if activation and activation != "linear":
        parts.append(str(activation))
    return ", ".join(parts)


_SETTINGS = (
    ("units", "{} units"),
    ("rate", "rate {}"),
    ("negative_slope", "slope {}"),
    ("scale", "× {}"),
    ("target_shape", "{}"),
    ("mode", "{}"),
    ("stddev", "σ {}"),
)


def _shape_of(layer, which):
    try:
        shape = getattr(layer, which).shape
    except (AttributeError, ValueError, RuntimeError):
        return None
    return tuple(shape[1:])


def _sources_of(layer, model):
    """Returns the names of the layers that a layer reads in this model, or `None` where Keras does not tell."""
    operations = {id(operation) for operation in getattr(model, "operations", ())}
    try:
        nodes = layer._inbound_nodes
    except AttributeError:
        return None
    for node in reversed(nodes):
        parents = [parent.operation for parent in node.parent_nodes]
        if parents and (not operations or all(id(parent) in operations for parent in parents)):
            return tuple(dict.fromkeys(parent.name for parent in parents))
    return () if _is_input(layer) else None


def _known(card):
    return all(isinstance(size, int) for size in card.shape)


def _shape_text(shape):
    if shape is None:
        return ""
    return " × ".join("?" if size is None else f"{size:,}" for size in shape) or "1"


def _shortened(text, length):
    text = str(text)
    return text if len(text) <= length else (text[: length - 1].rstrip(" ,") + "…" if length > 3 else "")


def _mixed(color, other, share):
    pairs = [(int(color[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a * (1 - share) + b * share):02X}" for a, b in pairs)
