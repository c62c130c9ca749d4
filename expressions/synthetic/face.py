"""The parametric face: how 17 action units and 28 modes of identity move the template's points.

A face is linear in its parameters: `points = rest + identity · identity_fields + intensities · action_unit_fields`,
in metres in ARKit's face frame. The slopes of the surface are linear in them too, which gives normals without
visiting a triangle.

Sources: Ekman, Friesen and Hager, "Facial Action Coding System", 2002, for what each action unit moves; the widths
and heights of the fields are our own, set by eye.
"""

import functools

import numpy as np

from expressions.labels import OPENFACE_ACTION_UNITS
from expressions.synthetic.mesh import EYE, MOUTH_HALF_WIDTH, MOUTH_V, depth, template_curves, template_mesh

ACTION_UNIT_COLUMNS = OPENFACE_ACTION_UNITS
COLUMN_OF = {unit: column for column, unit in enumerate(ACTION_UNIT_COLUMNS)}
NUM_UNITS = len(ACTION_UNIT_COLUMNS)
NUM_RANDOM_MODES = 10
MAX_INTENSITY = 5.0

# Action unit -> Gaussian pushes (centre u, v; widths; shift along u, v, z in mm at intensity 5; where it applies).
# "upper" and "lower" act on one lip only, "lid" fades out towards the corners of the eye, "" acts everywhere.
# The shift along u is away from the midline. AU26, the jaw, is `_jaw_drop`.
_PUSHES = {
    1: (
        (14, 46, 10.5, 8.5, -0.5, 9.5, -0.5, ""),
        (12, 60, 12, 10, 0, 3, 0.8, ""),
        (24, 35, 9, 4, 0, 1.5, 0, "lid"),
    ),
    2: (
        (46, 48, 13, 9.5, 0.5, 9.0, -1.5, ""),
        (42, 62, 14, 11, 0, 3.5, 0.4, ""),
        (38, 35, 9, 4, 0, 1.2, 0, "lid"),
    ),
    4: (
        (13, 46, 12, 9, -4, -6.5, 2, ""),
        (41, 49, 15, 10, -2, -5.6, 1.4, ""),
        (7, 38, 6, 8, -1, -2, 2, ""),
        (22, 33, 12, 3.5, 0, -1.8, 0, "lid"),
    ),
    5: ((32, 33, 13, 3.4, 0, 4.3, -0.4, "lid"), (32, 37, 13, 3, 0, 1.2, 0, "lid")),
    6: (
        (45, -4, 18, 15, 0, 5.4, 2.6, ""),
        (34, 21.5, 14, 4, 0, 2.8, 0.6, "lid"),
        (51, 27, 7, 9, -1.5, -2, 0, ""),
        (34, 33, 13, 3, 0, -1.2, 0, "lid"),
    ),
    7: (
        (32, 21.5, 14, 4, -0.6, 3.0, 0.4, "lid"),
        (33, 15, 14, 7, -1.2, 1.8, 0.4, ""),
        (32, 33, 14, 3.2, 0, -2.2, 0, "lid"),
    ),
    9: (
        (12, -12, 8, 8, 1.2, 4.6, 1, ""),
        (15, 5, 9, 10, 0, 3.6, 2.4, ""),
        (28, -6, 12, 10, -0.5, 2.2, 0.8, ""),
        (13, 45, 10, 8, -2.0, -3.2, 0.5, ""),
        (11, -39, 10, 5, 0, 3.0, 0, "upper"),
        (30, 21.5, 13, 4, 0, 2.0, 0, "lid"),
        (32, 33, 13, 3, 0, -1.6, 0, "lid"),
    ),
    10: (
        (12, -39.5, 11, 6, 0.5, 7.2, -1.0, "upper"),
        (22, -24, 10, 11, 1.4, 3.6, -0.2, ""),
        (24, -45, 7, 5, 0, 1.0, -0.8, ""),
    ),
    12: (
        (26, -45, 10, 9, 7.5, 8.8, -7.0, ""),
        (40, -18, 15, 14, 2.0, 5.5, 4.5, ""),
        (38, -52, 15, 15, 3.0, 3.5, -4.0, ""),
        (12, -41, 9, 6, 1.2, 2.4, -4.5, "upper"),
        (12, -51, 10, 7, 1.2, 1.8, -4.5, "lower"),
        (32, 21.5, 14, 4, 0, 1.2, 0, "lid"),
        (30, -30, 7, 10, 1.5, 2.5, -4.5, ""),
    ),
    14: ((28, -45, 7, 8, 4.0, 1.8, -6.0, ""), (20, -42, 14, 10, 1, 0.8, -2.5, "")),
    15: ((26, -45, 9, 10, 1.2, -7.6, -2, ""), (23, -33, 10, 9, 0.8, -1.8, -1.2, ""), (22, -59, 9, 8, 0, -3, 1.5, "")),
    17: (
        (8, -69, 14, 10, 0, 3.8, 2.8, ""),
        (8, -53, 12, 7, 0, 3.8, 2.0, "lower"),
        (7, -41, 11, 5, 0, 2.2, 1.0, "upper"),
        (25, -46, 7, 6, 0, -1.4, 0, ""),
    ),
    20: (
        (27, -46, 10, 9, 9, -2.8, -6.0, ""),
        (20, -55, 10, 8, 3, -3.0, -3.0, "lower"),
        (15, -40, 9, 5, 2, -0.4, -2.5, "upper"),
    ),
    23: (
        (9, -38.5, 12, 3.2, 0, -3.2, -1.2, "upper"),
        (9, -53.5, 12, 3.6, 0, 3.8, -1.2, "lower"),
        (24, -50, 10, 11, -2.2, 1.8, 2.6, ""),
        (25, -45, 8, 6, -2.6, 0, 0.5, ""),
    ),
    25: ((8, -44, 13, 6, 0, 1.9, 0, "upper"), (8, -48, 13, 9, 0, -4.4, -0.8, "lower")),
    26: (),
    45: ((32, 33, 14, 4.0, 0, -10.4, 0.8, "lid"), (32, 22, 14, 3, 0, 0.6, 0, "lid")),
}


