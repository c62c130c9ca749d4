"""What the kernel refuses a script: the filter of calls, instruction by instruction, and Landlock as it is here."""

import errno
import itertools
import json
import os
import re
import subprocess
import sys
from types import MappingProxyType

import numpy as np
import pytest

from grader import doctor, sandbox
from grader.sandbox import limits_from, run_worker
from grader.tests.attacks.scripts import HEAD
from grader.worker import confine, schema
from grader.worker.confine import ALLOW, ARCHITECTURES, CALLS, KILL_PROCESS, refuse

OWN = 4321
# Ordinary life: (x86_64, aarch64).
ORDINARY = {"read": (0, 63), "write": (1, 64), "openat": (257, 56), "mmap": (9, 222), "futex": (202, 98)}
ORDINARY |= {"execve": (59, 221), "wait4": (61, 260), "exit_group": (231, 94), "getrandom": (318, 278)}


def answer(program, architecture, number, *arguments):
    """Runs a filter on one call, as the kernel does: a little machine with one register."""
    data = number.to_bytes(4, "little") + ARCHITECTURES.get(architecture, 0x40000003).to_bytes(4, "little") + bytes(8)
    for argument in (*arguments, *[0] * (6 - len(arguments))):
        data += (argument % 2**64).to_bytes(8, "little")
    register, at = 0, 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        if code == 0x20:
            register = int.from_bytes(data[value : value + 4], "little")
        elif code == 0x54:
            register &= value
        elif code == 0x06:
            return value
        else:
            test = {0x15: register == value, 0x35: register >= value, 0x45: bool(register & value)}[code]
            at += if_true if test else if_false


@pytest.fixture(params=list(ARCHITECTURES))
def ask(request):
    """Asks the filter of one architecture about a call by its name."""
    column = list(ARCHITECTURES).index(request.param)

    def ask(name, *arguments, **options):
        number = {**CALLS, **ORDINARY}[name][column]
        if number is None:
            pytest.skip(f"{request.param} has no {name}")
        return answer(confine.program(request.param, **options), request.param, number, *arguments)

    ask.architecture = request.param
    return ask


def test_ordinary_calls_are_allowed(ask):
    assert {ask(name) for name in ORDINARY} == {ALLOW}


def test_calls_of_another_architecture_end_the_process():
    program = confine.program("x86_64")
    assert answer(program, "i386", 4) == KILL_PROCESS
    assert answer(program, "aarch64", 64) == KILL_PROCESS


def test_calls_with_the_numbers_of_x32_or_of_later_kernels_do_not_exist(ask):
    program = confine.program(ask.architecture)
    for number in (2**30, 2**30 + 1, 2**30 + 520, 512, 547, 451, 452, 467, 2**31 + 1):
        assert answer(program, ask.architecture, number) == refuse(errno.ENOSYS)
    assert answer(program, ask.architecture, confine.LAST_KNOWN_CALL) == ALLOW


