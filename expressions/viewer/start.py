"""Opens the viewer, or says in three lines why not."""

import ctypes
import os
import sys
from pathlib import Path

from expressions.errors import DataError

DEBIAN_PACKAGES = (
    "libgl1 libgl1-mesa-dri libglx-mesa0 libegl1 libxkbcommon-x11-0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 "
    "libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libdbus-1-3 libfontconfig1 fonts-dejavu-core"
)
SCREENSHOT_SIZE = (1040, 780)


def open_viewer(arguments):
    """Opens a window, or writes a picture of it if `arguments.screenshot` is a path.

    Args:
        arguments: what `show_gui.py` was given: faces, subject, emotion, view, colour, screenshot, dark, no_opengl.

    Returns:
        int, the exit code: 0, or 2 if there is nothing to show; why is then on stderr, and in a dialog if there is
        a screen.
    """
    wants_window = arguments.screenshot is None
    try:
        if not wants_window:
            _check_picture_name(arguments.screenshot)
        state = _make_state(arguments)
    except (DataError, OSError) as error:
        print(error, file=sys.stderr)
        if wants_window and _why_no_screen() is None:
            _show_error(error)
        return 2

    no_screen = _why_no_screen()
    if no_screen is not None and wants_window:
        print(no_screen, file=sys.stderr)
        return 2
    try:
        application = _application(without_screen=no_screen is not None, dark=arguments.dark)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2

    no_opengl = "you asked for it" if arguments.no_opengl else _why_no_opengl(application)
    remark = f"Drawn without OpenGL, which looks the same, because {no_opengl}." if no_opengl else ""
    if remark:
        print(remark, file=sys.stderr)

    from expressions.viewer.window import ViewerWindow

    window = ViewerWindow(state, with_opengl=not no_opengl, remark=remark)
    if not wants_window:
        return _save_screenshot(application, window, Path(arguments.screenshot))
    window.show()
    return application.exec_()


def _make_state(arguments):
    """Loads the clouds and chooses what the arguments say."""
    from expressions.datasets import find_faces
    from expressions.point_clouds import load_point_clouds
    from expressions.viewer.state import ViewerState

    path, description = find_faces(arguments.faces)
    state = ViewerState(load_point_clouds(path), description)
    if arguments.subject is not None:
        state.choose_subject(arguments.subject)
    if arguments.emotion is not None:
        state.choose_emotion(arguments.emotion)
    state.choose_colouring(arguments.colour)
    state.camera.look(arguments.view)
    return state


def _check_picture_name(path):
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise DataError(f"The picture {path} does not end in .png.", "a name that ends in .png", "face.png")
    if not path.parent.is_dir():
        raise DataError(f"There is no folder {path.parent}.", "a folder that exists", "make it, or choose another")


def _application(without_screen, dark):
    if without_screen:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        # This platform warns of window managers, which it has none of.
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
    try:
        from PyQt5.QtGui import QColor, QPalette
        from PyQt5.QtWidgets import QApplication
    except ImportError as error:
        raise DataError(
            f"The window needs PyQt5, and that cannot be loaded: {error}.",
            "PyQt5 and the libraries that it uses",
            f"pip install -r requirements.txt; on Debian and Ubuntu also: apt install {DEBIAN_PACKAGES}",
        ) from None

    application = QApplication.instance() or QApplication(["show_gui.py"])
    if dark:
        application.setStyle("Fusion")
        palette = QPalette(QColor(45, 48, 54), QColor(32, 34, 39))
        palette.setColor(QPalette.Base, QColor(24, 26, 31))
        palette.setColor(QPalette.Highlight, QColor(86, 156, 240))
        palette.setColor(QPalette.HighlightedText, QColor(10, 12, 16))
        application.setPalette(palette)
    return application


