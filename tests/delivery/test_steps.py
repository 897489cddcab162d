"""What a wish makes of a kernel's slug."""

from siim_kernel.delivery import metadata
from siim_kernel.delivery.chains import OTHER
from siim_kernel.delivery.steps import Wish
from siim_kernel.recipes import catalogue

SLUG = "siim-kernel-train"


def test_every_recipe_has_slugs_of_its_own_that_kaggle_takes():
    names = [recipe.name for recipe in catalogue.RECIPES]
    slugs = [SLUG + Wish(recipe=name, fold=9).suffix + turn for name in names for turn in ("", OTHER)]
    slugs += [SLUG + Wish(recipe=name, calibrate=True).suffix for name in names]
    assert len(set(slugs)) == len(slugs)
    assert max(map(len, slugs)) <= 50
    assert all(metadata.slug_of(slug) == slug for slug in slugs)


def test_a_short_name_stands_in_the_slug_as_it_is():
    assert Wish(recipe="small-imagenet", fold=0).suffix == "-small-imagenet-fold0"
    assert Wish().suffix == ""
