"""The window: subjects at the left, the chosen face in the middle, the seven expressions of the subject below."""

from PyQt5.QtCore import QEvent, QSize, Qt
from PyQt5.QtGui import QColor, QKeySequence, QLinearGradient, QPainter, QPen
from PyQt5.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QMainWindow,
    QMessageBox,
    QPushButton,
    QShortcut,
    QSizePolicy,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from expressions.labels import EMOTIONS, NUM_CLASSES
from expressions.viewer.camera import STANDARD_VIEWS
from expressions.viewer.colours import background, colours_of
from expressions.viewer.state import COLOURINGS
from expressions.viewer.views import PaintedView, draw_cloud, is_dark

# Fits a small laptop's screen of 1366 × 768, with a bar of the desktop.
SIZE = (1040, 700)

VIEW_TIPS = {
    "Front": "Look at the face from the front (F)",
    "Left": "Look at the face's own left side, from +x (L)",
    "Top": "Look at the face from above, from +y (T)",
}

KEYS = (
    ("← →", "the emotion before, the next emotion"),
    ("↑ ↓", "the subject before, the next subject"),
    ("0 … 6", "Angry, Disgust, Fear, Happy, Sad, Surprise, Neutral"),
    ("F  L  T", "from the front, from the face's left, from the top"),
    ("R", "reset: from the front, the whole face"),
    ("C", "another colouring"),
    ("A", "axes on or off"),
    ("+ −", "closer, farther away"),
    ("?", "this list"),
    ("Ctrl+Q", "quit"),
)