def _why_no_screen():
    """Returns `None` if Qt will find a screen, else the sentence; Qt itself would abort the process."""
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM", "xcb").split(":")[0] != "xcb":
        return None
    if os.environ.get("WAYLAND_DISPLAY") and not os.environ.get("DISPLAY"):
        return None
    wanted = "a desktop, or an X server that programs may use"
    try_ = (
        "run it on your own computer; --screenshot face.png needs no screen; on a server: xvfb-run python show_gui.py"
    )
    name = os.environ.get("DISPLAY", "")
    if not name:
        return str(DataError("There is no screen: DISPLAY is not set.", wanted, try_))
    problem = _why_no_qt_plugin()
    if problem is not None:
        libraries = f"apt install {DEBIAN_PACKAGES} (Debian, Ubuntu)"
        return str(DataError(f"Qt cannot open a window here: {problem}.", "the libraries that it uses", libraries))
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return None
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    # A connection that works stays open until Qt has its own: an X server whose last client leaves may start anew, as
    # Xvfb does, and refuses others meanwhile.
    if xcb.xcb_connection_has_error(connection):
        xcb.xcb_disconnect(connection)
        return str(DataError(f"The screen {name} (from DISPLAY) does not answer.", wanted, try_))
    return None


def _why_no_qt_plugin():
    """Returns `None`, or which library is missing for windows on X11."""
    try:
        import PyQt5.QtWidgets  # noqa: F401
        from PyQt5.QtCore import QLibraryInfo

        # The plugin finds the libraries of Qt that the imports above have loaded.
        plugin = Path(QLibraryInfo.location(QLibraryInfo.PluginsPath)) / "platforms" / "libqxcb.so"
        if plugin.exists():
            ctypes.CDLL(str(plugin))
    except (ImportError, OSError) as error:
        return str(error)
    return None


def _why_no_opengl(application):
    """Returns `None` if pyqtgraph can draw with OpenGL here, else the end of a sentence that begins with "because"."""
    from PyQt5.QtGui import QOffscreenSurface, QOpenGLContext

    # Qt's platforms without a screen crash in OpenGL instead of saying that they have none.
    if application.platformName() in ("offscreen", "minimal"):
        return "there is no screen"
    # On a Wayland desktop where Qt speaks X11, PyOpenGL would look for Qt's context in EGL, and draw nothing.
    if application.platformName() == "xcb" and "QT_XCB_GL_INTEGRATION" not in os.environ:
        os.environ.setdefault("PYOPENGL_PLATFORM", "linux")
    try:
        import pyqtgraph.opengl  # noqa: F401
        from OpenGL.platform import GetCurrentContext
    except Exception as error:  # PyOpenGL raises whatever its search for a library meets
        return f"pyqtgraph.opengl cannot be loaded ({error})"
    context, surface = QOpenGLContext(), QOffscreenSurface()
    surface.create()
    if not (context.create() and surface.isValid() and context.makeCurrent(surface)):
        return "this screen has none"
    version, found = context.format().version(), bool(GetCurrentContext())
    context.doneCurrent()
    if not found:
        return "PyOpenGL does not find the OpenGL of this window (PYOPENGL_PLATFORM says where it looks)"
    if version < (2, 1):
        return f"this screen has version {version[0]}.{version[1]} and 2.1 is needed"
    return None


def _show_error(error):
    """Shows in a dialog what happened, what was wanted and what to try."""
    try:
        application = _application(without_screen=False, dark=False)
    except DataError as problem:
        print(problem, file=sys.stderr)
        return
    from PyQt5.QtWidgets import QMessageBox

    box = QMessageBox(QMessageBox.Critical, "Expressions in 3-D", getattr(error, "what", str(error)))
    if isinstance(error, DataError):
        box.setInformativeText(f"Wanted: {error.wanted}\n\nTry: {error.try_}")
    box.exec_()
    application.processEvents()


def _save_screenshot(application, window, path):
    from PyQt5.QtCore import Qt

    window.setAttribute(Qt.WA_DontShowOnScreen)
    window.resize(*SCREENSHOT_SIZE)
    window.show()
    application.processEvents()
    saved = window.grab().save(str(path), "PNG")
    window.close()
    if not saved:
        print(DataError(f"{path} cannot be written.", "a place where you may write", "another path"), file=sys.stderr)
        return 2
    print(f"{path}: {window.status.text()}")
    return 0
