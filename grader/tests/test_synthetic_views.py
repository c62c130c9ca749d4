"""The other views of the synthetic class, landmarks, action units and sequences, agree with each other."""

import dataclasses

import numpy as np
import pandas
import pytest
from PIL import Image

from expressions.labels import EMOTIONS, OPENFACE_ACTION_UNITS
from expressions.synthetic import files, make_action_units, make_face_images, make_landmarks, make_sequences
from expressions.synthetic.action_units import INTENSITY_COLUMNS, OPENFACE_COLUMNS, measure_action_units
from expressions.synthetic.appearance import sample_appearance
from expressions.synthetic.ck import CK_NAMES, CONTEMPT, sample_ck_intensities
from expressions.synthetic.face import COLUMN_OF, NUM_UNITS, face_model
from expressions.synthetic.facemesh import OVAL, facemesh_triangles, facemesh_weights
from expressions.synthetic.images import plan_images, render_images
from expressions.synthetic.landmarks import select_landmarks, write_landmarks
from expressions.synthetic.presets import ImageKnobs
from grader.reality.action_units import posed_or_genuine, read_table


def average_points(**units):
    """All points of the average face, with some action units at intensity 5: `au26=5`."""
    intensities = np.zeros((1, 2, NUM_UNITS))
    for name, value in units.items():
        intensities[0, :, COLUMN_OF[int(name[2:])]] = value
    face = face_model()
    return face.points(face.coefficients(np.zeros((1, face.num_identity)), intensities.reshape(1, -1)))


# ---------------------------------------------------------------- landmarks


def test_facemesh_is_one_sheet_with_the_oval_as_its_only_edge():
    triangles = facemesh_triangles()
    assert triangles.shape == (898, 3)
    assert np.unique(triangles).tolist() == list(range(468))
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    edges, count = np.unique(edges, axis=0, return_counts=True)
    assert set(count) == {1, 2}
    rim = {tuple(edge) for edge in edges[count == 1].tolist()}
    assert rim == {tuple(sorted(pair)) for pair in zip(OVAL, (*OVAL[1:], OVAL[0]), strict=True)}


def test_each_of_the_468_is_a_mean_of_points_of_the_face():
    points, weights = facemesh_weights()
    assert weights.sum(1) == pytest.approx(np.ones(468), abs=1e-5)
    assert weights.min() >= 0
    assert points.max() < average_points().shape[1]


def test_no_triangle_of_the_resting_facemesh_is_turned_over():
    rest = select_landmarks(average_points(), 468)[0, :, :2].astype(float)
    a, b, c = rest[facemesh_triangles()].transpose(1, 0, 2)
    p, q = b - a, c - a
    area = p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
    assert (area > -1e-8).mean() > 0.99


def test_the_left_eye_is_left_and_the_lips_part_with_the_jaw():
    rest, wide = (select_landmarks(average_points(**units), 468)[0] for units in ({}, {"au25": 5, "au26": 5}))
    assert rest[33, 0] < rest[133, 0] < rest[1, 0] < rest[362, 0] < rest[263, 0]
    assert rest[10, 1] > rest[1, 1] > rest[13, 1] >= rest[14, 1] > rest[152, 1]
    assert rest[1, 2] > rest[[33, 263, 61, 291], 2].max()
    assert wide[13, 1] - wide[14, 1] > 0.015
    assert np.abs(wide[78] - rest[78]).max() < 0.012


def test_the_two_layouts_agree_on_the_corners_of_eyes_and_mouth():
    points = average_points(au12=5, au26=3)
    few, many = select_landmarks(points, 68)[0], select_landmarks(points, 468)[0]
    for ibug, facemesh in ((36, 33), (39, 133), (42, 362), (45, 263), (48, 61), (54, 291), (60, 78), (64, 308)):
        assert np.linalg.norm(few[ibug] - many[facemesh]) < 0.0015


def test_another_number_of_landmarks_is_refused():
    with pytest.raises(ValueError, match="no 5 landmarks"):
        make_face_images(1, seed=1, num_landmarks=5)
    with pytest.raises(ValueError, match="num_people is 0"):
        make_landmarks(0, seed=1)


