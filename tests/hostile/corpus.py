"""What has been tried against programs that hand addresses and names of refs to git, and spellings of what is too near.

CANARY stands for a path that must not come to be, LISTENER for a local `host:port` that must hear nothing, PORT for its
port, SECRET for a repository beside the allowed folder, LOCAL for the folder that is allowed."""

from __future__ import annotations

ADDRESSES = (
    # read as options by git, ssh or a shell
    "--upload-pack=touch CANARY", "--upload-pack=touch${IFS}CANARY", "-uCANARY", "--exec=touch CANARY",
    "--output=CANARY",
    "--config=core.sshCommand=touch CANARY", "-c core.sshCommand=touch CANARY", "--template=LOCAL", "--all", "-",
    "--recurse-submodules", "--server-option=CANARY", "--reference=SECRET", "--separate-git-dir=CANARY", "--", "--help",
    # helpers of transports
    "ext::sh -c touch% CANARY", "ext::touch CANARY", "EXT::touch CANARY", "ext::/bin/sh", "fd::17", "fd::0,1/x",
    "https::http://LISTENER/x", "remote-ext::touch CANARY", "ext://touch/CANARY", "testgit::SECRET",
    # files of this machine
    "SECRET", "./secret.git", "~/secret.git", "file://SECRET", "file://LOCAL/../secret.git",
    "file://LOCAL/%2e%2e/secret.git",
    "file://LOCAL/link.git", "file://localhostSECRET", "FILE://SECRET", "file:SECRET", "SECRET.bundle",
    "file://SECRET.bundle",
    "file:///proc/self/cwd", "file:///dev/stdin", "/etc/passwd", "\\\\127.0.0.1\\share", "LOCAL/bundle", "file://LOCAL",
    # ssh
    "ssh://-oProxyCommand=touch${IFS}CANARY/x", "ssh://-oProxyCommand=touch%20CANARY@host/x",
    "-oProxyCommand=touch CANARY:x",
    "x@-oProxyCommand=touch${IFS}CANARY:x", "git@host:--upload-pack=touch CANARY", "ssh://git@host:22:22/x", "git@:x",
    "ssh://git@git.invalid/-oProxyCommand=CANARY", "git@git.invalid:x;touch$IFS'CANARY'", "git@git.invalid:../../x",
    # lines, controls, credentials
    "https://git.invalid/x\n--upload-pack=touch CANARY", "https://git.invalid/x\r\nHost: LISTENER",
    "https://git.invalid/\0x",
    "https://git.invalid/x%0a--upload-pack=touch", "https://git.invalid/x%00", "https://git.invalid/\x1b[31mx", "\0",
    "https://ana:hunter2@git.invalid/x", "https://hunter2@git.invalid/x", "https://git.invalid:443@LISTENER/x",
    "https://git.invalid\\@LISTENER/x", "https://git.invalid#@LISTENER/x", "https://git.invalid?@LISTENER/x",
    "https://@/x",
    # the local machine, spelled otherwise
    "http://LISTENER/x", "https://LISTENER/x", "https://localhost:PORT/x", "https://LOCALHOST:PORT/x",
    "git://LISTENER/x",
    "https://localhost.:PORT/x", "https://a.localhost:PORT/x", "https://127.1:PORT/x", "https://127.0.1:PORT/x",
    "ftp://LISTENER/x",
    "https://0x7f000001:PORT/x", "https://0x7f.1:PORT/x", "https://2130706433:PORT/x", "https://0177.0.0.1:PORT/x",
    "https://017700000001:PORT/x", "https://0:PORT/x", "https://0.0.0.0:PORT/x", "https://[::1]:PORT/x",
    "https://[::]:PORT/x",
    "https://[::ffff:127.0.0.1]:PORT/x", "https://[0:0:0:0:0:ffff:7f00:1]:PORT/x", "https://127.127.127.127:PORT/x",
    "https://127.0.0.1.:PORT/x", "https://127。0。0。1:PORT/x", "https://①②⑦.⓪.⓪.①:PORT/x", "https://ⓛocalhost:PORT/x",
    "https://[::1%25lo]:PORT/x", "https://ip6-localhost:PORT/x", "ssh://git@127.0.0.1:PORT/x", "git@localhost:x",
    "git@[::1]:x",
    "https://169.254.169.254/latest/meta-data", "https://[fd00:ec2::254]/latest", "https://[::ffff:169.254.169.254]/x",
    # look-alikes and what is too long
    "https://gіt.invalid/x", "https://git.invalid/\u202egit", "https://git.invalid/\u200bx", "https://git.invalid／x",
    "https://git.invalid/" + "a" * 600, "https://" + "a." * 200 + "invalid/x", "https://" + "a" * 64 + ".invalid/x",
    "https://git.invalid:0/x", "https://git.invalid:99999/x", "https://git.invalid:443:PORT/x", "javascript:alert(1)",
    "data:text/plain,x", "http://git.invalid/x", "https:///x", "https://", "https:/git.invalid/x", "", " ", "://x",
    "https://git.invalid/x?upload-pack=CANARY", "https://git.invalid/$(touch$IFS'CANARY')",
    "https://git.invalid/{{7*7}}",
)  # fmt: skip

REFS = (
    "-evil", "--output=CANARY", "--exec=touch CANARY", "--upload-pack=touch CANARY", "-oProxyCommand=CANARY", "--", "-",
    "a..b", "a...b", ":/text", ":/", "main@{1}", "@{1}", "@{-1}", "@{upstream}", "@", "HEAD:app", "HEAD:file", "HEAD~1",
    "HEAD^", "HEAD^{tree}", "HEAD^{/text}", "^main", "main^!", "HEAD", "FETCH_HEAD", "stash", "refs/../..",
    "refs/heads/../x",
    "refs/heads/..", "../../etc/passwd", "/etc/passwd", "refs/heads/.lock", "a.lock", ".hidden", "a/.b", "a//b", "a/",
    "/a",
    "a b", "a\tb", "a\nb", "a\r\nb", "a\0b", "a\x1b[31mb", "a\x7fb", "a\x9bb", "a\u202eb", "a\u200bb", "a\u2028b", "\0",
    "a?b", "a*b", "a[b", "a\\b", "*", "refs/*", "refs/heads/*:refs/heads/*", "+main", "main:CANARY", "", " ", "a" * 256,
    "é" * 128, "refs/tags/" + "a" * 250, "ab" * 20, "0" * 40, "f" * 64, "deadbeef", "DEADBEEF" * 5, "refs/notes/x",
    "$(id)",
    "`touch CANARY`", ";touch$IFS'CANARY'", "|touch", "${IFS}", "{{7*7}}", "%s%n", "v1.0.0;id", "$GIT_DIR", "&",
    "<script>",
)  # fmt: skip
