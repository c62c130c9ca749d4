"""Landlock and seccomp by ctypes: what the kernel refuses a process and all its children, without root, for good.

    restrict_files(readable, writable, abi)    Landlock: only these files, no TCP, no signals to the outside
    filter_calls(program(…))                   seccomp: no sockets, no namespaces, no other process' memory

Both are set before numpy or TensorFlow start a thread, for a thread keeps the rights that it started with. Landlock
knows files and nothing else well; the seccomp filter closes what it leaves: chmod and chown by path are no Landlock
right, prlimit reaches every process of the same user, memory in a memfd or a shared segment counts for nobody.

Sources: https://docs.kernel.org/userspace-api/landlock.html, seccomp(2), linux/filter.h, and the call numbers of
asm/unistd_64.h (x86_64) and asm-generic/unistd.h (aarch64) of Linux 6.1.
"""

import ctypes
import errno
import os
import platform
import stat
import struct
import sys
from collections import namedtuple

# Landlock ------------------------------------------------------------------------------------------------------------

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_RULE_PATH_BENEATH = 1
NEWEST_ABI = 7  # what it adds to 6 are options of the audit log

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE = 1 << 4, 1 << 5
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK = 1 << 6, 1 << 7, 1 << 8, 1 << 9
MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = 1 << 10, 1 << 11, 1 << 12
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15  # since ABI 2, 3, 5
BIND_TCP, CONNECT_TCP = 1 << 0, 1 << 1  # since ABI 4
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1 << 0, 1 << 1  # since ABI 6

READING = EXECUTE | READ_FILE | READ_DIR
WRITING = (
    READING | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_FIFO | MAKE_SYM | REFER | TRUNCATE
)
DEVICE = READ_FILE | WRITE_FILE | TRUNCATE
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV  # the kernel refuses the others for a file


def _libc():
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def landlock_abi():
    """Asks the kernel which version of Landlock it has.

    Returns:
        (int, str): the version; 0 with the reason where there is none.
    """
    if not sys.platform.startswith("linux"):
        return 0, "Landlock is part of Linux"
    version = _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version > 0:
        return version, ""
    if ctypes.get_errno() == errno.EOPNOTSUPP:
        return 0, 'Landlock is switched off: start the kernel with "landlock" in its list lsm='
    if ctypes.get_errno() == errno.EPERM:
        return 0, "something around this process, such as a container's profile, forbids Landlock"
    return 0, f"Linux {platform.release()} was built without Landlock; it is part of Linux from 5.13 on"


def handled_rights(abi):
    """Lists what a version of Landlock can refuse.

    Args:
        abi: int, 1 to 7; of a later version what 7 knows is used.

    Returns:
        (int, int, int): rights to files, rights to TCP ports, scopes; each a mask of bits.
    """
    files = (1 << 13) - 1
    files |= (REFER if abi >= 2 else 0) | (TRUNCATE if abi >= 3 else 0) | (IOCTL_DEV if abi >= 5 else 0)
    ports = BIND_TCP | CONNECT_TCP if abi >= 4 else 0
    return files, ports, SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS if abi >= 6 else 0


def restrict_files(rules, abi, scoped=True):
    """Takes from this process and its children every right to files, ports and signals but those named.

    Args:
        rules: list of (path, rights); paths that do not exist are left out.
        abi: int, the version to use, at most what the kernel has.
        scoped: bool, whether signals and abstract sockets end at this process and its children.

    Raises:
        OSError: the kernel refused.
    """
    libc = _libc()
    files, ports, scopes = handled_rights(abi)
    scopes = scopes if scoped else 0
    attributes = struct.pack("=QQQ", files, ports, scopes)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        _raise("landlock_create_ruleset")
    try:
        for path, rights in rules:
            try:
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                allowed = rights & files
                if not stat.S_ISDIR(os.fstat(place).st_mode):
                    allowed &= _OF_FILES
                rule = struct.pack("=Qi", allowed, place)
                if allowed and libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0) != 0:
                    _raise(f"landlock_add_rule for {path}")
            finally:
                os.close(place)
        _give_up_privileges(libc)
        if libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
            _raise("landlock_restrict_self")
    finally:
        os.close(ruleset)


# Programs, libraries and their settings. /usr/src and /opt are left out: kits get installed there.
_PROGRAMS = (
    *("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/share", "/usr/local"),
    *("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"),
    *("/etc/fonts", "/etc/ssl/openssl.cnf", "/sys/devices/system"),
)
_MACHINE = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/sys/vm/overcommit_memory")


