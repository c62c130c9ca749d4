"""How the synthetic faces look: legible on every skin, traits drawn apart, expressions that set in as they should."""

import csv

import numpy as np
import pytest

from expressions.labels import EMOTIONS
from expressions.synthetic.appearance import STYLE_NAMES, sample_appearance
from expressions.synthetic.calibration import (
    BLENDSHAPE_OF,
    apex_displacements,
    compare_action_units,
    displacement_table,
    feature_contrast,
)
from expressions.synthetic.emotions import sample_intensities
from expressions.synthetic.face import COLUMN_OF, NUM_UNITS, face_model
from expressions.synthetic.images import plan_images, render_images
from expressions.synthetic.portraits import HEIGHT, WIDTH, make_portrait, portrait_boxes
from expressions.synthetic.presets import ImageKnobs
from expressions.synthetic.render import expose
from expressions.synthetic.sheets import apex_images, apex_knobs, study_sheet, write_study
from expressions.synthetic.timing import APEX, expression_at, sample_timing

STILL = ImageKnobs(label_noise=0, accessories=0, blur=0, noise=0.01, pose=0)


# ---------------------------------------------------------------- traits


def test_no_trait_tells_the_colour_of_the_skin():
    look = sample_appearance(6000, np.random.default_rng(1))
    dark = look["tone"] > np.median(look["tone"])
    for name in ("hair_colour", "iris", "beard", "makeup", "glasses", "hat", "age", "brow_width", "flush"):
        values = np.asarray(look[name], float).reshape(6000, -1).mean(1)
        apart = abs(values[dark].mean() - values[~dark].mean())
        assert apart < 4 * values.std() * np.sqrt(4 / 6000), name
    for style in range(len(STYLE_NAMES)):
        assert (look["hair"][dark] == style).mean() == pytest.approx((look["hair"][~dark] == style).mean(), abs=0.03)


def test_beard_and_make_up_do_not_exclude_each_other():
    look = sample_appearance(4000, np.random.default_rng(2))
    both = ((look["beard"] > 0) & (look["makeup"] > 0)).mean()
    assert both == pytest.approx((look["beard"] > 0).mean() * (look["makeup"] > 0).mean(), abs=0.02)


def test_brows_and_mouth_stand_out_alike_on_fair_and_dark_skin():
    contrast = feature_contrast(seed=2, num_images=140)
    for part in ("brows", "eyes", "mouth"):
        assert contrast["dark"][part] == pytest.approx(contrast["fair"][part], abs=0.15)
        assert contrast["dark"][part] > 0.3


def test_pale_skin_before_a_dark_wall_is_not_burnt_out():
    plan = plan_images(12, 5, STILL)
    plan["appearance"]["skin"][:] = (228, 192, 172)
    plan["appearance"]["background"][:] = 15
    plan["views"]["gain"][:] = 1
    plan["views"]["gamma"][:] = 1
    images, landmarks = render_images(plan)
    for image, place in zip(images, landmarks, strict=True):
        x, y = place[30].astype(int)
        assert image[y - 8 : y + 8, x - 12 : x + 12].mean() < 235


def test_a_camera_that_meters_faces_leaves_room_above():
    bright = np.full((1, 48, 48), 250, np.float32)
    assert expose(bright, np.ones(1)).max() <= 224


def test_hair_covers_the_crown_and_not_the_eyes():
    plan = plan_images(len(STYLE_NAMES), 9, STILL)
    plan["appearance"]["hair"][:] = np.arange(len(STYLE_NAMES))
    plan["appearance"]["hair_colour"][:] = 10
    plan["appearance"]["skin"][:] = 200
    plan["intensities"][:] = 0
    plan["views"]["row"][:] = 27
    images, landmarks = render_images(plan)
    eyes = landmarks[:, 36:48].mean(1).astype(int)
    bald, fringe = STYLE_NAMES.index("bald"), STYLE_NAMES.index("fringe")
    # Between the eyes there is skin whatever the hair; at the top there is hair unless there is none.
    middle = [image[y - 1 : y + 2, x - 1 : x + 2].mean() for image, (x, y) in zip(images, eyes, strict=True)]
    assert min(middle) > 90
    assert images[fringe, 1:3, 20:28].mean() < images[bald, 1:3, 20:28].mean() - 40


# ---------------------------------------------------------------- expressions


def test_at_the_apex_each_emotion_moves_the_face_as_far_as_captured_ones_do():
    median = dict(zip(EMOTIONS, np.median(apex_displacements(24), axis=0), strict=True))
    for name, low, high in (
        ("Angry", 2.7, 6),
        ("Disgust", 1.1, 3.0),
        ("Fear", 1.1, 3.0),
        ("Happy", 5, 8),
        ("Sad", 1.1, 2.8),
        ("Surprise", 2, 11),
    ):
        assert low <= median[name] <= high, name
    assert median["Neutral"] == 0


