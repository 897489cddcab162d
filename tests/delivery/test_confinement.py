"""Kernels that try what a kernel must not be able to do, and what it must be."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from siim_kernel.delivery import rehearsal, sandbox
from siim_kernel.delivery.rehearsal import AUDIT_HOOK, NAMESPACES, SECCOMP
from siim_kernel.errors import DeliveryError

CHECKOUT = Path(rehearsal.__file__).parents[2]
CONNECT = "import socket; socket.create_connection(('192.0.2.1', 80), 2)"


def test_no_network_for_children_and_python(run, level):
    _, lines = run(
        f"""
        import subprocess, sys, socket
        code = subprocess.run([sys.executable, "-c", {CONNECT!r}], capture_output=True, text=True)
        print(code.returncode, code.stderr.splitlines()[-1])
        for family, address in ((socket.AF_INET, ("192.0.2.1", 80)), (socket.AF_INET6, ("2001:db8::1", 80))):
            try:
                with socket.socket(family, socket.SOCK_DGRAM) as udp:
                    udp.sendto(b"x", address)
            except OSError as error:
                print(error.strerror.split(" (")[0])
        """,
        level=level,
    )
    assert lines[0].startswith("1 OSError: [Errno 101] Network is unreachable")
    assert set(lines[1:]) <= {"Network is unreachable", "Cannot assign requested address"}
    assert len(lines) == 3


@pytest.mark.parametrize("strong", [NAMESPACES, SECCOMP])
def test_no_network_for_c_code_and_other_programs(run, works, strong):
    works(strong)
    _, lines = run(
        f"""
        import ctypes, os, socket, struct, subprocess, sys
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
        if descriptor >= 0:
            address = struct.pack("=H", socket.AF_INET) + struct.pack(">H", 80) + socket.inet_aton("192.0.2.1") + bytes(8)
            descriptor = libc.connect(descriptor, address, 16)
        print(descriptor, os.strerror(ctypes.get_errno()))
        # Isolated mode and an empty environment get around hooks in Python, not around this.
        print(subprocess.run([sys.executable, "-I", "-S", "-c", {CONNECT!r}], env={{}}, stderr=subprocess.DEVNULL).returncode)
        print(subprocess.run(["bash", "-c", "echo > /dev/tcp/192.0.2.1/80"], stderr=subprocess.DEVNULL).returncode)
        """,
        level=strong,
    )
    assert lines == ["-1 Network is unreachable", "1", "1"]


def test_loopback_works_in_namespaces(run, namespaces):
    _, lines = run(
        """
        import socket
        server = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(server.getsockname(), 2).sendall(b"x")
        print(server.accept()[0].recv(1))
        """
    )
    assert lines == ["b'x'"]


def test_kaggle_folders(run, namespaces):
    # An environment below /tmp stays visible: the kernel runs by its interpreter.
    own = {Path(prefix).parts[2] for prefix in (sys.prefix, sys.base_prefix) if prefix.startswith("/tmp/")}
    result, lines = run(
        f"""
        import os, pathlib
        own, tmp = {own!r}, pathlib.Path("/tmp")
        print(os.getcwd(), __file__, os.environ["SIIM_KERNEL_INPUT"], os.environ["SIIM_KERNEL_WORKING"], os.environ["HOME"])
        print(pathlib.Path("/kaggle/input/films/a.txt").read_text(), sorted(os.listdir("/kaggle/src")), end=" ")
        print([path.name for path in tmp.iterdir() if path.name not in own])
        pathlib.Path("/kaggle/working/out.csv").write_text("12345")
        pathlib.Path("/kaggle/temp/x").write_text("")
        print([path.name for path in tmp.iterdir() if path.name not in own])
        """,
    )
    assert lines == ["/kaggle/working /kaggle/src/run.py /kaggle/input /kaggle/working /tmp", "film ['run.py'] []", "['x']"]
    assert (run.folder / "working" / "out.csv").read_text() == "12345"
    assert result.working_bytes == 5


def test_input_cannot_be_written_even_by_force(run, namespaces):
    _, lines = run(
        """
        import os, subprocess
        def attempt(action):
            try:
                action()
                print("WROTE")
            except OSError as error:
                print(error.strerror)
        attempt(lambda: open("/kaggle/input/films/a.txt", "a"))
        attempt(lambda: open("/kaggle/input/films/new", "w"))
        attempt(lambda: os.mkdir("/kaggle/input/new"))
        attempt(lambda: os.chmod("/kaggle/input/films/a.txt", 0o777))
        attempt(lambda: open("/usr/new", "w"))
        for enter in ([], ["unshare", "--user", "--map-root-user", "--mount"]):
            for place in ("/kaggle/input", "/"):
                print(subprocess.run([*enter, "mount", "-o", "remount,bind,rw", place], stderr=subprocess.DEVNULL).returncode != 0)
        attempt(lambda: open("/kaggle/input/films/a.txt", "a"))
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        print({int(value, 16) for name, value in status.items() if name.startswith("Cap")}, int(status["NoNewPrivs"]))
        """
    )
    assert lines == [*["Read-only file system"] * 5, *["True"] * 4, "Read-only file system", "{0} 1"]
    assert (run.folder / "input" / "films" / "a.txt").read_text() == "film"


@pytest.mark.parametrize("weak", [SECCOMP, AUDIT_HOOK])
def test_a_changed_input_is_told(run, works, weak):
    works(weak)
    result, _ = run(
        """
        import os, pathlib
        folder = pathlib.Path(os.environ["SIIM_KERNEL_INPUT"])
        times = (folder / "films/a.txt").stat()
        (folder / "films/a.txt").write_text("FILM")
        os.utime(folder / "films/a.txt", ns=(times.st_atime_ns, times.st_mtime_ns))
        (folder / "new").write_text("")
        """,
        level=weak,
    )
    assert result.returncode == 0
    assert result.changed == ("films/a.txt", "new")
    assert not result.ok
    assert result.outcome == "exit code 0; changed its input: films/a.txt, new"


def test_nothing_of_the_callers_environment(run, level, monkeypatch):
    for name in ("MY_SECRET", "KAGGLE_KEY", "PIP_INDEX_URL", "HF_TOKEN", "https_proxy", "PYTHONPATH", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, "secret-value")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    _, lines = run(
        """
        import os, pathlib
        print("secret-value" in repr(os.environ), os.environ["LC_ALL"], os.path.isdir(os.environ["TMPDIR"]))
        for pid in ("1", str(os.getppid())) if os.path.isdir("/kaggle") else [str(os.getppid())]:
            try:
                print(b"secret-value" in pathlib.Path("/proc", pid, "environ").read_bytes())
            except PermissionError:
                print(False)
        """,
        level=level,
    )
    assert lines[0] == "False C.UTF-8 True"
    assert set(lines[1:]) == {"False"}


def test_the_checkout_is_out_of_sight(run, namespaces):
    _, lines = run(
        f"""
        import importlib, os
        try:
            importlib.import_module("siim_kernel.errors")
            print("IMPORTED")
        except ImportError as error:
            print(type(error).__name__)
        print(os.path.exists({str(CHECKOUT / "siim_kernel" / "errors.py")!r}), os.path.exists({str(run.folder)!r}))
        import numpy
        print(numpy.__name__)
        """
    )
    assert lines == ["ModuleNotFoundError", "False False", "numpy"]


def test_an_environment_under_tmp_with_the_package_installed(run, namespaces):
    """A virtual environment made of links, in the folder that scratch covers, with a blank in its name; its siim_kernel is hidden."""
    environment = run.folder / "my venv"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    site = Path(subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True).strip())
    (site / "siim_kernel").mkdir()
    (site / "siim_kernel" / "errors.py").write_text("")
    (site / "other.py").write_text("")
    _, lines = run(
        """
        import sys, tempfile, other
        print(sys.prefix, other.__file__.startswith(sys.prefix))
        tempfile.TemporaryFile().close()
        import siim_kernel.errors
        """,
        python=str(python),
    )
    assert lines[0] == f"{environment} True"
    assert lines[-1] == "ModuleNotFoundError: No module named 'siim_kernel.errors'"


def test_an_interpreter_behind_links(run, namespaces):
    """An environment's python that is a link to a link elsewhere, as version managers make them."""
    link, environment = run.folder / "bin" / "my python", run.folder / "environment"
    link.parent.mkdir()
    link.symlink_to(os.path.realpath(sys.executable))
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    python.unlink()
    python.symlink_to("../../bin/my python")
    result, lines = run("import sys\nprint(sys.executable, sys.prefix)\n", python=str(python))
    assert result.ok
    assert lines == [f"{python} {environment}"]