def _gaussian(u, v, centre_u, centre_v, width_u, width_v):
    return np.exp(-0.5 * (((u - centre_u) / width_u) ** 2 + ((v - centre_v) / width_v) ** 2))


def _belongs_to_jaw(u, v, lip):
    """Returns 1 under the mouth's slit and 0 above it; the step is sharp inside the mouth and soft beside it."""
    softness = 0.35 + 12.0 * np.clip((np.abs(u) - MOUTH_HALF_WIDTH) / 8, 0, 1)
    under = 1 / (1 + np.exp(np.clip((v - MOUTH_V) / softness, -40, 40)))
    return np.where(lip > 0, 0.0, np.where(lip < 0, 1.0, under))


def _jaw_drop(u, v, lip):
    """Returns the shift of a dropped jaw in mm, shape `(n, 3)`: chin 22 mm down and 8 mm back at intensity 5."""
    under = _belongs_to_jaw(u, v, lip)
    distance = np.abs(u)
    fall = np.clip(1 - (distance / 64) ** 2, 0, 1) ** (1 + 0.8 * np.clip((v + 75) / 30, 0, 1))
    corner = _gaussian(distance, v, 26, -45, 8, 8)
    # The lower lip hangs between the corners, which follow by a third.
    hang = np.where(np.abs(v + 45) < 11, np.clip(1 - (distance / 26.5) ** 2.6, 0, 1), 1)
    hang = 1 - (1 - hang) * np.exp(-0.5 * ((v + 46) / 7) ** 2)
    weight = under * fall * hang * (1 - 0.33 * corner) + 0.33 * corner * fall / np.clip(fall, 0.6, 1)
    shift = np.c_[-np.sign(u) * 3.4 * corner, -22 * weight, -8 * weight]
    shift[:, 1] += 0.8 * (1 - under) * _gaussian(u, v, 0, -41, 15, 5)
    return shift


