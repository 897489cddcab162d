"""How a made film is stored: size, bit depth, photometric interpretation, VOI, transfer syntax, optional tags.

The spread is that of the real competition; each property is dealt out in exact shares, independently of the others and of the class.
"""

from dataclasses import dataclass

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, RLELossless

from siim_kernel.phantom.draws import pick, spread

SYNTAXES = {ExplicitVRLittleEndian: 0.39, ImplicitVRLittleEndian: 0.19, JPEGLosslessSV1: 0.29, JPEG2000Lossless: 0.08, RLELossless: 0.05}
NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)

# Plates of common detectors, (rows, columns); "cut" stands for films that were cropped to any size.
PLATES = {
    (2336, 2836): 0.10, (3480, 4240): 0.075, (3480, 4248): 0.07, (3488, 4256): 0.06, (2544, 3056): 0.06, (2320, 2832): 0.05,
    (2800, 3408): 0.035, (2539, 3050): 0.035, (2520, 3032): 0.03, (2436, 3032): 0.03, (1140, 1387): 0.025, (2330, 2846): 0.025,
    (1760, 2140): 0.02, (2991, 2992): 0.02, (2801, 2802): 0.02, (3032, 3032): 0.02, (2540, 2880): 0.02, (2874, 2840): 0.01,
    (4020, 4891): 0.01, (4240, 3480): 0.01, "cut": 0.275,
}  # fmt: skip
BITS = {8: 0.065, 10: 0.14, 12: 0.53, 14: 0.09, 15: 0.05, 16: 0.125}
VOIS = {"none": 0.30, "window": 0.42, "windows": 0.13, "sigmoid": 0.08, "lut": 0.07}
BODY_PARTS = {
    "CHEST": 0.46,
    "TORAX": 0.15,
    "THORAX": 0.13,
    "PORT CHEST": 0.06,
    "PECHO": 0.05,
    "T?RAX": 0.03,
    "2- TORAX": 0.02,
    "SKULL": 0.01,
    "": 0.05,
    None: 0.04,
}
MARGIN = 8  # stored values kept free at both ends of the range, for the padding value
SIGMOID_REACH = float(np.log(0.98 / 0.02))


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How one image is stored.

    rows, columns     of the full film, before it is scaled down
    bits              BitsStored; 8 are allocated for 8, else 16
    low, high         stored values (before the sign) of the two ends of the tone scale
    inverted          MONOCHROME1
    signed            PixelRepresentation 1
    voi               "none", "window", "windows" (several values), "sigmoid" or "lut"
    gamma             of the VOI LUT
    slope, intercept  of the modality LUT, or None where the tags are missing
    padding           PixelPaddingValue is given and used
    syntax            transfer syntax UID
    modality, body_part, series_number, instance_number, view_position    tags; None where the tag is missing
    """

    rows: int
    columns: int
    bits: int
    low: int
    high: int
    inverted: bool
    signed: bool
    voi: str
    gamma: float
    slope: float | None
    intercept: float | None
    padding: bool
    syntax: str
    modality: str
    body_part: str | None
    series_number: int | None
    instance_number: int | None
    view_position: str | None

    @property
    def offset(self):
        """What is taken off the unsigned values of a signed film."""
        return 2 ** (self.bits - 1) if self.signed else 0

    @property
    def padding_value(self):
        """The stored value of the border, black when displayed."""
        return (2**self.bits - 1 if self.inverted else 0) - self.offset

    def modality_value(self, stored):
        """Stored value (without sign) to the output of the modality LUT, where VOI windows are stated."""
        return (stored - self.offset) * (self.slope or 1.0) + (self.intercept or 0.0)


def storages(rng, views):
    """A Storage for each image, given the images' views ("PA" or "AP")."""
    count = len(views)
    names = (
        "plate",
        "cut",
        "long",
        "aspect",
        "bits",
        "inverted",
        "signed",
        "voi",
        "rescale",
        "padding",
        "syntax",
        "body",
        "number",
        "view",
        "range",
    )
    draws = {name: spread(rng, count) for name in names}
    return [_storage({name: float(draws[name][index]) for name in names}, rng, view) for index, view in enumerate(views)]


