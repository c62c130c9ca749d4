"""The point-cloud viewer: its state alone, then the window on a virtual screen, in processes of their own."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from expressions.errors import DataError
from expressions.labels import NEUTRAL
from expressions.point_clouds import PointClouds, load_point_clouds, save_point_clouds
from expressions.viewer.camera import Bounds, Camera
from expressions.viewer.colours import BACKGROUND_DARK, BACKGROUND_LIGHT, background, colours_of
from expressions.viewer.drawing import draw_points
from expressions.viewer.state import COLOURINGS, DEPTH, DISPLACEMENT, HEIGHT, ViewerState

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_SCREEN = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "QT_QPA_PLATFORM": None}


# --- State, camera, colours and drawing: no Qt -----------------------------------------------------------------------


def two_people(without=()):
    """Anna and Bert, four points each; each emotion moves the tip of the nose by its label in mm."""
    rows, labels, ids = [], [], []
    for number, name in enumerate(("anna", "bert")):
        for label in range(7):
            if (name, label) in without:
                continue
            cloud = np.array([[0, 0, 0.05], [0.05, 0, 0], [-0.05, 0, 0], [0, 0.1 + 0.01 * number, -0.02]], np.float32)
            cloud[0, 2] += 0 if label == NEUTRAL else 0.001 * (label + 1)
            rows.append(cloud)
            labels.append(label)
            ids.append(name)
    return PointClouds(np.stack(rows), np.array(labels, np.uint8), np.array(ids))


def test_it_opens_on_the_first_subjects_neutral_face_from_the_front():
    state = ViewerState(two_people(), "Data: the synthetic class")
    assert (state.subject, state.emotion, state.colouring) == (0, "Neutral", DEPTH)
    assert (state.camera.turn, state.camera.tilt, state.camera.zoom) == (0, 0, 1)
    assert state.title == "Expressions in 3-D · the synthetic class"
    assert state.status == "Subject anna (1 of 2)  ·  6 Neutral  ·  4 points"


def test_stepping_goes_round_and_keeps_the_emotion():
    state = ViewerState(two_people())
    state.step_emotion(1)
    assert state.emotion == "Angry"
    state.step_emotion(-2)
    assert state.emotion == "Surprise"
    state.step_subject(-1)
    assert (state.subjects[state.subject], state.emotion) == ("bert", "Surprise")
    state.step_subject(1)
    assert state.subjects[state.subject] == "anna"


def test_a_missing_emotion_is_stepped_over_and_never_shown():
    state = ViewerState(two_people(without=[("bert", 6), ("bert", 0)]))
    state.step_subject(1)
    assert (state.emotion, state.labels) == ("Surprise", [1, 2, 3, 4, 5])
    state.step_emotion(1)
    assert state.emotion == "Disgust"
    assert state.points(0) is None
    with pytest.raises(DataError, match="bert has no Angry cloud"):
        state.choose_emotion("angry")


def test_points_are_those_of_the_chosen_subject_and_emotion_whatever_the_order_of_the_rows():
    clouds = two_people()
    shuffled = clouds.select(np.random.default_rng(0).permutation(14))
    state = ViewerState(shuffled)
    state.choose_subject("bert")
    state.choose_emotion("fear")
    assert np.array_equal(state.points(), clouds.points[9])


def test_of_two_clouds_of_one_emotion_the_status_says_that_it_is_the_first():
    clouds = two_people()
    twice = clouds.select(np.r_[np.arange(14), 3])
    state = ViewerState(twice)
    state.choose_emotion("happy")
    assert "3 Happy (the first of 2)" in state.status


@pytest.mark.parametrize(("wanted", "subject"), [("bert", 1), ("2", 1), (1, 0), (" anna ", 0)])
def test_a_subject_is_chosen_by_number_or_id(wanted, subject):
    state = ViewerState(two_people())
    state.choose_subject(wanted)
    assert state.subject == subject


@pytest.mark.parametrize("wanted", ["0", "3", "carl", "-1", ""])
def test_a_subject_that_is_not_there_is_named(wanted):
    with pytest.raises(DataError, match=f"no subject '{wanted}'.*\n.*1 to 2.*anna"):
        ViewerState(two_people()).choose_subject(wanted)


@pytest.mark.parametrize(("wanted", "emotion"), [("happy", "Happy"), ("JOY", "Happy"), (4, "Sad"), ("5", "Surprise")])
def test_an_emotion_is_chosen_by_any_spelling_or_label(wanted, emotion):
    state = ViewerState(two_people())
    state.choose_emotion(wanted)
    assert state.emotion == emotion


@pytest.mark.parametrize("wanted", ["bored", "7", ""])
def test_an_emotion_that_is_none_is_refused_with_the_seven_names(wanted):
    with pytest.raises(DataError, match=f"'{wanted}' is no emotion(.|\n)*Angry, Disgust"):
        ViewerState(two_people()).choose_emotion(wanted)


def test_displacement_is_measured_in_millimetres_from_the_subjects_own_neutral():
    state = ViewerState(two_people())
    state.choose_subject("bert")
    state.choose_emotion("happy")
    state.choose_colouring(DISPLACEMENT)
    assert state.values() == pytest.approx([4, 0, 0, 0], abs=1e-4)
    assert "2.00 mm from neutral" in state.status  # √(4² / 4)
    state.choose_emotion("neutral")
    assert state.values() == pytest.approx([0, 0, 0, 0])


def test_without_a_neutral_face_there_is_no_displacement_and_the_legend_says_why():
    state = ViewerState(two_people(without=[("anna", 6)]))
    state.choose_colouring(DISPLACEMENT)
    assert state.values() is None
    assert "no neutral face" in state.legend and "from neutral" not in state.status


def test_depth_and_height_are_z_and_y_in_millimetres_on_one_scale_for_all_faces():
    state = ViewerState(two_people())
    assert state.values() == pytest.approx([50, 0, 0, -20])
    before = state.value_range
    state.step_subject(1)
    assert state.value_range == before
    state.choose_colouring(HEIGHT)
    assert state.values() == pytest.approx([0, 0, 0, 110])
    with pytest.raises(ValueError, match="no colouring"):
        state.choose_colouring("rainbow")


def test_expected_action_units_are_those_of_emfacs():
    state = ViewerState(two_people())
    state.choose_emotion("happy")
    assert state.expected == "Happy by EMFACS: cheek raiser (6), lip corner puller (12)"


def test_a_file_without_clouds_is_refused():
    empty = PointClouds(np.zeros((0, 4, 3), np.float32), np.zeros(0, np.uint8), np.zeros(0, str))
    with pytest.raises(DataError, match="no point cloud"):
        ViewerState(empty)


AXIS_ENDS = np.concatenate([np.eye(3), -np.eye(3)]) * 0.1


@pytest.mark.parametrize(("view", "right", "up"), [("front", "+x", "+y"), ("left", "-z", "+y"), ("top", "+x", "-z")])
def test_standard_views_are_upright_and_not_mirrored(view, right, up):
    camera, bounds = Camera(), Bounds(AXIS_ENDS[None])
    camera.look(view)
    placed = camera.project(AXIS_ENDS, bounds, 200, 200)
    names = ("+x", "+y", "+z", "-x", "-y", "-z")
    assert names[placed[:, 0].argmax()] == right
    assert names[placed[:, 1].argmin()] == up  # rows count from the top


def test_in_front_the_tip_of_the_nose_is_nearest():
    placed = Camera().project(AXIS_ENDS, Bounds(AXIS_ENDS[None]), 200, 200)
    assert placed[:, 2].argmax() == 2


def test_turning_to_the_left_by_drags_is_the_left_view():
    dragged, standard = Camera(), Camera()
    for _ in range(45):
        dragged.rotate(2, 0)
    standard.look("left")
    assert np.allclose(dragged.axes, standard.axes)


def test_turns_come_round_tilt_stops_at_the_top_and_axes_stay_at_right_angles():
    camera = Camera()
    camera.rotate(190, 100)
    assert (camera.turn, camera.tilt) == (-170, 90)
    camera.rotate(20, -63)
    assert np.allclose(camera.axes @ camera.axes.T, np.eye(3))
    assert np.linalg.det(camera.axes) == pytest.approx(1)
    camera.magnify(1e9)
    assert camera.zoom == 10
    camera.reset()
    assert (camera.turn, camera.tilt, camera.zoom) == (0, 0, 1)
    with pytest.raises(ValueError, match="no view"):
        camera.look("behind")


@pytest.mark.parametrize("dark", [True, False])
def test_colours_get_steadily_lighter_so_that_they_work_for_all_eyes_and_in_grey(dark):
    grey = colours_of(np.linspace(0, 1, 50), 0, 1, dark) @ [0.299, 0.587, 0.114]
    assert (np.diff(grey) > 0).all()
    assert abs(grey - np.array(background(dark)) @ [0.299, 0.587, 0.114]).min() > 30


def test_values_beyond_the_scale_get_its_last_colours():
    colours = colours_of([-5, 0, 1, 9], 0, 1, dark=False)
    assert np.array_equal(colours[0], colours[1]) and np.array_equal(colours[2], colours[3])


def test_the_nearer_point_covers_the_farther_one_whatever_their_order():
    points = np.array([[0, 0, 0.1], [0, 0, -0.1], [0, 0.1, 0]])
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    for order in ([0, 1, 2], [1, 0, 2]):
        bounds = Bounds([[[0.1, 0.1, 0.1], [-0.1, -0.1, -0.1]]])
        picture = draw_points(points[order], colours[order], Camera(), bounds, 101, 101, (0, 0, 0))
        assert picture.shape == (101, 101)
        assert picture[50, 50] == 0xFFFF0000
        assert picture[:50][picture[:50] == 0xFF0000FF].size > 0  # y is up


def test_points_outside_the_picture_and_behind_the_camera_leave_no_trace():
    points = np.array([[9, 0, 0], [0, -9, 0], [0, 0, 99], [0, 0, 0]], np.float32)
    bounds = Bounds([[[0.1, 0.1, 0.1], [-0.1, -0.1, -0.1]]])
    picture = draw_points(points, np.full((4, 3), 255, np.uint8), Camera(), bounds, 60, 40, (0, 0, 0))
    assert (picture[[0, -1]] == 0xFF000000).all() and (picture[:, [0, -1]] == 0xFF000000).all()
    assert picture[20, 30] == 0xFFFFFFFF


# --- The program -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faces_npz(tmp_path_factory):
    from expressions.synthetic import make_clouds

    path = tmp_path_factory.mktemp("faces") / "faces.npz"
    save_point_clouds(path, make_clouds(2, seed=5))
    return path


@pytest.fixture(scope="module")
def screen():
    """Environment of a virtual screen of its own, with OpenGL in software."""
    if shutil.which("Xvfb") is None:
        message = "Xvfb is not installed (Debian: apt install xvfb), so no window can be tested"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1400x1000x24", "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as answer:
        number = answer.readline().strip()
    if not number:
        server.wait(10)
        pytest.fail(f"Xvfb started no screen; it ended with code {server.returncode}")
    yield {"DISPLAY": f":{number}", "WAYLAND_DISPLAY": None, "QT_QPA_PLATFORM": None, "LIBGL_ALWAYS_SOFTWARE": "1"}
    server.terminate()
    server.wait(10)


def run(command, environment, timeout=60):
    """Runs Python with variables set, or unset where they are None."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "QT_ACCESSIBILITY": "0", **environment}
    variables = {name: value for name, value in variables.items() if value is not None}
    command = [sys.executable, *map(str, command)]
    return subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, timeout=timeout)


