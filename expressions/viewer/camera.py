"""From where the face is seen: a turntable round its centre, in the ARKit face frame.

x points to the viewer's right, which is the face's own left; y points up; z points out of the face. The camera
never rolls, so that a face stays upright however it is turned.
"""

import math

import numpy as np

# Half of the angle of view along the shorter side: narrow, so that noses do not grow.
HALF_ANGLE = math.radians(10)
# How much larger than the largest face the picture is; perspective adds a little more.
MARGIN = 1.1
ZOOM_RANGE = (0.3, 10.0)

# Name -> turn and tilt in degrees.
STANDARD_VIEWS = {"Front": (0.0, 0.0), "Left": (90.0, 0.0), "Top": (0.0, 90.0)}


class Camera:
    """A place that looks at the centre of the face.

    Attributes:
        turn: float, degrees in (-180, 180]; 0 in front of the face, 90 at its left, where x points at the viewer.
        tilt: float, degrees in [-90, 90]; 90 above it.
        zoom: float in `ZOOM_RANGE`; 1 shows the whole face.
    """

    def __init__(self):
        self.reset()

    def reset(self):
        """Goes back in front of the whole face."""
        self.turn, self.tilt = STANDARD_VIEWS["Front"]
        self.zoom = 1.0

    def look(self, view):
        """Goes to a standard view and keeps the zoom.

        Args:
            view: str, a key of `STANDARD_VIEWS` in any case.

        Raises:
            ValueError: there is no such view.
        """
        name = str(view).strip().capitalize()
        if name not in STANDARD_VIEWS:
            raise ValueError(f"{view!r} is no view. Wanted one of {', '.join(STANDARD_VIEWS)}.")
        self.turn, self.tilt = STANDARD_VIEWS[name]

    def rotate(self, turn, tilt):
        """Moves round the face.

        Args:
            turn: float, degrees towards the face's left.
            tilt: float, degrees upwards; stops straight above and straight below.
        """
        self.turn = -((180.0 - self.turn - turn) % 360.0 - 180.0)
        self.tilt = min(90.0, max(-90.0, self.tilt + tilt))

    def magnify(self, factor):
        """Multiplies the zoom, within `ZOOM_RANGE`."""
        self.zoom = min(ZOOM_RANGE[1], max(ZOOM_RANGE[0], self.zoom * factor))

    @property
    def axes(self):
        """float64 `(3, 3)`: unit vectors to the right, to the top, and towards the camera, in the face frame."""
        turn, tilt = math.radians(self.turn), math.radians(self.tilt)
        right = (math.cos(turn), 0.0, -math.sin(turn))
        up = (-math.sin(tilt) * math.sin(turn), math.cos(tilt), -math.sin(tilt) * math.cos(turn))
        towards = (math.cos(tilt) * math.sin(turn), math.sin(tilt), math.cos(tilt) * math.cos(turn))
        return np.array([right, up, towards])

    def distance(self, radius):
        """Returns how far from the centre the camera is, in metres, when the face has a radius in metres."""
        return MARGIN * radius / math.tan(HALF_ANGLE) / self.zoom

    def horizontal_angle(self, width, height):
        """Returns the angle of view from left to right in degrees, for a picture of `width` × `height`."""
        return 2 * math.degrees(math.atan(math.tan(HALF_ANGLE) * width / min(width, height)))

    def project(self, points, bounds, width, height):
        """Says where points are in a picture.

        Args:
            points: float array `(n, 3)` in metres, face frame.
            bounds: `Bounds` of the face.
            width: width of the picture in pixels.
            height: height of the picture in pixels.

        Returns:
            float64 array `(n, 3)`: pixels from the left, pixels from the top, pixels per metre at that depth. The
            last is larger for points that are nearer, and 0 for points behind the camera.
        """
        seen = (np.asarray(points, np.float64) - bounds.centre) @ self.axes.T  # (n, 3): right, up, towards
        focal = min(width, height) / 2 / math.tan(HALF_ANGLE)
        depth = self.distance(bounds.radius) - seen[:, 2]
        scale = np.where(depth > 1e-9, focal / np.maximum(depth, 1e-9), 0.0)
        return np.stack([width / 2 + seen[:, 0] * scale, height / 2 - seen[:, 1] * scale, scale], axis=1)


class Bounds:
    """Where all clouds are, so that no face jumps or grows when another is chosen.

    Args:
        points: float array `(num_clouds, num_points, 3)` in metres.

    Attributes:
        centre: float64 array `(3,)`, the middle of the box that holds them.
        radius: float, metres: half of the longest side of that box; never 0.
    """

    def __init__(self, points):
        flat = np.asarray(points, np.float64).reshape(-1, 3)
        self.centre = (flat.min(axis=0) + flat.max(axis=0)) / 2
        self.radius = float((flat.max(axis=0) - flat.min(axis=0)).max() / 2) or 1.0
