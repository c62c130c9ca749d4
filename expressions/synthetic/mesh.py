"""The template face: contours, a 1220-vertex mesh with the density of ARKit's, and its triangles.

Everything here is drawn on a flat chart of the face in millimetres: `u` runs to the viewer's right (the subject's
left), `v` runs up, and `depth(u, v)` lifts the chart to the resting surface. The axes are those of ARKit's face
anchor, whose origin lies inside the head and whose z axis points out of the face. Nothing is read from a file, and
no point is taken from a scan: the surface is an ellipsoid with Gaussian bumps for nose, brows, cheeks, lips and chin.
"""

import functools

import numpy as np

NUM_VERTICES = 1220
EYE = (32.0, 27.0)  # centre of the eye on the +u side
MOUTH_V = -45.0
MOUTH_HALF_WIDTH = 25.0
SLIT_HALF_WIDTH = MOUTH_HALF_WIDTH - 1.2

# Bumps on the ellipsoid: centre u, v; widths; height. A bump off the midline has a mirror image.
_BUMPS = (
    (0, 21, 6.0, 12, 5.0),
    (0, 5, 7.0, 9, 8.5),
    (0, -7, 8.0, 7, 14.0),
    (0, -13, 8.5, 5.0, 9.0),
    (12.5, -15, 4.5, 5.0, 6.5),
    (32, 28, 15, 9.5, -9.5),
    (32, 27, 10.5, 7, 5.5),
    (13, 27, 5, 9, -4.0),
    (28, 46, 20, 6.5, 4.5),
    (43, 2, 15, 13, 6.5),
    (22, -28, 7, 10, -1.5),
    (0, -40.5, 15, 3.6, 5.5),
    (0, -50.5, 14, 3.8, 6.0),
    (0, -45, 13, 1.4, -3.0),
    (0, -60, 14, 5, -3.5),
    (0, -75, 16, 9, 9.5),
    (0, -52, 28, 24, 7.0),
    (0, -31, 3.0, 6, -1.2),
    (26, -46, 5, 5, -2.0),
    (25, 68, 20, 12, 1.5),
)


def half_width(v):
    """Returns how far the face reaches to either side at some heights: float array like `v`, millimetres.

    Above 80 mm it stays as it is there, so that light on a bald head knows no corner.
    """
    rise = np.where(v > 10, (np.minimum(v, 80) - 10) / 98.0, (10 - v) / 104.0)
    return 73 * np.sqrt(np.maximum(1 - rise**2, 0.25))


def depth(u, v):
    """Returns the height of the resting face over the chart.

    Args:
        u: float array, millimetres to the viewer's right.
        v: float array of the same shape, millimetres up.

    Returns:
        float array of that shape, millimetres along z.
    """
    squared_radius = (u / 84.0) ** 2 + ((v - 5) / 160.0) ** 2
    z = -35 + 88 * np.sqrt(np.maximum(1 - squared_radius, 0.012))
    # ARKit's mask bends back towards the ears: its rim lies some 27 mm behind the origin.
    outwards = np.abs(u) / half_width(v)
    # It levels off beyond the rim without a crease.
    outwards = outwards / (1 + (outwards / 1.15) ** 30) ** (1 / 30)
    z = z - 32 * outwards**7 * np.clip(1.9 - np.abs(v) / 60, 0.2, 1)
    for centre_u, centre_v, width_u, width_v, height in _BUMPS:
        for sign in (1, -1) if centre_u else (1,):
            z = z + height * np.exp(-0.5 * (((u - sign * centre_u) / width_u) ** 2 + ((v - centre_v) / width_v) ** 2))
    return z


