"""The large picture: what the mouse does to it, what is written over it, and how it is drawn without OpenGL."""

import numpy as np
from PyQt5.QtCore import QPointF, QRectF, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QFont, QImage, QPainter, QPen
from PyQt5.QtWidgets import QSizePolicy, QWidget

from expressions.viewer.colours import axis_colours, background, colours_of
from expressions.viewer.drawing import draw_points

DEGREES_PER_PIXEL = 0.4
ZOOM_PER_STEP = 1.15
AXIS_LENGTH = 0.45
SCALE_BARS_MM = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def is_dark(widget):
    """Says whether a widget's palette has a dark background."""
    return widget.palette().window().color().lightness() < 128


def cloud_colours(state, label=None, dark=False):
    """Returns the colours of the points of a cloud: uint8 `(num_points, 3)`, grey where there is nothing to measure."""
    values = state.values(label)
    if values is None:
        return np.full((len(state.points(label)), 3), 150 if dark else 110, np.uint8)
    return colours_of(values, *state.value_range, dark)


def draw_cloud(state, label, width, height, dark):
    """Draws one cloud of the chosen subject as a `QImage` of `width` × `height` pixels.

    It is drawn twice as large, because points that are drawn in whole pixels flicker when they turn.
    """
    colours = cloud_colours(state, label, dark)
    size = (max(2, 2 * width), max(2, 2 * height))
    pixels = draw_points(state.points(label), colours, state.camera, state.bounds, *size, background(dark))
    image = QImage(pixels.data, *size, 4 * size[0], QImage.Format_RGB32)
    return image.scaled(max(1, width), max(1, height), Qt.IgnoreAspectRatio, Qt.SmoothTransformation)


class Overlay(QWidget):
    """The axes of the face frame and a scale bar, over the points: the same with OpenGL and without.

    It is a widget of its own because what is painted on an OpenGL widget is missing in a picture of the window.
    """

    def __init__(self, state, parent):
        super().__init__(parent)
        self.state = state
        self.show_axes = True
        self.setAttribute(Qt.WA_TransparentForMouseEvents)

    def paintEvent(self, _event):
        """Draws the axes and the scale bar."""
        painter = QPainter(self)
        painter.setRenderHints(QPainter.Antialiasing | QPainter.TextAntialiasing)
        dark = is_dark(self)
        if self.show_axes:
            self._paint_axes(painter, dark)
        self._paint_scale_bar(painter)
        painter.end()

    def _paint_axes(self, painter, dark):
        bounds, camera = self.state.bounds, self.state.camera
        reach = AXIS_LENGTH * bounds.radius
        ends = np.concatenate([np.zeros((1, 3)), reach * np.eye(3), 1.14 * reach * np.eye(3)])
        placed = camera.project(ends, bounds, self.width(), self.height())
        origin, tips, places = QPointF(*placed[0, :2]), placed[1:4], placed[4:]
        font = QFont(self.font())
        font.setBold(True)
        painter.setFont(font)
        # The axis that points at the viewer is drawn last: its name is then on top.
        for axis in np.argsort(tips[:, 2], kind="stable"):
            pen = QPen(QColor(*axis_colours(dark)[axis]), 2)
            pen.setCapStyle(Qt.RoundCap)
            painter.setPen(pen)
            tip = QPointF(*tips[axis, :2])
            painter.drawLine(origin, tip)
            painter.setBrush(pen.color())
            painter.drawEllipse(tip, 2.5, 2.5)
            place = QPointF(*places[axis, :2])
            moved = place - tip
            if moved.manhattanLength() < 10:
                place = tip + QPointF(11, -9)
            square = QRectF(place.x() - 12, place.y() - 12, 24, 24)
            halo = QColor(*background(dark))
            halo.setAlpha(190)
            painter.setBrush(halo)
            painter.setPen(Qt.NoPen)
            painter.drawEllipse(place, 9, 9)
            painter.setPen(pen)
            painter.drawText(square, Qt.AlignCenter, "xyz"[axis])

    def _paint_scale_bar(self, painter):
        bounds = self.state.bounds
        pixels_per_metre = self.state.camera.project(bounds.centre[None], bounds, self.width(), self.height())[0, 2]
        fitting = [bar for bar in SCALE_BARS_MM if bar / 1000 * pixels_per_metre <= 0.22 * self.width()]
        if not fitting:
            return
        length = fitting[-1] / 1000 * pixels_per_metre
        right, bottom = self.width() - 16, self.height() - 16
        painter.setFont(self.font())
        painter.setPen(QPen(self.palette().windowText().color(), 2))
        painter.drawLine(QPointF(right - length, bottom), QPointF(right, bottom))
        painter.drawLine(QPointF(right - length, bottom - 4), QPointF(right - length, bottom + 4))
        painter.drawLine(QPointF(right, bottom - 4), QPointF(right, bottom + 4))
        box = QRectF(right - max(length, 80), bottom - 26, max(length, 80), 20)
        painter.drawText(box, Qt.AlignRight | Qt.AlignBottom, f"{fitting[-1]} mm")


