"""A kernel's data sources: how metadata attaches them, and that what PARAMETERS name is attached."""

import re

OWNER, SLUG = "[A-Za-z0-9][A-Za-z0-9_-]*", "[a-z0-9]+(-[a-z0-9]+)*"
# PARAMETERS that name data sources, each by its slug or by several.
SOURCE_PARAMETERS = ("COMPETITION", "IMAGES", "IMAGENET", "RUNS", "DATASET")
_VERSION = "(/[1-9][0-9]*)?"
SOURCES = {
    "dataset_sources": (f"{OWNER}/{SLUG}{_VERSION}", "owner/slug or owner/slug/version"),
    "kernel_sources": (f"{OWNER}/(?=[^/]{{5}}){SLUG}{_VERSION}", "owner/slug or owner/slug/version, the slug of 5 characters or more"),
    "competition_sources": (SLUG, "the competition's slug alone"),
    "model_sources": (f"{OWNER}/[^/]+/[^/]+/[^/]+/[1-9][0-9]*", "owner/model/framework/variation/version"),
}


def slug_in(ref):
    """The slug in a source's address: `owner/slug`, `owner/slug/version` or the slug alone."""
    parts = ref.split("/")
    return parts[1] if len(parts) > 1 else parts[0]


def text_list_faults(fields, name):
    """What is wrong with a field that lists texts, each once; the field may be left out."""
    value = fields.get(name, [])
    if not (isinstance(value, list) and all(isinstance(item, str) and item for item in value)):
        return [f"{name} must be a list of texts, got {value!r}"]
    return [f"{name} names {item!r} twice" for item in sorted({item for item in value if value.count(item) > 1})]


def source_faults(fields):
    """What is wrong with the lists of sources in a kernel's fields: a list of str."""
    faults = [fault for name in SOURCES for fault in text_list_faults(fields, name)]
    if faults:
        return faults
    for name, (form, words) in SOURCES.items():
        faults += [f"{name}: {ref!r} is not {words}" for ref in fields.get(name, []) if not re.fullmatch(form, ref)]
    own = str(fields.get("id")).lower()
    for ref in fields.get("kernel_sources", []):
        if "/".join(ref.lower().split("/")[:2]) == own:
            faults.append(f"kernel_sources names the kernel itself ({ref}); go on under another slug, as push train does")
    slugs = [slug for name in SOURCES for slug in _slugs(fields, name)]
    for slug in sorted({slug for slug in slugs if slugs.count(slug) > 1}):
        faults.append(f"two sources have the slug {slug!r}; Kaggle mounts both at one place, attach one")
    return faults


def parameter_faults(fields, parameters):
    """Sources that PARAMETERS (a dict) name and that are not attached: a list of str."""
    attached = sorted(slug for name in SOURCES for slug in _slugs(fields, name))
    there = ", ".join(attached) or "none"
    return [
        f"parameter {name} names the source {slug!r}, which is not attached; attached are {there}"
        for name in SOURCE_PARAMETERS
        for slug in named_sources(parameters.get(name))
        if slug not in attached
    ]


def named_sources(value):
    """The slugs that the value of one of SOURCE_PARAMETERS names, as a tuple: None names none, a text one."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _slugs(fields, name):
    """Slugs of one list of sources, as kernels find them under /kaggle/input."""
    refs = fields.get(name)
    return [slug_in(ref) for ref in refs if isinstance(ref, str)] if isinstance(refs, list) else []