@functools.cache
def _spline_weights(num_controls, num_points):
    """Returns the weights `(num_points, num_controls)` of a Catmull-Rom spline's control points."""
    identity = np.eye(num_controls)
    padded = np.vstack([2 * identity[0] - identity[1], identity, 2 * identity[-1] - identity[-2]])
    parameter = np.linspace(0, num_controls - 1 - 1e-9, num_points)
    segment = parameter.astype(int)
    t = (parameter - segment)[:, None]
    a, b, c, d = (padded[segment + k] for k in range(4))
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def spline(control_points, num_points):
    """Samples a Catmull-Rom spline through control points, at equal steps of its parameter.

    Args:
        control_points: float array-like of shape `(n, 2)`, n ≥ 2.
        num_points: int.

    Returns:
        float array of shape `(num_points, 2)`; its ends are the first and last control point.
    """
    points = np.asarray(control_points, float)
    return _spline_weights(len(points), num_points) @ points


_JAW = ((0, -88.5), (12, -87), (31, -80), (50, -63), (63, -41), (71, -14), (73, 15))
_TEMPLE = ((73, 15), (70, 44), (56, 71), (32, 85.5), (0, 88))


def _mirror(points):
    return np.asarray(points, float) * [-1, 1]


def _middle_curves():
    """Returns the contours that cross the midline, from the viewer's left to the right."""
    t = np.linspace(-1, 1, 13)
    bow = np.cos(np.pi * t / 2)
    corner_lift = 0.3 * (1 - bow)
    cupid = 0.5 * np.exp(-((t / 0.25) ** 2))
    half_jaw, half_temple = spline(_JAW, 17), spline(_TEMPLE, 11)
    curves = {
        "jaw": np.vstack([_mirror(half_jaw[::-1]), half_jaw[1:]]),
        "temple": np.vstack([half_temple, _mirror(half_temple[-2::-1])]),  # right, over the top, to the left
        "nose_ridge": np.c_[np.zeros(4), [24, 12, 0, -11]],
        "nose_base": np.array([(-13.5, -19), (-7, -21.5), (0, -22.5), (7, -21.5), (13.5, -19)], float),
        "lip_upper_outer": np.c_[
            MOUTH_HALF_WIDTH * t,
            MOUTH_V + 7.0 * np.abs(bow) ** 0.9 * (1 - 0.16 * np.exp(-((t / 0.14) ** 2))) + corner_lift,
        ],
        "lip_lower_outer": np.c_[MOUTH_HALF_WIDTH * t, MOUTH_V - 9.2 * np.abs(bow) ** 1.05 + corner_lift],
        "lip_upper_inner": np.c_[SLIT_HALF_WIDTH * t, MOUTH_V + 0.25 * bow - cupid + corner_lift],
        "lip_lower_inner": np.c_[SLIT_HALF_WIDTH * t, MOUTH_V - 0.25 * bow - cupid + corner_lift],
        "chin_fold": np.c_[np.linspace(-13, 13, 7), -60.5 + 2.2 * np.cos(np.linspace(-1.4, 1.4, 7))],
        "philtrum_left": np.array([(-3, -26), (-3.6, -36)], float),
        "philtrum_right": np.array([(3, -26), (3.6, -36)], float),
        "hairline": spline(
            [(-71, 24), (-66, 50), (-50, 70), (-25, 77), (0, 78), (25, 77), (50, 70), (66, 50), (71, 24)], 17
        ),
    }
    for k, v in enumerate((58, 65, 72)):
        u = np.linspace(-40, 40, 11)
        curves[f"forehead_{k}"] = np.c_[u, v + 2.5 * np.cos(u / 14) - (u / 40) ** 2 * 3]
    return curves


