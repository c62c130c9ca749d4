"""Pages of HTML for a person: one for each submission, and one that lists them. No script, no network."""

from html import escape
from pathlib import Path

from expressions.labels import EMOTIONS
from grader.outcome import CANNOT_GRADE, FAILED, GRADER_FAULT, PASSED
from grader.report.text import accuracy_words, feedback_lines, isolation_words, points_words, route_words

STYLE = Path(__file__).with_name("style.css")
MODELS = ("model_1", "model_2", "model_3", "model_4", "model_ec1")

# Word, sign and class: the sign and the word say it without colour.
_STATUS = {
    PASSED: ("passed", "✓", "passed"),
    FAILED: ("failed", "✗", "failed"),
    CANNOT_GRADE: ("cannot grade", "?", "open"),
    GRADER_FAULT: ("grader's fault", "!", "open"),
}


def write_report(result, path, staff=False):
    """Writes the page of one submission.

    Args:
        result: `grader.outcome.Result`.
        path: where to write it.
        staff: bool, with what students do not see: flags, accuracies on other splits, faults of the grader.
    """
    body = [_head_of(result), "<h2>Items</h2>", _items_table(result)]
    if staff:
        body.insert(1, _staff_section(result.staff))
    if result.evidence is not None:
        body += ["<h2>Networks</h2>"] + [_model_section(result, name) for name in MODELS]
        body += ["<h2>How this was graded</h2>", _colophon(result)]
    _write(path, f"{result.name}: {result.total:g} of {result.max_points:g}", "\n".join(body))


