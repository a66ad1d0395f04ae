"""What an instruction of a Dockerfile is given: each line here was built, and its container started, by Docker 20.10.24."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.host import contexts, files

Told = Callable[[str], list[str]]
BUILT = 'FROM scratch\nCOPY web /web\n{}\nENTRYPOINT ["/web"]\n'
STARTED = (
    *("USER 65534", "USER 1:1", 'USER "1"', "USER :1", "USER nobody\nUSER 0", "USER 1:1:1", "USER 2147483647", "ARG who\nUSER $who"),
    *("COPY --chown=1 web /w2", "COPY --chown= web /w2", "COPY --chown=1:1 web /w2", "COPY -- web /w2"),
    *("EXPOSE 80 443/tcp 53/udp 9/SCTP 8000-8010", "EXPOSE 0", 'EXPOSE "80"', "EXPOSE 80/", "EXPOSE 8080:80", "ARG port=1\nEXPOSE $port"),
    *("STOPSIGNAL term", "STOPSIGNAL 9", "STOPSIGNAL 99", "STOPSIGNAL -1", "STOPSIGNAL SIGRTMIN+3", "STOPSIGNAL SIGCLD"),
    *('STOPSIGNAL "SIGTERM"', "VOLUME /data", "VOLUME data", 'VOLUME ["/data"]', "LABEL hello world", 'LABEL a="b c" d=e'),
    *("ENV A b", "ENV A x y=z", "ENV A =b", "ENV A = b", 'ENV A="b c" D=e\\ f', "WORKDIR /a b", "WORKDIR /srv", "WORKDIR srv"),
    *(
        'SHELL ["/bin/sh", "-c"]',
        "ARG A B",
        "HEALTHCHECK NONE",
        "HEALTHCHECK CMD /web",
        "ONBUILD RUN x",
        "ONBUILD FOO x",
        "MAINTAINER a b",
        "CMD -v",
    ),
    *('HEALTHCHECK --interval=1m30s --timeout=1.5s --start-period=1s --retries=3 CMD ["/web"]', 'CMD ["--x"]', 'CMD ["/nope"]'),
    *(
        "COPY web /d/\nCOPY web /d",
        "COPY web /d/\nCOPY web /d\nWORKDIR /d",
        "WORKDIR /d\nCOPY web /d\nVOLUME /d",
        "COPY web Dockerfile /x/",
    ),
)
"""What stands in an image that starts."""

REFUSED = {
    "USER nobody": "3:6: USER nobody, a user by name; expected the user's number, such as 65534; FROM scratch has no /etc/passwd",
    "USER root": "3:6: USER root, a user by name; expected the user's number, such as 0; FROM scratch has no /etc/passwd",
    'USER "nobody"': "3:6: USER nobody, a user by name",
    "USER 1 2": "3:6: USER 1 2, a user by name",
    "USER 1:nogroup": "3:6: USER 1:nogroup, a group by name; expected the group's number, such as 65534; FROM scratch has no /etc/group",
    "USER 99999999999": "3:6: USER 99999999999; expected a number from 0 to 2147483647",
    "USER 2147483648": "3:6: USER 2147483648; expected a number from 0 to 2147483647",
    "USER -1": "3:6: USER -1; expected a number from 0",
    "USER 0\nUSER nobody\nWORKDIR /x": "4:6: USER nobody, a user by name",
    "USER --x 1": "3:6: USER --x; expected no flag",
    "COPY --chown=nobody web /w2": "3:6: COPY --chown=nobody, a user by name; expected the user's number",
    "COPY --chown=1:nogroup web /w2": "3:6: COPY --chown=1:nogroup, a group by name",
    "COPY --chown=root web /w2": "3:6: COPY --chown=root, a user by name; expected the user's number, such as 0",
    "COPY --chown=1:1:1 web /w2": "3:6: COPY --chown=1:1:1; expected --chown=USER or --chown=USER:GROUP",
    "COPY --chown web /w2": "3:6: COPY --chown; expected --chown=VALUE, in one word",
    "ADD --chown=nobody web /w2": "3:5: ADD --chown=nobody, a user by name",
    "COPY web /web/x": "3:10: COPY web to /web/x; expected a folder; in the image /web is a file",
    "COPY . /web": "3:8: COPY . to /web; expected a folder; in the image /web is a file",
    "EXPOSE eighty": "3:8: EXPOSE eighty; expected a port from 0 to 65535",
    "EXPOSE 80 90-80": "3:11: EXPOSE 90-80; expected a port",
    "EXPOSE 65536": "3:8: EXPOSE 65536; expected a port",
    "EXPOSE 80/http": "3:8: EXPOSE 80/http; expected a port",
    "EXPOSE 80,81": "3:8: EXPOSE 80,81; expected a port",
    "EXPOSE 80-": "3:8: EXPOSE 80-; expected a port",
    "EXPOSE -80": "3:8: EXPOSE -80; expected a port",
    'EXPOSE ["80"]': '3:8: EXPOSE ["80"]; expected ports with blanks between them: EXPOSE 80 443; EXPOSE takes no list',
    "EXPOSE --x 80": "3:8: EXPOSE --x; expected no flag",
    "STOPSIGNAL SIGFOO": "3:12: STOPSIGNAL SIGFOO; expected a signal's name or number, such as SIGTERM",
    "STOPSIGNAL SIGTREM": "3:12: STOPSIGNAL SIGTREM; expected a signal's name or number, such as SIGTERM; did you mean 'SIGTERM'?",
    "STOPSIGNAL 0": "3:12: STOPSIGNAL 0; expected",
    "STOPSIGNAL SIGRTMIN+16": "3:12: STOPSIGNAL SIGRTMIN+16; expected",
    "STOPSIGNAL SIGTERM SIGINT": "3:12: STOPSIGNAL SIGTERM SIGINT; expected",
    "VOLUME /": "3:8: VOLUME /; expected a folder below /; a volume would hide the program",
    'VOLUME ["/"]': "3:8: VOLUME /; expected a folder below /",
    "VOLUME /web": "3:8: VOLUME /web; expected a folder; in the image /web is a file",
    "LABEL hello": "3:7: LABEL hello; expected LABEL NAME=VALUE",
    "LABEL a=b c": '3:11: LABEL … c; expected NAME=VALUE, as the first one has it; a value with blanks in it stands in quotes: a="…"',
    "LABEL =b": "3:7: LABEL … =b; expected a name before the =",
    "ENV A": "3:5: ENV A; expected ENV NAME=VALUE",
    "ENV A=b c": "3:9: ENV … c; expected NAME=VALUE",
    "ENV A= b": "3:8: ENV … b; expected NAME=VALUE",
    "ENV =b": "3:5: ENV … =b; expected a name before the =",
    "ENV A=b # comment": "3:9: ENV … #; expected no comment behind an instruction; a comment has a line of its own",
    "ENV --x A=b": "3:5: ENV --x; expected no flag",
    "WORKDIR /web": "3:9: WORKDIR /web; expected a folder; in the image /web is a file",
    "WORKDIR /web/x": "3:9: WORKDIR /web/x; expected a folder; in the image /web is a file",
    "SHELL /bin/sh -c": '3:7: SHELL /bin/sh -c; expected SHELL ["/bin/sh", "-c"], a list of words',
    "ARG A =b": "3:7: ARG A =b; expected ARG NAME, or ARG NAME=VALUE, without blanks around the =",
    "HEALTHCHECK /web": "3:13: HEALTHCHECK /web; expected HEALTHCHECK CMD PROGRAM, or HEALTHCHECK NONE",
    "HEALTHCHECK NONE x": "3:18: HEALTHCHECK NONE x; expected nothing behind NONE",
    "HEALTHCHECK CMD": "3:13: HEALTHCHECK CMD; expected a program behind CMD",
    'HEALTHCHECK --intervall=5s CMD ["/web"]': (
        "3:13: HEALTHCHECK --intervall=5s; expected --interval or --timeout or --start-period or --retries; did you mean 'interval'?"
    ),
    'HEALTHCHECK --interval=5 CMD ["/web"]': "3:13: HEALTHCHECK --interval=5; expected a duration from 1 ms, with its unit: --interval=5s",
    'HEALTHCHECK --interval=0s CMD ["/web"]': "3:13: HEALTHCHECK --interval=0s; expected a duration from 1 ms",
    'HEALTHCHECK --retries=0 CMD ["/web"]': "3:13: HEALTHCHECK --retries=0; expected a whole number from 1",
    'HEALTHCHECK --retries=x CMD ["/web"]': "3:13: HEALTHCHECK --retries=x; expected a whole number from 1",
    'HEALTHCHECK --interval CMD ["/web"]': "3:13: HEALTHCHECK --interval; expected --interval=VALUE, in one word",
    "ONBUILD FROM scratch": "3:9: ONBUILD FROM scratch; expected another instruction",
    "ONBUILD ONBUILD RUN x": "3:9: ONBUILD ONBUILD RUN x; expected another instruction",
    "CMD --x a": "3:5: CMD --x; expected no flag",
}
"""What stands in one that does not, and what is said of it."""

STAGES = {
    "FROM scratch x": "1:14: FROM scratch x; expected FROM BASE, or FROM BASE AS NAME",
    "FROM scratch AS a b": "1:14: FROM scratch AS a b; expected FROM BASE, or FROM BASE AS NAME",
    "FROM scratch AS 1x": "1:17: FROM scratch AS 1x; expected a stage's name: a letter",
    "FROM --plat=x scratch": "1:6: FROM --plat=x; expected --platform",
    "FROM scratch AS A\nCOPY web /web\nFROM scratch AS a": "3:17: FROM scratch AS a; expected a name of its own for each stage",
    "FROM scratch\nCOPY web /web\nFROM 0": "3:6: FROM 0; expected FROM scratch",
}

BRACKETS = {
    '["/web" "-v"]': ('3:20: ENTRYPOINT ["/web" "-v"]', 'at "-v"]: a comma is missing before it'),
    '["/web",]': ('3:20: ENTRYPOINT ["/web",]', "a comma stands before the ]"),
    '["/web"': ('3:19: ENTRYPOINT ["/web"', "the list has no ] at its end"),
    '["/web",': ('3:20: ENTRYPOINT ["/web",', "the list has no ] at its end"),
    '["/web"] -v': ('3:21: ENTRYPOINT ["/web"] -v', "at -v: nothing may stand behind the ]"),
    '["/web]': ('3:13: ENTRYPOINT ["/web]', 'at "/web]: this quote is not closed'),
    "[“/web”]": ("3:13: ENTRYPOINT [“/web”]", "at “/web”]: each word in it stands in double quotes"),
    "['/web']": ("3:13: ENTRYPOINT ['/web']", "at '/web']: each word in it stands in double quotes"),
    "[/web]": ("3:13: ENTRYPOINT [/web]", "at /web]: each word in it stands in double quotes"),
    '["/web", 1]': ('3:12: ENTRYPOINT ["/web", 1]', "each word in it stands in double quotes"),
    '["/web", "\\d"]': ('3:22: ENTRYPOINT ["/web", "\\d"]', "a \\ is written as \\\\"),
}


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """What is said of a Dockerfile beside which our program stands."""
    folder = tmp_path / "images" / "own"
    folder.mkdir(parents=True)
    (folder / "main.go").write_text("package main\n")
    (folder / "go.mod").write_text("module web\n")
    monkeypatch.setattr(files, "fixtures", lambda: tmp_path)

    def say(recipe: str) -> list[str]:
        (folder / "Dockerfile").write_text(recipe)
        return [str(each).removeprefix(f"{folder}/Dockerfile:") for each in contexts.problems(folder)]

    return say


@pytest.mark.parametrize("line", STARTED)
def test_what_docker_builds_and_starts_is_not_doubted(told: Told, line: str) -> None:
    """However odd it looks."""
    assert told(BUILT.format(line)) == []


@pytest.mark.parametrize("line", REFUSED)
def test_what_docker_refuses_is_told_with_its_place(told: Told, line: str) -> None:
    """At the build, or at the start."""
    (said,) = told(BUILT.format(line))
    assert said.startswith(REFUSED[line])


@pytest.mark.parametrize("line", STAGES)
def test_stages_that_docker_refuses_are_told(told: Told, line: str) -> None:
    """Their names are its own, in any case."""
    (said,) = told(f'{line}\nCOPY web /web\nENTRYPOINT ["/web"]\n')
    assert said.startswith(STAGES[line])


def test_the_names_of_stages_are_found_in_any_case(told: Told) -> None:
    """As Docker finds them."""
    assert told('FROM scratch AS Aa\nCOPY web /web\nFROM aA\nENTRYPOINT ["/web"]\n') == []
    assert told('FROM scratch AS Aa\nCOPY web /web\nFROM scratch\nCOPY --from=aA /web /web\nENTRYPOINT ["/web"]\n') == []


@pytest.mark.parametrize("given", BRACKETS)
def test_a_list_that_is_none_is_told_with_what_is_wrong_in_it(told: Told, given: str) -> None:
    """At the place where it goes wrong; whose words stand in double quotes already is not told to put them there."""
    (said,) = told(f"FROM scratch\nCOPY web /web\nENTRYPOINT {given}\n")
    place, why = BRACKETS[given]
    assert said.startswith(f'{place}; expected ENTRYPOINT ["/web"], a list of words; ')
    assert said.endswith(why) or why in said


def test_a_user_by_name_is_no_matter_where_the_image_may_know_him(told: Told) -> None:
    """Its tables are copied, or more was put into it than single files."""
    for copied in ("COPY main.txt /etc/passwd", "COPY . /", "ADD web /x"):
        said = told(BUILT.format(f"{copied}\nUSER nobody"))
        assert not any("by name" in each for each in said)
