"""The submission validator: would Kaggle take this file? Every fault and where it stands, not only the first."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from siim_kernel.competition import submission
from siim_kernel.competition.lines import read_records
from siim_kernel.competition.submission import HEADER, STUDY_SUFFIX, bare, show
from siim_kernel.errors import SubmissionError
from siim_kernel.labels import OPACITY, STUDY_CLASSES


class Fault(NamedTuple):
    """What is wrong; row is the line in the file as an editor shows it (the header is 1), None for the file as a whole."""

    row: int | None
    id: str
    reason: str

    def __str__(self):
        place = ["the file"] if self.row is None else [f"line {self.row}"]
        return f"{', '.join(place + [show(self.id)] * bool(self.id))}: {self.reason}"


@dataclass
class Report:
    """Faults, for which Kaggle would refuse the file or fail to score it, and warnings, which cost at most points."""

    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)

    @property
    def ok(self):
        """Whether Kaggle would take the file."""
        return not self.faults


def check(path, sample, sizes=None):
    """Report on the submission `path` for the competition's `sample` (CSV).

    sizes  mapping of bare image id to (rows, columns) in pixels: opacity boxes must lie in the film; other images'
           boxes are not held against a size

    Raises SubmissionError only for a sample that is not one; whatever is wrong with the submission is in the report.
    """
    header, ids = submission.read_sample(sample)
    return check_ids(path, ids, header, sizes)


def check_ids(path, ids, header=HEADER, sizes=None):
    """As `check`, for known ids in place of a sample's."""
    report = Report()
    try:
        records = read_records(path)
    except SubmissionError as error:
        report.faults.append(Fault(None, "", str(error)))
        return report
    expected = dict.fromkeys(ids)
    id_column, string_column, rows = _read_header(records, header, expected, report)
    if id_column is None:
        return report

    width = len(records[0].fields)
    lines, notes = {}, _Notes()
    for record in rows:
        if record.fault:
            report.faults.append(Fault(record.line, "", record.fault))
            continue
        row_id = record.fields[id_column] if len(record.fields) > id_column else ""
        reasons = _id_faults(row_id, expected, lines)
        lines.setdefault(row_id, record.line)
        if len(record.fields) == width:
            groups, faults = submission.read_groups(record.fields[string_column])
            reasons += faults + _row_faults(row_id, groups, sizes or {})
            notes.add(record.line, row_id, groups, whole=not faults)
        else:
            reasons.append(f"{len(record.fields)} fields, the header has {width}")
        report.faults += [Fault(record.line, row_id, reason) for reason in reasons]

    if len(rows) != len(expected):
        report.faults.append(Fault(None, "", f"{len(rows)} rows under the header, {len(expected)} are wanted"))
    report.faults += [Fault(None, row_id, "this id has no row") for row_id in expected if row_id not in lines]
    report.warnings += _blank_lines(records) + notes.warnings()
    return report


def _read_header(records, header, expected, report):
    """Positions of the id and the prediction string, and the rows under the header; (None, None, []) if not to be found."""
    first = records[0]
    names = first.fields
    if first.fault:
        report.faults.append(Fault(first.line, "", first.fault))
        return None, None, []
    if names and names[0].startswith("\ufeff"):
        reason = "the file begins with a byte order mark (BOM), so its header is not the sample's: save it as UTF-8 without BOM"
        report.faults.append(Fault(first.line, "", reason))
        names = [names[0].removeprefix("\ufeff"), *names[1:]]
    if first.line != 1:
        report.faults.append(Fault(1, "", "a blank line before the header"))
    if names == list(header):
        return 0, 1, records[1:]

    wanted = f"the header must be {','.join(header)}"
    if len(names) == 2 and names[0] in expected:
        report.faults.append(Fault(first.line, "", f"the header is missing: {wanted}"))
        return 0, 1, records
    report.faults.append(Fault(first.line, "", f"{_header_fault(names, header)}: {wanted}"))
    plain = [name.strip().lower() for name in names]
    places = [plain.index(name.lower()) if name.lower() in plain else None for name in header]
    if None in places:
        return None, None, []
    return *places, records[1:]


def _header_fault(names, header):
    got = show(",".join(names), 80)
    extra = [name for name in names if name not in header]
    if len(names) == 3 and names[1:] == list(header):
        return f"an index column stands before the id, the header is {got}"
    if len(names) == len(header) and [name.strip().lower() for name in names] == [name.lower() for name in header]:
        return f"the header is {got}, which differs in case or blanks"
    if set(header) <= set(names):
        return f"extra columns {', '.join(map(show, extra))}" if extra else f"the header is {got}, with other order or repeats"
    lacking = [name for name in header if name not in names]
    return f"the header is {got}, without {', '.join(lacking)}"


def _id_faults(row_id, expected, lines):
    if row_id in lines:
        return [f"duplicate id, first on line {lines[row_id]}"]
    if row_id in expected:
        return []
    near = [row_id.strip(), row_id.strip().lower()] + [row_id + suffix for suffix in (submission.STUDY_SUFFIX, submission.IMAGE_SUFFIX)]
    meant = next((name for name in near if name in expected), None)
    return [f"unknown id {show(row_id)}" + (f", perhaps {meant} is meant" if meant else ", it is not in the sample")]


def _row_faults(row_id, groups, sizes):
    reasons = [fault for fault in [submission.kind_fault(row_id, groups)] if fault]
    rows, columns = sizes.get(bare(row_id)) or (float("inf"), float("inf"))
    for name, _, (xmin, ymin, xmax, ymax) in groups:
        if name != OPACITY:
            continue
        box = " ".join(map(submission.number_text, (xmin, ymin, xmax, ymax)))
        if xmin < 0 or ymin < 0:
            reasons.append(f"box {box} has negative coordinates")
        if xmax > columns or ymax > rows:
            reasons.append(f"box {box} is outside the film of {columns} x {rows} pixels (columns x rows)")
    return reasons


def _blank_lines(records):
    gaps = [(above.line + 1, below.line - above.line - 1) for above, below in zip(records, records[1:], strict=False)]
    blank = [(line, count) for line, count in gaps if count]
    return [Fault(blank[0][0], "", f"{sum(count for _, count in blank)} blank lines between the rows, the first is here")] if blank else []


class _Notes:
    """What may cost points, gathered over the file: each kind becomes one warning at the first row that shows it."""

    def __init__(self):
        self.rows = {}
        self.confidences = {}

    def add(self, line, row_id, groups, whole):
        counts = Counter(group.name for group in groups)
        is_study = row_id.endswith(STUDY_SUFFIX)
        if whole and is_study and not counts.keys() >= set(STUDY_CLASSES):
            self._note("study rows do not have all four classes: each missing one is a miss wherever it is the truth", line, row_id)
        if any(count > 1 for name, count in counts.items() if name != OPACITY):
            self._note("rows have a class twice: the one of lower confidence counts as a false positive", line, row_id)
        for group in groups:
            if not 0 <= group.confidence <= 1:
                self._note(f"confidences of {group.name} are outside 0..1", line, row_id)
            self.confidences.setdefault(group.name, []).append((group.confidence, line, row_id))

    def _note(self, text, line, row_id):
        self.rows.setdefault(text, []).append((line, row_id))

    def warnings(self):
        for name, found in self.confidences.items():
            counts = Counter(confidence for confidence, _, _ in found)
            for confidence, line, row_id in found:
                if counts[confidence] > 1:
                    self._note(f"confidences of {name} equal another of the class: their ranking is left to the grader", line, row_id)
        return [Fault(*places[0], f"{len(places)} {text}; the first is here") for text, places in self.rows.items()]
