"""The plan of a made competition, without pixels: shares, patients, siblings."""

from collections import Counter, defaultdict

import pytest

from siim_kernel.errors import RecipeError
from siim_kernel.labels import STUDY_CLASSES
from siim_kernel.phantom import cohort
from siim_kernel.phantom.findings import UNBOXED, plan_findings

MANY = 3000


@pytest.fixture(scope="module")
def plans():
    return cohort.plan(MANY, seed=3)


@pytest.fixture(scope="module")
def studies(plans):
    return list({plan.study.study: plan.study for plan in plans}.values())


def boxes_planned(study):
    return len({patch.box for patch in plan_findings(study).patches} - {UNBOXED})


def test_the_same_seed_gives_the_same_plan_and_another_seed_another():
    assert cohort.plan(60, seed=1) == cohort.plan(60, seed=1)
    assert not {plan.image for plan in cohort.plan(60, seed=1)} & {plan.image for plan in cohort.plan(60, seed=2)}


def test_study_classes_have_the_real_shares(studies):
    counts = Counter(study.label for study in studies)
    assert sum(counts.values()) == MANY
    for label, real in {"negative": 1676, "typical": 2855, "indeterminate": 1049, "atypical": 474}.items():
        assert counts[label] / MANY == pytest.approx(real / 6054, abs=0.001)


def test_patients_are_as_many_and_as_varied_as_the_real_ones(studies):
    by_patient = defaultdict(list)
    for study in studies:
        by_patient[study.patient].append(study)
    sizes = [len(own) for own in by_patient.values()]
    assert len(sizes) == pytest.approx(MANY * 3261 / 6054, rel=0.03)
    assert sum(size > 1 for size in sizes) / len(sizes) == pytest.approx(1200 / 3261, abs=0.03)
    assert 15 <= max(sizes) <= 25
    several = [own for own in by_patient.values() if len(own) > 1]
    differing = sum(len({study.label for study in own}) > 1 for own in several)
    assert differing / len(several) == pytest.approx(770 / 1200, abs=0.08)
    assert all(len({study.split for study in own}) == 1 for own in by_patient.values())


def test_several_images_are_as_common_as_in_the_real_train(plans):
    images = Counter(plan.study.study for plan in plans)
    several = [count for count in images.values() if count > 1]
    assert len(several) / MANY == pytest.approx(232 / 6054, abs=0.002)
    assert max(several) <= 9
    assert Counter(several)[2] / len(several) > 0.8
    assert len({plan.series for plan in plans}) == len(plans) == len({plan.image for plan in plans})


def test_one_image_of_a_study_is_annotated_in_train_and_all_in_test(plans):
    by_study = defaultdict(list)
    for plan in plans:
        by_study[plan.study.study].append(plan)
    for own in by_study.values():
        annotated = sum(plan.annotated for plan in own)
        assert annotated == (1 if own[0].study.split == "train" else len(own))


def test_boxes_are_as_many_as_the_real_ones(studies):
    counts = {label: Counter(boxes_planned(study) for study in studies if study.label == label) for label in STUDY_CLASSES}
    total = sum(counts.values(), Counter())
    boxed = sum(number for boxes, number in total.items() if boxes)
    assert set(counts["negative"]) == {0}
    assert counts["typical"][0] == counts["indeterminate"][0] == 0
    assert counts["atypical"][0] / sum(counts["atypical"].values()) == pytest.approx(83 / 474, abs=0.02)
    assert total[1] / boxed == pytest.approx(973 / 4294, abs=0.03)
    assert total[2] / boxed == pytest.approx(3113 / 4294, abs=0.03)
    assert max(total) <= 8


def test_typical_is_on_both_sides_peripheral_and_low(studies):
    typical = [plan_findings(study).patches for study in studies if study.label == "typical"]
    assert sum({patch.side for patch in patches} == {"left", "right"} for patches in typical) / len(typical) > 0.98
    patches = [patch for own in typical for patch in own]
    assert sum(patch.across for patch in patches) / len(patches) > 0.65
    assert sum(patch.down for patch in patches) / len(patches) > 0.55


def test_indeterminate_is_mostly_one_lung_or_central_or_upper(studies):
    own = [(study, plan_findings(study).patches) for study in studies if study.label == "indeterminate"]
    one_sided = sum(len({patch.side for patch in patches}) == 1 for _, patches in own) / len(own)
    assert 0.6 < one_sided < 0.72
    central = [patch.across for study, patches in own if study.pattern == "central, both" for patch in patches if patch.box in (0, 1)]
    upper = [patch.down for study, patches in own if study.pattern == "upper, both" for patch in patches if patch.box in (0, 1)]
    assert max(central) < 0.4
    assert max(upper) < 0.4


def test_effusion_and_pneumothorax_have_no_box(studies):
    for study in studies:
        if study.pattern in ("effusion", "pneumothorax"):
            findings = plan_findings(study)
            assert not findings.patches
            assert findings.effusions or findings.pneumothorax


def test_severity_runs_from_hardly_seen_to_severe(studies):
    severities = [study.severity for study in studies if study.label == "typical"]
    assert min(severities) < 0.01
    assert max(severities) > 0.98


@pytest.mark.parametrize("number", [40, 60, 61, 200])
def test_small_competitions_have_every_class_on_both_sides(number):
    plans = cohort.plan(number, seed=number)
    studies = {plan.study.study: plan.study for plan in plans}
    assert len(studies) == number
    for split in ("train", "test"):
        assert {study.label for study in studies.values() if study.split == split} == set(STUDY_CLASSES)
    if number >= 60:
        assert any(not plan.annotated and plan.study.label != "negative" for plan in plans)


@pytest.mark.parametrize("number", range(8, 30))
def test_the_smallest_competitions_are_whole(number):
    studies = {plan.study.study: plan.study for plan in cohort.plan(number)}.values()
    assert len(studies) == number
    assert {study.split for study in studies} == {"train", "test"}


@pytest.mark.parametrize("arguments", [(7,), (10**6,), (40.5,), (40, -1), (40, 0.5), (40, 0, 0), (40, 0, 1), (40, 0, float("nan"))])
def test_impossible_numbers_are_refused(arguments):
    with pytest.raises(RecipeError, match="got"):
        cohort.plan(*arguments)
