"""The 468 landmarks of MediaPipe's FaceMesh on our own face.

MediaPipe says which of the 468 points follow a contour (lips, eyes, brows, nose, outline) and which triangles join
them; where they lie is ours. Points of a contour are spread along the same contour of our template, and every other
point lies in the middle of its neighbours (Tutte's embedding, 1963), so no position is taken from MediaPipe's model.

Source of the contours and of the 898 triangles: google-ai-edge/mediapipe, `face_mesh_connections.py` and
`canonical_face_model.obj`, Apache License 2.0.
"""

import functools

import numpy as np

from expressions.synthetic.face import NUM_UNITS, face_model

NUM_POINTS = 468

# Two digits of base 36 for each corner of each triangle.
_TRIANGLES = (
    "4t4b3p6u0x07amb2a27bcy6x8kbj90262n5b9wat7c3j0y4ia87cat3v4i0y7f008e1120000b8e000b00209pcj9q3c3d6fck9qcj6g6f3d7f8e7h"
    "1113208f7h8e2120139x9j9q3k3d367p9q9j1b363d9qck9x3d3k6gcl9xck6h6g3k8b99891x1v2w9889992v2w1v4v48b04v4r48ahb04844484r"
    "alaoam4a4b4db2amao4t4d4b7s9n961e2t3a9o969n3b3a2t7h8f7i1314218g7i8f222114099c4709472z9d479c302z479k7qa0373n1c7ra07q"
    "1d1c3n7abzbm0w5e5vbsbmbz5o5v5e8gbc7i221454bd7ibc5554147k8mbb165328bjbb8m5b28538y7ibe2k5614bdbe7i5514569nch9o3a3b6d"
    "ci9och6e6d3bc2c0by5y5u5wbqbyc05m5w5u8p8q0i2b0i2c0h0i8q0h2c0i8jaf8i252442838iaf1p422477ar780t0u4gas78ar4h4g0u7ybiao"
    "1k4d5ab2aobi4t5a4dbmbsba5e525o9bbabs2y5o52a7bka43u3r5cc2a4bk5y5c3ravbr934l2q5n9y93br3l5n2q8a8d7w1w1i1z6z7w8d0l1z1i"
    "047n050405197t057n1f190572ad710o0n40ae71ad41400n8w8x8j2i252jaf8j8x422j257sbtbf1e575pbvbfbt5r5p57bp8p5k5l5k2b0i5k8p"
    "0i2b5k9b8xba2y522jb9ba8x512j52b98xb851502j8wb88x2i2j500h8q0g0h0g2c8r0g8q2d2c0gbt7ebu5p5q10brbu7e5n105qa9b0b43w4w4r"
    "ahb4b0444r4wav7h8y4l2k137i8y7h14132kblcxbh5d596tcwbhcx6s6t597576aq0r4f0sapaq764e0s4f78ascz0u6v4hcyczas6u4h6v6wcobn"
    "035g6kb3bnco4u6k5g998a982w2v1w7w988a1i1w2v7x08bl1j5d084obl084o085d9g799m33390vcg9m796c0v397xblc91j655dbhc9bl595d65"
    "93cs922q2p6o9492cs2r6o2p7p9v951b2s3iab959v3y3i2s8lawc627624mc7c6aw634m62alam744a0q4b9h74am344b0qa07rbo3n5i1dbxbo7r"
    "5t1d5ia5a4aj3s463rayaja44p3r469v7pc53i611b9jc57p361b61cbcc7u671g687v7ucc1h681g7t7na31f3q19c8a37n64193qbz7aaz5v4q0w"
    "a9az7a3w0w4q9d8b9e30311x899e8b1v1x319b7l8x2y2j17af8x7l42172j9oci9p3b3c6ecj9pci6f6e3ccz9z9i6v353mce9i9z6a3m357u7v9a"
    "1g2x1h859a7v1r1h2x6ycqcu0k6q6mctcucq6p6m6q7o9t8c1a1y3gan8c9t4c3g1y9184902o2n1q8k9084261q2n7v7o851h1r1a8c857o1y1a1r"
    "cf7c9l6b380yac9l7c3z0y389s9l9m3f39389g9m9l333839010j7m01180j9u7m0j3h0j186w7tco036k1fa3co7t3q1f6kbtbubv5p5r5qc4bvbu"
    "605q5rakal70490m4a7470al0q4a0mavax7h4l134n7f7hax114n135jbw5k5j5k5sbp5kbw5l5s5k96957e2t102sab7e953y2s10bqc07l5m175w"
    "7z7lc01l5w17826y941o2r0kcu946y6q0k2r767yap0s4e1kaoap7y4d1k4e9ice9t353g6a7d9tce0z6a3g75aq770r0t4far77aq4g4f0tbybqbz"
    "5u5v5mbsbzbq5o5m5vcd9i7o691a359t7o9i3g351absbq9b5o2y5m7l9bbq175m2y8i848j24251q918j842o1q25a6cf9s3t3f6b9l9scf386b3f"
    "8e7g8f2021127j8f7g151221ab9y7e3y103lbr7e9y5n3l109386cs2q6o1scncs866j1s6o86977q1s1c2u7r7q971d2u1c8f7j8g2122157k8g7j"
    "161522bvc4c25r5y60c0c2c45w605y8g7kbc225416bbbc7k531654aybyaz4p4q5ubzazby5v5u4qaza9ai4q453wb4aia94w3w45889a8b1u1x2x"
    "998b9a2w2x1xbl4o9r5d3e4o069r4o064o3e7sbf9s1e3f57ag9sbf43573f8v8w912h2o2i8j918w252i2o7x879c1j2z1t889c871u1t2zb88wb7"
    "504z2i8vb78w2h2i4z969o952t2s3b9p959o3c3b2s9a85992x2w1r8a99851w1r2w8zcma62l3t6icfa6cm6b6i3t0g8r0f0g0f2d8s0f8r2e2d0f"
    "bx7r9y5t3l1d979y7r2u1d3l0f8s0e0f0e2e8t0e8s2f2e0e087x0908091j9c097x2z1j09959p7p2s1b3c9q7p9p3d3c1b7071ak0m490naeak71"
    "410n49b6b78u4y2g4z8v8ub72h4z2g9r06bn3e5g065hbn065h065g908u912n2o2g8v918u2h2g2ob1a7a54s3s3ua4a5a73r3u3s80c3b11m4s5z"
    "a7b1c33u5z4sc6c79k6237637q9kc71c63377j8n7k1516298m7k8n282916057t5f055f1f6w5f7t031f5f7l7zaf17421l83af7z1p1l42b0bw4v"
    "4r4v5s5j4vbw5j5s4v7g8o7j12152a8n7j8o292a15cccd7v681h697o7vcd1a691h729fad0o4032auad9f4j3240877u881t1u1g9a887u2x1g1u"
    "9mcg9n393a6cch9ncg6d6c3acm9wcf6i6b3j7ccf9w0y3j6b9c889d2z301u8b9d881x1u30479d0a470a309e0a9d31300a7qc7861c1s63cn86c7"
    "6j631sbbbj84531q5b8k84bj265b1q9yabbx3l5t3y9vbxab3i3y5t9lac9g38333z7d9gac0z3z33asaucy4h6u4j6xcyau074j6u9s9m7s3f1e39"
    "9n7s9m3a391e87ca7u1t1g66cb7uca67661g0j2m9u0j3h2maa9u2m3x2m3h877xca1t661jc9ca7x651j66bn5h6w5g035h5f6w5h5f5h039z7b73"
    "3m0p0x6x737b070x0p7n7mc8196418cpc87m6l18648can8d1y1z4ca88dan3v4c1zbl9rcx5d6t3ebgcx9r583e6tcy7bcz6u6v0x9zcz7b3m0x6v"
    "at6za84i3v0l8da86z1z0l3vaeaqak41494fapakaq4e4f49ajayai46454pazaiay4q4p459rbnbg3e585gb3bgbn4u5g58bu8yc45q602kbec48y"
    "562k60aradas4g4h40auasad4j404hax924k4n4k2p024k92022p4k9uaact3h6p3xcuctaa6q3x6p007f4k004k11ax4k7f4n114k0b0c8e0b200c"
    "7g8e0c120c20aqaear4f4g41adarae40414g0c0d7g0c120d8o7g0d2a0d12858c8a1r1w1y8d8a8c1z1y1w9g7d79330v0zce797d6a0z0vakapal"
    "494a4eaoalap4d4e4a7s96bt1e5p2t7ebt96102t5pbravbu5n5q4l8ybuav2k4l5qbx9vbo5t5i3ic5bo9v613i5iav93ax4l4n2q92ax932p2q4n"
    "cpc6c86l64629kc8c6376264ama29h4b343pcv9ha26r3p34cpctcr6l6n6pcqcrct6m6p6nc2bya45y3r5uaya4by4p5u3rbicvb25a4t6ra2b2cv"
    "3p6r4t7abwa90w3w5sb0a9bw4r5s3wcp7mct6l6p189uct7m3h186p8sb78t2e2f4zb68tb74y4z2f8rb88s2d2e50b78sb84z502e8qb98r2c2d51"
    "b88rb950512d8pba8q2b2c52b98qba51522cbmbabp5e5l528pbpba2b525la6b58z3t2l4xa18zb53o4x2lbcbb8i542453848ibb1q5324bc8ibd"
    "54552483bd8i1p2455bebd7z561l55837zbd1p551lc4bec0605w567zc0be1l565wc2bkbv5y5r5cbfbvbk575c5r7ca8ac0y3z3vanaca84c3v3z"
    "cpcrc66l626n8lc6cr276n629saga63f3t43b5a6ag4x433t04017n0419017m7n01180119bw7abp5s5l0wbmbp7a5e0w5l939y862q1s3l97869y"
    "2u3l1sa7c3bk3u5c5zc1bkc35x5z5ccnc7816j1n63aw81c74m631n94cu922r2p6qaa92cu3x6q2p92aa022p023x2m02aa2m3x02cscn8h6o236j"
    "818hcn1n6j23cg9fch6c6d3272ch9f0o326d79ce730v0p6a9z73ce3m6a0pch72ci6d6e0o71ci720n0o6eci71cj6e6f0n70cj710m0n6fcj70ck"
    "6f6g0m74ck700q0m6g749hck0q6g34clck9h6h346gbhcwbi595a6scvbicw6r6s5ac9bh7y651k59bi7ybh5a591kc97yca65661k76ca7y0s1k66"
    "ca76cb66670s75cb760r0s67cccb77680t677577cb0r670t7778cc0t680ucdcc78690u6878czcd0u696v9icdcz356v696y8lcq0k6m27crcq8l"
    "6n276m828haw1o4m2381aw8h1n234mcs8h946o2r2382948h1o232ragc1b5434x5xc3b5c15z5x4x6y828l0k271oaw8l824m1o27bfbkag57435c"
    "c1agbk5x5c439hcvcl346h6rcwclcv6s6r6hclcw9x6h3k6scx9xcw6t6s3kbg9jcx586t369xcx9j3k366tc59jb3614u36bgb39j58364ua3c8a0"
    "3q3n649ka0c837643ncobob36k4u5ic5b3bo615i4ucoa3bo6k5i3qa0boa33n3q5ia1b5803o1m4xc380b55z4x1m9t7dan3g4c0zacan7d3z0z4c"
    "736x9f0p3207au9f6x4j07327973cg0v6c0p9fcg73320p6c0e8t0d0e0d2f8o0d8t2a2f0d8tb68o2f2a4y8n8ob6294y2ab68u8n4y292g8m8n8u"
    "282g298u908m2g282nbj8m905b2n28"
)

