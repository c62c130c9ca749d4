"""The synthetic class: files in the real formats, the same faces for the same seed, difficulty that can be set."""

import csv
import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from expressions.labels import EMOTIONS, NEUTRAL
from expressions.synthetic import files, make_clouds, make_images, make_portraits, presets
from expressions.synthetic.clouds import cloud_triangles
from expressions.synthetic.emotions import FER2013_COUNTS, class_counts, sample_intensities, shown_emotions
from expressions.synthetic.face import COLUMN_OF, NUM_UNITS, face_model
from expressions.synthetic.images import plan_images, render_images
from expressions.synthetic.mesh import inside, triangulate
from expressions.synthetic.presets import PRESETS, CloudKnobs, ImageKnobs, Preset

SMALL = Preset({"Training": 14, "PublicTest": 4, "PrivateTest": 3}, 2)


@pytest.fixture
def small_preset(monkeypatch):
    monkeypatch.setitem(PRESETS, "small", SMALL)
    # Beside TensorFlow a fresh process makes the files, and that one does not know this preset.
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    return "small"


def neutral_with(**units):
    """Points of the average face with some action units at intensity 5: `au26=5`."""
    intensities = np.zeros((1, 2, NUM_UNITS))
    for name, value in units.items():
        intensities[0, :, COLUMN_OF[int(name[2:])]] = value
    face = face_model()
    return face.points(face.coefficients(np.zeros((1, face.num_identity)), intensities.reshape(1, -1)))[0]


# ---------------------------------------------------------------- geometry


def test_a_triangulation_covers_the_square_once():
    points = np.random.default_rng(3).uniform(0, 1, (60, 2))
    points = np.vstack([points, [(0, 0), (1, 0), (1, 1), (0, 1)]])
    corners = points[triangulate(points)]
    p, q = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = 0.5 * (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0])
    assert (area > 0).all()
    assert area.sum() == pytest.approx(1, abs=1e-3)


def test_no_point_lies_in_the_circle_of_a_triangle():
    points = np.random.default_rng(4).uniform(0, 1, (40, 2))
    for triangle in triangulate(points):
        a, b, c = points[triangle]
        centre = np.linalg.solve(2 * np.array([b - a, c - a]), [b @ b - a @ a, c @ c - a @ a])
        assert (np.linalg.norm(points - centre, axis=1) > np.linalg.norm(a - centre) - 1e-4).all()


def test_inside_counts_crossings():
    square = np.array([(0, 0), (2, 0), (2, 2), (0, 2)], float)
    assert inside(square, np.array([(1, 1), (3, 1), (-1, 1), (1, 1.9)], float)).tolist() == [True, False, False, True]


def test_the_template_is_a_mirror_image_of_itself():
    vertices = neutral_with()[:1220]
    mirrored = vertices * [-1, 1, 1]
    distance = np.linalg.norm(vertices[:, None] - mirrored[None], axis=-1).min(1)
    assert distance.max() < 1e-6


def test_the_mesh_has_two_eye_holes_a_mouth_and_one_rim():
    triangles = cloud_triangles()
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    edges, count = np.unique(edges, axis=0, return_counts=True)
    assert np.unique(triangles).size == 1220
    assert set(count) == {1, 2}
    border = edges[count == 1]
    loops = {vertex: vertex for vertex in np.unique(border)}

    def root(vertex):
        while loops[vertex] != vertex:
            vertex = loops[vertex]
        return vertex

    for a, b in border:
        loops[root(a)] = root(b)
    assert len({root(vertex) for vertex in loops}) == 4


def test_triangles_face_the_viewer():
    vertices = neutral_with()[:1220]
    a, b, c = vertices[cloud_triangles().T]
    normals = np.cross(b - a, c - a)
    assert (normals[:, 2] > 0).mean() > 0.97