def test_landmarks_lie_where_the_features_are():
    """Pupils and brows are darker than the skin between and below them, in nearly every well-lit picture."""
    knobs = dataclasses.replace(
        ImageKnobs(), noise=0.0, blur=0.0, accessories=0.0, pose=0.4, spurious_units=0.0, label_noise=0.0
    )
    plan = plan_images(60, 4, knobs)
    plan["appearance"]["skin"][:] = [206, 160, 130]
    images, landmarks = render_images(plan)

    def grey(points):
        columns, rows = np.clip(points.round().astype(int), 0, 47).T
        return np.array([images[i, rows[i], columns[i]] for i in range(len(images))], float)

    for eye in (slice(36, 42), slice(42, 48)):
        middle = landmarks[:, eye].mean(1)
        cheek = middle + [0, 8]
        darkest = np.min([grey(middle + [dx, dy]) for dx in (-1, 0, 1) for dy in (-1, 0, 1)], axis=0)
        assert (darkest < grey(cheek) - 10).mean() > 0.9
    chin, forehead = landmarks[:, 8, 1], landmarks[:, 19:25, 1].min(1)
    assert (chin > forehead + 20).all()


def test_a_set_of_landmarks_has_the_layout_of_the_real_file(tmp_path, real_data):
    landmarks = make_landmarks(6, seed=2)
    write_landmarks(tmp_path / "landmarks.npz", landmarks)
    with np.load(tmp_path / "landmarks.npz") as ours, np.load(real_data / "ck_landmarks.npz") as real:
        assert set(ours.files) == set(real.files)
        assert ours["points"].shape[1:] == real["points"].shape[1:] and ours["points"].dtype == real["points"].dtype
        assert set(ours["labels"]) <= set(real["labels"])
        assert (ours["points"].min(), ours["points"].max()) == (real["points"].min(), real["points"].max())
        # Which way the axes run: nose in front, chin below the eyes, the subject's left eye at the viewer's right.
        for points in (ours["points"], real["points"]):
            assert (points[:, 1, 2] < points[:, 33, 2]).all()
            assert (points[:, 152, 1] > points[:, 33, 1]).all()
            assert (points[:, 263, 0] > points[:, 33, 0]).all()
    table = tmp_path / "landmarks.csv"
    write_landmarks(table, landmarks)
    frame = pandas.read_csv(table)
    assert len(frame) == len(landmarks.labels) and frame["x_467"].between(0, 1).all()


def test_nobody_s_frames_are_torn_apart_and_emotions_are_as_rare_as_in_ck():
    landmarks = make_landmarks(120, seed=3, num_landmarks=68)
    changes = (landmarks.subjects[1:] != landmarks.subjects[:-1]).sum()
    assert changes == 119
    counts = dict(zip(*np.unique(landmarks.labels, return_counts=True)))
    assert counts["neutral"] == 480
    assert counts["surprise"] > counts["anger"] > counts["contempt"]


# ---------------------------------------------------------------- action units


def test_openface_s_csv_is_read_by_pandas_with_its_leading_spaces(tmp_path):
    files.write_openface(tmp_path / "openface", 60, seed=1)
    text = (tmp_path / "openface" / "posed.csv").read_text().splitlines()[0]
    assert text.startswith("frame, face_id, timestamp, confidence, success, AU01_r, ")
    plain = pandas.read_csv(tmp_path / "openface" / "genuine.csv")
    assert " AU01_r" in plain.columns
    table = pandas.read_csv(tmp_path / "openface" / "genuine.csv", skipinitialspace=True)
    assert list(table.columns) == list(OPENFACE_COLUMNS)
    assert table[list(INTENSITY_COLUMNS)].to_numpy().min() == 0
    assert table[list(INTENSITY_COLUMNS)].to_numpy().max() <= 5
    assert table["frame"].tolist() == list(range(1, len(table) + 1))


def test_lost_frames_have_low_confidence_and_nothing_measured(tmp_path):
    files.write_openface(tmp_path, 600, seed=2)
    table = pandas.read_csv(tmp_path / "posed.csv", skipinitialspace=True)
    lost = table[table["success"] == 0]
    assert 0 < len(lost) < 0.06 * len(table)
    assert lost["confidence"].max() < 0.5 < table[table["success"] == 1]["confidence"].min()
    assert lost[list(INTENSITY_COLUMNS)].to_numpy().max() == 0


