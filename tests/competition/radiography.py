"""The COVID-19 Radiography Database in small: its folders, names and metadata as they are published, its films of 8 x 8 pixels."""

import os

import cv2
import numpy as np
import pandas as pd

# Class folder, class, films as published; how the metadata write its names.
CLASSES = (
    ("COVID", "covid_19", 3616, "COVID-{}"),
    ("Lung_Opacity", "LO", 6012, "Lung_Opacity-{}"),
    ("Normal", "NORMAL", 10192, "NORMAL-{}"),
    ("Viral Pneumonia", "VIRALNEU", 1345, "Viral Pneumonia-{}"),
)
PUBLISHED = {name: films for _, name, films, _ in CLASSES}


def make(folder, films, inner="images", masks=True):
    """Writes the database with so many films of each class, or as many as a dict has by class; returns `folder`."""
    for number, (title, name, _, written) in enumerate(CLASSES):
        count = films[name] if isinstance(films, dict) else films
        place = folder / title / inner
        place.mkdir(parents=True)
        first = write(place / f"{title}-1.png", seed=number)
        for other in range(2, count + 1):
            os.link(first, place / f"{title}-{other}.png")
        if masks:
            (folder / title / "masks").mkdir()
            os.link(first, folder / title / "masks" / f"{title}-1.png")
        metadata(folder / f"{title}.metadata.xlsx", [written.format(other) for other in range(1, count + 1)])
    (folder / "README.md.txt").write_text("about")
    return folder


def metadata(path, names, heading="FILE NAME"):
    """Writes a table of metadata."""
    rows = [(name, "PNG", "256*256", f"https://example.org/{name.split('-')[0]}") for name in names]
    pd.DataFrame(rows, columns=[heading, "FORMAT", "SIZE", "URL"]).to_excel(path, index=False)


def write(path, seed, side=8):
    """Writes a film of noise and returns its path."""
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8))
    return path