def _paired_curves():
    """Returns the contours that come in pairs, those of the +u side."""
    t = np.linspace(-1, 1, 13)
    eye_u, eye_v = EYE
    return {
        "brow": spline([(12, 43.5), (22, 47.5), (37, 51), (47, 49), (54, 44)], 9),  # inner to outer
        "lid_upper": np.c_[eye_u + 15.0 * t, eye_v - 0.2 + t + 5.0 * (1 - np.abs(t) ** 2.2)],
        "lid_lower": np.c_[eye_u + 15.0 * t, eye_v - 0.2 + t - 4.6 * (1 - np.abs(t) ** 2.4)],
        "lid_crease": np.c_[eye_u + 15.5 * t, eye_v + 2.2 + 0.8 * t + 7.2 * (1 - np.abs(t) ** 2.2)],
        "eye_bag": np.c_[eye_u + 13.0 * t, eye_v - 1.5 - 9.0 * (1 - np.abs(t) ** 2.2)],
        "nasolabial": spline([(14.5, -10), (20, -18), (26, -30), (31, -43), (31, -52)], 9),
        "marionette": spline([(27.5, -48), (29, -56), (28, -64)], 5),
        "crow_0": np.array([(50, 28), (55, 31), (61, 35)], float),
        "crow_1": np.array([(50, 25), (56, 24.5), (62, 25)], float),
        "crow_2": np.array([(49, 22), (55, 18), (60, 14)], float),
        "glabella": spline([(5.5, 52), (6.0, 45), (5.0, 37)], 5),
        "nose_wrinkle_0": np.array([(2, 19), (7, 16), (11, 12)], float),
        "nose_wrinkle_1": np.array([(2, 25), (7, 23), (11, 20)], float),
        "nose_wing": spline([(13.0, -7), (17.0, -12), (16.5, -18), (11.5, -20)], 7),
        "nostril": np.array([(3.2, -20.2), (6.5, -18.2), (10.2, -18.8), (8.5, -21.2), (5.0, -21.8)], float),
        "nose_side": spline([(11, 36), (7.5, 22), (8.5, 6), (11, -6)], 7),
    }


MIDDLE_CURVES = _middle_curves()
PAIRED_CURVES = _paired_curves()


def template_curves():
    """Returns every painted contour of the face.

    Returns:
        dict from name to a pair `(points, lip)`: float array of shape `(n, 2)` in chart millimetres, and int array
        `(n,)` that is 1 for a point of the upper lip's edge, −1 for the lower lip's, 0 elsewhere. Paired curves end
        in `+` (the subject's left) or `-`.
    """
    curves = {}
    for name, points in MIDDLE_CURVES.items():
        lip = np.zeros(len(points), int)
        # The corners belong to both lips, so that no gap opens beside the mouth when the jaw drops.
        lip[1:-1] = {"lip_upper_inner": 1, "lip_lower_inner": -1}.get(name, 0)
        curves[name] = (points, lip)
    for name, points in PAIRED_CURVES.items():
        curves[name + "+"] = (points, np.zeros(len(points), int))
        curves[name + "-"] = (_mirror(points), np.zeros(len(points), int))
    return curves


def inside(polygon, points):
    """Tells which points lie inside a polygon, by counting crossings.

    Args:
        polygon: float array `(n, 2)`.
        points: float array `(m, 2)`.

    Returns:
        bool array `(m,)`.
    """
    u, v = points.T
    result = np.zeros(len(points), bool)
    for (u1, v1), (u2, v2) in zip(polygon, np.roll(polygon, 1, axis=0), strict=True):
        if v1 != v2:
            result ^= ((v1 > v) != (v2 > v)) & (u < (u2 - u1) * (v - v1) / (v2 - v1) + u1)
    return result