def show_gui(*arguments, environment=WITHOUT_SCREEN):
    return run(["show_gui.py", *arguments], environment)


def face_pixels(path, colour):
    """Which pixels of the large face are not background: bool `(height, width)`."""
    picture = np.asarray(Image.open(path).convert("RGB"))[100:560, 320:880].astype(int)
    return abs(picture - colour).max(axis=2) > 24


def test_help_is_shown_without_qt_opengl_or_numpy():
    program = (
        "import sys; sys.argv = ['show_gui.py', '--help']\n"
        "import runpy\n"
        "try: runpy.run_path('show_gui.py', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print([name for name in ('PyQt5', 'pyqtgraph', 'OpenGL', 'numpy') if name in sys.modules])"
    )
    done = run(["-c", program], WITHOUT_SCREEN)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    assert "--screenshot" in done.stdout


def test_a_screenshot_needs_no_screen_and_the_face_is_on_it(faces_npz, tmp_path):
    done = show_gui("--faces", faces_npz, "--subject", 2, "--emotion", "joy", "--screenshot", tmp_path / "face.png")
    assert done.returncode == 0, done.stderr
    assert "synthetic-2 (2 of 2)" in done.stdout and "3 Happy" in done.stdout and "1220 points" in done.stdout
    assert "Traceback" not in done.stderr
    share = face_pixels(tmp_path / "face.png", BACKGROUND_LIGHT).mean()
    assert 0.1 < share < 0.8


