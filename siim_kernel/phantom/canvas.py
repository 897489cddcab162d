"""A canvas that is drawn on in chest units.

One unit is half the inner width of the chest. x grows to the right of the film, which is the patient's left; 0 is the midline.
y grows downwards; 0 is the level of the lung tops. A film shows about 2.5 units across.
"""

import cv2
import numpy as np

SUBPIXEL_BITS = 4


def curve(points, closed=False, steps=10):
    """Points [M, 2] on a Catmull-Rom spline through `points` [N, 2]; an open curve ends at its first and last point."""
    points = np.asarray(points, float)
    padded = (
        np.concatenate([points[-1:], points, points[:2]])
        if closed
        else np.concatenate([points[:1] * 2 - points[1:2], points, points[-1:] * 2 - points[-2:-1]])
    )
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c, d = (padded[start : len(padded) - 3 + start, None] for start in range(4))
    pieces = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    pieces = pieces.reshape(-1, 2)
    return pieces if closed else np.concatenate([pieces, points[-1:]])


def band(points, widths):
    """The closed outline [2N, 2] of a ribbon along `points` [N, 2] with `widths` (one, or one a point)."""
    points = np.asarray(points, float)
    along = np.gradient(points, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    offset = normal * np.broadcast_to(np.asarray(widths, float), len(points))[:, None] / 2
    return np.concatenate([points + offset, (points - offset)[::-1]])


def ellipse(x, y, half_width, half_height, angle=0.0, count=48):
    """The outline [count, 2] of an ellipse, turned by `angle` radians."""
    t = np.linspace(0, 2 * np.pi, count, endpoint=False)
    across, down = half_width * np.cos(t), half_height * np.sin(t)
    return np.stack([x + across * np.cos(angle) - down * np.sin(angle), y + across * np.sin(angle) + down * np.cos(angle)], axis=1)


class Canvas:
    """Masks of one film's size, drawn in chest units.

    shape    (rows, columns) in pixels
    matrix   [2, 3] affine map from chest units to pixels
    unit     pixels a chest unit
    x, y     float32 [rows, columns]: chest coordinates of the pixels' centres
    """

    def __init__(self, shape, matrix):
        self.shape = shape
        self.matrix = np.asarray(matrix, float)
        self.unit = float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))
        back = cv2.invertAffineTransform(self.matrix)
        columns, rows = np.arange(shape[1], dtype=np.float32), np.arange(shape[0], dtype=np.float32)[:, None]
        self.x = np.float32(back[0, 0]) * columns + np.float32(back[0, 1]) * rows + np.float32(back[0, 2])
        self.y = np.float32(back[1, 0]) * columns + np.float32(back[1, 1]) * rows + np.float32(back[1, 2])

    def to_pixels(self, points):
        """Pixel coordinates [N, 2] of points [N, 2] in chest units."""
        return np.asarray(points, float) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def _fixed(self, points):
        # Far points are clipped: OpenCV's fixed-point coordinates must not overflow.
        return np.rint(np.clip(self.to_pixels(points), -8000, 8000) * 2**SUBPIXEL_BITS).astype(np.int32)

    def fill(self, *outlines):
        """Mask float32 0..1 of the union of closed outlines, with smooth edges that reach about half a pixel outwards."""
        mask = np.zeros(self.shape, np.uint8)
        for outline in outlines:
            cv2.fillPoly(mask, [self._fixed(outline)], 255, cv2.LINE_AA, SUBPIXEL_BITS)
        return mask.astype(np.float32) / 255

    def lines(self, paths, width):
        """Mask float32 0..1 of open paths; lines thinner than a pixel are drawn fainter."""
        mask = np.zeros(self.shape, np.uint8)
        pixels = width * self.unit
        grey = int(255 * min(1.0, max(pixels, 0.15)))
        cv2.polylines(mask, [self._fixed(path) for path in paths], False, grey, max(1, round(pixels)), cv2.LINE_AA, SUBPIXEL_BITS)
        return mask.astype(np.float32) / 255

    def blur(self, image, sigma):
        """Gaussian blur with `sigma` in chest units; wide blurs are made on a smaller image."""
        pixels = sigma * self.unit
        if pixels < 0.3:
            return image
        step = int(pixels // 4)
        if step < 2:
            return cv2.GaussianBlur(image, (0, 0), pixels)
        small = cv2.resize(image, (max(2, self.shape[1] // step), max(2, self.shape[0] // step)), interpolation=cv2.INTER_AREA)
        return cv2.resize(cv2.GaussianBlur(small, (0, 0), pixels / step), (self.shape[1], self.shape[0]), interpolation=cv2.INTER_LINEAR)

    def depth(self, mask):
        """Distance float32 in chest units from each pixel of `mask` to its edge; 0 outside."""
        inside = np.pad((mask > 0.5).astype(np.uint8), 1, mode="edge")
        return cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1] / np.float32(self.unit)
