"""The large picture with OpenGL, by pyqtgraph."""

import numpy as np
import pyqtgraph.opengl as gl
from PyQt5.QtCore import pyqtSignal
from PyQt5.QtGui import QSurfaceFormat, QVector3D

from expressions.viewer.camera import HALF_ANGLE
from expressions.viewer.colours import background
from expressions.viewer.drawing import POINT_RADIUS
from expressions.viewer.views import LargeView, cloud_colours, is_dark


def to_scene(points):
    """Turns the face frame, where y points up, into pyqtgraph's, where z does: `(x, y, z)` becomes `(x, -z, y)`."""
    points = np.asarray(points, np.float32)
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


class OpenGLView(LargeView, gl.GLViewWidget):
    """A cloud as discs that cover each other as they should.

    pyqtgraph draws the points, from the place that `Camera` says.
    """

    camera_moved = pyqtSignal()

    def __init__(self, state, parent=None):
        super().__init__(parent)
        surface = QSurfaceFormat(self.format())
        surface.setSamples(4)  # smooth edges of the discs
        self.setFormat(surface)
        self.scatter = None
        self.prepare(state)

    def show_state(self):
        """Shows what the state says."""
        colours = cloud_colours(self.state, dark=is_dark(self))
        data = {
            "pos": to_scene(self.state.points()),
            "color": np.concatenate([colours / 255, np.ones((len(colours), 1))], axis=1).astype(np.float32),
        }
        if self.scatter is None:
            self.scatter = gl.GLScatterPlotItem(**data, size=1, pxMode=True, glOptions="translucent")
            self.addItem(self.scatter)
        else:
            self.scatter.setData(**data)
        self.setBackgroundColor(background(is_dark(self)))
        self._place_camera()

    def resizeGL(self, width, height):
        """Keeps the whole face in the picture."""
        super().resizeGL(width, height)
        self._place_camera()

    def _place_camera(self):
        camera, bounds = self.state.camera, self.state.bounds
        distance = camera.distance(bounds.radius)
        # pyqtgraph looks from the right at azimuth 0; the front of the face is at −90 in its frame.
        self.setCameraParams(
            center=QVector3D(*to_scene(bounds.centre).tolist()),
            distance=distance,
            azimuth=camera.turn - 90,
            elevation=camera.tilt,
            fov=camera.horizontal_angle(self.width(), self.height()),
        )
        if self.scatter is not None:
            pixels_per_metre = min(self.width(), self.height()) / 2 / np.tan(HALF_ANGLE) / distance
            diameter = 2 * POINT_RADIUS * bounds.radius * pixels_per_metre * self.devicePixelRatioF()
            self.scatter.setData(size=max(2.0, float(diameter)))
        self.update()
        self.overlay.update()
