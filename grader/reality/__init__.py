"""How the synthetic class compares with real faces: `python -m grader.reality --help`.

Real data never enters the kit: its paths are given on the command line, and what is written holds numbers and curves
over many faces, never a picture, a vertex or a mean face.
"""