def triangulate(points):
    """Returns a Delaunay triangulation by Bowyer and Watson's method (The Computer Journal 24, 1981).

    The points are moved by about a nanometre first: a symmetric template has many sets of four points on one circle,
    which would otherwise leave the result to rounding.

    Args:
        points: float array `(n, 2)`.

    Returns:
        int32 array `(num_triangles, 3)`, counter-clockwise.
    """
    num_points = len(points)
    points = points + np.random.default_rng(0).normal(0, 1e-6, points.shape)
    span = 50 * np.ptp(points, axis=0).max()
    centre = points.mean(0)
    frame = centre + span * np.array([(-1, -1), (1, -1), (0, 1.2)])
    points = np.vstack([points, frame])
    capacity = 4 * num_points
    triangles = np.zeros((capacity, 3), np.int64)
    circle = np.zeros((capacity, 3))  # centre u, v and squared radius; -1 marks a free row
    circle[:, 2] = -1

    def put(rows, corners):
        triangles[rows] = corners
        a, b, c = (points[corners[:, k]] for k in range(3))
        p, q = b - a, c - a
        twice_area = 2 * (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0])
        pp, qq = (p**2).sum(1), (q**2).sum(1)
        offset = np.c_[q[:, 1] * pp - p[:, 1] * qq, p[:, 0] * qq - q[:, 0] * pp] / twice_area[:, None]
        circle[rows, :2] = a + offset
        circle[rows, 2] = (offset**2).sum(1)

    put(np.array([0]), np.array([[num_points, num_points + 1, num_points + 2]]))
    used = 1
    for i in range(num_points):
        distance = (circle[:used, 0] - points[i, 0]) ** 2 + (circle[:used, 1] - points[i, 1]) ** 2
        broken = np.flatnonzero(distance < circle[:used, 2])
        edges = triangles[broken][:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
        key = edges[:, 0] * (num_points + 3) + edges[:, 1]
        rim = edges[~np.isin(key, edges[:, 1] * (num_points + 3) + edges[:, 0])]
        rows = np.r_[broken, np.arange(used, used + len(rim) - len(broken))]
        used += len(rim) - len(broken)
        put(rows, np.c_[rim, np.full(len(rim), i)])
    found = triangles[:used]
    return found[(found < num_points).all(1)].astype(np.int32)


def _density(points):
    """Relative density of mesh vertices: finer round the eyes, the mouth and the nose, as ARKit's."""
    u, v = points.T
    return (
        1
        + 9 * np.exp(-0.5 * (((u - 32) / 16) ** 2 + ((v - 27) / 10) ** 2))
        + 9 * np.exp(-0.5 * ((u / 22) ** 2 + ((v + 45) / 10) ** 2))
        + 0.9 * np.exp(-0.5 * ((u / 14) ** 2 + ((v + 8) / 14) ** 2))
    )


def _squared_distances(a, b):
    return (a[:, None, 0] - b[None, :, 0]) ** 2 + (a[:, None, 1] - b[None, :, 1]) ** 2


def _feature_points():
    """Returns the vertices that lie on features: `(half, half_lip, middle, middle_lip)`; half means u > 0."""
    middle_v = np.r_[np.linspace(87, 30, 13), np.linspace(24, -11, 10), -16, -20, -22.5, -27, -31.5, -35]
    half, half_lip = [], []
    middle = [(0.0, v) for v in np.r_[middle_v, -57.5, -61, -65, -69.5, -74, -79, -84]]
    middle_lip = [0] * len(middle)

    def put(points, lip=0):
        for u, v in points:
            if u > 0.4:
                half.append((u, v))
                half_lip.append(lip)
            elif abs(u) <= 0.4:
                middle.append((0.0, v))
                middle_lip.append(lip)

    lids_upper, lids_lower = PAIRED_CURVES["lid_upper"], PAIRED_CURVES["lid_lower"]
    rim = np.vstack([lids_upper, lids_lower[1:-1][::-1]])
    lips = MIDDLE_CURVES
    put(spline(_JAW, 21))
    put(spline(_TEMPLE, 19)[1:-1])
    put(lids_upper)
    put(lids_lower[1:-1])
    put(EYE + (rim[::2] - EYE) * [1.22, 1.6])
    put(lips["lip_upper_outer"])
    put(lips["lip_lower_outer"][:-1])
    put(lips["lip_upper_inner"][6:-1], 1)
    put(lips["lip_upper_inner"][-1:])
    put(lips["lip_lower_inner"][6:-1], -1)
    put(0.5 * (lips["lip_upper_outer"] + lips["lip_upper_inner"])[6:-1], 1)
    put(0.5 * (lips["lip_lower_outer"] + lips["lip_lower_inner"])[6:-1], -1)
    return np.array(half), np.array(half_lip), np.array(middle), np.array(middle_lip)


def _fill_points(fixed, middle, num_points):
    """Spreads points over the half face between the fixed ones: farthest-point sampling, then Lloyd's relaxation."""
    outline = 0.985 * np.vstack([spline(_JAW, 40), spline(_TEMPLE, 40)[1:]])
    outline = np.vstack([outline, [(0.0, outline[-1, 1])]])
    rim = np.vstack([PAIRED_CURVES["lid_upper"], PAIRED_CURVES["lid_lower"][1:-1][::-1]])
    lips = np.vstack([MIDDLE_CURVES["lip_upper_outer"], MIDDLE_CURVES["lip_lower_outer"][::-1]])
    rng = np.random.default_rng(1)
    u, v = np.meshgrid(np.arange(0.8, 73, 0.9), np.arange(-87, 87, 0.9))
    candidates = np.c_[u.ravel(), v.ravel()] + rng.uniform(-0.4, 0.4, (u.size, 2))
    candidates = candidates[inside(outline, candidates) & ~inside(rim, candidates) & ~inside(lips, candidates)]
    density = _density(candidates)
    anchors = np.vstack([fixed, middle])
    nearest = _squared_distances(candidates, anchors).min(1)
    fill = np.empty((num_points, 2))
    for k in range(num_points):
        fill[k] = candidates[np.argmax(nearest * density)]
        nearest = np.minimum(nearest, ((candidates - fill[k]) ** 2).sum(1))
    weight = density**1.5
    for _ in range(10):
        owner = _squared_distances(candidates, np.vstack([fill, anchors])).argmin(1)
        mass = np.bincount(owner, weight, num_points + len(anchors))[:num_points]
        total = np.c_[
            np.bincount(owner, weight * candidates[:, 0], num_points + len(anchors))[:num_points],
            np.bincount(owner, weight * candidates[:, 1], num_points + len(anchors))[:num_points],
        ]
        fill = np.where(mass[:, None] > 0, total / np.maximum(mass, 1e-9)[:, None], fill)
    return fill


def template_mesh():
    """Builds the template's vertices, mirror-symmetric, and its triangles.

    Returns:
        (points, lip, triangles): float array `(1220, 2)` in chart millimetres; int array `(1220,)` as in
        `template_curves`; int32 array `(num_triangles, 3)` whose normals point out of the face.
    """
    half, half_lip, middle, middle_lip = _feature_points()
    num_half = (NUM_VERTICES - len(middle)) // 2
    if len(middle) + 2 * num_half != NUM_VERTICES:
        middle, middle_lip = np.vstack([middle, (0.0, 27.0)]), np.r_[middle_lip, 0]
        num_half = (NUM_VERTICES - len(middle)) // 2
    half = np.vstack([half, _fill_points(half, middle, num_half - len(half))])
    half_lip = np.r_[half_lip, np.zeros(num_half - len(half_lip), int)]
    points = np.vstack([half, _mirror(half), middle])
    lip = np.r_[half_lip, half_lip, middle_lip]

    triangles = triangulate(points)
    corners = points[triangles]
    centres = corners.mean(1)
    rim = np.vstack([PAIRED_CURVES["lid_upper"], PAIRED_CURVES["lid_lower"][1:-1][::-1]])
    eye_hole = inside(rim, np.abs(centres) * [1, 0] + centres * [0, 1])
    slit = (lip[triangles].max(1) > 0) & (lip[triangles].min(1) < 0)
    p, q = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = 0.5 * (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0])
    # Slivers along the straight outline are no part of the face.
    triangles = triangles[~eye_hole & ~slit & (area > 0.02)]
    return points, lip, triangles