def rules_for(root, probe, shared_memory=False):
    """Lists what the processes of a sandbox may reach.

    Args:
        root: Path of the sandbox's folders.
        probe: bool; a probe sees no process but itself. The fork server must see the processes it has to end.
        shared_memory: bool, whether /dev/shm is the sandbox's own.

    Returns:
        list of (path, rights) for `restrict_files`.
    """
    rules = [(path, READING) for path in (*_PROGRAMS, sys.prefix, sys.base_prefix, os.path.realpath(sys.base_prefix))]
    rules += [(path, DEVICE) for path in ("/dev/null", "/dev/zero", "/dev/full")]
    rules += [(path, READ_FILE) for path in ("/dev/random", "/dev/urandom", *_MACHINE)]
    # TensorFlow ends itself where it cannot read /proc/self/cmdline.
    rules.append((f"/proc/{os.getpid()}" if probe else "/proc", READ_FILE | READ_DIR))
    rules += [(os.path.join(root, name), READING) for name in ("kit", "inbox")]
    rules += [(os.path.join(root, name), WRITING) for name in ("outbox", "home", "tmp", "work")]
    return [*rules, ("/dev/shm", WRITING)] if shared_memory else rules


def confine_server(root, wanted, newest_abi=NEWEST_ABI):
    """Confines the fork server, and with it all that it will ever start.

    Args:
        root: Path of the sandbox's folders.
        wanted: dict from `"landlock"` and `"seccomp"` to `"required"`, `"if possible"` or `""`; `"shared_memory"`.
        newest_abi: int, a version of Landlock not to go beyond; for tests of what older kernels do.

    Returns:
        dict: `landlock` (int, the version in force, 0 for none), `seccomp` (bool), `shared_memory` (bool).

    Raises:
        OSError: something required is not possible.
    """
    shared_memory = bool(wanted.get("shared_memory"))
    found, reason = landlock_abi()
    abi = min(found, newest_abi) if wanted.get("landlock") else 0
    if abi:
        try:
            restrict_files(rules_for(root, probe=False, shared_memory=shared_memory), abi)
        except OSError:
            if wanted["landlock"] == "required":
                raise
            abi = 0
    elif wanted.get("landlock") == "required":
        raise OSError(errno.EOPNOTSUPP, reason)
    missing = seccomp_missing()
    if wanted.get("seccomp") == "required" and missing:
        raise OSError(errno.EOPNOTSUPP, missing)
    filtered = bool(wanted.get("seccomp")) and not missing
    if filtered:
        try:
            filter_calls(program(truncates=abi == 0 or abi >= 3))
        except OSError:
            if wanted["seccomp"] == "required":
                raise
            filtered = False
    return {"landlock": abi, "seccomp": filtered, "shared_memory": shared_memory}


def confine_probe(root, confined, other_users):
    """Takes from a probe's process, which has one thread still, what the fork server needs and a script does not.

    Args:
        root: Path of the sandbox's folders.
        confined: dict as `confine_server` gave it.
        other_users: bool, whether the sandbox runs as a user of its own, so that its signals reach nobody else.
    """
    if confined["landlock"]:
        # The kernel already ends signals at the sandbox. A probe that kills the fork server costs itself alone.
        restrict_files(rules_for(root, True, confined["shared_memory"]), confined["landlock"], scoped=False)
        if confined["landlock"] < 6 and confined["seccomp"] and not other_users:
            filter_calls(program(own_pid=os.getpid()))


def _give_up_privileges(libc):
    if libc.prctl(38, 1, 0, 0, 0) != 0:  # PR_SET_NO_NEW_PRIVS
        _raise("PR_SET_NO_NEW_PRIVS")


def _raise(what):
    number = ctypes.get_errno()
    raise OSError(number, f"{what}: {os.strerror(number)}")


# seccomp -------------------------------------------------------------------------------------------------------------

ALLOW, KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# Every call of this table was read about; those of later kernels do not exist for the sandbox. Their callers know that
# answer from older kernels. The same comparison refuses x32, whose numbers start at 2**30.
LAST_KNOWN_CALL = 450  # set_mempolicy_home_node

