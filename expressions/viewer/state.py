"""What the viewer shows: a plain object without Qt. Widgets change it, and show it."""

import numpy as np

from expressions.errors import DataError
from expressions.labels import ACTION_UNITS, EMFACS, EMOTIONS, NEUTRAL, NUM_CLASSES, emotion_id
from expressions.viewer.camera import Bounds, Camera

DEPTH, HEIGHT, DISPLACEMENT = COLOURINGS = ("Depth", "Height", "Distance from neutral")
MILLIMETRES = 1000
# The values of the first and the last colour: the few points beyond them would flatten all others.
PERCENTILES = (1, 99)


class ViewerState:
    """Which subject, which emotion, which colours, seen from where.

    Args:
        clouds: `expressions.point_clouds.PointClouds`, at least one.
        description: str, which data it is.

    Attributes:
        subjects: tuple of str, ids in the order of the data.
        subject: int, index into `subjects`.
        label: int, index into `EMOTIONS`.
        colouring: str, one of `COLOURINGS`.
        camera: `Camera`.
        bounds: `Bounds` of all clouds.
    """

    def __init__(self, clouds, description=""):
        if len(clouds.points) == 0:
            raise DataError("There is no point cloud in this file.", "at least one cloud", "choose another file")
        self.clouds = clouds
        self.description = description
        ids = [str(subject_id) for subject_id in clouds.subject_ids]
        self.subjects = tuple(dict.fromkeys(ids))
        place = {subject_id: index for index, subject_id in enumerate(self.subjects)}
        self._rows = {}
        for row, (subject_id, label) in enumerate(zip(ids, clouds.labels, strict=True)):
            self._rows.setdefault((place[subject_id], int(label)), []).append(row)
        self.bounds = Bounds(clouds.points)
        self.camera = Camera()
        self.colouring = DEPTH
        self._ranges = {}
        self.subject = 0
        self.label = NEUTRAL
        self._settle()

    # --- What can be chosen ------------------------------------------------------------------------------------------

    @property
    def title(self):
        """The title of the window, which says what data this is."""
        return " · ".join(part for part in ("Expressions in 3-D", self.description.removeprefix("Data: ")) if part)

    @property
    def labels(self):
        """Labels of which the chosen subject has a cloud, sorted."""
        return [label for label in range(NUM_CLASSES) if (self.subject, label) in self._rows]

    @property
    def emotion(self):
        """Name of the chosen emotion."""
        return EMOTIONS[self.label]

    def choose_subject(self, wanted):
        """Chooses a subject by id, or by number from 1.

        Raises:
            DataError: there is neither.
        """
        text = str(wanted).strip()
        if text in self.subjects:
            self.subject = self.subjects.index(text)
        elif text.isdecimal() and 1 <= int(text) <= len(self.subjects):
            self.subject = int(text) - 1
        else:
            raise DataError(
                f"There is no subject {text!r} in this data.",
                f"a number from 1 to {len(self.subjects)}, or an id such as {self.subjects[0]!r}",
                "choose one from the list: python show_gui.py",
            )
        self._settle()

    def choose_emotion(self, wanted):
        """Chooses an emotion by label or by name.

        Raises:
            DataError: there is no such emotion, or the subject has no cloud of it.
        """
        try:
            label = int(wanted) if str(wanted).isdecimal() else emotion_id(wanted)
            name = EMOTIONS[label]
        except (ValueError, IndexError):
            raise DataError(f"{wanted!r} is no emotion.", f"one of {', '.join(EMOTIONS)}", "check its name") from None
        if label not in self.labels:
            raise DataError(
                f"{self.subjects[self.subject]} has no {name} cloud.",
                f"one of {', '.join(EMOTIONS[label] for label in self.labels)}",
                "choose another emotion or another subject",
            )
        self.label = label

    def choose_colouring(self, wanted):
        """Chooses what the colours mean: one of `COLOURINGS`.

        Raises:
            ValueError: there is no such colouring.
        """
        if wanted not in COLOURINGS:
            raise ValueError(f"{wanted!r} is no colouring. Wanted one of {', '.join(COLOURINGS)}.")
        self.colouring = wanted

    def step_subject(self, step):
        """Goes `step` subjects on; after the last comes the first."""
        self.subject = (self.subject + step) % len(self.subjects)
        self._settle()

    def step_emotion(self, step):
        """Goes `step` emotions on, over those that the subject has; after the last comes the first."""
        labels = self.labels
        self.label = labels[(labels.index(self.label) + step) % len(labels)]

    def _settle(self):
        """Keeps the emotion for the next subject, if that subject has it."""
        if self.label not in self.labels:
            self.label = self.labels[-1]

    # --- What is shown -----------------------------------------------------------------------------------------------

    def points(self, label=None):
        """Returns the cloud of the chosen subject with an emotion (default: the chosen one).

        Returns:
            float32 array `(num_points, 3)` in metres, or `None` if there is none.
        """
        rows = self._rows.get((self.subject, self.label if label is None else label))
        return None if rows is None else self.clouds.points[rows[0]]

    def values(self, label=None):
        """Returns what the colours mean, in millimetres, for each point of a cloud.

        Returns:
            float64 array `(num_points,)`, or `None` if there is nothing to measure: no cloud, or no neutral face of
            this subject to compare with.
        """
        points = self.points(label)
        if points is None:
            return None
        if self.colouring == DISPLACEMENT:
            return _displacement(points, self.points(NEUTRAL))
        return MILLIMETRES * points[:, 2 if self.colouring == DEPTH else 1].astype(np.float64)

    @property
    def value_range(self):
        """The values of the first and the last colour, in mm: the same for all clouds, so that colours compare."""
        if self.colouring not in self._ranges:
            self._ranges[self.colouring] = self._measure_range()
        return self._ranges[self.colouring]

    def _measure_range(self):
        points = self.clouds.points
        if self.colouring != DISPLACEMENT:
            values = MILLIMETRES * points[:, :, 2 if self.colouring == DEPTH else 1].astype(np.float64)
            return tuple(np.percentile(values, PERCENTILES).tolist())
        pairs = [
            _displacement(points[row], points[self._rows[subject, NEUTRAL][0]])
            for (subject, label), rows in self._rows.items()
            if label != NEUTRAL and (subject, NEUTRAL) in self._rows
            for row in rows
        ]
        return 0.0, float(np.percentile(pairs, PERCENTILES[1])) if pairs else 1.0

    @property
    def legend(self):
        """What the colours mean, in one line without the two numbers."""
        if self.colouring == DEPTH:
            return "Colour: depth z, out of the face"
        if self.colouring == HEIGHT:
            return "Colour: height y"
        if self.points(NEUTRAL) is None:
            return "Colour: none, because this subject has no neutral face to compare with"
        return "Colour: how far each point is from where it is in the neutral face"

    @property
    def legend_ends(self):
        """The two numbers of the legend, with their unit."""
        low, high = self.value_range
        if self.colouring == DISPLACEMENT:
            return f"{low:.0f} mm", f"{high:.1f} mm or more"
        return f"{low:.0f} mm or less".replace("-", "−"), f"{high:.0f} mm or more".replace("-", "−")

    @property
    def expected(self):
        """The action units that EMFACS expects for the chosen emotion, as one sentence."""
        units = EMFACS[self.emotion]
        if not units:
            return f"{self.emotion}: no action unit"
        return f"{self.emotion} by EMFACS: " + ", ".join(f"{ACTION_UNITS[unit].lower()} ({unit})" for unit in units)

    @property
    def status(self):
        """Subject, emotion and number of points, as one line."""
        rows = self._rows[self.subject, self.label]
        parts = [
            f"Subject {self.subjects[self.subject]} ({self.subject + 1} of {len(self.subjects)})",
            f"{self.label} {self.emotion}" + (f" (the first of {len(rows)})" if len(rows) > 1 else ""),
            f"{len(self.points())} points",
        ]
        if self.colouring == DISPLACEMENT and self.values() is not None:
            root_mean_square = float(np.sqrt(np.mean(self.values() ** 2)))
            parts.append(f"{root_mean_square:.2f} mm from neutral (RMS)")
        return "  ·  ".join(parts)


def _displacement(points, neutral):
    """Returns the distance between points of equal index in mm, or `None` where there is no neutral cloud."""
    if neutral is None:
        return None
    return MILLIMETRES * np.linalg.norm(points.astype(np.float64) - neutral, axis=1)