def test_normals_agree_with_the_triangles():
    face = face_model()
    coefficients = face.coefficients(np.zeros((1, face.num_identity)), np.zeros((1, 2 * NUM_UNITS)))
    vertices, normals = face.points(coefficients)[0, :1220], face.normals(coefficients)[0]
    a, b, c = vertices[face.triangles.T]
    flat = np.cross(b - a, c - a)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    agreement = (flat * normals[face.triangles].mean(1)).sum(1)
    assert np.median(agreement) > 0.98


@pytest.mark.parametrize(
    ("unit", "contour", "axis", "sign"),
    [
        ("au1", "brow+", 1, 1),
        ("au4", "brow+", 1, -1),
        ("au12", "lip_upper_outer", 1, 1),
        ("au15", "lip_upper_outer", 1, -1),
        ("au20", "lip_upper_outer", 0, 1),
        ("au26", "lip_lower_outer", 1, -1),
        ("au45", "lid_upper+", 1, -1),
    ],
)
def test_an_action_unit_moves_its_part_of_the_face(unit, contour, axis, sign):
    points = face_model().index[contour]
    end = {"lip_upper_outer": points[-1], "lip_lower_outer": points[6]}.get(contour, points[len(points) // 3])
    shift = (neutral_with(**{unit: 5}) - neutral_with())[end, axis]
    assert shift * sign > 0.003


def test_lips_and_eyelids_never_pass_each_other():
    points, index = neutral_with(au45=5, au7=5, au23=5, au17=5), face_model().index
    for above, below in (("lid_upper+", "lid_lower+"), ("lip_upper_inner", "lip_lower_inner")):
        assert (points[index[above][1:-1], 1] > points[index[below][1:-1], 1]).all()


def test_the_corner_of_the_mouth_stays_closed_when_the_jaw_drops():
    points, index = neutral_with(au25=5, au26=5), face_model().index
    gap = points[index["lip_upper_inner"][-1]] - points[index["lip_lower_inner"][-1]]
    assert np.abs(gap).max() < 1e-6


# ---------------------------------------------------------------- emotions


def test_classes_have_the_shares_of_fer2013():
    assert class_counts(28709, "Training").tolist() == list(FER2013_COUNTS["Training"])
    small = class_counts(1000)
    assert small.sum() == 1000
    assert small.argmax() == EMOTIONS.index("Happy")
    assert small.argmin() == EMOTIONS.index("Disgust")


def test_label_noise_is_the_share_of_wrong_labels():
    labels = np.arange(7).repeat(2000)
    shown = shown_emotions(labels, 0.2, np.random.default_rng(0))
    assert (shown != labels).mean() == pytest.approx(0.2, abs=0.01)
    wrong = np.bincount(shown[(labels == EMOTIONS.index("Surprise")) & (shown != labels)], minlength=7)
    assert wrong.argmax() == EMOTIONS.index("Fear")


def test_a_smile_is_made_of_its_action_units_and_a_neutral_face_of_none():
    knobs = ImageKnobs(weakest=0.9, missing_units=0, spurious_units=0)
    labels = np.array([EMOTIONS.index("Happy")] * 200 + [NEUTRAL] * 50)
    intensities, genuine = sample_intensities(labels, np.random.default_rng(0), knobs)
    assert intensities.shape == (250, 34)
    assert intensities.min() >= 0
    assert intensities.max() <= 5
    assert intensities[:200, COLUMN_OF[12]].mean() > 3.5
    assert intensities[200:].max() == 0
    lopsided = np.abs(intensities[:200, COLUMN_OF[12]] - intensities[:200, NUM_UNITS + COLUMN_OF[12]])
    assert lopsided[~genuine[:200]].mean() > 2 * lopsided[genuine[:200]].mean()


# ---------------------------------------------------------------- images


def test_images_labels_and_landmarks_have_their_shapes():
    images, labels, landmarks = make_images(20, seed=1)
    assert (images.shape, images.dtype) == ((20, 48, 48), np.uint8)
    assert (labels.shape, labels.dtype) == ((20,), np.uint8)
    assert landmarks.shape == (20, 68, 2)
    assert np.bincount(labels, minlength=7).tolist() == class_counts(20).tolist()


def test_one_seed_one_set_of_images_and_another_seed_another():
    images, labels, landmarks = make_images(20, seed=1)
    again, labels_again, landmarks_again = make_images(20, seed=1)
    other, _, _ = make_images(20, seed=2)
    assert (images == again).all()
    assert (labels == labels_again).all()
    assert (landmarks == landmarks_again).all()
    assert (images != other).mean() > 0.9


@pytest.mark.parametrize("workers", ["forked", "spawned"])
def test_the_number_of_processes_does_not_change_the_images(workers, monkeypatch):
    if workers == "spawned":
        monkeypatch.setitem(sys.modules, "tensorflow", sys)  # its threads would not survive a fork
    knobs = ImageKnobs()
    plan = plan_images(140, 3, knobs)
    one, two = render_images(plan, jobs=1), render_images(plan, jobs=2)
    assert (one[0] == two[0]).all()
    assert (one[1] == two[1]).all()


def test_the_number_of_threads_does_not_change_a_bit():
    code = "import hashlib, sys; from expressions.synthetic.images import plan_images, render_images; "
    code += "from expressions.synthetic.presets import ImageKnobs; "
    code += "images, landmarks = render_images(plan_images(64, 3, ImageKnobs())); "
    code += "print(hashlib.sha256(images.tobytes() + landmarks.tobytes()).hexdigest())"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=files.ROOT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(digests) == 1


def test_images_are_as_bright_and_as_contrasty_as_fer2013():
    images = make_images(200, seed=5)[0].astype(float)
    # FER-2013's medians are 128 and 54; a tenth of its pictures has a standard deviation under 38.
    assert np.median(images.mean((1, 2))) == pytest.approx(128, abs=16)
    assert np.median(images.std((1, 2))) == pytest.approx(54, abs=10)
    assert images.std((1, 2)).min() > 5


def test_landmarks_lie_on_the_picture_in_the_order_of_300_w():
    _, _, landmarks = make_images(30, seed=6, knobs=ImageKnobs(pose=0.3))
    left_eye, right_eye, mouth = landmarks[:, 36:42].mean(1), landmarks[:, 42:48].mean(1), landmarks[:, 48:60].mean(1)
    assert (left_eye[:, 0] < right_eye[:, 0]).all()
    assert (mouth[:, 1] > left_eye[:, 1] + 8).all()
    assert (landmarks[:, 36, 0] < landmarks[:, 39, 0]).all()
    assert (landmarks[:, 42, 0] < landmarks[:, 45, 0]).all()
    assert landmarks[:, 17:].min() > 0
    assert landmarks[:, 17:].max() < 48


def test_an_open_mouth_shows_in_the_pixels():
    knobs = dataclasses.replace(ImageKnobs(), noise=0.0, accessories=0.0)
    plan = plan_images(16, 8, knobs)
    plan["intensities"][:] = 0
    shut, landmarks = render_images(plan)
    plan["intensities"][:, [COLUMN_OF[26], NUM_UNITS + COLUMN_OF[26]]] = 5
    open_, _ = render_images(plan)
    changed = np.abs(open_.astype(int) - shut)
    for i, (x, y) in enumerate(landmarks[:, 66].round().astype(int)):
        assert changed[i, y + 1 : y + 5, x - 2 : x + 3].mean() > 2 * changed[i, :16].mean()


def test_an_empty_set_and_an_unknown_preset_are_refused():
    with pytest.raises(ValueError, match="num_images is 0"):
        make_images(0, seed=1)
    with pytest.raises(ValueError, match=r"no preset 'hard'.*default, demo"):
        make_images(3, seed=1, preset="hard")
    with pytest.raises(ValueError, match="num_subjects is 0"):
        make_clouds(0, seed=1)


# ---------------------------------------------------------------- clouds


def test_clouds_have_arkit_s_size_and_one_cloud_per_person_and_emotion():
    clouds = make_clouds(6, seed=1)
    assert (clouds.points.shape, clouds.points.dtype) == ((42, 1220, 3), np.float32)
    assert clouds.labels.tolist() == list(range(7)) * 6
    assert [len(set(group)) for group in clouds.subject_ids.reshape(6, 7)] == [1] * 6
    assert len(set(clouds.subject_ids)) == 6
    # The course's own clouds: x ±0.076, y −0.115 … 0.091, z −0.028 … 0.078.
    low, high = clouds.points.min(1).mean(0), clouds.points.max(1).mean(0)
    assert low == pytest.approx([-0.076, -0.095, -0.028], abs=0.006)
    assert high == pytest.approx([0.076, 0.090, 0.077], abs=0.006)


def test_clouds_fill_about_as_many_voxels_as_the_course_s_own():
    points = make_clouds(6, seed=2).points
    low, high = points.min(1, keepdims=True), points.max(1, keepdims=True)
    cells = np.minimum((points - low) / (high - low) * 24, 23).astype(int)
    occupied = [len(np.unique(cloud, axis=0)) for cloud in cells]
    # Measured on 21 real clouds: 684 … 730.
    assert np.mean(occupied) == pytest.approx(712, abs=25)


def test_a_surprised_jaw_hangs_lower_than_a_neutral_one():
    # At full strength: a weak surprise, as the presets draw it too, raises the brows and leaves the jaw.
    strong = dataclasses.replace(CloudKnobs(), weakest=1.0, missing_units=0.0)
    clouds = make_clouds(24, seed=3, knobs=strong)
    chin = clouds.points[:, :, 1].min(1).reshape(24, 7)
    assert (chin[:, EMOTIONS.index("Surprise")] < chin[:, NEUTRAL] - 0.003).mean() >= 0.75


def test_people_differ_more_with_a_larger_identity():
    still = CloudKnobs(noise=0, rotation=0, shift=0)
    small, large = (
        make_clouds(6, 4, knobs=dataclasses.replace(still, identity=scale)).points[NEUTRAL::7].std(0).mean()
        for scale in (0.3, 0.9)
    )
    assert large > 2 * small


# ---------------------------------------------------------------- portraits and files


def test_two_takes_show_the_same_person_in_different_pictures():
    train, labels = make_portraits(5, 0)
    test, _ = make_portraits(5, 1)
    assert labels.tolist() == list(range(7))
    assert {portrait.shape for portrait in train + test} == {(640, 480, 3)}
    assert train[0].dtype == np.uint8
    assert all((a != b).any() for a, b in zip(train, test, strict=True))
    stranger, _ = make_portraits(6, 0)

    def colour(portraits):
        return np.mean([portrait[300:360, 200:280].mean((0, 1)) for portrait in portraits], axis=0)

    assert np.abs(colour(train) - colour(test)).max() < np.abs(colour(train) - colour(stranger)).max()


def test_the_csv_has_kaggle_s_layout(tmp_path):
    files.write_fer2013(tmp_path / "fer2013.csv", SMALL.num_images, seed=1, jobs=1)
    with open(tmp_path / "fer2013.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["emotion", "pixels", "Usage"]
    assert [row["Usage"] for row in rows] == ["Training"] * 14 + ["PublicTest"] * 4 + ["PrivateTest"] * 3
    pixels = np.array([row["pixels"].split() for row in rows], int)
    assert pixels.shape == (21, 2304)
    images, labels, _ = make_images(14, [1, 0])
    assert (pixels[:14].reshape(-1, 48, 48) == images).all()
    assert [int(row["emotion"]) for row in rows[:14]] == labels.tolist()


def test_usages_share_no_image(tmp_path):
    files.write_fer2013(tmp_path / "fer2013.csv", {"Training": 6, "PublicTest": 6, "PrivateTest": 6}, 1, jobs=1)
    pixels = [line.split(",")[1] for line in (tmp_path / "fer2013.csv").read_text().splitlines()[1:]]
    assert len(set(pixels)) == 18


def test_a_file_is_made_once_and_made_again_when_its_recipe_changes(tmp_path, small_preset, monkeypatch, capsys):
    path = files.ensure_fer2013(small_preset, tmp_path, jobs=1)
    assert "21 of 21" in capsys.readouterr().err
    before = path.stat().st_mtime_ns
    assert files.ensure_fer2013(small_preset, tmp_path) == path
    assert path.stat().st_mtime_ns == before
    assert capsys.readouterr().err == ""
    assert json.loads((tmp_path / "small" / "manifest.json").read_text())["fer2013.csv"]["seed"] == SMALL.seed
    monkeypatch.setattr(files, "GENERATOR_VERSION", -1)
    files.ensure_fer2013(small_preset, tmp_path, jobs=1)
    assert path.stat().st_mtime_ns != before


def test_a_damaged_manifest_only_costs_a_second_making(tmp_path, small_preset):
    files.ensure_fer2013(small_preset, tmp_path, jobs=1)
    (tmp_path / "small" / "manifest.json").write_text("{")
    files.ensure_fer2013(small_preset, tmp_path, jobs=1)
    assert "fer2013.csv" in json.loads((tmp_path / "small" / "manifest.json").read_text())


def test_an_interrupted_making_leaves_no_file(tmp_path, small_preset, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("expressions.synthetic.images.make_face_images", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.ensure_fer2013(small_preset, tmp_path, jobs=1)
    assert list((tmp_path / "small").iterdir()) == []


def test_faces_come_back_from_the_course_s_format(tmp_path, small_preset):
    from expressions.point_clouds import load_point_clouds

    cached = load_point_clouds(files.ensure_faces(small_preset, tmp_path))
    files.write_faces(tmp_path / "faces.py", SMALL.num_subjects, SMALL.seed)
    text = load_point_clouds(tmp_path / "faces.py")
    assert len(cached.points) == len(text.points) == 14
    assert set(text.subject_ids) == set(cached.subject_ids)
    with pytest.raises(ValueError, match=r"Wanted \.py or \.npz"):
        files.write_faces(tmp_path / "faces.txt", 1, 1)


def test_photos_are_seven_and_seven_named_after_their_emotions(tmp_path, small_preset):
    folder = files.ensure_photos(small_preset, tmp_path)
    for part in ("train", "test"):
        names = sorted(path.name for path in (folder / part).iterdir())
        assert names == sorted(f"{name.lower()}.png" for name in EMOTIONS)
        with Image.open(folder / part / "happy.png") as photo:
            assert (photo.size, photo.mode) == ((480, 640), "RGB")


def test_the_cache_moves_with_its_environment_variable(tmp_path, small_preset, monkeypatch):
    monkeypatch.setenv("EXPRESSIONS_CACHE", str(tmp_path / "elsewhere"))
    assert files.ensure_faces(small_preset).parent == tmp_path / "elsewhere" / "small"


def test_the_command_line_writes_each_kind(tmp_path):
    from expressions.synthetic.__main__ import main

    main(["fer2013", "--out", str(tmp_path / "fer.csv"), "--size", "20", "--jobs", "1"])
    assert len((tmp_path / "fer.csv").read_text().splitlines()) == 21
    main(["faces", "--out", str(tmp_path / "faces.npz"), "--size", "1"])
    assert (tmp_path / "faces.npz").exists()
    with pytest.raises(SystemExit):
        main(["faces", "--out", str(tmp_path / "faces.npz"), "--size", "0"])


def test_importing_the_package_loads_neither_numpy_nor_pillow_modules_of_it():
    code = "import sys, expressions.synthetic; sys.exit('expressions.synthetic.face' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=files.ROOT).returncode == 0


def test_every_preset_is_complete():
    for name in ("default", "demo"):
        preset = presets.preset_of(name)
        assert set(preset.num_images) == set(files.USAGES)
        assert 0 <= preset.images.weakest < preset.images.strongest <= 1
