"""Looks at point clouds of faces (handout step 9): `python show_gui.py`.

In reading order: `state.py` is what is shown, and knows no window; `camera.py` says from where; `colours.py` says in
which colours; `drawing.py` draws a cloud with NumPy alone; `views.py` and `opengl_view.py` are the large picture,
without and with OpenGL; `window.py` puts everything together; `start.py` opens it.

Only the last four import Qt.
"""
