"""Where Kaggle's data sources are mounted, in both layouts.

A source is at `<root>/<slug>` (the older layout) or at `<root>/competitions/<slug>`, `<root>/datasets/<owner>/<slug>` or
`<root>/notebooks/<owner>/<slug>` (pushes since 2026). Outside Kaggle the root comes from the caller.
"""

from pathlib import Path

from siim_kernel.errors import MountError

WEIGHTS = (".h5", ".npz", ".safetensors")
LAYOUTS = ("{slug}", "competitions/{slug}", "datasets/*/{slug}", "notebooks/*/{slug}", "kernels/*/{slug}", "code/*/{slug}")


def find(slug, root):
    """The one folder under `root` that holds the data source `slug`, as a Path.

    Raises MountError when there is none (the message lists what is mounted) or more than one; a link from one layout to
    the other is no second one.
    """
    root = Path(root)
    if not slug or "/" in slug or "*" in slug:
        raise MountError(f"a data source is named by its slug, the last part of its address, got {slug!r}; correct the kernel's PARAMETERS")
    found = sorted({place for layout in LAYOUTS for place in root.glob(layout.format(slug=slug)) if place.is_dir()})
    places = list({place.resolve(): place for place in reversed(found)}.values())[::-1]
    if len(places) == 1:
        return places[0]
    if places:
        raise MountError(f"data source {slug} is mounted more than once: {', '.join(map(str, places))}; detach all but one")
    mounted = ", ".join(map(str, sources(root))) or "nothing"
    raise MountError(
        f"data source {slug} is not mounted under {root}; found there: {mounted}. "
        f"Attach it to the kernel (kernel-metadata.json), or correct the kernel's PARAMETERS"
    )


def find_all(slugs, root):
    """`find` for several sources at once: a dict slug -> Path; one MountError names every missing source."""
    found, faults = {}, []
    for slug in slugs:
        try:
            found[slug] = find(slug, root)
        except MountError as error:
            faults.append(str(error))
    if faults:
        raise MountError("\n".join(faults))
    return found


def only_weights(place):
    """The one file of weights in a dataset: a folder, or that file itself. MountError where there is none or more than one."""
    place = Path(place)
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    found = [path for path in files if path.suffix in WEIGHTS]
    if len(found) != 1:
        there = ", ".join(path.name for path in found or files) or "nothing"
        raise MountError(f"{place} should hold one file of weights ({', '.join(WEIGHTS)}), it holds {there}")
    return found[0]


def sources(root):
    """Folders under `root` that look like mounted data sources, relative to it and sorted."""
    root = Path(root)
    groups = {layout.split("/")[0] for layout in LAYOUTS if "/" in layout}
    places = [place for layout in LAYOUTS for place in root.glob(layout.format(slug="*")) if place.is_dir()]
    return sorted({place.relative_to(root) for place in places if place.relative_to(root).as_posix() not in groups})
