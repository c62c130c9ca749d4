"""Shows the point clouds of task 3 (handout step 9): seven expressions of each person, to turn and compare.

    python show_gui.py                                      opens a window on the data there is
    python show_gui.py --subject 3 --emotion happy          starts with that face
    python show_gui.py --emotion fear --screenshot fear.png writes a picture instead, also without a screen

Drag the large face to turn it. Left and right choose the emotion, up and down the person; ? lists all keys.
"""

import argparse
import sys

COLOURS = {"depth": "Depth", "height": "Height", "neutral": "Distance from neutral"}


def main():
    """Reads the arguments and opens the viewer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", metavar="PATH", help="a faces.py, or an npz with points, labels and subject_ids")
    parser.add_argument("--subject", metavar="N|ID", help="start with this subject: its number from 1, or its id")
    parser.add_argument("--emotion", metavar="NAME", help="start with this emotion (default: neutral)")
    parser.add_argument("--view", choices=("front", "left", "top"), default="front", help="from where (default: front)")
    parser.add_argument("--colour", choices=COLOURS, default="depth", help="what the colours mean (default: depth)")
    parser.add_argument("--screenshot", metavar="OUT.png", help="write a picture of the window and open none")
    parser.add_argument("--dark", action="store_true", help="a dark window, whatever the desktop says")
    parser.add_argument("--no-opengl", action="store_true", help="draw without OpenGL, where OpenGL is broken")
    arguments = parser.parse_args()
    arguments.colour = COLOURS[arguments.colour]

    from expressions.viewer.start import open_viewer

    return open_viewer(arguments)


if __name__ == "__main__":
    sys.exit(main())