@pytest.mark.parametrize(
    ("name", "arguments", "wanted"),
    [
        ("socket", (2, 1, 0), refuse(errno.ENETUNREACH)),
        ("socket", (1, 1, 0), refuse(errno.ENETUNREACH)),
        ("socketpair", (1, 1, 0), ALLOW),
        ("socketpair", (2, 1, 0), refuse(errno.EPERM)),
        ("socketpair", (2**32 + 2, 1, 0), refuse(errno.EPERM)),
        ("clone", (17,), ALLOW),  # fork: SIGCHLD
        ("clone", (0x3D0F00,), ALLOW),  # a thread
        ("clone", (0x10000000 | 17,), refuse(errno.EPERM)),  # a user namespace
        ("clone", (0x20000000 | 17,), refuse(errno.EPERM)),  # a PID namespace
        ("clone3", (), refuse(errno.ENOSYS)),
        ("ptrace", (16, 1), refuse(errno.EPERM)),
        ("io_uring_setup", (), refuse(errno.ENOSYS)),
        ("fcntl", (3, 3), ALLOW),  # F_GETFL
        ("fcntl", (3, 8), refuse(errno.EPERM)),  # F_SETOWN
        ("ioctl", (0, 0x5401), ALLOW),  # TCGETS: isatty
        ("ioctl", (0, 0x5412), refuse(errno.EPERM)),  # TIOCSTI
        ("ioctl", (0, 2**32 + 0x5412), refuse(errno.EPERM)),
        ("prlimit64", (0, 7), ALLOW),
        ("prlimit64", (1, 7), refuse(errno.EPERM)),
        ("setpriority", (0, 0, 5), ALLOW),
        ("setpriority", (0, 1, 5), refuse(errno.EPERM)),
        ("setpriority", (2, 0, 5), refuse(errno.EPERM)),
        ("chmod", (), refuse(0)),
        ("umask", (0o777,), refuse(0)),
        ("mkdir", (0, 0o777), ALLOW),
        ("mkdir", (0, 0o300), refuse(errno.EINVAL)),
        ("mkdirat", (0, 0, 0o755), ALLOW),
        ("mkdirat", (0, 0, 0), refuse(errno.EINVAL)),
        ("utimensat", (0, 0, 0), refuse(errno.EPERM)),
        ("utimensat", (0, 0, 0x7F0000001000), refuse(0)),
        ("utimensat", (0, 0, 0x7F0000000000), refuse(0)),
        ("setxattr", (), refuse(errno.EOPNOTSUPP)),
        ("kill", (1, 9), ALLOW),
        ("truncate", (), ALLOW),
    ],
)
def test_each_call_gets_its_answer(ask, name, arguments, wanted):
    if CALLS[name][list(ARCHITECTURES).index(ask.architecture)] is not None:
        assert ask(name, *arguments) == wanted


def test_without_landlocks_help_signals_reach_the_probe_and_its_group_alone(ask):
    for pid in (OWN, 0, -OWN, 2**32 + OWN):
        assert ask("kill", pid, 9, own_pid=OWN) == ALLOW
    for pid in (1, -1, OWN + 1, -OWN - 1):
        assert ask("kill", pid, 9, own_pid=OWN) == refuse(errno.EPERM)
    assert ask("tgkill", OWN, OWN, 6, own_pid=OWN) == ALLOW, "abort() sends itself a signal this way"
    assert ask("tgkill", 1, 1, 6, own_pid=OWN) == refuse(errno.EPERM)
    assert ask("pidfd_send_signal", own_pid=OWN) == refuse(errno.EPERM)


def test_without_landlocks_help_no_file_is_cut_by_its_path(ask):
    assert ask("truncate", truncates=False) == refuse(errno.EPERM)


def test_every_listed_call_is_answered(ask):
    program = confine.program(ask.architecture, truncates=False, own_pid=OWN)
    numbers = {call: pair[list(ARCHITECTURES).index(ask.architecture)] for call, pair in CALLS.items()}
    # -7: no process, flags with every bit, no known command, no mode and no socket family.
    unanswered = {
        call
        for call, number in numbers.items()
        if number is not None and answer(program, ask.architecture, number, -7, 8, -7 & ~0o700) == ALLOW
    }
    assert unanswered <= {"ioctl", "mkdir", "shmat"}
    assert len({number for number in numbers.values() if number is not None}) == sum(
        number is not None for number in numbers.values()
    ), "two calls have one number"


def test_the_numbers_are_those_of_this_machine():
    """The C library's headers, where they are installed, are the second opinion."""
    headers = {
        "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
        "aarch64": "/usr/include/asm-generic/unistd.h",
    }
    for column, path in enumerate(headers.values()):
        if not os.path.isfile(path):
            continue
        with open(path, encoding="utf-8") as file:
            known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", file.read()))
        for call, numbers in CALLS.items():
            if call in known:
                assert numbers[column] == int(known[call]), call


# Landlock ------------------------------------------------------------------------------------------------------------


