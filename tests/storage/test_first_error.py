"""The first line of a log that looks like the error: what pip, uv, gcc, Python and uWSGI really print."""

from __future__ import annotations

import pytest

from releases.storage import LogLine, clean, first_error

STEP = "== step =="

NO_PG_CONFIG = """
$ uv pip compile requirements.txt
error: Failed to build `psycopg2==2.9.11`
uv leaves this to the next installer: uv cannot resolve these requirements with wheels alone.
$ pip install -r requirements.txt
Collecting psycopg2==2.9.11 (from -r requirements.txt (line 2))
  Preparing metadata (pyproject.toml): finished with status 'error'
  error: subprocess-exited-with-error
  × Preparing metadata (pyproject.toml) did not run successfully.
  │ exit code: 1
  ╰─> [26 lines of output]
      running egg_info
      writing psycopg2.egg-info/PKG-INFO
      Error: pg_config executable not found.
      pg_config is required to build psycopg2 from source.  Please add the directory
      [end of output]
  note: This error originates from a subprocess, and is likely not a problem with pip.
error: metadata-generation-failed
"""
UV_BUILD = """
  × Failed to build `psycopg2==2.9.11`
  ├─▶ The build backend returned an error
  ╰─▶ Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)
      Error: pg_config executable not found.
"""
UV_RESOLVE = """
  × No solution found when resolving dependencies:
  ╰─▶ Because there is no version of flask==99.1 and you require flask==99.1, we can conclude
      that your requirements are unsatisfiable.
"""
NO_VERSION = """
Looking in indexes: https://index.example.org/simple
ERROR: Could not find a version that satisfies the requirement flask==99.1 (from versions: 0.1, 3.1.2)
ERROR: No matching distribution found for flask==99.1
"""
CONFLICT = """
Collecting werkzeug<2
INFO: pip is looking at multiple versions of flask to determine which version is compatible with other requirements.
ERROR: Cannot install -r requirements.txt (line 1) and werkzeug<2 because these package versions have conflicts.
The conflict is caused by:
ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/en/latest/
"""
GCC = """
  error: subprocess-exited-with-error
      gcc -Wno-unused-result -Werror=format-security -c Modules/LDAPObject.c -o build/LDAPObject.o
      In file included from Modules/LDAPObject.c:3:
      \x1b[01m\x1b[KModules/common.h:15:10:\x1b[m\x1b[K \x1b[01;31m\x1b[Kfatal error: \x1b[m\x1b[Klber.h: No such file
      compilation terminated.
      error: command '/usr/bin/gcc' failed with exit code 1
  ERROR: Failed building wheel for python-ldap
error: failed-wheel-build-for-install
"""
LINKER = """
      gcc -shared build/a.o -lpq -o build/a.so
      /usr/bin/ld: cannot find -lpq: No such file or directory
      collect2: error: ld returned 1 exit status
      error: command '/usr/bin/gcc' failed with exit code 1
"""
SETUP_PY = """
  error: subprocess-exited-with-error
      Trying pkg-config --exists mysqlclient
      Command 'pkg-config --exists mysqlclient' returned non-zero exit status 127.
      Traceback (most recent call last):
        File "/app/env/lib/python3.13/site-packages/pip/_vendor/hooks.py", line 389, in <module>
          main()
        File "<string>", line 86, in get_config_posix
      Exception: Can not find valid pkg-config name.
      Specify MYSQLCLIENT_CFLAGS and MYSQLCLIENT_LDFLAGS env vars manually
"""
NO_MODULE = """
  *** Operational MODE: preforking+threaded ***
  Traceback (most recent call last):
    File "/app/app/app.py", line 1, in <module>
      import shop.views
    File "/app/app/shop/views.py", line 7, in <module>
      import yaml
  ModuleNotFoundError: No module named 'yaml'
  unable to load app 0 (mountpoint='') (callable not found or import error)
  *** no app loaded. GAME OVER ***
"""
IN_A_PACKAGE = """
Traceback (most recent call last):
  File "/app/app/app.py", line 4, in <module>
    db = connect(os.environ["DSN"])
         ~~~~~~~^^^^^^^^^^^^^^^^^^^
  File "/app/env/lib/python3.13/site-packages/psycopg/connection.py", line 117, in connect
    raise last_ex.with_traceback(None)
psycopg.OperationalError: connection failed: port 5432 failed: Connection refused
"""
SYNTAX = """
    File "/app/app/app.py", line 1
      def app(e, s)
                   ^
  SyntaxError: expected ':'
  unable to load app 0 (mountpoint='') (callable not found or import error)
"""
CHAINED = """
Traceback (most recent call last):
  File "/app/app/app.py", line 2, in <module>
    KEY = os.environ["SECRET_KEY"]
KeyError: 'SECRET_KEY'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/app/app.py", line 4, in <module>
    raise SystemExit(3)
SystemExit: 3
"""
GIT = """
  Running command git clone --filter=blob:none --quiet https://git.example.org/x.git /app/env/src/x
  fatal: unable to access 'https://git.example.org/x.git/': Could not resolve host: git.example.org
  error: subprocess-exited-with-error
  × git clone --filter=blob:none --quiet https://git.example.org/x.git /app/env/src/x did not run successfully.
"""
UWSGI = """
*** Starting uWSGI 2.0.30 (64bit) on [Wed Nov 25 00:00:00 2026] ***
your processes number limit is 256
unable to load app 0 (mountpoint='') (callable not found or import error)
*** no app loaded. going in full dynamic mode ***
"""
RUST = """
         Compiling cryptography v0.1.0
      error[E0432]: unresolved import `openssl`
      error: could not compile `cryptography` (lib) due to 1 previous error
      error: cargo build failed with exit code 101
"""