# name: (x86_64, aarch64); None where an architecture never had it.
CALLS = {
    # Other processes: their memory, their files, their threads.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # Another view of the file system, or files by number instead of by path.
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    # Namespaces, in which a process is root and the kernel opens what is rarely used and often wrong.
    "unshare": (272, 97),
    "setns": (308, 268),
    # The kernel's own keys, modules, clock, log.
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "ioperm": (173, None),
    "iopl": (172, None),
    "modify_ldt": (154, None),
    "syslog": (103, 116),
    "lookup_dcookie": (212, 18),
    "nfsservctl": (180, 42),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "vhangup": (153, 58),
    "personality": (135, 92),
    # Sockets. A pair of connected ones reaches nobody, and asyncio wants it.
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "socket": (41, 198),
    "socketpair": (53, 199),
    # Large and young parts of the kernel that escapes have come through; io_uring also walks around this filter.
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # Memory that counts as no process' memory, so that the watch does not see it.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # Its flags lie in memory, where a filter cannot look; the C library falls back to clone.
    "clone3": (435, 435),
    "clone": (56, 220),
    # Rights, owners and dates of files: Landlock has no word for them.
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "umask": (95, 166),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "truncate": (76, 45),
    # Limits and priorities of other processes of the same user.
    "prlimit64": (302, 261),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    # Signals by way of a file, and keys pressed on somebody's terminal.
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    # Signals.
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "pidfd_send_signal": (424, 424),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
}

_NOT_THERE = (
    "bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register memfd_create memfd_secret clone3"
    " shmget shmat semget msgget mq_open inotify_init inotify_init1 fanotify_init"
).split()
_FORBIDDEN = (
    "ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd process_madvise migrate_pages move_pages mount umount2"
    " pivot_root chroot move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr open_by_handle_at"
    " name_to_handle_at quotactl quotactl_fd swapon swapoff unshare setns keyctl add_key request_key kexec_load"
    " kexec_file_load init_module finit_module delete_module reboot acct settimeofday clock_settime adjtimex"
    " clock_adjtime sethostname setdomainname ioperm iopl modify_ldt syslog lookup_dcookie nfsservctl uselib ustat"
    " sysfs vhangup personality bind listen accept accept4 ioprio_set"
).split()
# They say that they did it: shutil.copy copies the rights too, and no right matters among the sandbox's own files.
_DONE_WITHOUT_DOING = "chmod fchmod fchmodat chown fchown lchown fchownat umask utime utimes futimesat".split()
_ATTRIBUTES = "setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr".split()
_NAMESPACES = 0x7E020080  # CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET, TIME
_AF_UNIX = 1

Instruction = namedtuple("Instruction", "code if_true if_false value")
# linux/filter.h: load a word, jump if equal, greater or equal, any bit set, mask, return.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06


def refuse(number):
    """Returns what a filter answers to let a call fail with an errno; 0 lets it succeed without doing anything."""
    return _ERRNO | number


def _argument(index):
    """Returns where struct seccomp_data holds the lower half of an argument, in little-endian order."""
    return 16 + 8 * index


class _Assembler:
    def __init__(self, architecture):
        self._column = list(ARCHITECTURES).index(architecture)
        self.program = []

    def add(self, code, value, if_true=0, if_false=0):
        self.program.append(Instruction(code, if_true, if_false, value))

    def on(self, name, block):
        """Answers one call by a block of instructions; those not returned from are allowed."""
        number = CALLS[name][self._column]
        if number is None:
            return
        block = [*block, Instruction(_RETURN, 0, 0, ALLOW)]
        self.add(_EQUAL, number, 0, len(block))
        self.program += block

    def answer(self, names, action):
        for name in names:
            number = CALLS[name][self._column]
            if number is not None:
                self.add(_EQUAL, number, 0, 1)
                self.add(_RETURN, action)


def _unless_equal(index, values, action):
    """Answers a call whose argument is none of some values."""
    block = [Instruction(_LOAD, 0, 0, _argument(index))]
    for left, value in zip(range(len(values) - 1, -1, -1), values, strict=True):
        block.append(Instruction(_EQUAL, left + 1, 0, value & 0xFFFFFFFF))
    return [*block, Instruction(_RETURN, 0, 0, action)]


def _if_equal(index, values, action):
    block = [Instruction(_LOAD, 0, 0, _argument(index))]
    for value in values:
        block += [Instruction(_EQUAL, 0, 1, value), Instruction(_RETURN, 0, 0, action)]
    return block