def write_index(title, results, path):
    """Writes the page that lists submissions.

    Args:
        title: str.
        results: list of `(Result, href)`, href the relative path of its report.
        path: where to write it.
    """
    rows = []
    for result, href in results:
        state = "provisional" if result.provisional else ""
        first = next((outcome for outcome in result.outcomes if outcome.status != PASSED), None)
        reason = f"<b>{escape(first.item)}</b> {escape(first.what)}" if first else "everything passed"
        rows.append(
            f'<tr><th scope="row"><a href="{escape(href)}">{escape(result.name)}</a></th>'
            f'<td class="number">{result.total - result.extra_points:g} / {result.max_points:g}</td>'
            f'<td class="number">{result.extra_points:g}</td><td>{state}</td>'
            + "".join(f'<td class="number">{result.count(status)}</td>' for status in _STATUS)
            + f'<td class="reason">{reason}</td></tr>'
        )
    head = "".join(f'<th scope="col" class="number">{word}</th>' for word, _, _ in _STATUS.values())
    body = (
        f'<h1>{escape(title)}</h1><p class="quiet">{len(results)} submissions, in the order of their names.</p>'
        '<h2>Submissions</h2><div class="scroll"><table><thead><tr><th scope="col">submission</th>'
        '<th scope="col" class="number">points</th><th scope="col" class="number">extra</th>'
        f'<th scope="col"></th>{head}'
        f'<th scope="col">first thing that went wrong</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )
    if results:
        body += f"<h2>Items</h2>{_pass_rates([result for result, _ in results])}"
    _write(path, title, body)


def _head_of(result):
    share = (result.total - result.extra_points) / result.max_points if result.max_points else 0
    is_open = any(outcome.points is None for outcome in result.outcomes)
    provisional = "<p class='open'><b>Provisional:</b> a person must look at some items.</p>" if is_open else ""
    for note in result.triage:
        provisional += f"<p class='open'><b>For a person:</b> {escape(note)}.</p>"
    notices = "".join(f"<p class='quiet'>{escape(notice)}</p>" for notice in result.notices)
    return (
        f"<h1>{escape(result.name)}</h1>"
        f"<div class='score'><strong>{result.total - result.extra_points:g}</strong>"
        f"{escape(points_words(result))}</div>"
        f"<div class='bar' role='img' aria-label='{share:.0%} of the points'>"
        f"<span style='width:{min(share, 1):.1%}'></span></div>{provisional}"
        f"<p class='quiet'>Thresholds: {escape(result.data_name)}.</p>{notices}"
    )


def _items_table(result):
    rows = []
    for outcome in result.outcomes:
        word, sign, css = _STATUS[outcome.status]
        if outcome.needs is not None:
            word, sign = f"needs {outcome.needs}", "–"
        elif outcome.status == FAILED and outcome.points:
            word = "partly"
        feedback = "".join(
            f"<dt{' class=found' if label == 'Found' else ''}>{label}</dt><dd>{escape(text)}</dd>"
            for label, text in feedback_lines(outcome)
        )
        points = "open" if outcome.points is None else f"{outcome.points:g}"
        rows.append(
            f'<tr id="item-{escape(outcome.item)}"><th scope="row">{escape(outcome.item)}</th>'
            f"<td>{escape(outcome.title)}{f'<dl>{feedback}</dl>' if feedback else ''}</td>"
            f'<td class="status {css}"><span aria-hidden="true">{sign}</span> {escape(word)}</td>'
            f'<td class="number">{points} / {outcome.max_points:g}</td></tr>'
        )
    return (
        '<table><thead><tr><th scope="col">step</th><th scope="col">what was checked</th><th scope="col">result</th>'
        f'<th scope="col" class="number">points</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def _staff_section(staff):
    """What a person should look at; never a penalty."""
    parts = ["<section class='staff'><h2>For the staff</h2>"]
    flags = staff.get("flags") or []
    if flags:
        rows = "".join(
            f"<dt>Seen</dt><dd>{escape(f['what'])}</dd><dt>Look</dt><dd>{escape(f['look'])}</dd>" for f in flags
        )
        parts.append(f"<p>Flags cost nothing. They ask for a look.</p><dl>{rows}</dl>")
    else:
        parts.append("<p class='quiet'>No flags.</p>")
    rows = []
    for name, facts in staff.items():
        if isinstance(facts, dict) and "accuracy" in facts:
            rows.append(f"<dt>{facts['accuracy']:.1%}</dt><dd>{escape(name)}, n = {facts['n']:,}</dd>")
        elif isinstance(facts, dict):
            rows.append(f"<dt>{facts['right']} of {facts['n']}</dt><dd>{escape(name)}</dd>")
    parts += [f"<dl>{''.join(rows)}</dl>"] if rows else []
    parts += [f"<pre>{escape(fault)}</pre>" for fault in staff.get("faults") or []]
    return "".join([*parts, "</section>"])


def _model_section(result, name):
    evidence = result.evidence
    model = evidence.models.get(name, {"status": "missing"})
    if model["status"] == "missing":
        return f"<h3>{name}</h3><p class='quiet'>Not submitted.</p>"
    parts = [f"<h3>{name}</h3>"]
    if model["status"] != "ok":
        reasons = evidence.audits.get(name, {}).get("reasons") or [{"what": model.get("message", model["status"])}]
        parts += [f"<p>{escape(str(reason['what']))}</p>" for reason in reasons]
        return "".join(parts)
    measured = [o.measured for o in result.outcomes if "confusion" in o.measured and _about(o) == name]
    parts.append(f"<p class='quiet'>{model['num_parameters']:,} parameters; {escape(route_words(model))}.</p>")
    if measured:
        parts.append(f"<p>{accuracy_words(measured[-1])}.</p>{_confusion_table(measured[-1]['confusion'])}")
    parts.append(f"<details><summary>Layers of {name}</summary>{_layer_table(model['layer_list'])}</details>")
    return "".join(parts)


def _about(outcome):
    return {"3-accuracy": "model_1", "4-accuracy": "model_2", "13-accuracy": "model_4", "EC1": "model_ec1"}.get(
        outcome.item
    )


def _confusion_table(confusion):
    head = "".join(f'<th scope="col">{name}</th>' for name in EMOTIONS)
    rows = []
    for true, (name, counts) in enumerate(zip(EMOTIONS, confusion)):
        total = max(sum(counts), 1)
        cells = []
        for predicted, count in enumerate(counts):
            share = count / total
            css = " ".join(["dark"] * (share > 0.45) + ["diagonal"] * (true == predicted))
            cells.append(f'<td class="{css}" style="--share:{share:.0%}">{count}</td>')
        rows.append(f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>')
    return (
        '<div class="scroll"><table class="confusion"><caption class="quiet">Rows: the true emotion. Columns: what the '
        f"network says.</caption><thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _layer_table(layers):
    rows = []
    for layer in layers:
        settings = ", ".join(f"{key}={value}" for key, value in layer["config"].items() if value is not None)
        rows.append(
            f"<tr><td>{escape(layer['name'])}</td><td>{escape(layer['class_name'])}</td>"
            f"<td>{escape(settings)}</td><td>{escape(str(layer.get('output_shape') or ''))}</td>"
            f"<td class='number'>{layer['num_parameters'] or 0:,}</td></tr>"
        )
    return (
        '<div class="scroll"><table><thead><tr><th scope="col">name</th><th scope="col">kind</th>'
        '<th scope="col">settings</th><th scope="col">output</th>'
        '<th scope="col" class="number">parameters</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _colophon(result):
    evidence = result.evidence
    facts = {
        "isolation": isolation_words(evidence.isolation),
        **{f"version of {name}": value for name, value in evidence.versions.items()},
        "hidden data": result.data_version,
        "rubric": result.rubric_version,
        "submission (sha256)": evidence.submission["sha256"],
        "seconds": ", ".join(f"{name} {value:.1f}" for name, value in evidence.seconds.items()),
    }
    rows = "".join(f'<tr><th scope="row">{escape(k)}</th><td>{escape(str(v))}</td></tr>' for k, v in facts.items())
    return f"<table><tbody>{rows}</tbody></table>"


def _pass_rates(results):
    rows = []
    for position, item in enumerate(results[0].outcomes):
        outcomes = [result.outcomes[position] for result in results]
        share = sum(outcome.status == PASSED for outcome in outcomes) / len(outcomes)
        rows.append(
            f'<tr><th scope="row">{escape(item.item)}</th><td>{escape(item.title)}</td>'
            f'<td class="number">{share:.0%}</td><td style="width:12rem"><div class="bar">'
            f'<span style="width:{share:.0%}"></span></div></td></tr>'
        )
    return (
        '<table><thead><tr><th scope="col">step</th><th scope="col">what was checked</th>'
        '<th scope="col" class="number">passed</th><td></td></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _write(path, title, body):
    path = Path(path)
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE.read_text(encoding='utf-8')}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