@pytest.mark.parametrize("wayland", [None, "wayland-0"])
def test_opengl_draws_the_same_face_at_the_same_place_as_numpy(faces_npz, tmp_path, screen, wayland):
    """Also on a Wayland desktop, where Qt speaks X11 and PyOpenGL would choose EGL."""
    seen = {}
    for name, extra in (("opengl", []), ("numpy", ["--no-opengl"])):
        picture = tmp_path / f"{name}.png"
        arguments = ["--faces", faces_npz, "--view", "left", "--dark", "--screenshot", picture, *extra]
        done = show_gui(*arguments, environment={**screen, "WAYLAND_DISPLAY": wayland})
        assert done.returncode == 0, done.stderr
        assert ("without OpenGL" in done.stdout) == (name == "numpy")
        seen[name] = face_pixels(picture, BACKGROUND_DARK)
    both, either = (seen["opengl"] & seen["numpy"]).sum(), (seen["opengl"] | seen["numpy"]).sum()
    assert either > 10_000
    assert both / either > 0.8


def test_opengl_and_numpy_agree_from_aside_and_from_near_too(faces_npz, screen):
    both, either = drive("look_from_aside", faces_npz, screen)
    assert either > 10_000
    assert both / either > 0.8


def test_another_view_and_another_colouring_change_the_picture(faces_npz, tmp_path):
    pictures = []
    for number, extra in enumerate(([], ["--view", "top"], ["--colour", "neutral"])):
        path = tmp_path / f"{number}.png"
        done = show_gui("--faces", faces_npz, "--emotion", "fear", "--screenshot", path, *extra)
        assert done.returncode == 0, done.stderr
        pictures.append(np.asarray(Image.open(path).convert("RGB"))[100:560, 320:880].astype(int))
    assert (abs(pictures[1] - pictures[0]).max(axis=2) > 24).mean() > 0.1
    assert (abs(pictures[2] - pictures[0]).max(axis=2) > 24).mean() > 0.1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--faces", "{tmp}/none.py"], "There is no"),
        (["--faces", "{tmp}/broken.py"], "line 1"),
        (["--faces", "{faces}", "--subject", "99"], "no subject '99'"),
        (["--faces", "{faces}", "--emotion", "bored"], "'bored' is no emotion"),
        (["--faces", "{faces}", "--screenshot", "{tmp}/face.jpg"], "does not end in .png"),
        (["--faces", "{faces}", "--screenshot", "{tmp}/nowhere/face.png"], "There is no folder"),
    ],
)
def test_what_cannot_be_shown_is_said_in_three_lines_with_exit_code_2(arguments, sentence, faces_npz, tmp_path):
    (tmp_path / "broken.py").write_text("face_samples = {'anna': {'happy': {'x': [1, 2")
    arguments = [argument.format(tmp=tmp_path, faces=faces_npz) for argument in arguments]
    if "--screenshot" not in arguments:
        arguments += ["--screenshot", str(tmp_path / "face.png")]
    done = show_gui(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr and "Wanted" in done.stderr and "Try" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize(("display", "sentence"), [("", "DISPLAY is not set"), (":4093", "does not answer")])
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only X11 can be without a screen")
def test_without_a_screen_a_sentence_says_so(faces_npz, display, sentence):
    done = show_gui("--faces", faces_npz, environment={**WITHOUT_SCREEN, "DISPLAY": display})
    assert done.returncode == 2
    assert sentence in done.stderr and "--screenshot" in done.stderr and "Traceback" not in done.stderr


# --- The window, driven in a process of its own: a crash of OpenGL is then one failed test ----------------------------


def drive(scenario, faces, environment, *extra):
    """Runs one of the scenarios below in a process of its own; returns what it printed as JSON."""
    done = run([__file__, scenario, faces, *extra], environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "Error while drawing" not in done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module", params=["opengl", "numpy"])
def controls(request, faces_npz, screen):
    """What every control did, with OpenGL and without."""
    return request.param, drive("use_every_control", faces_npz, screen, request.param)


def test_the_window_has_opengl_if_the_screen_has(controls):
    kind, did = controls
    assert did["view"] == {"opengl": "OpenGLView", "numpy": "PaintedView"}[kind]
    assert did["title"].startswith("Expressions in 3-D · ") and did["title"].endswith("faces.npz")


def test_left_and_right_change_the_emotion(controls):
    assert controls[1]["right"] == ["synthetic-1", "Angry"]
    assert controls[1]["left"] == ["synthetic-1", "Surprise"]


def test_up_and_down_change_the_subject_even_when_the_list_has_the_focus(controls):
    assert controls[1]["down"] == ["synthetic-2", "Surprise", 1]
    assert controls[1]["up"] == ["synthetic-1", "Surprise", 0]


def test_a_digit_and_a_click_on_a_small_face_choose_the_emotion(controls):
    assert controls[1]["digit"] == "Happy"
    assert controls[1]["small face"] == ["Fear", [2], "Fear by EMFACS"]


def test_a_click_in_the_list_chooses_the_subject(controls):
    assert controls[1]["list"][0] == "synthetic-2"
    assert "Subject synthetic-2 (2 of 2)" in controls[1]["list"][1]


def test_the_colouring_box_and_its_key_change_colours_legend_and_picture(controls):
    assert controls[1]["colouring box"][0] == DISPLACEMENT and "neutral face" in controls[1]["colouring box"][1]
    assert controls[1]["colouring box"][2] > 0.05
    assert controls[1]["colouring key"] == [DEPTH, DEPTH]


@pytest.mark.parametrize(("way", "place"), [("Left", [90, 0]), ("Top", [0, 90]), ("Front", [0, 0])])
def test_standard_views_have_a_button_and_a_key(controls, way, place):
    assert controls[1][f"{way} button"] == place
    assert controls[1][f"{way} key"] == place


def test_dragging_turns_all_faces_and_changes_the_picture(controls):
    turn, tilt, large, small, repainted = controls[1]["drag"]
    assert turn == pytest.approx(-40) and tilt == pytest.approx(16)
    assert large > 0.1 and small > 0.05
    assert all(repainted)


def test_the_wheel_and_plus_and_minus_zoom(controls):
    assert controls[1]["wheel"] > 1
    assert controls[1]["plus"] > 1 and controls[1]["minus"] == pytest.approx(1)


def test_reset_goes_back_by_button_and_key(controls):
    assert controls[1]["reset button"] == [0, 0, 1]
    assert controls[1]["reset key"] == [0, 0, 1]


def test_axes_can_be_switched_off_by_box_and_key(controls):
    assert controls[1]["axes"] == [True, False, True]
    assert controls[1]["axes pixels"] > 100


def test_the_question_mark_lists_the_keys(controls):
    assert "the emotion before" in controls[1]["help key"]
    assert "the emotion before" in controls[1]["help button"]


def test_the_program_opens_its_window_and_ends_when_that_is_closed(faces_npz, screen):
    did = drive("open_and_close", faces_npz, screen)
    assert did == {"code": 0, "visible": True, "view": "OpenGLView", "face": "synthetic-2, Sad"}


def test_a_broken_file_gives_a_dialog_with_what_wanted_and_try(screen, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("print('hello')")
    did = drive("open_a_broken_file", broken, screen)
    assert did["code"] == 2
    assert "broken.py, line 1" in did["text"] and did["more"].startswith("Wanted: ") and "Try: " in did["more"]


def test_the_real_clouds_can_be_looked_at(real_data, tmp_path):
    faces = real_data / "iPhoneX" / "faces.py"
    clouds = load_point_clouds(faces)
    done = show_gui(
        "--faces", faces, "--emotion", "surprise", "--colour", "neutral", "--screenshot", tmp_path / "a.png"
    )
    assert done.returncode == 0, done.stderr
    assert f"of {len(set(clouds.subject_ids))})" in done.stdout and "mm from neutral" in done.stdout
    assert face_pixels(tmp_path / "a.png", BACKGROUND_LIGHT).mean() > 0.1


# --- Scenarios: these run in the child -------------------------------------------------------------------------------


def show_window(faces, kind):
    """Shows the viewer's window with OpenGL or without; returns the application and the window."""
    from PyQt5.QtTest import QTest

    from expressions.viewer.start import _application, _make_state, _why_no_opengl
    from expressions.viewer.window import ViewerWindow

    application = _application(without_screen=False, dark=False)
    assert _why_no_opengl(application) is None
    options = SimpleNamespace(faces=faces, subject=None, emotion=None, colour=DEPTH, view="front")
    window = ViewerWindow(_make_state(options), with_opengl=kind == "opengl")
    window.show()
    window.activateWindow()
    assert QTest.qWaitForWindowExposed(window)
    QTest.qWait(50)
    return application, window


def grab(window, widget):
    """Returns what a widget looks like in its window: int `(height, width, 3)`."""
    from PyQt5.QtCore import QPoint

    image = window.grab(widget.geometry().translated(widget.parent().mapTo(window, QPoint()))).toImage()
    image = image.convertToFormat(image.Format_RGB32)
    data = image.constBits().asarray(image.byteCount())
    return np.frombuffer(data, np.uint8).reshape(image.height(), image.width(), 4)[:, :, :3].astype(int)


def look_from_aside(faces):
    """Looks at a face from the right and above, with OpenGL and without; returns how much the two have in common."""
    seen = []
    for kind in ("opengl", "numpy"):
        application, window = show_window(faces, kind)
        window.state.camera.rotate(-35, 20)
        window.state.camera.magnify(1.3)
        window.show_camera()
        application.processEvents()
        picture = grab(window, window.large)
        seen.append(abs(picture - picture[3, 3]).max(axis=2) > 24)
        window.close()
    return [int((seen[0] & seen[1]).sum()), int((seen[0] | seen[1]).sum())]


def use_every_control(faces, kind):
    """Uses each control as a user would; returns what the window then says."""
    from PyQt5.QtCore import QEvent, QObject, QPoint, QPointF, Qt
    from PyQt5.QtGui import QMouseEvent, QWheelEvent
    from PyQt5.QtTest import QTest

    class PaintCounter(QObject):
        """Counts how often a widget was asked to paint itself."""

        def __init__(self, widget):
            super().__init__(widget)
            self.count = 0
            widget.installEventFilter(self)

        def eventFilter(self, _widget, event):
            self.count += event.type() == QEvent.Paint
            return False

    application, window = show_window(faces, kind)
    state, camera, did = window.state, window.state.camera, {}

    def key(which):
        (QTest.keyClick if isinstance(which, int) else QTest.keyClicks)(window.focusWidget() or window, which)
        application.processEvents()

    def click(widget, position=None):
        QTest.mouseClick(widget, Qt.LeftButton, Qt.NoModifier, position or QPoint())
        application.processEvents()

    def pixels(widget):
        return grab(window, widget)

    def changed(before, after):
        return float((abs(after - before).max(axis=2) > 24).mean())

    def subject():
        return state.subjects[state.subject]

    def help_text():
        text = window.help.text()
        window.help.close()
        application.processEvents()
        return text

    did["view"], did["title"] = type(window.large).__name__, window.windowTitle()
    key(Qt.Key_Right)
    did["right"] = [subject(), state.emotion]
    key(Qt.Key_Left)
    key(Qt.Key_Left)
    did["left"] = [subject(), state.emotion]
    window.subject_list.setFocus()
    key(Qt.Key_Down)
    did["down"] = [subject(), state.emotion, window.subject_list.currentRow()]
    key(Qt.Key_Up)
    did["up"] = [subject(), state.emotion, window.subject_list.currentRow()]
    key("3")
    did["digit"] = state.emotion
    click(window.small_faces[2])
    checked = [face.label for face in window.small_faces if face.isChecked()]
    did["small face"] = [state.emotion, checked, window.heading.text().split(":")[0]]
    item = window.subject_list.visualItemRect(window.subject_list.item(1)).center()
    click(window.subject_list.viewport(), item)
    did["list"] = [subject(), window.status.text()]

    before = pixels(window.large)
    window.colouring_box.setCurrentText(DISPLACEMENT)
    application.processEvents()
    did["colouring box"] = [state.colouring, state.legend, changed(before, pixels(window.large))]
    key("c")
    did["colouring key"] = [state.colouring, window.colouring_box.currentText()]

    for name in ("Left", "Top", "Front"):
        click(window.view_buttons[name])
        did[f"{name} button"] = [camera.turn, camera.tilt]
    for name in ("Left", "Top", "Front"):
        key(name[0].lower())
        did[f"{name} key"] = [camera.turn, camera.tilt]

    large, small = pixels(window.large), pixels(window.small_faces[0])
    start = QPoint(200, 150)
    counters = [PaintCounter(widget) for widget in (window.large.overlay, *window.small_faces)]
    QTest.mousePress(window.large, Qt.LeftButton, Qt.NoModifier, start)
    for step in range(1, 11):
        place = QPointF(start + QPoint(10 * step, 4 * step))
        move = QMouseEvent(QEvent.MouseMove, place, Qt.NoButton, Qt.LeftButton, Qt.NoModifier)
        application.sendEvent(window.large, move)
        application.processEvents()
    QTest.mouseRelease(window.large, Qt.LeftButton, Qt.NoModifier, start + QPoint(100, 40))
    application.processEvents()
    repainted = [counter.count for counter in counters]
    turned = (changed(large, pixels(window.large)), changed(small, pixels(window.small_faces[0])))
    did["drag"] = [camera.turn, camera.tilt, *turned, repainted]
    click(window.reset_button)
    did["reset button"] = [camera.turn, camera.tilt, camera.zoom]

    place, there, turn = QPointF(200, 150), window.large.mapToGlobal(QPoint(200, 150)), QPoint(0, 120)
    wheel = QWheelEvent(place, there, QPoint(), turn, Qt.NoButton, Qt.NoModifier, Qt.NoScrollPhase, False)
    application.sendEvent(window.large, wheel)
    did["wheel"] = camera.zoom
    camera.rotate(30, 10)
    key("r")
    did["reset key"] = [camera.turn, camera.tilt, camera.zoom]
    key("+")
    did["plus"] = camera.zoom
    key("-")
    did["minus"] = camera.zoom

    shown = pixels(window.large)
    did["axes"] = [window.large.overlay.show_axes]
    key("a")
    did["axes"].append(window.large.overlay.show_axes)
    did["axes pixels"] = int((abs(pixels(window.large) - shown).max(axis=2) > 24).sum())
    click(window.axes_box, QPoint(8, window.axes_box.height() // 2))
    did["axes"].append(window.large.overlay.show_axes)

    key("?")
    did["help key"] = help_text()
    click(window.help_button)
    did["help button"] = help_text()
    window.close()
    return did


def open_and_close(faces):
    """Opens the viewer as the program does, looks at its window and closes it."""
    from PyQt5.QtCore import QTimer
    from PyQt5.QtWidgets import QApplication

    from expressions.viewer.start import open_viewer

    application, did = QApplication(["show_gui.py"]), {}

    def look():
        window = next((widget for widget in application.topLevelWidgets() if hasattr(widget, "small_faces")), None)
        if window is None or not window.isVisible():
            return
        state = window.state
        did.update(visible=True, view=type(window.large).__name__)
        did["face"] = f"{state.subjects[state.subject]}, {state.emotion}"
        window.close()

    timer = QTimer()
    timer.timeout.connect(look)
    timer.start(100)
    options = {"faces": faces, "subject": "2", "emotion": "sad", "view": "front", "colour": COLOURINGS[0]}
    did["code"] = open_viewer(SimpleNamespace(**options, screenshot=None, dark=False, no_opengl=False))
    return did


def open_a_broken_file(faces):
    """Opens the viewer on a broken file, reads the dialog and closes it."""
    from PyQt5.QtCore import QTimer
    from PyQt5.QtWidgets import QApplication

    from expressions.viewer.start import open_viewer

    application, did = QApplication(["show_gui.py"]), {}

    def read():
        box = application.activeModalWidget()
        did.update(text=box.text(), more=box.informativeText())
        box.close()

    QTimer.singleShot(300, read)
    options = {"faces": faces, "subject": None, "emotion": None, "view": "front", "colour": COLOURINGS[0]}
    did["code"] = open_viewer(SimpleNamespace(**options, screenshot=None, dark=False, no_opengl=False))
    return did


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "scenario", choices=("use_every_control", "look_from_aside", "open_and_close", "open_a_broken_file")
    )
    parser.add_argument("arguments", nargs="*")
    chosen = parser.parse_args()
    print(json.dumps(globals()[chosen.scenario](*chosen.arguments)))