class Legend(QWidget):
    """One line that says what the colours mean."""

    def __init__(self, state):
        super().__init__()
        self.state = state
        self.setFixedHeight(self.fontMetrics().height() + 10)

    def paintEvent(self, _event):
        """Draws the sentence, the two numbers, and the colours between them."""
        low, high = self.state.legend_ends
        metrics = self.fontMetrics()
        room = self.width() - 24 - metrics.horizontalAdvance(low) - metrics.horizontalAdvance(high)
        bar = max(60, min(220, room // 3))
        painter = QPainter(self)
        middle = Qt.AlignVCenter | Qt.AlignLeft
        text = metrics.elidedText(self.state.legend, Qt.ElideRight, max(0, room - bar - 16))
        x = 0
        painter.drawText(x, 0, self.width(), self.height(), middle, text)
        x += metrics.horizontalAdvance(text) + 16
        painter.drawText(x, 0, self.width(), self.height(), middle, low)
        x += metrics.horizontalAdvance(low) + 8
        gradient = QLinearGradient(x, 0, x + bar, 0)
        for place in range(17):
            gradient.setColorAt(place / 16, QColor(*colours_of([place / 16], 0, 1, is_dark(self))[0]))
        painter.setPen(Qt.NoPen)
        painter.setBrush(gradient)
        painter.drawRoundedRect(x, self.height() // 2 - 6, bar, 12, 3, 3)
        painter.setPen(self.palette().windowText().color())
        painter.drawText(x + bar + 8, 0, self.width(), self.height(), middle, high)
        painter.end()


class SmallFace(QAbstractButton):
    """One of the seven expressions of the subject; a click chooses it."""

    def __init__(self, state, label):
        super().__init__()
        self.state, self.label = state, label
        self.setCheckable(True)
        self.setFocusPolicy(Qt.NoFocus)
        self.setText(EMOTIONS[label])
        self.setToolTip(f"{EMOTIONS[label]} ({label})")
        self.setCursor(Qt.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Expanding)
        self.setMinimumSize(64, 84)

    def sizeHint(self):
        """Tall enough for a face and its name."""
        return QSize(116, 150)

    def paintEvent(self, _event):
        """Draws the face, seen as the large one, its name, and a frame if it is chosen."""
        dark = is_dark(self)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.Antialiasing)
        painter.fillRect(self.rect(), QColor(*background(dark)))
        name_height = self.fontMetrics().height() + 6
        if self.state.points(self.label) is None:
            painter.setPen(self.palette().color(self.palette().Disabled, self.palette().WindowText))
            painter.drawText(self.rect().adjusted(0, 0, 0, -name_height), Qt.AlignCenter, "none")
        else:
            ratio = self.devicePixelRatioF()
            place = self.rect().adjusted(2, 2, -2, -name_height)
            size = (round(place.width() * ratio), round(place.height() * ratio))
            painter.drawImage(place, draw_cloud(self.state, self.label, *size, dark))
            painter.setPen(self.palette().windowText().color())
        font = painter.font()
        font.setBold(self.isChecked())
        painter.setFont(font)
        name = self.rect().adjusted(0, self.height() - name_height, 0, -2)
        painter.drawText(name, Qt.AlignCenter, f"{self.label} {EMOTIONS[self.label]}")
        if self.isChecked():
            painter.setBrush(Qt.NoBrush)
            painter.setPen(QPen(self.palette().highlight().color(), 3))
            painter.drawRoundedRect(self.rect().adjusted(2, 2, -2, -2), 4, 4)
        painter.end()


class ViewerWindow(QMainWindow):
    """Shows a `ViewerState`, and changes it as the user says.

    Args:
        state: `expressions.viewer.state.ViewerState`.
        with_opengl: bool; without it the large face is drawn by NumPy.
        remark: str, why there is no OpenGL; shown when the mouse is over the status line.
    """

    def __init__(self, state, with_opengl=True, remark=""):
        super().__init__()
        self.state = state
        self.with_opengl = with_opengl
        self.setWindowTitle(state.title)
        self.large = _large_view(state, with_opengl)
        self.large.camera_moved.connect(self.show_camera)
        self.heading = QLabel()
        self.heading.setTextInteractionFlags(Qt.TextSelectableByMouse)
        self.heading.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Fixed)
        # Fear has seven action units: always room for two lines, so that the face does not jump.
        self.heading.setWordWrap(True)
        self.heading.setFixedHeight(2 * self.fontMetrics().lineSpacing() + 2)
        self.legend = Legend(state)
        self.status = QLabel()
        self.status.setToolTip(remark)
        self.status.setContentsMargins(8, 0, 0, 0)
        self.status.setTextInteractionFlags(Qt.TextSelectableByMouse)
        self.status.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Preferred)
        self.statusBar().addWidget(self.status, 1)
        self.resize(*SIZE)
        self._make_subjects()
        self._make_small_faces()
        self._arrange(self._make_controls())
        self._make_shortcuts()
        self.show_state()

    # --- What there is -----------------------------------------------------------------------------------------------

    def _make_subjects(self):
        self.subject_list = QListWidget()
        self.subject_list.addItems(f"{number}  {name}" for number, name in enumerate(self.state.subjects, 1))
        for row, name in enumerate(self.state.subjects):
            self.subject_list.item(row).setToolTip(name)
        self.subject_list.setUniformItemSizes(True)
        self.subject_list.setHorizontalScrollBarPolicy(Qt.ScrollBarAlwaysOff)
        self.subject_list.setTextElideMode(Qt.ElideRight)
        self.subject_list.setAccessibleName("Subjects")
        self.subject_list.setCurrentRow(self.state.subject)
        self.subject_list.currentRowChanged.connect(self._subject_clicked)

    def _make_small_faces(self):
        self.small_faces = [SmallFace(self.state, label) for label in range(NUM_CLASSES)]
        for face in self.small_faces:
            face.clicked.connect(lambda _checked, label=face.label: self.choose_emotion(label))

    def _make_controls(self):
        row = QHBoxLayout()
        self.view_buttons = {}
        for name in STANDARD_VIEWS:
            button = QPushButton(name)
            button.setToolTip(VIEW_TIPS[name])
            button.clicked.connect(lambda _checked, name=name: self.look(name))
            self.view_buttons[name] = button
        self.reset_button = QPushButton("Reset")
        self.reset_button.setToolTip("From the front, the whole face (R)")
        self.reset_button.clicked.connect(self.reset)
        self.colouring_box = QComboBox()
        self.colouring_box.addItems(COLOURINGS)
        self.colouring_box.setToolTip("What the colours mean (C)")
        self.colouring_box.currentTextChanged.connect(self.choose_colouring)
        self.axes_box = QCheckBox("Axes")
        self.axes_box.setToolTip("The axes of the face frame: x to the face's left, y up, z out of the face (A)")
        self.axes_box.setChecked(True)
        self.axes_box.toggled.connect(self._show_axes)
        self.help_button = QPushButton("?")
        self.help_button.setToolTip("Keys (?)")
        self.help_button.setFixedWidth(self.help_button.sizeHint().height() + 8)
        self.help_button.clicked.connect(self.show_help)
        for widget in (*self.view_buttons.values(), self.reset_button, self.colouring_box, self.axes_box):
            widget.setFocusPolicy(Qt.NoFocus)
        self.help_button.setFocusPolicy(Qt.NoFocus)
        for button in self.view_buttons.values():
            row.addWidget(button)
        row.addWidget(self.reset_button)
        row.addSpacing(12)
        row.addWidget(self.colouring_box)
        row.addWidget(self.axes_box)
        row.addStretch(1)
        row.addWidget(self.help_button)
        return row

    def _arrange(self, controls):
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(8, 8, 8, 4)
        column.addLayout(controls)
        column.addWidget(self.heading)
        column.addWidget(self.large, 5)
        column.addWidget(self.legend)
        faces = QHBoxLayout()
        faces.setSpacing(4)
        for face in self.small_faces:
            faces.addWidget(face)
        column.addLayout(faces, 1)

        left = QWidget()
        list_column = QVBoxLayout(left)
        list_column.setContentsMargins(8, 8, 0, 4)
        count = len(self.state.subjects)
        list_column.addWidget(QLabel("1 subject" if count == 1 else f"{count} subjects"))
        list_column.addWidget(self.subject_list)

        splitter = QSplitter()
        splitter.addWidget(left)
        splitter.addWidget(right)
        splitter.setStretchFactor(1, 1)
        list_width = min(280, max(150, self.subject_list.sizeHintForColumn(0) + 40))
        splitter.setSizes([list_width, self.width() - list_width])
        splitter.setChildrenCollapsible(False)
        self.setCentralWidget(splitter)

    def _make_shortcuts(self):
        def on(keys, action):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.activated.connect(action)

        on(Qt.Key_Left, lambda: self.step_emotion(-1))
        on(Qt.Key_Right, lambda: self.step_emotion(1))
        on(Qt.Key_Up, lambda: self.step_subject(-1))
        on(Qt.Key_Down, lambda: self.step_subject(1))
        for label in range(NUM_CLASSES):
            on(str(label), lambda label=label: self.choose_emotion(label))
        for name in STANDARD_VIEWS:
            on(name[0], lambda name=name: self.look(name))
        on("R", self.reset)
        on(
            "C",
            lambda: self.choose_colouring(COLOURINGS[(COLOURINGS.index(self.state.colouring) + 1) % len(COLOURINGS)]),
        )
        on("A", self.axes_box.toggle)
        for keys, factor in (("+", 1.25), ("=", 1.25), ("-", 1 / 1.25)):
            on(keys, lambda factor=factor: self.magnify(factor))
        on("?", self.show_help)
        on(QKeySequence.Quit, self.close)
        on("Ctrl+Q", self.close)

    # --- What the user does ------------------------------------------------------------------------------------------

    def choose_emotion(self, label):
        """Shows an emotion, if the subject has a cloud of it."""
        if label in self.state.labels:
            self.state.choose_emotion(label)
        self.show_state()

    def step_emotion(self, step):
        """Shows the next emotion (1) or the one before (-1)."""
        self.state.step_emotion(step)
        self.show_state()

    def step_subject(self, step):
        """Shows the next subject (1) or the one before (-1)."""
        self.state.step_subject(step)
        self.show_state()

    def _subject_clicked(self, row):
        if row >= 0 and row != self.state.subject:
            self.state.step_subject(row - self.state.subject)
            self.show_state()

    def choose_colouring(self, name):
        """Colours the points by one of `COLOURINGS`."""
        self.state.choose_colouring(name)
        self.show_state()

    def next_colouring(self):
        """Goes on to the next of `COLOURINGS`."""
        self.choose_colouring(COLOURINGS[(COLOURINGS.index(self.state.colouring) + 1) % len(COLOURINGS)])

    def look(self, view):
        """Looks from one of `STANDARD_VIEWS`."""
        self.state.camera.look(view)
        self.show_camera()

    def reset(self):
        """Looks from the front at the whole face."""
        self.state.camera.reset()
        self.show_camera()

    def magnify(self, factor):
        """Comes closer by a factor."""
        self.state.camera.magnify(factor)
        self.show_camera()

    def _show_axes(self, wanted):
        self.large.overlay.show_axes = wanted
        self.large.overlay.update()

    def show_help(self):
        """Lists the keys in a small window."""
        rows = "".join(f"<tr><td><b>{keys}</b>&nbsp;&nbsp;&nbsp;</td><td>{does}</td></tr>" for keys, does in KEYS)
        self.help = QMessageBox(self)
        self.help.setWindowTitle("Keys and mouse")
        self.help.setTextFormat(Qt.RichText)
        self.help.setText(f"<p>Drag the large face to turn it, use the wheel to come closer.</p><table>{rows}</table>")
        self.help.setAttribute(Qt.WA_DeleteOnClose)
        self.help.open()

    # --- What the window shows ---------------------------------------------------------------------------------------

    def show_state(self):
        """Shows what the state says, everywhere."""
        self.subject_list.blockSignals(True)
        self.subject_list.setCurrentRow(self.state.subject)
        self.subject_list.blockSignals(False)
        self.colouring_box.blockSignals(True)
        self.colouring_box.setCurrentText(self.state.colouring)
        self.colouring_box.blockSignals(False)
        for face in self.small_faces:
            face.setChecked(face.label == self.state.label)
            face.setEnabled(face.label in self.state.labels)
        self.heading.setText(self.state.expected)
        self.status.setText(self.state.status + ("" if self.with_opengl else "  ·  drawn without OpenGL"))
        self.legend.update()
        self.show_camera()

    def show_camera(self):
        """Shows all faces from where the camera is."""
        self.large.show_state()
        for face in self.small_faces:
            face.update()

    def changeEvent(self, event):
        """Follows the desktop from light to dark."""
        super().changeEvent(event)
        if event.type() == QEvent.PaletteChange and hasattr(self, "subject_list"):
            self.show_state()


def _large_view(state, with_opengl):
    if not with_opengl:
        return PaintedView(state)
    from expressions.viewer.opengl_view import OpenGLView

    return OpenGLView(state)
