"""Run a command with the network cut off and count its attempts to reach it.

    python tests/leaks/silence.py -- tutela run policy.yaml

The command runs in a network namespace of its own, where only the loopback interface is up, and
under strace, which sees every process and every library, native code included. An attempt is a
connect, sendto, sendmsg or sendmmsg towards an address that is not loopback, or towards port 53
(a name look-up) anywhere. Before the command, a probe that does attempt it must be caught.

Exit status: 0 silent; 1 the command made an attempt, or failed; 2 no command; 3 cannot run here.
Variables by which libraries recognise continuous integration are taken away from the command,
since some then keep quiet by themselves.

What it does not know: a daemon outside the namespace that acts on a message over a unix socket (a
look-up through nscd or systemd-resolved is listed, not failed), io_uring, and 32-bit programs
(whose socketcall is not traced); the namespace stops the last two, but nothing lists them. MLflow
also keeps quiet while pytest runs a test: what phones home is only seen outside of pytest.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

PACKAGES = {"unshare": "util-linux", "ip": "iproute2", "strace": "strace"}
CI_VARIABLES = (
    "CI", "GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "JENKINS_URL", "TRAVIS", "TF_BUILD",
    "BITBUCKET_BUILD_NUMBER", "CODEBUILD_BUILD_ARN", "BUILDKITE", "TEAMCITY_VERSION",
)  # fmt: skip
PROBE = "import socket; socket.socket().connect_ex(('192.0.2.1', 9))"

# With -s 0 strace prints no payload, so what follows sa_family is an address and nothing else.
CALL = re.compile(r"^(?:\d+ +)?(?:<\.\.\. )?(?:connect|sendto|sendmsg|sendmmsg)(?:\(| resumed>)")
ADDRESS = re.compile(r"sa_family=(\w+)([^{}]*)")
# What strace prints in place of an address: a pointer, or dots for a list that it cuts short.
UNREAD = re.compile(r"connect\(|msg_name=0x|sendmmsg(?:\(\d+, | resumed>)(?:0x|\[\.\.\.)")
PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
INTERNET = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')
LOOK_UP = re.compile(r'sun_path="[^"]*(?:/nscd/|/systemd/resolve/)[^"]*"')
HARMLESS = {"AF_UNIX", "AF_LOCAL", "AF_NETLINK", "AF_UNSPEC"}  # AF_UNSPEC undoes a connect


@dataclass(frozen=True)
class Traffic:
    """What a trace says: attempts to leave by address, look-ups over sockets, local calls."""

    attempts: Counter[str] = field(default_factory=Counter)
    look_ups: Counter[str] = field(default_factory=Counter)
    local: Counter[str] = field(default_factory=Counter)


def parse(lines: Iterable[str]) -> Traffic:
    """Sort the calls of a trace, read line by line; an address it cannot read is an attempt."""
    traffic = Traffic()
    for line in lines:
        if not CALL.match(line):
            continue
        addresses = ADDRESS.findall(line)
        for family, rest in addresses:
            _count(traffic, family, rest)
        if not addresses and UNREAD.search(line):
            traffic.attempts["an address that strace could not read"] += 1
    return traffic


def _count(traffic: Traffic, family: str, rest: str) -> None:
    internet, port = INTERNET.search(rest), PORT.search(rest)
    if internet and port:
        address = internet[1] or internet[2]
        local = _is_loopback(address) and port[1] != "53"
        place = f"[{address}]:{port[1]}" if ":" in address else f"{address}:{port[1]}"
        (traffic.local if local else traffic.attempts)[place] += 1
    elif look_up := LOOK_UP.search(rest):
        traffic.look_ups[look_up[0].removeprefix("sun_path=")] += 1
    elif family in HARMLESS:
        traffic.local[family] += 1
    else:
        traffic.attempts[f"an address of family {family}"] += 1


def _is_loopback(text: str) -> bool:
    """Say whether the kernel keeps the address on this host; it takes 0.0.0.0 and :: for it too."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


def run_cut_off(command: Sequence[str]) -> tuple[int, Traffic]:
    """Run the command without network; return its exit status and its traffic."""
    reading, writing = os.pipe()
    traced = ["strace", "-f", "--seccomp-bpf", "-qq", "-s", "0", "-o", f"/dev/fd/{writing}"]
    # -s 0 also cuts lists of messages, and their addresses with them, unless abbrev=none.
    calls = ["-e", "trace=connect,sendto,sendmsg,sendmmsg", "-e", "signal=none"]
    calls += ["-e", "abbrev=none", "--"]
    inside = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh", *traced, *calls, *command]
    environment = {name: value for name, value in os.environ.items() if name not in CI_VARIABLES}
    with open(reading, encoding="utf-8", errors="replace") as trace:  # noqa: PTH123  a descriptor
        try:
            process = subprocess.Popen(
                ["unshare", "--net", "--", *inside], env=environment, pass_fds=[writing]
            )
        finally:
            os.close(writing)
        traffic = parse(trace)
    return process.wait(), traffic


def find_obstacle() -> str | None:
    """Return why the check cannot run here and what to do, or None; it must catch a probe."""
    missing = [package for tool, package in PACKAGES.items() if not shutil.which(tool)]
    if missing:
        return f"tools are missing: apt-get install {' '.join(missing)}"
    status, traffic = run_cut_off([sys.executable, "-I", "-c", PROBE])
    if status != 0 or traffic.attempts != {"192.0.2.1:9": 1}:
        return "a probe was not caught: run as root, with CAP_SYS_ADMIN, NET_ADMIN and SYS_PTRACE"
    return None


def describe(status: int, traffic: Traffic) -> list[str]:
    """Return the report's lines: addresses and counts, never what was sent."""
    lines = [f"attempt: {place} x{count}" for place, count in sorted(traffic.attempts.items())]
    lines += [f"local look-up: {path} x{count}" for path, count in sorted(traffic.look_ups.items())]
    if status != 0:
        lines.append(f"the command failed with status {status}")
    verdict = "not silent" if traffic.attempts else "silent"
    return [
        *lines,
        f"{verdict}: {traffic.attempts.total()} attempts, {traffic.local.total()} local calls",
    ]


def main(arguments: Sequence[str]) -> int:
    """Check one command and return the exit status."""
    command = list(arguments[1:] if arguments[:1] == ["--"] else arguments)
    if not command:
        sys.stderr.write("usage: python tests/leaks/silence.py -- COMMAND...\n")
        return 2
    if obstacle := find_obstacle():
        sys.stderr.write(f"silence: {obstacle}\n")
        return 3
    status, traffic = run_cut_off(command)
    sys.stdout.write("\n".join(describe(status, traffic)) + "\n")
    return 1 if status != 0 or traffic.attempts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
