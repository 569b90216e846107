"""People read Chinese where their locale says so, and programs read the same JSON everywhere."""

import ast
import json
from pathlib import Path

import pytest

from callseal.cli.i18n import language_of
from callseal.seal import reasons
from callseal.seal.reasons import Language
from support import catalogue
from support.bundle import Archive, flip, only
from support.commands import Commands

CHINESE = {"LANG": "zh_CN.UTF-8"}


@pytest.mark.parametrize(
    ("env", "language"),
    [
        ({}, Language.ENGLISH),
        ({"LANG": "zh_CN.UTF-8"}, Language.CHINESE),
        ({"LANG": "zh_TW.UTF-8"}, Language.CHINESE),
        ({"LANG": "zh"}, Language.CHINESE),
        ({"LANG": "de_DE.UTF-8"}, Language.ENGLISH),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, Language.ENGLISH),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_CN.UTF-8"}, Language.CHINESE),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, Language.CHINESE),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": "en"}, Language.ENGLISH),
        ({"LANG": "de_DE.UTF-8", "LANGUAGE": "de:zh_CN"}, Language.CHINESE),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, Language.ENGLISH),
        ({"LANG": "C", "LANGUAGE": "zh_CN"}, Language.ENGLISH),
        ({"LANG": "", "LC_ALL": "", "LANGUAGE": ""}, Language.ENGLISH),
    ],
)
def test_the_locale_chooses_the_language(env: dict[str, str], language: Language) -> None:
    assert language_of(env) is language


def test_every_message_has_a_translation() -> None:
    translated = {entry.one for entry in catalogue.entries(po()) if entry.translation}

    assert set(catalogue.wanted()) - translated == set()


def test_the_catalogue_holds_nothing_that_nobody_asks_for() -> None:
    ours = {entry.one for entry in catalogue.entries(po()) if not entry.of_typer}

    assert ours - set(catalogue.wanted()) == set()


def test_every_plural_is_the_one_in_the_source() -> None:
    wanted = catalogue.wanted()

    for entry in catalogue.entries(po()):
        if not entry.of_typer:
            assert entry.many == wanted[entry.one]


def test_every_translation_fills_the_same_places() -> None:
    for entry in catalogue.entries(po()):
        if not entry.of_typer:
            assert catalogue.places(entry.translation) == catalogue.places(entry.many or entry.one), entry.one


def test_every_translation_says_it_in_other_words() -> None:
    for entry in catalogue.entries(po()):
        assert entry.translation not in {entry.one, entry.many}


def test_the_compiled_catalogue_is_that_of_the_source() -> None:
    assert catalogue.MO.read_bytes() == catalogue.compiled(po()), "run: python tests/support/catalogue.py"


def test_help_is_chinese_down_to_its_frame(callseal: Commands) -> None:
    ran = callseal.program("open", "--help", env=CHINESE)

    assert ran.code == 0
    for words in (
        "用法：callseal open",
        "用私钥解密录音",
        "参数",
        "选项",
        "显示本帮助并退出",
        "示例：callseal open",
    ):
        assert words in ran.out
    for words in ("Usage", "Options", "Show this"):
        assert words not in ran.out


def test_a_list_is_chinese_with_reasons_in_words(callseal: Commands, whole_archive: Archive) -> None:
    callseal.use(whole_archive.office.config_file)

    ran = callseal.program("list", env=CHINESE)

    assert ran.code == 0
    for words in ("录音", "呼出", "呼入", "销售", f"未录音：{reasons.words('rule-never', Language.CHINESE)}"):
        assert words in ran.out


def test_an_altered_recording_is_named_in_chinese_with_the_same_exit_code(
    callseal: Commands, archive: Archive
) -> None:
    callseal.use(archive.office.config_file)
    audio = only(archive.office.bundle(archive.recordings[2]), "audio-*.age")
    flip(audio, -1)

    opened = callseal.program(
        "open", archive.recordings[2].hex[-6:], "-i", archive.office.key_file, env=CHINESE
    )
    verified = callseal.program("verify", env=CHINESE)

    assert (opened.code, verified.code) == (12, 12)
    assert f"{audio.name}，第 2 块：【已被改动】" in opened.err
    assert "SHA-256 与清单不符" in verified.out


def test_json_is_the_same_in_every_language(callseal: Commands, whole_archive: Archive) -> None:
    callseal.use(whole_archive.office.config_file)

    chinese = callseal.program("list", "--json", env=CHINESE)
    english = callseal.program("list", "--json")

    assert chinese == english
    assert len(json.loads(english.out)["recordings"]) == 4


def test_messages_are_literals_so_that_none_escapes_translation() -> None:
    for path in sorted(catalogue.CLI.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                assert not isinstance(node.args[0], ast.JoinedStr | ast.BinOp), f"{path}:{node.lineno}"


def po() -> str:
    return Path(catalogue.PO).read_text(encoding="utf-8")
