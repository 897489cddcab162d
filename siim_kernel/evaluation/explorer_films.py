"""The sections of an exploration about the films themselves: sizes, storage, values, pictures, duplicates.

Each takes a `sources.Source`, gives the parts of its section, and adds its tables to `tables` by the names of their CSVs.
"""

import pandas as pd
from skimage.exposure import adjust_gamma, adjust_log

from siim_kernel.evaluation import exploration, figures
from siim_kernel.evaluation.pages import Table, Text, counted, per_cent
from siim_kernel.labels import NOT_READ
from siim_kernel.pixels.images import equalise

GAMMA = 0.5
NAMED = 50  # duplicates that the page lists; the CSV has all
NO_FILMS = "Left out: the source holds no films, or does not state it."
ID = 20  # characters of an image's id that have room above it


def sizes(source, tables):
    """The sides of the films, and the most frequent sizes."""
    films = source.films if len(source.films) else source.images if source.images is not None else source.films
    known = films.dropna(subset=["rows", "columns"]) if len(films) else films
    if not len(known):
        return [Text("Left out: the sizes of the films are not known; the DICOMs, an image set or a meta.csv tell them.")]
    pairs = known["columns"].astype(str) + " x " + known["rows"].astype(str)
    tables |= {"film_sizes": exploration.film_sizes(known), "film_sizes_by_frequency": exploration.frequencies(pairs, "columns x rows", 15)}
    sides = {name: known[name].astype(float).to_numpy() for name in ("rows", "columns")}
    return [
        figures.picture(figures.histogram(sides, "Sides of the films", "pixels"), tables["film_sizes"]),
        Table(shares(tables["film_sizes_by_frequency"], "share"), "The most frequent sizes"),
        *([Text(f"The sizes of {counted(len(films) - len(known), 'film')} are not known.")] if len(films) > len(known) else []),
    ]


def storage(source, tables):
    """How the films are stored: photometric interpretation, transfer syntax, bits."""
    films = source.films
    if not len(films) or not (films["photometric"].fillna("") != "").any():
        return [Text(NO_FILMS)]
    found = []
    for name, title in (
        ("photometric", "photometric interpretation"),
        ("transfer_syntax", "transfer syntax"),
        ("bits_stored", "bits stored"),
    ):
        stated = films[name].astype(object).where(films[name].notna(), "")
        if (stated.astype(str) == "").all():
            found.append(Text(f"{title.capitalize()}: the source does not state it."))
            continue
        tables[name] = exploration.frequencies(stated, title)
        found.append(bars(tables[name], title, f"Films by {title}"))
    return found


def values(source, tables):
    """The range of the stored values of sampled films."""
    if not len(source.values):
        return [Text("Left out: without DICOMs the stored values are not known.")]
    tables["value_ranges"] = exploration.value_ranges(source.values)
    ends = {"lowest": source.values["low"], "highest": source.values["high"]}
    caption = (
        f"From {counted(len(source.values), 'film')} drawn at random and read whole. The numbers: by how the films are stored, the "
        "extremes over the films and the medians of the films' percentiles 1 and 99."
    )
    drawn = figures.histogram(ends, "Lowest and highest stored value of each film", "stored value")
    return [figures.picture(drawn, tables["value_ranges"], caption)]


