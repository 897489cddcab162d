"""The report: what one run or several are worth, as one self-contained HTML page.

What a reader asks first stands first: how good is it, may that be believed, is one run better than another; then each run in
detail; then how it was made.
"""

from siim_kernel.evaluation import pages, report_comparing, report_data, report_films, report_sections, report_tables
from siim_kernel.evaluation.intervals import RESAMPLES
from siim_kernel.evaluation.pages import Section, Table, Text
from siim_kernel.evaluation.predictions import OVERALL
from siim_kernel.evaluation.report_tables import number
from siim_kernel.labels import SCHEMES

LONG = 500_000  # films x resamples that take seconds


def write(out, runs, images=(), competition=None, patients=None, resamples=RESAMPLES, say=lambda line: None):
    """Writes the report of some RUNs, each the folder of a run or of the runs `fold-K` of one training, to the HTML file `out`.

    images       folders of image sets: pictures of the films judged worst and best, patients, duplicates between the parts
    competition  the competition folder, or one with its tables alone: the competition's metric, and what training and validation share
    patients     a CSV of patients, where the runs and the image sets do not tell them
    resamples    of the bootstrap
    say          called with one line before each piece of long work

    What is not to be had (films that two runs both judged, pictures, a history) is named on the page in place of it. Raises RunError
    where a run is damaged or has no finished fold, TableError and MountError where what is given is not what it should be, MountError
    also where the extra `report` is not installed.
    """
    title, sections, lead = contents(runs, images, competition, patients, resamples, say)
    pages.write(out, title, sections, lead)


def contents(runs, images=(), competition=None, patients=None, resamples=RESAMPLES, say=lambda line: None):
    """(title, sections, lead) of the page; see `write`."""
    loaded = report_data.load(runs)
    films = report_films.Films(images, competition, patients, say)
    found = []
    for judged in films.with_patients(loaded):
        count = sum(map(len, filter(None, (*judged.by_network, judged.predictions))))
        if count * resamples > LONG:
            say(f"{judged.name}: {count:,} predictions, {resamples:,} resamples of each")
        found.append(report_sections.examine(judged, films, resamples))
    title = f"Report of {found[0].judged.name}" if len(found) == 1 else f"Report of {len(found)} runs"
    sections = [_result(found, films)]
    if len(found) > 1:
        sections += [report_comparing.compared(found, resamples, say), report_comparing.hit_rates(found)]
    for each in found:
        group = each.judged.name if len(found) > 1 else ""
        sections += [
            Section(section.title[:1].upper() + section.title[1:], section.parts, group) for section in report_sections.of_run(each, films)
        ]
    return title, sections, " ".join(_sentence(each, len(found) > 1) for each in found)


def _sentence(each, named):
    """The result in one sentence."""
    balanced, accuracy = (each.measures.loc[(name, OVERALL)] for name in ("balanced_accuracy", "accuracy"))
    predictions = each.judged.predictions
    label, share = report_tables.majority(predictions)
    begin = f"{each.judged.name}: balanced" if named else "Balanced"
    limits = report_tables.limits_text(balanced).replace("(", "(95 % interval ")
    folds = f", {each.judged.folds_text}" if len(each.judged.runs) < each.judged.planned else ""
    return (
        f"{begin} accuracy{report_tables.over_labels(predictions)} {number(balanced['value'])}{limits} on "
        f"{report_tables.people(predictions)}{folds}; accuracy "
        f"{report_tables.with_interval(accuracy)}, where always saying {label} has {number(share)}."
    )


def _how_to_read(found):
    known = any((each.judged.predictions.patients != "").any() for each in found)
    drawn = (
        "patients, as the films of one patient are alike"
        if known
        else "films, as no patient is known: where a patient has several films they are too narrow"
    )
    return (
        f"In brackets: 95 % intervals by bootstrap over {drawn}. Accuracy hangs on how frequent the labels are: hold it against that of "
        "the majority class alone. Balanced accuracy is the mean of the labels' hit rates, and does not."
    )


def _result(found, films):
    columns = {}
    for each in found:
        columns[each.judged.name if len(found) > 1 else "out of fold"] = report_tables.main(each.judged.predictions, each.measures)
        if each.tests is not None:
            name = f"{each.judged.name}, final test" if len(found) > 1 else "final test"
            columns[name] = report_tables.main(each.judged.final_test, each.tests)
    parts = [Text(_how_to_read(found)), *(Text(f"{fault}.", warning=True) for fault in films.faults)]
    for each in found:
        of = f"{each.judged.name}: " if len(found) > 1 else ""
        parts += [Text(f"{of}{line}", warning=True) for line in _warnings(each)]
        if each.reports is None:
            parts.append(Text(of + each.why))
        if each.judged.unlabelled:
            parts.append(Text(f"{of}{pages.counted(each.judged.unlabelled, 'film')} without a label of this scheme are not judged."))
    parts.append(Table(report_tables.side_by_side(columns), "Films that the network did not learn from"))
    notes = dict.fromkeys(note for each in found for note in _notes(each))
    parts += [Text(note) for note in notes]
    if any(each.tests is not None and len(each.judged.runs) > 1 for each in found):
        parts.append(Text("The final test is judged by the mean over the folds' networks, the out-of-fold films each by one network."))
    parts += [Text(_meaning(name)) for name in dict.fromkeys(each.judged.scheme.name for each in found)]
    parts += [Text(report_tables.GLOSSES), Text(report_tables.thesis_words())]
    return Section("Result", tuple(parts))


def _warnings(each):
    """What a reader must know before the figures of one run."""
    judged = each.judged
    lines = [f"Read with care: {'; '.join(each.flaws)}."] if each.flaws else []
    if len(judged.runs) < judged.planned:
        lines.append(f"These are {judged.folds_text}.")
    for name, predictions in (("in validation", judged.predictions), ("in the final test", judged.final_test)):
        absent = report_tables.absent_labels(predictions) if predictions is not None else []
        if absent:
            films = "balanced accuracy and means of the labels are" + report_tables.over_labels(predictions)
            lines.append(f"No film {name} is {' or '.join(absent)}: {films}.")
    return [*lines, *(f"{remark}." for remark in judged.remarks)]


def _notes(each):
    """On the intervals of the main figures that stand on fewer than all resamples."""
    for table in (each.measures, each.tests):
        if table is not None and (note := report_tables.stand_on(table.loc[list(report_tables.MAIN)], each.resamples)):
            yield note


def _meaning(scheme):
    """ "label_opacity: None = negative; Yes = typical, indeterminate, atypical." """
    groups = "; ".join(f"{label} = {', '.join(names)}" for label, names in SCHEMES[scheme].groups.items())
    return f"Labels of {scheme}: {groups}."