def action_unit_fields(u, v, lip):
    """Returns how far each action unit moves each point at intensity 5.

    Args:
        u: float array `(n,)`, chart millimetres.
        v: float array `(n,)`.
        lip: int array `(n,)`: 1 upper lip's edge, −1 lower lip's, 0 elsewhere.

    Returns:
        float array `(34, n, 3)` in millimetres: the 17 units of `ACTION_UNIT_COLUMNS` on the +x side (the subject's
        left), then the same 17 on the −x side.
    """
    under = _belongs_to_jaw(u, v, lip)
    # The lips meet at the corners, whatever one lip does.
    between_corners = np.clip(1 - (np.abs(u) / 26.5) ** 2.6, 0, 1)
    fields = np.zeros((2, NUM_UNITS, len(u), 3))
    for side, sign in enumerate((1, -1)):
        own_u = u * sign
        where = {
            "": np.ones_like(u),
            "upper": (1 - under) * between_corners,
            "lower": under * between_corners,
            "lid": np.clip(1 - ((own_u - EYE[0]) / 16.5) ** 2, 0, 1) ** 0.7,
        }
        for unit, pushes in _PUSHES.items():
            for centre_u, centre_v, width_u, width_v, du, dv, dz, place in pushes:
                strength = _gaussian(own_u, v, centre_u, centre_v, width_u, width_v) * where[place]
                fields[side, COLUMN_OF[unit]] += strength[:, None] * np.array([du * sign, dv, dz])
    fields[:, COLUMN_OF[26]] += 0.5 * _jaw_drop(u, v, lip)
    return fields.reshape(2 * NUM_UNITS, len(u), 3)


def identity_fields(u, v):
    """Returns how far one standard deviation of each identity mode moves each point.

    Args:
        u: float array `(n,)`, chart millimetres.
        v: float array `(n,)`.

    Returns:
        float array `(28, n, 3)` in millimetres: 18 named modes, then 10 smooth random ones, mildly asymmetric.
    """
    sign, distance, zero = np.sign(u), np.abs(u), np.zeros_like(u)

    def near(centre_u, centre_v, width_u, width_v):
        return _gaussian(distance, v, centre_u, centre_v, width_u, width_v)

    eye, mouth = near(32, 27, 13, 9), near(0, -45, 32, 12)
    modes = [
        (u * 0.035, 0, 0),  # face width
        (0, v * 0.035, 0),  # face length
        (sign * 3.2 * near(55, -50, 22, 24), 0, 0),  # jaw width
        (sign * 1.6 * near(32, 30, 20, 22), 0, 0),  # eye spacing
        ((distance - 32) * 0.07 * eye * sign, (v - 27) * 0.10 * eye, 0),  # eye size
        (0, 0.055 * (distance - 32) * near(32, 28, 16, 10), 0),  # eye tilt
        (0, -2.6 * near(0, -12, 14, 14), 0),  # nose length
        (sign * 1.7 * near(12, -13, 8, 10), 0, 0),  # nose width
        (0, 0, 2.6 * near(0, -4, 9, 18)),  # nose height
        (u * 0.085 * mouth, 0, 0),  # mouth width
        (0, (v - MOUTH_V) * 0.17 * near(0, -45, 26, 9), near(0, -45, 18, 8)),  # lip fullness
        (0, 2.2 * near(0, -45, 34, 13), 0),  # mouth height
        (0, 1.9 * near(32, 49, 26, 9), 0),  # brow height
        (0, 0.050 * (distance - 32) * near(32, 48, 24, 9), 0),  # brow tilt
        (0, -2.4 * near(0, -80, 26, 16), 3.0 * near(0, -76, 18, 12)),  # chin
        (sign * 1.6 * near(45, -15, 18, 22), 0, 2.4 * near(42, -12, 18, 18)),  # cheek fullness
        (0, 3.0 * near(0, 80, 60, 22), 2.0 * near(0, 70, 40, 18)),  # forehead
        (0, 0.9 * near(25, -45, 7, 7), 0),  # resting corner of the mouth
    ]
    fields = [np.stack([part + zero for part in mode], axis=1) for mode in modes]
    rng = np.random.default_rng(6835)
    for _ in range(NUM_RANDOM_MODES):
        field = np.zeros((len(u), 3))
        for _ in range(6):
            centre_u, centre_v = rng.uniform([-60, -75], [60, 75])
            width = rng.uniform(16, 34)
            shift = rng.normal(0, 1, 3) * [0.7, 0.7, 1.2]
            field += _gaussian(u, v, centre_u, centre_v, width, width)[:, None] * shift
        fields.append(field)
    return np.stack(fields)