def test_action_units_move_the_regions_that_arkit_s_blendshapes_move(real_data):
    rows = {row["unit"]: row for row in compare_action_units(real_data / "iPhoneX" / "arkit_blendshapes_1220.npz")}
    assert set(rows) == set(BLENDSHAPE_OF) == set(COLUMN_OF)
    for unit in (1, 2, 4, 12, 26):
        assert rows[unit]["similarity"] > 0.8
    # ARKit's mouthPress also rolls the lips in and lifts the chin, which AU23 does not.
    assert min(row["similarity"] for unit, row in rows.items() if unit != 23) > 0.6
    assert "Surprise" in displacement_table(real_data / "iPhoneX" / "faces.py")


def test_genuine_muscles_start_together_and_posed_ones_one_by_one():
    genuine = np.array([True] * 200 + [False] * 200)
    timing = sample_timing(genuine, np.random.default_rng(3))
    spread = timing.start[:, :NUM_UNITS].std(1)
    assert spread[:200].max() < spread[200:].min()
    length = (timing.end - timing.start).mean(1)
    assert length[:200].min() > 1.5 * length[200:].max()
    assert (timing.end <= APEX).all()
    assert (timing.start < timing.end).all()
    apart = np.abs(timing.start[:, :NUM_UNITS] - timing.start[:, NUM_UNITS:]).mean(1)
    assert apart[200:].mean() > 3 * apart[:200].mean()


def test_an_expression_only_grows_and_holds_its_apex_for_the_last_fifth():
    rng = np.random.default_rng(4)
    intensities, genuine = sample_intensities(np.arange(7), rng, ImageKnobs())
    units = expression_at(intensities, np.linspace(0, 1, 21), sample_timing(genuine, rng))
    assert units.shape == (7, 21, 2 * NUM_UNITS)
    assert units[:, 0].max() == 0
    assert (np.diff(units, axis=1) >= 0).all()
    assert np.abs(units[:, 16:] - intensities[:, None]).max() < 1e-5


def test_times_outside_the_film_and_other_people_s_timing_are_refused():
    rng = np.random.default_rng(5)
    timing = sample_timing(np.ones(2, bool), rng)
    with pytest.raises(ValueError, match=r"0 \(neutral\) to 1"):
        expression_at(np.zeros((2, 34)), [1.5], timing)
    with pytest.raises(ValueError, match="the same faces"):
        expression_at(np.zeros((3, 34)), [0.5], timing)


# ---------------------------------------------------------------- pictures to read


def test_a_study_shows_as_many_of_each_emotion_and_keeps_the_key_apart(tmp_path):
    paths = write_study(tmp_path, seed=1, per_emotion=6)
    assert [path.name for path in paths] == ["study_images_1.png", "study_images_2.png", "study_images_key.csv"]
    with open(paths[-1], newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == list(range(1, 43))
    assert {name: sum(row["emotion"] == name for row in rows) for name in EMOTIONS} == dict.fromkeys(EMOTIONS, 6)
    assert [row["emotion"] for row in rows] != sorted(row["emotion"] for row in rows)
    _, other = study_sheet(2, per_emotion=6)
    assert [row["emotion"] for row in rows] != [emotion for _, emotion in other]


def test_a_study_of_something_else_is_refused():
    with pytest.raises(ValueError, match="'images' or 'portraits'"):
        study_sheet(1, kind="clouds")


def test_apex_images_show_nothing_but_their_own_emotion():
    images, labels = apex_images(3, 4)
    again, _ = apex_images(3, 4)
    assert (images.shape, np.bincount(labels).tolist()) == ((28, 48, 48), [4] * 7)
    assert (images == again).all()
    knobs = apex_knobs()
    assert (knobs.label_noise, knobs.spurious_units, knobs.missing_units) == (0, 0, 0)
    assert (knobs.pose, knobs.blur, knobs.noise) == (ImageKnobs().pose, ImageKnobs().blur, ImageKnobs().noise)


def test_a_portrait_s_box_holds_its_landmarks_and_lies_in_the_picture():
    boxes, landmarks = portrait_boxes(5, 0)
    assert (boxes.shape, landmarks.shape) == ((7, 4), (7, 68, 2))
    left, top, width, height = boxes.T
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (left + width <= WIDTH).all()
    assert (top + height <= HEIGHT).all()
    inside = (landmarks >= boxes[:, None, :2] - 6) & (landmarks <= boxes[:, None, :2] + boxes[:, None, 2:] + 6)
    assert inside.mean() > 0.98


def test_one_portrait_alone_is_the_same_as_among_seven():
    from expressions.synthetic.portraits import make_portraits

    assert (make_portrait(5, 1, 3) == make_portraits(5, 1)[0][3]).all()


def test_hair_and_ears_turn_with_the_skull_and_not_with_the_smile():
    face = face_model()
    intensities = np.zeros((2, 2 * NUM_UNITS))
    intensities[1] = 5
    points = face.points(face.coefficients(np.zeros((2, face.num_identity)), intensities))
    assert (points[0, face.index["skull"]] == points[1, face.index["skull"]]).all()