def test_each_version_of_landlock_knows_more_than_the_one_before():
    rights = [confine.handled_rights(abi) for abi in range(1, 8)]
    for before, after in itertools.pairwise(rights):
        assert all(a & b == a for a, b in zip(before, after))
    assert rights[0] == (2**13 - 1, 0, 0)
    assert rights[3][1] == 3 and rights[2][1] == 0, "ports since 4"
    assert rights[5][2] == 3 and rights[4][2] == 0, "signals and abstract sockets since 6"
    assert confine.handled_rights(12) == rights[-1]


@pytest.fixture
def landlock():
    missing = sandbox.level_named("landlock").missing()
    if missing:
        pytest.skip(missing)
    return sandbox.level_named("landlock")


@pytest.mark.parametrize("version", range(1, confine.NEWEST_ABI + 1))
def test_the_level_holds_with_older_versions_too(version, landlock, monkeypatch):
    confined = MappingProxyType({**landlock.confine, "newest_abi": version})
    monkeypatch.setattr(type(landlock), "confine", confined)
    found = sandbox._try_level(landlock)
    assert found["confined"]["landlock"] == min(version, confine.landlock_abi()[0])
    assert sandbox.holds("landlock", found["canary"]), found["canary"]


HONEST = """
def voxelize(points, size=24):
    import asyncio, multiprocessing, pathlib, shutil, subprocess, tempfile, threading, zipfile

    pathlib.Path("made").mkdir()
    path = pathlib.Path("made/notes.txt")
    path.touch()
    path.touch()
    path.write_text("notes")
    assert os.path.isfile("cnnx.py") and "cnnx.py" in os.listdir()
    shutil.copy("cnnx.py", "made/copy.py")
    shutil.copy2("made/notes.txt", "made/again.txt")
    shutil.copytree("made", "made_again")
    os.rename("made/again.txt", "again.txt")
    shutil.move("made_again", "made/inner")
    os.chmod("again.txt", 0o755)
    os.truncate("again.txt", 1)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(f"{folder}/a.zip", "w") as archive:
        archive.write("again.txt")
    np.save("grid.npy", points)
    np.load("grid.npy", mmap_mode="r+")[0] = 1
    found = []
    thread = threading.Thread(target=found.append, args=(1,))
    thread.start()
    thread.join()

    async def wait():
        await asyncio.sleep(0.001)

    asyncio.run(wait())
    assert subprocess.run(["ls", "made"], capture_output=True, check=True).stdout
    child = multiprocessing.get_context("fork").Process(target=found.append, args=(2,))
    child.start()
    child.join()
    assert found == [1] and child.exitcode == 0
    assert os.cpu_count() and os.getloadavg()
    shutil.rmtree("made")
    return np.zeros((size, size, size))
"""


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
def test_what_honest_scripts_do_still_works(tmp_path, name):
    missing = sandbox.level_named(name).missing()
    if missing:
        pytest.skip(missing)
    (tmp_path / "cnnx.py").write_text(HEAD + HONEST)
    result = run_worker(
        "grader.worker.code",
        job={"preload": ["numpy"]},
        inbox={"voxelize.input": np.zeros((1, 5, 3))},
        limits=limits_from(),
        probes=["voxelize"],
        files={"submission": tmp_path},
        level=name,
    )
    assert result.probes["voxelize"]["status"] == "ok", result.probes["voxelize"]


def test_a_kit_below_usr_is_hidden_and_its_python_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "ROOT", sandbox.Path("/usr/src/kit"))
    monkeypatch.setattr(sys, "prefix", "/usr/src/kit/.venv")
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: f"/usr/bin/{name}")
    command = sandbox.Bubblewrap().command(["python"], tmp_path, {})
    hidden = command.index("/usr/src/kit")
    assert command[hidden - 1] == "--tmpfs" and hidden > command.index("/usr")
    assert command.index("/usr/src/kit/.venv") > hidden, "bound over the empty folder"


# Canary --------------------------------------------------------------------------------------------------------------