def _fields(points, lip):
    """Returns rest surface, identity and action-unit fields stacked: float array `(1 + 28 + 34, n, 3)`, metres."""
    u, v = points.T
    rest = np.c_[u, v, depth(u, v)][None]
    return np.concatenate([rest, identity_fields(u, v), action_unit_fields(u, v, lip)]) / 1000


def chart_fields(points):
    """Returns the fields at any points of the chart, for a sheet denser than the mesh.

    Args:
        points: float array `(n, 2)`, chart millimetres.

    Returns:
        float array `(63, n · 3)` in metres, to be weighted by `FaceModel.coefficients`.
    """
    return _flat(_fields(np.asarray(points, float), np.zeros(len(points), int)))


def _flat(fields):
    return fields.reshape(len(fields), -1)


def _combine(coefficients, fields):
    """Returns `(num_faces, num_points, 3)` float32 from weights `(num_faces, 63)` and flat fields.

    The product is taken in float64 and rounded after, so that it does not depend on how many threads share it.
    """
    return (coefficients @ fields).astype(np.float32).reshape(len(coefficients), -1, 3)


class FaceModel:
    """The template with its fields, evaluated for many faces at once.

    Attributes:
        triangles: int32 array `(num_triangles, 3)` over the first 1220 points.
        num_vertices: int, 1220.
        num_identity: int, number of identity modes.
        index: dict from the name of a contour to the indices of its points, in drawing order.
        landmarks: int array `(68,)`, the points of the 68-landmark layout of iBUG 300-W.
    """

    def __init__(self):
        mesh, mesh_lip, self.triangles = template_mesh()
        self.num_vertices = len(mesh)
        points, lips, self.index = [mesh], [mesh_lip], {}
        start = len(mesh)

        def add(name, curve, lip):
            nonlocal start
            points.append(np.asarray(curve, float))
            lips.append(lip)
            self.index[name] = np.arange(start, start + len(curve))
            start += len(curve)

        for name, (curve, lip) in template_curves().items():
            add(name, curve, lip)
        # Rigid parts: eyeballs and upper teeth go with the skull, lower teeth with the jaw.
        tooth = np.linspace(-22, 22, 9)
        add("eye+", [(EYE[0], EYE[1] + 0.4)], np.zeros(1, int))
        add("eye-", [(-EYE[0], EYE[1] + 0.4)], np.zeros(1, int))
        add("teeth_upper", np.c_[tooth, -47.6 + 0.003 * tooth**2], np.zeros(9, int))
        add("teeth_lower", np.c_[tooth * 0.9, np.full(9, -47.4)], np.zeros(9, int))
        # Two points on the axis of the skull, 100 mm apart: hair and ears turn with them.
        add("skull", [(0, 15), (0, 15)], np.zeros(2, int))
        points, lip = np.vstack(points), np.concatenate(lips)
        self._separated = self._pairs_to_keep_apart(points, lip)

        fields = _fields(points, lip)
        self.num_identity = len(fields) - 1 - 2 * NUM_UNITS
        units = fields[1 + self.num_identity :]
        for name, sink in (("eye+", 6), ("eye-", 6), ("teeth_upper", 5), ("teeth_lower", 5)):
            units[:, self.index[name]] = 0
            fields[0, self.index[name], 2] -= sink / 1000
        for column in (COLUMN_OF[26], NUM_UNITS + COLUMN_OF[26]):
            units[column, self.index["teeth_lower"]] = np.array([0, -10.5, -4]) / 1000
        fields[1:, self.index["skull"]] = 0
        fields[0, self.index["skull"], 2] = -0.027, -0.127
        self._position = _flat(fields)

        # Slopes by differences of 1 mm; hollows as the mean of a ring of 6 mm minus the point itself.
        def shifted(du, dv):
            return _fields(mesh + [du, dv], mesh_lip)

        self._slope_u = _flat(shifted(0.5, 0) - shifted(-0.5, 0))
        self._slope_v = _flat(shifted(0, 0.5) - shifted(0, -0.5))
        ring = [(6 * np.cos(a), 6 * np.sin(a)) for a in np.arange(6) * np.pi / 3]
        self._hollow = _flat(sum(shifted(*offset) for offset in ring) / 6 - fields[:, : self.num_vertices])
        self.landmarks = self._landmarks()

    def _pairs_to_keep_apart(self, points, lip):
        """Returns index arrays `(upper, lower)` of points that must not pass each other: eyelids and inner lips."""
        key = {(*np.round(point, 3), edge): i for i, (point, edge) in enumerate(zip(points, lip, strict=True))}
        # Later duplicates win in `key`; the mesh comes first, so look it up by itself.
        mesh_key = {
            (*np.round(point, 3), edge): i
            for i, (point, edge) in enumerate(zip(points[: self.num_vertices], lip, strict=False))
        }
        upper, lower = [], []
        for above, below in (
            ("lid_upper+", "lid_lower+"),
            ("lid_upper-", "lid_lower-"),
            ("lip_upper_inner", "lip_lower_inner"),
        ):
            for i, j in zip(self.index[above][1:-1], self.index[below][1:-1], strict=True):
                for table in (key, mesh_key):
                    upper.append(table[(*np.round(points[i], 3), lip[i])])
                    lower.append(table[(*np.round(points[j], 3), lip[j])])
        return np.array(upper), np.array(lower)

    def _landmarks(self):
        """Returns the indices of jaw 17, brows 5 + 5, nose 4 + 5, eyes 6 + 6, outer lips 12, inner lips 8."""
        index = self.index
        upper, lower = index["lip_upper_inner"], index["lip_lower_inner"]
        # The layout goes round each eye from the viewer's left; a paired curve starts next to the nose.
        return np.concatenate(
            [
                index["jaw"][::2],
                index["brow-"][::2][::-1],
                index["brow+"][::2],
                index["nose_ridge"],
                index["nose_base"],
                index["lid_upper-"][[12, 8, 4, 0]],
                index["lid_lower-"][[4, 8]],
                index["lid_upper+"][[0, 4, 8, 12]],
                index["lid_lower+"][[8, 4]],
                index["lip_upper_outer"][::2],
                index["lip_lower_outer"][[10, 8, 6, 4, 2]],
                upper[[0, 3, 6, 9, 12]],
                lower[[9, 6, 3]],
            ]
        )

    def coefficients(self, identity, intensities):
        """Returns the weights of the fields.

        Args:
            identity: float array `(num_faces, 28)`, standard deviations.
            intensities: float array `(num_faces, 34)`, action units 0 … 5, +x side then −x side.

        Returns:
            float64 array `(num_faces, 63)`.
        """
        return np.concatenate([np.ones((len(identity), 1)), identity, np.asarray(intensities) / MAX_INTENSITY], axis=1)

    def points(self, coefficients):
        """Returns all points of the faces, mesh first.

        Args:
            coefficients: float64 array `(num_faces, 63)` of `coefficients()`.

        Returns:
            float32 array `(num_faces, num_points, 3)`, metres.
        """
        points = _combine(coefficients, self._position)
        upper, lower = self._separated
        above, below = points[:, upper, 1], points[:, lower, 1]
        overlap = np.maximum(below + 2e-4 - above, 0) / 2
        points[:, upper, 1] = above + overlap
        points[:, lower, 1] = below - overlap
        return points

    def normals(self, coefficients):
        """Returns unit normals of the vertices: float32 array `(num_faces, 1220, 3)`, out of the face."""
        a, b = _combine(coefficients, self._slope_u), _combine(coefficients, self._slope_v)
        normals = np.stack(
            [
                a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1],
                a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2],
                a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0],
            ],
            axis=-1,
        )
        return normals / np.sqrt((normals**2).sum(-1, keepdims=True) + 1e-24)

    def hollows(self, coefficients):
        """Returns how much higher the neighbourhood lies than the vertex: float32 `(num_faces, 1220, 3)`, metres."""
        return _combine(coefficients, self._hollow)


@functools.cache
def face_model():
    """Returns the one `FaceModel` of this process (about half a second to build)."""
    return FaceModel()