def test_the_table_for_learning_has_the_columns_of_the_real_one(tmp_path, real_data):
    files.write_action_units(tmp_path / "aus.csv", 80, seed=1)
    ours, real = (pandas.read_csv(path, sep=";") for path in (tmp_path / "aus.csv", real_data / "openface_aus.csv"))
    assert list(ours.columns) == list(real.columns)
    assert sorted(ours["class"].unique()) == [0, 1] and ours["class"].sum() == 40
    intensities, genuine = read_table(tmp_path / "aus.csv")
    assert intensities.shape == (80, 17) and genuine.sum() == 40


def test_posed_and_genuine_are_told_apart_by_asymmetry_and_by_cheeks_that_rise_with_a_smile():
    table = make_action_units(1500, seed=4)
    cheek, corner = OPENFACE_ACTION_UNITS.index(6), OPENFACE_ACTION_UNITS.index(12)
    smiles = table.emotions == EMOTIONS.index("Happy")
    share = table.intensities[smiles, cheek] / np.maximum(table.intensities[smiles, corner], 0.5)
    assert np.median(share[table.genuine[smiles]]) > np.median(share[~table.genuine[smiles]]) + 0.3
    assert posed_or_genuine(np.c_[share], table.genuine[smiles]) > 0.75
    lopsided = np.abs(table.asymmetry)
    assert lopsided[~table.genuine].mean() > 1.5 * lopsided[table.genuine].mean()
    assert posed_or_genuine(table.intensities, table.genuine) > 0.58
    assert posed_or_genuine(np.hstack([table.intensities, lopsided]), table.genuine) > 0.75


def test_what_is_measured_follows_what_is_shown():
    sides = np.zeros((200, 34))
    sides[:, COLUMN_OF[12]] = sides[:, NUM_UNITS + COLUMN_OF[12]] = np.linspace(0, 5, 200)
    intensities, presence = measure_action_units(sides, np.random.default_rng(0))
    assert np.corrcoef(intensities[:, COLUMN_OF[12]], np.linspace(0, 5, 200))[0, 1] > 0.9
    assert np.delete(intensities, COLUMN_OF[12], axis=1).mean() < 0.3
    assert set(np.unique(presence)) == {0, 1}


def test_one_seed_one_table_and_genuine_can_be_asked_for():
    one, again, other = make_action_units(50, 1), make_action_units(50, 1), make_action_units(50, 2)
    assert (one.intensities == again.intensities).all() and (one.genuine == again.genuine).all()
    assert (one.intensities != other.intensities).any()
    assert make_action_units(10, 1, genuine=True).genuine.all()
    with pytest.raises(ValueError, match="num_rows is 0"):
        make_action_units(0, 1)


def test_contempt_is_a_smile_and_a_dimple_on_one_side():
    sides = sample_ck_intensities(np.full(40, CONTEMPT), np.random.default_rng(1), ImageKnobs(spurious_units=0))
    for unit in (12, 14):
        both = np.c_[sides[:, COLUMN_OF[unit]], sides[:, NUM_UNITS + COLUMN_OF[unit]]]
        assert (both.max(1) > 4 * both.min(1)).all()
    left = sides[:, COLUMN_OF[14]] > sides[:, NUM_UNITS + COLUMN_OF[14]]
    assert 0.2 < left.mean() < 0.8


# ---------------------------------------------------------------- sequences


@pytest.fixture(scope="module")
def films():
    return make_sequences(2, seed=3, size=(96, 74))


def test_a_sequence_goes_from_neutral_to_apex_and_stays_there_for_its_last_fifth(films):
    for film in films:
        sides, num_frames = film.sides, len(film.frames)
        assert sides[0].max() == 0
        assert (np.diff(sides, axis=0) >= 0).all()
        apex = sides[int(np.ceil(0.8 * num_frames)) :]
        assert len(apex) >= 2
        assert apex == pytest.approx(np.broadcast_to(sides[-1], apex.shape), abs=1e-5)
        assert sides[-1].max() > 1
        assert film.landmarks.shape == (num_frames, 68, 2) and film.frames.shape == (num_frames, 74, 96)


def test_the_face_moves_more_from_first_to_last_frame_than_the_head(films):
    moved = [np.abs(film.frames[-1].astype(int) - film.frames[0]).mean() for film in films]
    still = [np.abs(film.frames[-1].astype(int) - film.frames[-2]).mean() for film in films]
    assert np.median(moved) > np.median(still)