def program(architecture=None, truncates=True, own_pid=None):
    """Writes the filter.

    Args:
        architecture: str, a key of `ARCHITECTURES`; by default this machine's.
        truncates: bool, whether truncate(2) is left to Landlock, which knows it from ABI 3 on.
        own_pid: int, the one process that signals may reach, with its group; None leaves them to Landlock, which
            knows them from ABI 6 on, or to the user id.

    Returns:
        list of Instruction.

    Raises:
        KeyError: there is no filter for this architecture.
    """
    architecture = platform.machine() if architecture is None else architecture
    number = ARCHITECTURES[architecture]
    not_allowed = refuse(errno.EPERM)
    code = _Assembler(architecture)
    code.add(_LOAD, 4)
    code.add(_EQUAL, number, 1, 0)
    code.add(_RETURN, KILL_PROCESS)  # 32-bit calls have other numbers for everything
    code.add(_LOAD, 0)
    code.add(_AT_LEAST, LAST_KNOWN_CALL + 1, 0, 1)
    code.add(_RETURN, refuse(errno.ENOSYS))
    if own_pid is not None:
        _only_own_signals(code, own_pid)
    code.on(
        "clone",
        [
            Instruction(_LOAD, 0, 0, _argument(0)),
            Instruction(_ANY_BIT, 0, 1, _NAMESPACES),
            Instruction(_RETURN, 0, 0, not_allowed),
        ],
    )
    code.on("fcntl", _if_equal(1, (8, 10, 15), not_allowed))  # F_SETOWN, F_SETSIG, F_SETOWN_EX
    # TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP
    code.on("ioctl", _if_equal(1, (0x5412, 0x541C, 0x8901, 0x8902), not_allowed))
    code.on("socket", [Instruction(_RETURN, 0, 0, refuse(errno.ENETUNREACH))])
    code.on("connect", [Instruction(_RETURN, 0, 0, refuse(errno.ENETUNREACH))])
    code.on("socketpair", _unless_equal(0, (_AF_UNIX,), not_allowed))
    code.on("prlimit64", _unless_equal(0, (0,), not_allowed))
    for name in ("sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr"):
        code.on(name, _unless_equal(0, (0,), not_allowed))
    code.on("setpriority", [*_unless_equal(0, (0,), not_allowed), *_unless_equal(1, (0,), not_allowed)])
    # A folder that its owner may not list would hide files from the watch on the disk.
    for name, index in (("mkdir", 1), ("mkdirat", 2)):
        code.on(
            name,
            [
                Instruction(_LOAD, 0, 0, _argument(index)),
                Instruction(_AND, 0, 0, 0o700),
                Instruction(_EQUAL, 1, 0, 0o700),
                Instruction(_RETURN, 0, 0, refuse(errno.EINVAL)),
            ],
        )
    # With a date it succeeds without doing anything, as shutil.copy2 wants. Without one it fails: Path.touch takes
    # success for the proof that a file exists.
    code.on(
        "utimensat",
        [
            Instruction(_LOAD, 0, 0, _argument(2)),
            Instruction(_EQUAL, 0, 3, 0),
            Instruction(_LOAD, 0, 0, _argument(2) + 4),
            Instruction(_EQUAL, 0, 1, 0),
            Instruction(_RETURN, 0, 0, not_allowed),
            Instruction(_RETURN, 0, 0, refuse(0)),
        ],
    )
    if not truncates:
        code.answer(["truncate"], not_allowed)
    code.answer(_DONE_WITHOUT_DOING, refuse(0))
    code.answer(_ATTRIBUTES, refuse(errno.EOPNOTSUPP))
    code.answer(_NOT_THERE, refuse(errno.ENOSYS))
    code.answer(_FORBIDDEN, not_allowed)
    code.add(_RETURN, ALLOW)
    return code.program


def _only_own_signals(code, pid):
    """Lets signals reach one process and its group alone."""
    not_allowed = refuse(errno.EPERM)
    code.on("kill", _unless_equal(0, (pid, 0, -pid), not_allowed))
    code.on("tgkill", _unless_equal(0, (pid,), not_allowed))
    code.on("rt_sigqueueinfo", _unless_equal(0, (pid,), not_allowed))
    code.on("rt_tgsigqueueinfo", _unless_equal(0, (pid,), not_allowed))
    code.answer(["tkill", "pidfd_send_signal"], not_allowed)


def seccomp_missing():
    """Says why there is no seccomp filter for this machine; empty if there is."""
    if not sys.platform.startswith("linux"):
        return "seccomp is part of Linux"
    if platform.machine() not in ARCHITECTURES or sys.byteorder != "little":
        return f"the filter is written for {' and '.join(ARCHITECTURES)}, not for {platform.machine()}"
    if sys.maxsize < 2**32:
        return "the filter is written for 64-bit Python"
    if _libc().prctl(21, 0, 0, 0, 0) < 0:  # PR_GET_SECCOMP
        return f"Linux {platform.release()} was built without seccomp"
    return ""


def filter_calls(instructions):
    """Sets a filter for this process and its children; several may be set, and the strictest answer counts.

    Args:
        instructions: list of Instruction.

    Raises:
        OSError: the kernel refused.
    """
    libc = _libc()
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    filter_program = Program(len(instructions), ctypes.addressof(buffer))
    _give_up_privileges(libc)
    if libc.prctl(22, 2, ctypes.byref(filter_program), 0, 0) != 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        _raise("PR_SET_SECCOMP")