# The outline from the forehead over the subject's left side to the chin, and back up on the right.
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
    148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
# Contours of our template -> FaceMesh points along it, from its first point to its last.
CONTOURS = {
    "lip_upper_outer": (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
    "lip_lower_outer": (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
    "lip_upper_inner": (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
    "lip_lower_inner": (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
    "lid_upper+": (362, 398, 384, 385, 386, 387, 388, 466, 263),
    "lid_lower+": (362, 382, 381, 380, 374, 373, 390, 249, 263),
    "lid_upper-": (133, 173, 157, 158, 159, 160, 161, 246, 33),
    "lid_lower-": (133, 155, 154, 153, 145, 144, 163, 7, 33),
    "nose_ridge": (168, 6, 197, 195, 5, 4),
    "nose_base": (98, 97, 2, 326, 327),
}
# Single points beside the sharp ends of contours, which would draw their neighbours' mean inside: FaceMesh point ->
# contour of our template, which of its points, and how far beside it, in mm outwards and up.
_BESIDE = {
    358: ("nose_wing+", 3, 0, 0), 129: ("nose_wing-", 3, 0, 0),
    287: ("lip_upper_outer", -1, 3.5, 0), 57: ("lip_upper_outer", 0, 3.5, 0),
    292: ("lip_upper_outer", -1, -0.6, 0), 62: ("lip_upper_outer", 0, -0.6, 0),
    359: ("lid_upper+", -1, 3.0, 0), 130: ("lid_upper-", -1, 3.0, 0),
    463: ("lid_upper+", 0, -2.5, 0), 243: ("lid_upper-", 0, -2.5, 0),
    353: ("brow+", -1, 4.0, -2.0), 124: ("brow-", -1, 4.0, -2.0),
}  # fmt: skip
# FaceMesh draws a brow as a ribbon, ours is a line: its upper and lower edge, from the nose outwards.
BROWS = {
    "brow+": ((336, 296, 334, 293, 300), (285, 295, 282, 283, 276)),
    "brow-": ((107, 66, 105, 63, 70), (55, 65, 52, 53, 46)),
}
_BROW_HALF_WIDTH = 2.6  # mm


def facemesh_triangles():
    """Returns FaceMesh's triangles: int32 array `(898, 3)`; eyes and mouth are filled, so the surface has no hole."""
    text = "".join(_TRIANGLES)
    return np.array([int(text[k : k + 2], 36) for k in range(0, len(text), 2)], np.int32).reshape(-1, 3)


@functools.cache
def facemesh_weights():
    """Says how to get the 468 points from the points of a `FaceModel`.

    Returns:
        (points, weights): int array `(468, 3)` and float32 array `(468, 3)` whose rows sum to 1; landmark `i` of any
        face is the mean of its points `points[i]` weighted by `weights[i]`.
    """
    face = face_model()
    rest = face.points(face.coefficients(np.zeros((1, face.num_identity)), np.zeros((1, 2 * NUM_UNITS))))[0]
    chart = rest[:, :2] * 1000
    points = np.zeros((NUM_POINTS, 3), int)
    weights = np.zeros((NUM_POINTS, 3))
    fixed = {}
    for name, landmarks in CONTOURS.items():
        contour = face.index[name]
        place = np.linspace(0, len(contour) - 1, len(landmarks))
        before = np.minimum(place.astype(int), len(contour) - 2)
        for landmark, start, along in zip(landmarks, before, place - before, strict=True):
            points[landmark, :2] = contour[start : start + 2]
            weights[landmark, :2] = 1 - along, along
            fixed[landmark] = weights[landmark, :2] @ chart[points[landmark, :2]]
    embedded = dict(fixed)
    for landmark, (name, which, outwards, up) in _BESIDE.items():
        corner = chart[face.index[name][which]]
        embedded[landmark] = corner + [np.sign(corner[0]) * outwards, up]
    for name, edges in BROWS.items():
        brow = chart[face.index[name]]
        for landmarks, offset in zip(edges, (_BROW_HALF_WIDTH, -_BROW_HALF_WIDTH), strict=True):
            embedded |= dict(zip(landmarks, _along(brow, len(landmarks)) + [0, offset], strict=True))
    embedded |= dict(zip(OVAL, _outline(chart[face.index["temple"]], chart[face.index["jaw"]]), strict=True))

    positions = _untangle(_tutte(embedded), np.setdiff1d(np.arange(NUM_POINTS), [*fixed, *OVAL]))
    rest_of_them = np.setdiff1d(np.arange(NUM_POINTS), list(fixed))
    found, shares = _barycentric(positions[rest_of_them], chart[: face.num_vertices], face.triangles)
    points[rest_of_them], weights[rest_of_them] = found, shares
    return points, weights.astype(np.float32)


def _along(curve, num_points):
    """Spreads points evenly along a polyline `(n, 2)`: float array `(num_points, 2)`."""
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))]
    wanted = np.linspace(0, length[-1], num_points)
    return np.c_[np.interp(wanted, length, curve[:, 0]), np.interp(wanted, length, curve[:, 1])]


def _outline(temple, jaw):
    """Returns where the points of `OVAL` lie: float array `(36, 2)`, just inside the rim of the mesh.

    Args:
        temple: float array `(n, 2)`, from the subject's left over the forehead to the right.
        jaw: float array `(m, 2)`, from the subject's right over the chin to the left.
    """
    top, chin = len(temple) // 2, len(jaw) // 2
    quarters = (
        (temple[: top + 1][::-1], 9),
        (jaw[chin:][::-1], 11),
        (jaw[: chin + 1][::-1], 11),
        (temple[top:][::-1], 9),
    )
    return 0.985 * np.vstack([_along(curve, count)[:-1] for curve, count in quarters])


def _tutte(fixed):
    """Puts every free point into the middle of its neighbours.

    Args:
        fixed: dict from landmark to its position `(2,)`.

    Returns:
        float array `(468, 2)`.
    """
    triangles = facemesh_triangles()
    joined = np.zeros((NUM_POINTS, NUM_POINTS))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        joined[triangles[:, a], triangles[:, b]] = joined[triangles[:, b], triangles[:, a]] = 1
    system = np.diag(joined.sum(1)) - joined
    right = np.zeros((NUM_POINTS, 2))
    for landmark, position in fixed.items():
        system[landmark] = 0
        system[landmark, landmark] = 1
        right[landmark] = position
    return np.linalg.solve(system, right)


def _untangle(positions, free, smallest=0.4, step=0.15, num_steps=400):
    """Moves free points until no triangle is turned over; contours are not convex, so Tutte's theorem does not hold.

    Args:
        positions: float array `(468, 2)`, mm.
        free: int array of the points that may move.
        smallest: float, twice the area in mm² that a triangle should have at least.
        step: float, share of what is missing that a step makes up for.
        num_steps: int.

    Returns:
        float array `(468, 2)`.
    """
    triangles, moved = facemesh_triangles(), positions.copy()
    for _ in range(num_steps):
        corners = moved[triangles]
        following, last = np.roll(corners, -1, axis=1), np.roll(corners, 1, axis=1)
        # The area grows fastest when a corner moves at right angles to the opposite edge.
        edge = last - following
        slope = np.stack([-edge[..., 1], edge[..., 0]], axis=-1)
        p, q = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        missing = np.maximum(smallest - (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]), 0)
        if not missing.any():
            break
        push = step * (missing / (slope**2).sum((1, 2)))[:, None, None] * slope
        total = np.zeros_like(moved)
        np.add.at(total, triangles, push)
        moved[free] += total[free]
    return moved


