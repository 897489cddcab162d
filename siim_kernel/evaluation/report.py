"""The report: what one run or several are worth, as one self-contained HTML page.

What a reader asks first stands first: how good is it, may that be believed, is one run better than another; then each run in
detail; then how it was made.
"""

from itertools import combinations

from siim_kernel.evaluation import pages, report_data, report_figures, report_films, report_making, report_sections, report_tables
from siim_kernel.evaluation.intervals import RESAMPLES
from siim_kernel.evaluation.pages import Picture, Section, Table, Text
from siim_kernel.evaluation.predictions import MACRO, OVERALL
from siim_kernel.evaluation.report_tables import number

HOW_TO_READ = (
    "In brackets: 95 % intervals by bootstrap over patients, as the films of one patient are alike. Accuracy hangs on how frequent the "
    "labels are: hold it against that of the majority class alone. Balanced accuracy is the mean of the labels' hit rates, and does not."
)


def write(out, runs, images=(), competition=None, patients=None, resamples=RESAMPLES):
    """Writes the report of some RUNs, each the folder of a run or of the runs `fold-K` of one training, to the HTML file `out`.

    images       folders of image sets: pictures of the films judged worst and best, patients, duplicates between the parts
    competition  the competition folder, or one with its tables alone: the competition's metric, and what training and validation share
    patients     a CSV of patients, where the runs and the image sets do not tell them
    resamples    of the bootstrap

    Raises RunError where a run is damaged or two of several share no film, TableError and ImageSetError where what is given is not what
    it should be, MountError where the extra `report` is not installed.
    """
    title, sections, lead = contents(runs, images, competition, patients, resamples)
    pages.write(out, title, sections, lead)


def contents(runs, images=(), competition=None, patients=None, resamples=RESAMPLES):
    """(title, sections, lead) of the page; see `write`."""
    subjects = report_data.load(runs)
    films = report_films.Films(images, competition, patients)
    found = [report_sections.examine(judged, films, resamples) for judged in subjects]
    title = f"Report of {found[0].judged.name}" if len(found) == 1 else f"Report of {len(found)} runs"
    sections = [_result(found)]
    if len(found) > 1:
        sections += [_compared(found, resamples), _hit_rates(found)]
    for each in found:
        prefix = f"{each.judged.name}: " if len(found) > 1 else ""
        sections += [
            Section(prefix + section.title if prefix else section.title[:1].upper() + section.title[1:], section.parts)
            for section in report_sections.of_run(each, films)
        ]
    return title, sections, " ".join(_sentence(each, len(found) > 1) for each in found)


def _sentence(each, named):
    """The result in one sentence."""
    balanced, accuracy = (each.measures.loc[(name, OVERALL)] for name in ("balanced_accuracy", "accuracy"))
    label, share = report_tables.majority(each.judged.predictions)
    begin = f"{each.judged.name}: balanced" if named else "Balanced"
    limits = report_tables.limits_text(balanced).replace("(", "(95 % interval ")
    return (
        f"{begin} accuracy {number(balanced['value'])}{limits} on {report_tables.people(each.judged.predictions)}; accuracy "
        f"{report_tables.with_interval(accuracy)}, where always saying {label} has {number(share)}."
    )


def _result(found):
    columns = {}
    for each in found:
        columns[each.judged.name if len(found) > 1 else "out of fold"] = report_tables.main(each.judged.predictions, each.measures)
        if each.tests is not None:
            name = f"{each.judged.name}, final test" if len(found) > 1 else "final test"
            columns[name] = report_tables.main(each.judged.final_test, each.tests)
    parts = [Text(HOW_TO_READ)]
    for each in found:
        of = f"{each.judged.name}: " if len(found) > 1 else ""
        if each.flaws:
            parts.append(Text(f"{of}Read with care: {'; '.join(each.flaws)}."))
        elif each.reports is None:
            parts.append(Text(of + each.why))
        if each.judged.unlabelled:
            parts.append(Text(f"{of}{each.judged.unlabelled:,} films without a label of this scheme are not judged."))
    parts.append(Table(report_tables.side_by_side(columns), "Films that the network did not learn from"))
    if any(each.tests is not None and len(each.judged.runs) > 1 for each in found):
        parts.append(Text("The final test is judged by the mean over the folds' networks, the out-of-fold films each by one network."))
    return Section("Result", tuple(parts))


def _compared(found, resamples):
    parts = [
        Text(
            "Each two runs on the films that both judged. A difference whose interval holds 0 may be chance. McNemar's test of the "
            "accuracy and DeLong's of the AUC take the patient as the unit; of the others the interval, by bootstrap over patients, is the "
            "test. The p values are not corrected for their number."
        )
    ]
    recipes = report_making.differences([each.judged for each in found])
    parts.append(Table(recipes, "What differs in the recipes") if len(recipes) else Text("The runs are of one recipe."))
    for first, second in combinations([each.judged for each in found], 2):
        result = report_tables.paired(first, second, resamples)
        names = f"{first.name} less {second.name}"
        if result is None:
            parts.append(Text(f"{names}: not compared, as their labels do not mean the same ({first.scheme.name}, {second.scheme.name})."))
            continue
        table, films, alone = result
        parts.append(Table(table, f"{names}, on {films}"))
        counts = f"{len(first.predictions):,} and {len(second.predictions):,}"
        same = first.predictions.images.tolist() == second.predictions.images.tolist()
        parts.append(Text(alone if same else f"{alone} The two judged {counts} films; only those of both are compared."))
    return Section("Runs compared", tuple(parts))


def _hit_rates(found):
    measures = {each.judged.name: each.measures for each in found}
    table = report_tables.rates(measures)
    drawn = {name: values.loc["sensitivity"].drop(MACRO) for name, values in measures.items()}
    alt = "Hit rates of each label, run by run, with 95 % intervals; the numbers stand in the table beside it."
    caption = "Share of each label's films that were found; bars are 95 % intervals by patient."
    return Section("Hit rates from one run to the next", (Picture(report_figures.hit_rates(drawn), alt, caption=caption), Table(table)))