def _storage(draw, rng, view):
    rows, columns = _plate(draw)
    bits = pick(BITS, draw["bits"])
    syntax = pick(SYNTAXES, draw["syntax"])
    voi = pick(VOIS, draw["voi"])
    # Signed values and LUTs are rare, and in files that a plain reader can still read.
    signed = draw["signed"] < 0.05 and syntax in NATIVE and bits > 8 and voi != "lut"
    if voi == "lut" and bits > 14:
        voi = "window"
    slope, intercept = {0: (None, None), 1: (1.0, 0.0), 2: (1.0, -1024.0), 3: (0.5, 0.0)}[
        pick({0: 0.42, 1: 0.53, 2: 0.03, 3: 0.02}, draw["rescale"])
    ]
    if voi == "lut":
        slope, intercept = None, None
    top = 2**bits - 1
    used = 0.45 + 0.55 * draw["range"]
    low = MARGIN + int(0.04 * top * rng.uniform())
    inverted = draw["inverted"] < 0.27
    missing = draw["number"] < 0.04
    return Storage(
        rows=rows,
        columns=columns,
        bits=bits,
        low=low,
        high=max(low + 64, int(used * (top - MARGIN))),
        inverted=inverted,
        signed=signed,
        voi=voi,
        gamma=round(rng.uniform(0.6, 1.6), 3),
        slope=slope,
        intercept=intercept,
        padding=draw["padding"] < 0.12,
        syntax=syntax,
        modality="DX" if rng.uniform() < 0.7 else "CR",
        body_part=pick(BODY_PARTS, draw["body"]),
        series_number=None if missing else pick({1: 0.87, 2: 0.06, 3: 0.04, 1001: 0.03}, rng.uniform()),
        instance_number=None if missing else pick({1: 0.97, 2: 0.02, 3: 0.01}, rng.uniform()),
        view_position=None if draw["view"] < 0.25 else "" if draw["view"] < 0.35 else view,
    )


def _plate(draw):
    """Rows and columns of the full film, 846..4891 pixels."""
    plate = pick(PLATES, draw["plate"])
    if plate != "cut":
        return plate
    long = float(np.interp(draw["long"], [0, 0.04, 0.12, 0.5, 0.85, 1], [1140, 1500, 2100, 2800, 3400, 4891]))
    aspect = float(np.interp(draw["aspect"], [0, 0.2, 0.26, 0.34, 0.62, 0.96, 1], [0.70, 0.97, 1.0, 1.0, 1.16, 1.31, 1.6]))
    rows, columns = (long / aspect, long) if aspect >= 1 else (long, long * aspect)
    return max(846, round(rows)), max(846, round(columns))


def store(greys, padding, storage):
    """Display greys to stored values.

    greys    float32 [rows, columns] in 0..1, bright = dense
    padding  bool [rows, columns], the border that gets the padding value where the film states one
    Returns an integer array of the file's type (uint8, uint16 or int16). It is the inverse of modality LUT, VOI and photometric
    interpretation (DICOM PS3.3 C.11.1, C.11.2, C.7.6.3.1.2), so that a correct reader gets the greys back.
    """
    greys = np.clip(greys, 0, 1)
    shades = 1 - greys if storage.inverted else greys
    if storage.voi == "sigmoid":
        shades = np.clip(shades, 0.02, 0.98)
        shades = 0.5 + np.log(shades / (1 - shades)) / (2 * SIGMOID_REACH)
    elif storage.voi == "lut":
        shades = np.power(shades, 1 / storage.gamma)
    values = np.rint(storage.low + shades * (storage.high - storage.low)).astype(np.int32) - storage.offset
    if storage.padding:
        values[padding] = storage.padding_value
    return values.astype(np.int16 if storage.signed else np.uint8 if storage.bits == 8 else np.uint16)


def voi_lut(storage):
    """The VOI LUT of a film with `voi` "lut": (descriptor of three numbers, table of 16-bit values)."""
    steps = np.linspace(0, 1, storage.high - storage.low + 1)
    table = np.rint(np.power(steps, storage.gamma) * 65535).astype(np.uint16)
    return [len(table), storage.low, 16], table