def _barycentric(positions, chart, triangles):
    """Finds the triangle that each position lies in, or the one that it is least outside of.

    Args:
        positions: float array `(n, 2)`.
        chart: float array `(num_vertices, 2)`.
        triangles: int array `(num_triangles, 3)`.

    Returns:
        (corners, shares): int array `(n, 3)` of vertices, and float array `(n, 3)` of their weights.
    """
    a, b, c = (chart[triangles[:, corner]] for corner in range(3))
    p, q = b - a, c - a
    area = p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
    offset = positions[:, None] - a
    second = (offset[..., 0] * q[:, 1] - offset[..., 1] * q[:, 0]) / area
    third = (p[:, 0] * offset[..., 1] - p[:, 1] * offset[..., 0]) / area
    shares = np.stack([1 - second - third, second, third], axis=-1)
    # A sliver or a hole may be nearest by weights and far by millimetres: clip, then measure.
    shares = np.clip(shares, 0, 1)
    shares /= shares.sum(-1, keepdims=True)
    reached = (shares[..., None] * np.stack([a, b, c], axis=1)).sum(2)
    nearest = ((reached - positions[:, None]) ** 2).sum(-1).argmin(1)
    rows = np.arange(len(positions))
    return triangles[nearest], shares[rows, nearest]