class LargeView:
    """What both large views have in common: turn by dragging, zoom by the wheel, axes and scale bar on top.

    Attributes:
        camera_moved: signal, sent after the user moved the camera.
    """

    def prepare(self, state):
        """Sets what the view shows, and how it behaves; the subclass calls it at the end of its constructor."""
        self.state = state
        self.overlay = Overlay(state, self)
        self._dragged_from = None
        self.setCursor(Qt.OpenHandCursor)
        self.setMinimumSize(240, 200)
        self.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Expanding)
        self.setAccessibleName("The face; drag to turn it")

    def sizeHint(self):
        """A square that is good to look at."""
        return super().sizeHint().expandedTo(self.minimumSize() * 2)

    def mousePressEvent(self, event):
        """Starts to turn the face."""
        if event.button() == Qt.LeftButton:
            self._dragged_from = event.localPos()
            self.setCursor(Qt.ClosedHandCursor)

    def mouseMoveEvent(self, event):
        """Turns the face with the mouse: to the right shows its own right side, down shows it from above."""
        if self._dragged_from is None:
            return
        moved = event.localPos() - self._dragged_from
        self._dragged_from = event.localPos()
        self.state.camera.rotate(-DEGREES_PER_PIXEL * moved.x(), DEGREES_PER_PIXEL * moved.y())
        self.camera_moved.emit()

    def mouseReleaseEvent(self, event):
        """Lets go of the face."""
        if event.button() == Qt.LeftButton:
            self._dragged_from = None
            self.setCursor(Qt.OpenHandCursor)

    def wheelEvent(self, event):
        """Comes closer or goes away."""
        self.state.camera.magnify(ZOOM_PER_STEP ** (event.angleDelta().y() / 120))
        self.camera_moved.emit()

    def keyPressEvent(self, event):
        """Leaves all keys to the window."""
        event.ignore()

    def keyReleaseEvent(self, event):
        """Leaves all keys to the window."""
        event.ignore()

    def resizeEvent(self, event):
        """Keeps what is written over the face as large as the face's picture."""
        super().resizeEvent(event)
        self.overlay.resize(self.size())


class PaintedView(LargeView, QWidget):
    """The large picture without OpenGL: the same, drawn by NumPy."""

    camera_moved = pyqtSignal()

    def __init__(self, state, parent=None):
        super().__init__(parent)
        self.prepare(state)

    def show_state(self):
        """Shows what the state says."""
        self.update()
        self.overlay.update()

    def paintEvent(self, _event):
        """Draws the cloud."""
        ratio = self.devicePixelRatioF()
        size = (round(self.width() * ratio), round(self.height() * ratio))
        painter = QPainter(self)
        painter.drawImage(self.rect(), draw_cloud(self.state, self.state.label, *size, is_dark(self)))
        painter.end()
