"""The grader's commands: `python -m grader COMMAND --help`.

Exit status: 0 done, whatever the grades; 1 a check said no; 2 bad arguments; 3 some submissions need a person.
"""

import argparse
import sys
from pathlib import Path

from expressions.errors import DataError

DONE, SAID_NO, BAD_ARGUMENTS, NEEDS_A_PERSON = 0, 1, 2, 3


def main(arguments=None):
    """Runs one command and returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m grader",
        description="Grades submissions of the expression-recognition project, and publishes its starter.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_demo, _add_grade, _add_diagnose, _add_release, _add_doctor, _add_benchmark):
        add(commands)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except DataError as error:
        print(error, file=sys.stderr)
        return BAD_ARGUMENTS


def _add_demo(commands):
    parser = commands.add_parser(
        "demo", help="train the reference on the synthetic class, grade good and bad submissions"
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for everything (default: demo)")
    parser.add_argument("--seed", type=int, default=6835, help="of the reference's training (default: 6835)")
    parser.set_defaults(run=_demo)


def _demo(options):
    from grader.demo import run_demo

    run_demo(options.out, options.seed, say=_say)
    return DONE


def _add_grade(commands):
    parser = commands.add_parser("grade", help="grade one submission")
    parser.add_argument("submission", type=Path, help="a zip, a tar.gz or a folder")
    parser.add_argument(
        "--out", type=Path, help="folder for results.json, report.html and staff.html (default: only the screen)"
    )
    _add_data_options(parser)
    parser.set_defaults(run=_grade)


def _add_data_options(parser):
    parser.add_argument("--fer2013", type=Path, metavar="PATH", help="FER-2013's csv (default: the synthetic class)")
    parser.add_argument(
        "--faces", type=Path, metavar="PATH", help="point clouds, a faces.py or npz, that students lack"
    )
    parser.add_argument("--demo-data", action="store_true", help="the small synthetic class of `demo`")
    parser.add_argument("--cache", type=Path, help="folder that keeps evidence, so that grading again takes seconds")
    parser.add_argument(
        "--accept-weak-isolation", action="store_true", help="run student code although only limits hold it"
    )


def _grade(options):
    from grader.grading import grade
    from grader.hidden import load_hidden
    from grader.report.text import render
    from grader.rubric import load_rubric

    if not options.submission.exists():
        raise DataError(f"There is no {options.submission}.", "a zip, a tar.gz or a folder", "check its spelling")
    if options.out and options.out.exists() and not options.out.is_dir():
        raise DataError(f"{options.out} is a file.", "a folder for the reports", "name another one")
    rubric = load_rubric()
    hidden = load_hidden(rubric, options.fer2013, options.faces, options.demo_data)
    result = grade(
        options.submission,
        rubric,
        hidden,
        out=options.out,
        cache=options.cache,
        progress=lambda sentence: None if sentence.endswith(": ok") else _say(sentence),
        accept_weak_isolation=options.accept_weak_isolation,
    )
    print(render(result))
    for name, facts in result.staff.items():
        if facts and name != "flags":
            print(f"staff   {name}: {_staff_words(facts)}")
    for flag in result.staff.get("flags", ()):
        print(f"staff   look: {flag['what']}; {flag['look']}")
    if options.out:
        print(f"Wrote results.json, report.html and, with what students do not see, staff.html to {options.out}.")
    return NEEDS_A_PERSON if result.provisional else DONE


def _staff_words(facts):
    if isinstance(facts, list):
        return "\n".join(facts)
    if "accuracy" in facts:
        return f"{facts['accuracy']:.1%} of {facts['n']:,}"
    return f"{facts['right']} of {facts['n']}"


def _add_diagnose(commands):
    parser = commands.add_parser("diagnose", help="one model: why is it right for so few faces?")
    parser.add_argument("model", type=Path, help="a model file, under any name")
    parser.add_argument("--fer2013", type=Path, metavar="PATH", help="FER-2013's csv (default: the synthetic class)")
    parser.add_argument("--limit", type=_positive, metavar="N", help="at most N test faces (default: all)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(run=_diagnose)


def _diagnose(options):
    import json

    from grader.diagnose import USELESS_KINDS, Data, diagnose_file
    from grader.report.diagnosis import render_diagnosis
    from grader.rubric import load_rubric

    for path in filter(None, (options.model, options.fer2013)):
        if not path.is_file():
            raise DataError(f"There is no file {path}.", "the path of a file", "check its spelling")
    rubric = load_rubric()
    report = diagnose_file(
        options.model,
        Data(rubric, options.fer2013, options.limit),
        rubric.limits,
        progress=None if options.json else _say,
    )
    print(json.dumps(report, indent=1, ensure_ascii=False) if options.json else render_diagnosis(report))
    refused = report["status"] == "refused" and report["audit"]["kind"] not in USELESS_KINDS
    return NEEDS_A_PERSON if refused or report["status"] in ("error", "died", "fault") else DONE


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above 0")
    return number


def _add_release(commands):
    parser = commands.add_parser("release", help="make the starters from the reference, and the student zip")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a starter is stale")
    parser.add_argument("--zip", type=Path, metavar="FILE", help="also write the student zip")
    parser.add_argument("--with-tracks", action="store_true", help="put tracks/ into the zip")
    parser.set_defaults(run=_release)


def _release(options):
    from grader import release

    try:
        if options.check:
            complaints = release.check_starters()
            release.student_files(options.with_tracks)
            print("\n".join(complaints) or "The starters are what the reference gives.")
            return SAID_NO if complaints else DONE
        for path in release.write_starters():
            print(f"Wrote {path.name}.")
        if options.zip:
            names = release.write_zip(options.zip, options.with_tracks)
            print(f"Wrote {options.zip}: {len(names)} files.")
    except release.ReleaseError as error:
        print(error, file=sys.stderr)
        return SAID_NO
    return DONE


def _add_doctor(commands):
    parser = commands.add_parser("doctor", help="versions, isolation with a live canary, data found")
    parser.set_defaults(run=_doctor)


def _doctor(options):
    from grader.doctor import examine

    print(examine())
    return DONE


def _add_benchmark(commands):
    parser = commands.add_parser("benchmark", help="tables of speed and memory")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which tables (default: all)")
    parser.add_argument(
        "--quick", action="store_true", help="small inputs: whether it runs, not how fast; seconds, not minutes"
    )
    parser.set_defaults(run=_benchmark)


def _benchmark(options):
    from grader.benchmark import run

    return run(options.names, options.quick) or DONE


def _say(sentence):
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