def test_every_door_of_the_canary_opens_where_nothing_is_shut(tmp_path):
    program = (
        "import json, pathlib, sys\n"
        "from grader.worker.canary import try_doors\n"
        "print(json.dumps(try_doors(json.loads(sys.argv[1]), pathlib.Path(sys.argv[2]))))\n"
    )
    with sandbox._decoys() as (job, decoy):
        job["limits"] = {"file_megabytes": 16}
        command = [sys.executable, "-c", program, json.dumps(job), str(tmp_path)]
        output = subprocess.run(command, capture_output=True, text=True, check=True, cwd=sandbox.ROOT).stdout
        decoy.wait(5)
    found = json.loads(output)
    assert set(found) == set(schema.DOORS)
    # Whoever is not root meets a limit on processes, and perhaps Yama's on ptrace.
    spared = set() if os.geteuid() == 0 else {"processes", "memory"}
    assert {found[door] for door in schema.DOORS if door not in spared} == {"allowed"}, found


def test_a_canary_that_stumbles_has_proved_nothing(tmp_path):
    from grader.worker.canary import try_doors

    nonsense = dict.fromkeys(
        ("decoy_file", "decoy_folder", "decoy_text", "decoy_pid", "decoy_name", "grader_pid", "port", "rubric"), 1.5
    )
    found = try_doors({**nonsense, "abstract_name": None, "limits": {"file_megabytes": None}}, tmp_path)
    doubtful = {door for door, answer in found.items() if answer == "unknown"}
    assert {"read_file", "other_student", "rubric", "network", "big_file", "signal", "memory"} <= doubtful
    assert not sandbox.holds("bubblewrap", found)


def test_a_level_holds_if_all_doors_are_shut_but_those_it_is_known_to_leave_open():
    shut = dict.fromkeys(schema.DOORS, "blocked")
    assert sandbox.holds("landlock", shut) and sandbox.holds("separate-user", shut)
    assert not sandbox.holds("rlimits", shut), "it promises nothing"
    assert not sandbox.holds("landlock", {}) and not sandbox.holds("landlock", {**shut, "signal": "unknown"})
    assert not sandbox.holds("landlock", {**shut, "network": "allowed"})
    assert sandbox.holds("separate-user", {**shut, "network": "allowed", "process_list": "allowed"})
    assert not sandbox.holds("separate-user", {**shut, "rubric": "allowed"})


def test_a_user_of_its_own_cannot_harm_the_grader():
    if sandbox.level_named("separate-user").missing():
        assert os.geteuid() != 0
        return
    canary = sandbox.probe_level("separate-user")["canary"]
    assert canary["uid"] >= 20_000
    assert {canary[door] for door in ("signal", "memory", "environment", "processes")} == {"blocked"}


def test_what_did_not_start_is_tried_again(monkeypatch):
    def fail(level):
        raise sandbox.WorkerFault("no memory for a moment")

    monkeypatch.setattr(sandbox, "_PROBED", {})
    monkeypatch.setattr(sandbox, "_try_level", fail)
    assert "no memory for a moment" in sandbox.probe_level("rlimits")["missing"]
    monkeypatch.undo()
    assert sandbox.probe_level("rlimits")["canary"]


# Doctor --------------------------------------------------------------------------------------------------------------


def test_doctor_names_every_level_and_what_is_missing(monkeypatch):
    text = "\n".join(doctor.examine_isolation())
    assert all(f"  {level.name}" in text for level in sandbox.LEVELS)
    assert set(doctor.DOORS) == set(schema.DOORS)
    monkeypatch.setattr(sandbox, "_PROBED", {})
    monkeypatch.setattr(sandbox.Bubblewrap, "missing", lambda self: "the command bwrap is not installed")
    monkeypatch.setattr(sandbox.Landlock, "missing", lambda self: "Landlock is switched off")
    monkeypatch.setattr(sandbox.SeparateUser, "missing", lambda self: "only root can become another user")
    text = "\n".join(doctor.examine_isolation())
    assert "isolation   rlimits: too weak for student code" in text
    assert "not here: the command bwrap is not installed" in text and "--accept-weak-isolation" in text


@pytest.mark.parametrize(("system", "words"), [("Darwin", "Docker"), ("Windows", "WSL 2"), ("Linux", "apt-get")])
def test_doctor_tells_every_system_in_plain_words_what_it_gets(system, words):
    assert words in doctor.advice(system)