def test_an_interpreter_behind_a_shell_script(run, namespaces):
    shim = run.folder / "python-shim"
    shim.write_text(f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n")
    shim.chmod(0o755)
    _, lines = run("import sys\nprint(sys.executable)\n", python=str(shim))
    assert lines == [sys.executable]


def test_input_made_of_links(run, namespaces):
    """As a dry run lays it out: links to folders elsewhere, in depth, which hold links themselves."""
    outside, mounted = run.folder / "outside", run.folder / "mounted"
    (outside / "films").mkdir(parents=True)
    (outside / "films" / "b.txt").write_text("b")
    (outside / "films" / "inner").symlink_to("b.txt")
    (outside / "table").mkdir()
    (outside / "table" / "films").symlink_to(outside / "films")
    (outside / "table" / "plain.txt").write_text("plain")
    (mounted / "datasets" / "me").mkdir(parents=True)
    (mounted / "datasets" / "me" / "table").symlink_to(outside / "table")
    (mounted / "film").symlink_to("../outside/films/b.txt")
    (mounted / "own").mkdir()
    (mounted / "own" / "c.txt").write_text("c")
    (mounted / "own" / "absolute").symlink_to(mounted / "own" / "c.txt")
    code = """
        import os, pathlib
        for path in sorted(pathlib.Path("/kaggle/input").rglob("*")):
            print(path.relative_to("/kaggle/input"), path.read_text() if path.is_file() else "")
            assert not os.access(path, os.W_OK), path
        print(sorted(p.name for p in pathlib.Path("/kaggle/input/datasets/me/table/films").iterdir()))
        """
    result, lines = run(code, input=mounted)
    assert result.ok
    assert [line.split() for line in lines] == [
        ["datasets"],
        ["datasets/me"],
        ["datasets/me/table"],
        ["datasets/me/table/films"],
        ["datasets/me/table/films/b.txt", "b"],
        ["datasets/me/table/films/inner", "b"],
        ["datasets/me/table/plain.txt", "plain"],
        ["film", "b"],
        ["own"],
        ["own/absolute", "c"],
        ["own/c.txt", "c"],
        ["['b.txt',", "'inner']"],
    ]


@pytest.mark.parametrize(("target", "text"), [("nowhere", "does not exist"), ("..", "a link to a folder that holds it")])
def test_links_that_lead_nowhere(tmp_path, target, text):
    (tmp_path / "input" / "a").mkdir(parents=True)
    (tmp_path / "input" / "a" / "link").symlink_to(tmp_path / "input" / "a" / target)
    with pytest.raises(DeliveryError, match=text):
        sandbox.show_input(str(tmp_path / "input"), "/kaggle/input")


def test_inside_another_network_namespace(run, namespaces):
    """`unshare -r -n siim-kernel dry-run`: a user namespace in a user namespace, loopback down outside."""
    # A mount made there keeps its nosuid, nodev and noexec: to drop one while making it read-only would be refused.
    done = in_a_namespace(run, f"mount -t tmpfs -o nosuid,nodev,noexec,noatime none '{run.folder / 'input'}'")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["namespaces", "exit code 0", "()"]


def test_the_next_level_where_the_first_does_not_work(run, namespaces):
    """A user namespace in which no further one is allowed stands for a container without them."""
    done = in_a_namespace(run, "echo 0 > /proc/sys/user/max_user_namespaces")
    assert done.returncode == 0, done.stderr
    level, outcome, notes = done.stdout.splitlines()
    assert (level, outcome) == ("seccomp", "exit code 0")
    assert "level namespaces does not work here: [Errno 28] No space left on device: unshare" in notes


def in_a_namespace(run, before):
    kernel = run.write("")
    code = f"""
from siim_kernel.delivery.rehearsal import rehearse
result = rehearse({str(kernel)!r}, {str(run.folder / "input")!r}, {str(run.folder / "working")!r})
print(result.level, result.outcome, result.notes, sep="\\n")
"""
    shell = f"{before} && exec {sys.executable} -c '$CODE'".replace("'$CODE'", '"$CODE"')
    command = ["unshare", "--map-root-user", "--net", "--mount", "sh", "-c", shell]
    return subprocess.run(command, env=os.environ | {"CODE": code}, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def test_without_proof_nothing_runs(run, namespaces, monkeypatch):
    """An input that was left writable by mistake is found out before the kernel starts."""
    whole = sandbox._view

    def careless(*arguments):
        view = whole(*arguments)
        return view | {"writable": [*view["writable"], "/kaggle/input"]}

    monkeypatch.setattr(sandbox, "_view", careless)
    with pytest.raises(DeliveryError, match="was not started: write into the input: .* could be opened for writing"):
        run("open('started', 'w')\n")
    assert not any((run.folder / "working").iterdir())
    assert sorted(path.name for path in (run.folder / "input").rglob("*")) == ["a.txt", "films"]


def test_no_level_works(run, monkeypatch):
    monkeypatch.setattr(rehearsal.sandbox, "KAGGLE", sandbox.Places("/proc/x", "/proc/x", "/proc/x", "/proc/x", "/proc/x"))
    with pytest.raises(DeliveryError, match="no confinement for a rehearsal works on this machine:\nlevel namespaces does not work here"):
        run("", level=NAMESPACES)