def log(text: str) -> list[LogLine]:
    return [
        LogLine(0.1, clean(line.removeprefix(STEP)), line.startswith(STEP)) for line in text.strip("\n").split("\n")
    ]


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        (NO_PG_CONFIG, 13, "Error: pg_config executable not found."),
        (UV_BUILD, 4, "Error: pg_config executable not found."),
        (UV_RESOLVE, 2, "Because there is no version of flask==99.1 and you require flask==99.1, we can conclude"),
        (NO_VERSION, 2, "ERROR: Could not find a version that satisfies the requirement flask==99.1"),
        (CONFLICT, 3, "ERROR: Cannot install -r requirements.txt (line 1) and werkzeug<2"),
        (GCC, 4, "Modules/common.h:15:10: fatal error: lber.h: No such file"),
        (LINKER, 2, "/usr/bin/ld: cannot find -lpq"),
        (SETUP_PY, 8, "Exception: Can not find valid pkg-config name."),
        (NO_MODULE, 7, "ModuleNotFoundError: No module named 'yaml' (app/shop/views.py, line 7)"),
        (
            IN_A_PACKAGE,
            7,
            "psycopg.OperationalError: connection failed: port 5432 failed: Connection refused (app/app.py",
        ),
        (SYNTAX, 4, "SyntaxError: expected ':' (app/app.py, line 1)"),
        (CHAINED, 4, "KeyError: 'SECRET_KEY' (app/app.py, line 2)"),
        (GIT, 2, "fatal: unable to access 'https://git.example.org/x.git/'"),
        (UWSGI, 3, "unable to load app 0"),
        (RUST, 2, "error[E0432]: unresolved import `openssl`"),
        ("sh: 1: gcc: not found", 1, "sh: 1: gcc: not found"),
        ("pip: OSError: [Errno 28] No space left on device", 1, "pip: OSError: [Errno 28] No space left"),
    ],
)
def test_line_is_the_one_that_a_person_looks_for(text: str, line: int, found: str) -> None:
    error = first_error(log(text))
    assert error is not None
    assert error.line == line, error
    assert error.text.startswith(found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Building wheels for collected packages: failed-login",
        "Collecting error-handler==1.0\nDownloading error_handler-1.0-py3-none-any.whl",
        "Compiled with 0 errors",
        "foo.c:3:1: warning: control reaches end, which is no error",
        "$ pip install errors-that-failed",
        "gcc -Werror=format-security -c a.c",
        "Successfully installed flask-3.1.2",
    ],
)
def test_log_without_an_error_has_none(text: str) -> None:
    assert first_error(log(text)) is None


def test_last_step_goes_before_earlier_ones_and_steps_count_as_lines() -> None:
    text = f"{STEP}checkout\nwarning\n{STEP}produce\nERROR: was mended by a second try\n{STEP}probe\nerror: no answer"
    found = first_error(log(text))
    assert found is not None
    assert (found.line, found.text) == (6, "error: no answer")


def test_earlier_step_is_looked_at_when_the_last_one_says_nothing() -> None:
    found = first_error(log(f"{STEP}produce\nERROR: No matching distribution found for x\n{STEP}collect\nfine"))
    assert found is not None
    assert found.line == 2


def test_line_is_bounded_and_without_colours() -> None:
    found = first_error(log(f"\x1b[31merror: {'x' * 10_000}\x1b[0m"))
    assert found is not None
    assert len(found.text) == 300
    assert found.text.startswith("error: xxx")