def sheet(source, tables):
    """A sheet of films with class, id and boxes, as far as they are known."""
    if not source.shown:
        return [Text(NO_FILMS)]
    facts = _facts(source).reindex([shown.image for shown in source.shown]).fillna("")
    unread = facts["reading"].isin(("", NOT_READ))
    boxes = [None if unread[shown.image] and not len(shown.boxes) else shown.boxes for shown in source.shown]
    named = [_title(image, label, reading) for image, label, reading in zip(facts.index, facts["label"], facts["reading"], strict=True)]
    films = [figures.Film(shown.picture, name, drawn) for shown, name, drawn in zip(source.shown, named, boxes, strict=True)]
    tables["sheet"] = facts.assign(boxes=[NOT_READ if drawn is None else len(drawn) for drawn in boxes]).reset_index(names="image")
    if source.images is None:
        tables["sheet"] = tables["sheet"].drop(columns=["reading", "boxes"])
    boxed = any(drawn is not None and len(drawn) for drawn in boxes)
    caption = f"Row by row; above each film {'its class and ' * bool((facts['label'] != '').any())}its id."
    caption += " Films with boxes come first within a class." * boxed
    caption += f" Not read for boxes: {int((facts['reading'] == NOT_READ).sum())} of {len(facts)}." * (source.images is not None)
    return [figures.picture(figures.sheet(films, "Films with their boxes" if boxed else "Films"), tables["sheet"], caption)]


def _title(image, label, reading):
    short = image if len(image) <= ID else f"{image[: ID - 3]}..."
    return "\n".join(filter(None, (label, short, reading * (reading == NOT_READ))))


def adjusted(source):
    """One film, of those shown the one with the most boxes, before and after changes of its greys."""
    if not source.shown:
        return [Text(NO_FILMS)]
    shown = max(source.shown, key=lambda film: len(film.boxes))
    versions = {
        "as it is": shown.picture,
        "equalised": equalise(shown.picture),
        f"gamma {GAMMA:g}": adjust_gamma(shown.picture, GAMMA),
        "log": adjust_log(shown.picture),
    }
    rows = [(name, greys.mean(), greys.std(), (greys == 0).mean(), (greys == 255).mean()) for name, greys in versions.items()]
    table = pd.DataFrame(rows, columns=["version", "mean grey", "standard deviation", "share of black", "share of white"])
    caption = "Histogram equalisation (skimage.exposure.equalize_hist), gamma and logarithmic adjustment, each with its histogram of greys."
    drawn = figures.before_after(versions, f"Film {shown.image}")
    return [figures.picture(drawn, shares(table, "share of black", "share of white"), caption)]


def duplicates(source, same, tables):
    """Squares that show the same film; same is `folds.find_duplicates`, None where they were not compared."""
    if same is None:
        return [Text("Left out: duplicates are looked for in the squares of an image set; explore one, or name one with --images.")]
    if not same:
        return [Text(f"Among {counted(len(source.squares.table), 'square')} no two show the same film.")]
    facts = _facts(source).reindex([image for group in same for image in group]).fillna("")
    number = [number for number, group in enumerate(same, 1) for _ in group]
    tables["duplicates"] = facts.reset_index(names="image").assign(group=number)[["group", "image", "study", "label"]]
    split = tables["duplicates"].groupby("group")["label"].nunique()
    text = f"Groups of squares that show the same film: {len(same):,}, with {len(facts):,} images in all."
    if source.images is not None:
        text += f" Groups in which the classes of the studies differ: {int((split > 1).sum()):,}."
    shown = tables["duplicates"].head(NAMED)
    shown = shown.loc[:, (shown != "").any()]
    return [
        Text(text),
        Table(shown, f"The first {len(shown)} of {len(facts)} films" if len(facts) > NAMED else "Films that are duplicates"),
    ]


def _facts(source):
    """Study, class and reading by image, as far as they are known."""
    table = source.images if source.images is not None else source.films.assign(label=source.films["class"], reading="")
    return table.drop_duplicates("image").set_index("image")[["study", "label", "reading"]]


def bars(table, name, title, quantity="films", caption=""):
    """A bar chart of a table's column `quantity` over its column `name`, with the table; its share in per cent."""
    return figures.picture(figures.bars(table.set_index(name)[quantity], title, quantity), shares(table, "share"), caption)


def shares(table, *columns):
    """A table to be read, of one with shares of 0..1: in per cent."""
    return table.assign(**{name: table[name].map(per_cent) for name in columns if name in table})