def test_sequences_do_not_depend_on_the_number_of_processes(films):
    again = make_sequences(2, seed=3, size=(96, 74), jobs=2)
    assert all((a.frames == b.frames).all() for a, b in zip(films, again, strict=True))
    with pytest.raises(ValueError, match="at least 64"):
        make_sequences(1, seed=3, size=(20, 20))


def test_a_tree_of_sequences_reads_like_ck(tmp_path):
    files.write_sequences(tmp_path / "ck", 3, seed=5, size=(96, 74), jobs=1)
    root = tmp_path / "ck"
    assert sorted(path.name for path in root.iterdir()) == sorted(
        ("cohn-kanade-images", "Emotion", "FACS", "Landmarks")
    )
    sequences = sorted(path for path in (root / "cohn-kanade-images").glob("*/*"))
    assert len(sequences) == 15
    labelled = 0
    for folder in sequences:
        subject, number = folder.parts[-2:]
        frames = sorted(folder.iterdir())
        assert frames[0].name == f"{subject}_{number}_00000001.png"
        assert 10 <= len(frames) <= 25
        with Image.open(frames[-1]) as frame:
            assert (frame.size, frame.mode) == ((96, 74), "L")
        landmarks = sorted((root / "Landmarks" / subject / number).iterdir())
        assert [path.stem.removesuffix("_landmarks") for path in landmarks] == [path.stem for path in frames]
        assert np.loadtxt(landmarks[0]).shape == (68, 2)
        (facs,) = (root / "FACS" / subject / number).iterdir()
        assert facs.name == f"{frames[-1].stem}_facs.txt"
        units = np.loadtxt(facs, ndmin=2)
        assert set(units[:, 0]) <= set(OPENFACE_ACTION_UNITS) and units[:, 1].min() >= 1
        emotions = list((root / "Emotion" / subject / number).iterdir())
        for path in emotions:
            labelled += 1
            assert path.name == f"{frames[-1].stem}_emotion.txt"
            assert path.read_text() == f"   {int(np.loadtxt(path)):.7e}\n"
            assert 1 <= np.loadtxt(path) < len(CK_NAMES)
    assert 0 < labelled < 15


# ---------------------------------------------------------------- fairness


def test_hair_beard_glasses_make_up_and_skin_are_independent():
    look = sample_appearance(6000, np.random.default_rng(1), accessories=3.0)
    dark = look["skin"].mean(1) < np.median(look["skin"].mean(1))
    traits = {
        "beard": look["beard"] > 0.3,
        "make-up": look["makeup"] > 0,
        "glasses": look["glasses"].astype(bool),
        "dark hair": look["hair_colour"].mean(1) < 60,
        **{f"hair {style}": look["hair"] == style for style in np.unique(look["hair"])},
    }
    # 3.5 standard errors of a difference of shares, for fifty pairs of traits.
    names = list(traits)
    for number, first in enumerate(names):
        assert abs(traits[first][dark].mean() - traits[first][~dark].mean()) < 3.5 / np.sqrt(6000)
        for second in names[number + 1 :]:
            if first.startswith("hair ") and second.startswith("hair "):
                continue
            a, b = traits[first], traits[second]
            expected = a.mean() * b.mean()
            assert abs((a & b).mean() - expected) < 3.5 * np.sqrt(expected / 6000)


@pytest.mark.parametrize("skin", [(226, 192, 170), (100, 67, 49)])
def test_an_open_smile_changes_the_mouth_on_every_skin(skin):
    knobs = dataclasses.replace(ImageKnobs(), noise=0.0, blur=0.0, accessories=0.0, pose=0.4)
    plan = plan_images(12, 9, knobs)
    plan["appearance"]["skin"][:] = skin
    plan["appearance"]["beard"][:] = 0
    plan["intensities"][:] = 0
    rest, _ = render_images(plan)
    for unit in (6, 12, 25):
        plan["intensities"][:, [COLUMN_OF[unit], NUM_UNITS + COLUMN_OF[unit]]] = 4.5
    smile, landmarks = render_images(plan)
    changed = np.abs(smile.astype(int) - rest)
    mouths = []
    for i, (x, y) in enumerate(landmarks[:, 48:60].mean(1).round().astype(int)):
        mouths.append(changed[i, max(y - 4, 0) : y + 5, max(x - 8, 0) : x + 9].mean())
    assert np.median(mouths) > 8
